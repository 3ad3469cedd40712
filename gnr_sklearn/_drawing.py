"""Draws of imputers that may be anybody's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["next_seed", "sample_checked"]


def next_seed(rng: np.random.Generator) -> int:
    """Draw a seed."""
    return int(rng.integers(2**31 - 1))


def sample_checked(
    imputer: Any, X: Any, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.floating]:
    """Draw completed data sets, (n_draws, n, d_out), and refuse what is none."""
    draws = np.asarray(imputer.sample(X, n_draws=shape[0], random_state=next_seed(rng)))
    if draws.ndim != 3 or draws.shape[:2] != shape or draws.dtype.kind != "f":
        raise ValueError(
            f"imputer.sample must give floats of shape {(*shape, 'd_out')}, got {draws.dtype} of "
            f"shape {draws.shape}."
        )
    if not np.isfinite(draws).all():
        raise ValueError("imputer.sample must give finite numbers, which it does not.")
    return draws
