"""Imputers whose draws have closed forms, and the regression that is pooled over them."""

from functools import partial

import numpy as np
from sklearn.base import BaseEstimator

from gnr_sklearn.multiple import fit_pooled

FIELDS = [
    "estimate",
    "within_variance",
    "between_variance",
    "total_variance",
    "degrees_of_freedom",
    "fraction_missing_information",
]


class NormalImputer(BaseEstimator):
    """Draws the gaps of each column from its normal regression on the other columns.

    The others must be complete. The parameters are those fitted, without uncertainty.
    """

    def __init__(self, random_state=None, missing_values=np.nan, add_indicator=False):
        self.random_state = random_state
        self.missing_values = missing_values
        self.add_indicator = add_indicator

    def fit(self, X, y=None):
        X, self.marked_ = self._read(X)
        self.models_ = {}
        for j in np.flatnonzero(np.isnan(X).any(axis=0)):
            seen = ~np.isnan(X[:, j])
            assert seen.any()
            Z = self._design(X, j)
            beta = np.linalg.lstsq(Z[seen], X[seen, j])[0]
            self.models_[j] = beta, np.std(X[seen, j] - Z[seen] @ beta)
        return self

    def sample(self, X, n_draws=5, random_state=None):
        rng = np.random.default_rng(random_state)
        X, marked = self._read(X)
        draws = np.repeat(X[None], n_draws, axis=0)
        for j, (beta, sd) in self.models_.items():
            gaps = np.isnan(X[:, j])
            mean = self._design(X, j)[gaps] @ beta
            draws[:, gaps, j] = mean + sd * rng.standard_normal((n_draws, gaps.sum()))
        if not self.add_indicator:
            return draws
        columns = self.marked_.any(axis=0)
        return np.stack([np.hstack([draw, marked[:, columns]]) for draw in draws])

    def _read(self, X):
        X = np.array(X, dtype=float)
        X[self.missing_values == X] = np.nan
        return X, np.isnan(X)

    @staticmethod
    def _design(X, j):
        return np.column_stack([np.ones(len(X)), np.delete(X, j, axis=1)])


# What comes of it can be compared with closed forms: the imputer is the same for all targets.
pool_from_x = partial(fit_pooled, impute_with_y=False)


def make_regression(n=200, missing=0.4, seed=0):
    """Two correlated columns, the first with gaps, and y = 3 + x0 + 2 x1 + noise."""
    rng = np.random.default_rng(seed)
    x1 = rng.standard_normal(n)
    x0 = 0.5 * x1 + rng.standard_normal(n)
    X = np.column_stack([x0, x1])
    y = 3.0 + X @ [1.0, 2.0] + rng.standard_normal(n)
    X[rng.uniform(size=n) < missing, 0] = np.nan
    return X, y


def least_squares(X, y, intercept=True):
    """Textbook coefficients and variances; with an intercept, the last of each is its."""
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    inverse = np.linalg.inv(Z.T @ Z)
    beta = inverse @ Z.T @ y
    variance = ((y - Z @ beta) ** 2).sum() / (len(Z) - Z.shape[1])
    return beta, variance * np.diag(inverse)
