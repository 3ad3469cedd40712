"""Scikit-learn-compatible imputers for data that are missing not at random."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnr_sklearn.classical import MeanImputer, MICEImputer, MissForestImputer
    from gnr_sklearn.factorization import MFImputer
    from gnr_sklearn.gan import GAINImputer
    from gnr_sklearn.gnr import GNRImputer
    from gnr_sklearn.vae import MIWAEImputer, NotMIWAEImputer, PSMVAEImputer

__version__ = "0.1.0.dev0"

__all__ = [
    "GAINImputer",
    "GNRImputer",
    "MFImputer",
    "MICEImputer",
    "MIWAEImputer",
    "MeanImputer",
    "MissForestImputer",
    "NotMIWAEImputer",
    "PSMVAEImputer",
]

_HOME = {
    "GAINImputer": "gan",
    "GNRImputer": "gnr",
    "MFImputer": "factorization",
    "MICEImputer": "classical",
    "MIWAEImputer": "vae",
    "MeanImputer": "classical",
    "MissForestImputer": "classical",
    "NotMIWAEImputer": "vae",
    "PSMVAEImputer": "vae",
}


def __getattr__(name: str) -> Any:
    # Names load on first use (PEP 562), so that importing the package does not import
    # torch.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
