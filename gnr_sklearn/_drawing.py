"""Draws of imputers that may be anybody's."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnr_sklearn._frames import as_frame
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import next_seed

__all__ = ["sample_checked"]


def sample_checked(
    imputer: Any, X: Any, shape: tuple[int, int], rng: np.random.Generator, given: dict[str, Any]
) -> FloatArray:
    """Draw completed data sets, (n_draws, n, d_out), and refuse what is none.

    ``given`` are further keywords for ``sample``. Of data frames with categories they are objects.
    """
    draws = np.asarray(imputer.sample(X, n_draws=shape[0], random_state=next_seed(rng), **given))
    kinds = "f" if as_frame(X) is None else "fO"
    if draws.ndim != 3 or draws.shape[:2] != shape or draws.dtype.kind not in kinds:
        raise ValueError(
            f"imputer.sample must give floats of shape {(*shape, 'd_out')}, got {draws.dtype} of "
            f"shape {draws.shape}."
        )
    is_float = draws.dtype.kind == "f"
    holes = ~np.isfinite(draws) if is_float else [v is None or v != v for v in draws.ravel()]
    if np.any(holes):
        raise ValueError("imputer.sample must give finite numbers, which it does not.")
    return draws
