"""What displays of tables have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import copy_of, side_info_for

__all__ = [
    "as_many_axes",
    "completed",
    "incomplete",
    "new_axes",
    "require_method",
    "settings_of_points",
    "spread_out",
]


def incomplete(values: FloatArray) -> BoolArray:
    """Return where a table has no value, of which there has to be one."""
    missing = np.isnan(values)
    if not missing.any():
        raise ValueError("X must have a missing value, NaN, got none.")
    return missing


def completed(
    imputer: Any, X: Any, side_info: ArrayLike | None, shape: tuple[int, ...]
) -> FloatArray:
    """Return X as an imputer fills it, which has to keep the columns."""
    require_method(imputer, "transform")
    given = side_info_for(imputer, side_info, shape[0])
    filled = np.asarray(imputer.transform(copy_of(X), **given))
    if filled.shape != shape:
        raise ValueError(f"imputer must give every column of X back, {shape}, got {filled.shape}.")
    return filled


def require_method(imputer: Any, method: str) -> None:
    """Refuse an imputer that cannot do what is to be shown."""
    if isinstance(imputer, type) or not hasattr(imputer, method):
        raise TypeError(f"imputer must be fitted and have a method {method}, got {imputer!r}.")


def spread_out(n_points: int) -> FloatArray:
    """Return numbers from 0 to 1 that no two neighbours are close in.

    Not at random: a picture that is drawn again is the same.
    """
    return np.arange(n_points) * 0.6180339887498949 % 1.0


def as_many_axes(ax: Any, n_axes: int, of_what: str = "") -> Any:
    """Return the user's axes in a row, if there are as many as it takes."""
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(axes) != n_axes:
        raise ValueError(f"ax must be None or {n_axes} axes{of_what}, got {len(axes)}.")
    return axes


def settings_of_points(defaults: dict[str, Any], given: dict[str, Any] | None) -> dict[str, Any]:
    """Return keywords for ``scatter``, which takes one colour by two names, and not by both."""
    settings = defaults | (given or {})
    if "c" in settings:
        del settings["color"]
    return settings


def new_axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    """Return the axes, or those of a new figure, whose size is in inches, for None."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax
