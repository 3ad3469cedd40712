"""Points and weights that stand for the distributions of a net's numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import stdtrit

from gnr_sklearn._types import FloatArray
from gnr_sklearn.nn.likelihoods import SELECTED, Continuous, StudentT

__all__ = ["normal_points", "points_of"]


def normal_points(n_points: int) -> tuple[FloatArray, FloatArray]:
    """Return points of a standard normal distribution, and weights that add up to 1."""
    points, weights = np.polynomial.hermite_e.hermegauss(n_points)
    return points, weights / weights.sum()


# The few are for what is left beside a truncated distribution.
POINTS, WEIGHTS = normal_points(16)
FEW_POINTS, FEW_WEIGHTS = normal_points(7)

# Of an interval from 0 to 1.
_KNOTS, _SHARES = np.polynomial.legendre.leggauss(16)
PLACES, SHARES = 0.5 * (_KNOTS + 1.0), 0.5 * _SHARES

# Standard deviations beyond which a normal distribution is left out.
FAR = 6.0


def points_of(distribution: Continuous) -> Iterator[tuple[FloatArray, FloatArray | float]]:
    """Yield points of independent distributions, and weights that add up to 1.

    Parameters
    ----------
    distribution : Gaussian, SelectedGaussian, TwiceSelectedGaussian or StudentT

    Yields
    ------
    point, weight : ndarray, or a float for all
        Of the shape of the distribution's mean, or such that they broadcast to it.
    """
    mean, scale, *others = (part.detach().double().cpu().numpy() for part in distribution)
    if isinstance(distribution, StudentT):
        for place, share in zip(PLACES, SHARES, strict=True):
            yield mean + scale * stdtrit(others[0], place), share
    elif isinstance(distribution, SELECTED):
        by_chance = distribution.share_by_chance.double().cpu().numpy()
        for point, weight in zip(POINTS, WEIGHTS, strict=True):
            yield mean + scale * point, by_chance * weight
        # As values are drawn: a truncated normal number, and one that is independent of it.
        for step in distribution.steps:
            slope, inverse, argument, of_step = (part.double().cpu().numpy() for part in step)
            for truncated, share in _points_above(-argument):
                center = mean + slope * scale**2 * inverse * truncated
                for point, weight in zip(FEW_POINTS, FEW_WEIGHTS, strict=True):
                    share_of_all = (1.0 - by_chance) * of_step * share * weight
                    yield center + scale * inverse * point, share_of_all
    else:
        for point, weight in zip(POINTS, WEIGHTS, strict=True):
            yield mean + scale * point, weight


def _points_above(limit: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield points of standard normal distributions above limits, and their weights."""
    lowest = np.maximum(limit, -FAR)
    # Far out in the tail, the density falls to the same part of that at the limit as at `FAR`.
    highest = np.sqrt(np.maximum(lowest, 0.0) ** 2 + FAR**2)
    points = [lowest + (highest - lowest) * place for place in PLACES]
    nearest = np.maximum(lowest, 0.0)
    weights = [
        share * np.exp(0.5 * (nearest**2 - point**2))
        for point, share in zip(points, SHARES, strict=True)
    ]
    total = np.sum(weights, axis=0)
    for point, weight in zip(points, weights, strict=True):
        yield point, weight / total
