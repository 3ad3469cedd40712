"""What displays of tables have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._base import FloatArray

__all__ = ["completed", "incomplete", "new_axes"]


def incomplete(values: FloatArray) -> NDArray[np.bool_]:
    """Return where a table has no value, of which there has to be one."""
    missing = np.isnan(values)
    if not missing.any():
        raise ValueError("X must have a missing value, got none.")
    return missing


def completed(imputer: Any, X: Any, shape: tuple[int, ...]) -> FloatArray:
    """Return X as an imputer fills it, which has to keep the columns."""
    filled = np.asarray(imputer.transform(X))
    if filled.shape != shape:
        raise ValueError(f"imputer must give every column of X back, {shape}, got {filled.shape}.")
    return filled


def new_axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    """Return the axes, or those of a new figure, whose size is in inches, for None."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax
