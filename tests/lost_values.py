"""Tables of which values go missing in a known way, for tests of how that is told."""

import numpy as np
from scipy.special import ndtr

from gnr_sklearn import MICEImputer


def correlated_rows(n_rows=2000, n_features=5, seed=0):
    """Rows of normally distributed features, all pairs of which have the correlation 0.5."""
    rng = np.random.RandomState(seed)
    return (rng.normal(size=(n_rows, n_features)) + rng.normal(size=(n_rows, 1))) / np.sqrt(2)


def losses(kind, X, seed=1):
    """Which values of the first two columns go missing, in one of several ways."""
    rng = np.random.RandomState(seed)
    chance = rng.uniform(size=(len(X), 2))
    others = X[:, 2:] if X.shape[1] > 3 else np.zeros((len(X), 2))
    causes = {
        "above": X[:, :2],
        "below": -X[:, :2],
        "mixed": X[:, :2] * [1, -1],
        # What the mask depends on has nothing to do with the value.
        "at random": (others[:, [0]] - others[:, [1]]) * [2, -2],
        "by chance": np.zeros((len(X), 2)),
        "tails": np.abs(X[:, :2]) * 2 - 1.5,
    }
    return chance < ndtr(2.0 * causes[kind])


def with_losses(kind, **shape):
    """Return rows with holes and, in their place, what regression imputes."""
    X = correlated_rows(**shape)
    missing = np.zeros(X.shape, dtype=bool)
    missing[:, :2] = losses(kind, X)
    holed = np.where(missing, np.nan, X)
    return holed, MICEImputer(random_state=0).fit_transform(holed)


def make_data(n_rows=40):
    X = np.random.RandomState(0).normal(size=(n_rows, 3)) * [1.0, 10.0, 0.1]
    X[::3, 0] = np.nan
    X[1::3, 1] = np.nan
    return X
