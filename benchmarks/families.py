"""Tables drawn from families whose moments are known, for what UCI's tables do not single out.

In none is 0 the mean of a column, nor 1 its standard deviation, for an imputer that starts from
these would profit by it. The rows are the same in every run; what differs is the mask.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

N_ROWS, N_COLUMNS, N_FACTORS = 2000, 8, 3
LOCATION, SCALE = np.linspace(-4.0, 10.0, N_COLUMNS), np.geomspace(0.5, 20.0, N_COLUMNS)

# What three factors explain of each column, and the correlations that this makes.
EXPLAINED = 0.8
LOADINGS = np.random.default_rng(0).normal(size=(N_COLUMNS, N_FACTORS))
LOADINGS *= np.sqrt(EXPLAINED / (LOADINGS**2).sum(axis=1, keepdims=True))
CORRELATION = LOADINGS @ LOADINGS.T + (1 - EXPLAINED) * np.eye(N_COLUMNS)

DEGREES_OF_FREEDOM = 3
# Four or more where values go missing: if all above the mean do, two levels are left to see.
LEVELS = np.array([4, 5, 6, 7, 3, 4, 5, 7])


def factors(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Draw normal columns of mean 0, standard deviation 1 and the correlations above."""
    explained = rng.normal(size=(n_rows, N_FACTORS)) @ LOADINGS.T
    return explained + np.sqrt(1 - EXPLAINED) * rng.normal(size=(n_rows, N_COLUMNS))


def linear(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Draw three factors and noise, all normal."""
    return LOCATION + SCALE * factors(rng, n_rows)


def nonlinear(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Draw smooth functions of two independent normal variables, and a tenth of noise."""
    u, v = rng.normal(size=(2, n_rows))
    # Each less its mean, and by its variance.
    functions = (
        (u**2 - 1, 2),
        (u * v, 1),
        (np.exp(v / 2) - np.exp(1 / 8), np.exp(1 / 2) - np.exp(1 / 4)),
        (np.sin(2 * u), (1 - np.exp(-8)) / 2),
        (u, 1),
        (v, 1),
        (np.sin(v), (1 - np.exp(-2)) / 2),
        (np.cos(u - v) - np.exp(-1), (1 + np.exp(-4)) / 2 - np.exp(-2)),
    )
    signal = np.column_stack([value / np.sqrt(variance) for value, variance in functions])
    noise = rng.normal(size=signal.shape)
    return LOCATION + SCALE * (np.sqrt(0.9) * signal + np.sqrt(0.1) * noise)


def heavy_tailed(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Draw from a multivariate t with the correlations above."""
    spread = np.sqrt(rng.chisquare(DEGREES_OF_FREEDOM, size=(n_rows, 1)) / DEGREES_OF_FREEDOM)
    return LOCATION + SCALE * factors(rng, n_rows) / spread


def discrete(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Draw ordered levels 0, 1, ..., all equally likely, that cut the factors' columns."""
    return np.floor(LEVELS * ndtr(factors(rng, n_rows)))


FAMILIES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    family.__name__: family for family in (linear, nonlinear, heavy_tailed, discrete)
}


def draw(name: str, n_rows: int = N_ROWS) -> np.ndarray:
    """Draw the complete table of a family: always the same one."""
    return FAMILIES[name](np.random.default_rng(1), n_rows)
