"""What the processor of this machine is good at."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["has_bfloat16_units", "has_fast_tanh"]


def has_bfloat16_units() -> bool:
    """Tell whether the processor has units for products of matrices in bfloat16."""
    return bool(_capabilities().get("amx_bf16"))


def has_fast_tanh() -> bool:
    """Tell whether torch's tanh takes less time than its sigmoid.

    It is that of Intel's library, which on processors of others takes several times as long.
    """
    is_intel = str(_capabilities().get("cpu_name", "")).startswith("Intel")
    return is_intel and torch.backends.mkl.is_available()


def _capabilities() -> dict[str, Any]:
    # Older releases of torch cannot tell.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return capabilities
