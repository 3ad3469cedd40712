"""Alternating least squares for ratings that are observed with unequal chances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._base import FloatArray

__all__ = ["Factors", "LeastSquares", "MFMethod", "Ratings", "predicted"]

MFMethod = Literal["mf", "ips", "snips", "dr", "dr-jl", "cvib"]


class Ratings(NamedTuple):
    """Ratings of users, or of items where it is transposed.

    Attributes
    ----------
    values : ndarray of shape (n, d)
        Centred and scaled; 0 where missing.
    observed : ndarray of shape (n, d)
        Where they are not.
    inverse : ndarray of shape (n, d)
        One over the propensity; 0 where missing.
    """

    values: FloatArray
    observed: NDArray[np.bool_]
    inverse: FloatArray

    @property
    def transposed(self) -> Ratings:
        """The same, of the other side."""
        return Ratings(self.values.T, self.observed.T, self.inverse.T)


class Factors(NamedTuple):
    """What is learned of users, or of items: a bias, and an embedding beside it.

    Attributes
    ----------
    main : ndarray of shape (n, 1 + embedding_dim)
        For ratings.
    residual : ndarray of shape (n, 1 + embedding_dim) or None
        For what ratings are off self-normalised predictions, in joint learning.
    """

    main: FloatArray
    residual: FloatArray | None = None


def predicted(own: FloatArray, other: FloatArray) -> FloatArray:
    """Return the sum of biases and of products of embeddings, (n, d)."""
    return own[:, :1] + other[:, 0] + own[:, 1:] @ other[:, 1:].T


@dataclass
class LeastSquares:
    r"""One half of a sweep: factors of one side, given those of the other.

    Each method minimises, up to a constant, :math:`\sum_{ui} w_{ui} (t_{ui} - \hat r_{ui})^2` plus
    a penalty, for weights w and targets t that follow from the observed ratings; so each row has a
    ridge regression of its own.

    Parameters
    ----------
    method : str
        Which weights and targets.
    l2 : float
        Penalty on squares of biases and embeddings.
    n_observed, n_missing : int
        Cells of the table that is learned from.
    inverse_sum : float
        Sum of its inverse propensities.
    limits : tuple of float
        The lowest and the highest of its ratings, which in joint learning bound what is imputed:
        else small penalties let each prediction make the next one wilder.
    balance, confidence_penalty : float
        Weights of the terms of "cvib".
    imbalance : float
        How much larger predictions of observed cells are, on average, than those of missing ones.
    """

    method: MFMethod
    l2: float
    n_observed: int
    n_missing: int
    inverse_sum: float
    limits: tuple[float, float] = (-np.inf, np.inf)
    balance: float = 1.0
    confidence_penalty: float = 0.01
    imbalance: float = 0.0

    def solve(self, ratings: Ratings, other: Factors, *, learn: bool = False) -> Factors:
        """Return the factors of rows.

        Parameters
        ----------
        ratings : Ratings
            The rows.
        other : Factors
            Of the columns.
        learn : bool, default=False
            Whether these are the rows of the table, which the imbalance is then learned from.
        """
        if self.method == "dr-jl":
            return self._solve_jointly(ratings, other)
        if self.method == "cvib":
            return Factors(self._solve_balanced(ratings, other.main, learn))
        return Factors(_ridge(*self._weights_and_targets(ratings), other.main, self.l2))

    def _weights_and_targets(
        self, ratings: Ratings, background: FloatArray | float = 0.0
    ) -> tuple[FloatArray, FloatArray]:
        """Return w, which for all cells may be the same, and t."""
        density = self.n_observed / (self.n_observed + self.n_missing)
        if self.method == "mf":
            return ratings.observed.astype(np.float64), ratings.values
        if self.method == "ips":
            return ratings.inverse * density, ratings.values
        if self.method == "snips":
            return ratings.inverse * (self.n_observed / self.inverse_sum), ratings.values
        if self.method == "cvib":
            weights = ratings.observed + self.confidence_penalty * density
            targets = np.divide(ratings.values, weights, where=weights > 0, out=weights * 0.0)
            return weights, targets
        # The squared errors of all cells as they are imputed, and on observed ones the inverse
        # propensity times what they are off: in the prediction this is one square for each cell.
        off = ratings.observed * (ratings.values - background)
        return np.full((1, ratings.values.shape[1]), density), background + ratings.inverse * off

    def _solve_jointly(self, ratings: Ratings, other: Factors) -> Factors:
        assert other.residual is not None
        weights = ratings.inverse * (self.n_observed / self.inverse_sum)
        # Not from the last doubly robust prediction: by it the next one would err as much, times
        # 1 / propensity - 1, and the turns would diverge.
        first = _ridge(weights, ratings.values, other.main, self.l2)
        prediction = predicted(first, other.main)
        off = ratings.observed * (ratings.values - prediction)
        residual = _ridge(weights, off, other.residual, self.l2)
        background = prediction + predicted(residual, other.residual)
        background = np.clip(background, *self.limits)
        targets = self._weights_and_targets(ratings, background)
        return Factors(_ridge(*targets, other.main, self.l2), residual)

    def _solve_balanced(self, ratings: Ratings, other: FloatArray, learn: bool) -> FloatArray:
        weights, targets = self._weights_and_targets(ratings)
        design, offset = _design(other), other[:, 0]
        # How a row's factors move the difference of the two averages.
        share = ratings.observed / max(self.n_observed, 1)
        share = share - ~ratings.observed / max(self.n_missing, 1)
        pull = share @ design
        strength = self.balance * self.n_observed
        free, against = _solve_ridge(
            weights, design, self.l2, (weights * (targets - offset)) @ design, pull
        )
        if learn:
            # The difference is the same for all rows: one equation, by Sherman and Morrison.
            difference = (share @ offset).sum() + (pull * free).sum()
            self.imbalance = float(difference / (1.0 + strength * (pull * against).sum()))
        return free - strength * self.imbalance * against


def _design(other: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(other)), other[:, 1:]])


def _ridge(weights: FloatArray, targets: FloatArray, other: FloatArray, l2: float) -> FloatArray:
    """Regress rows of targets on what is known of columns, beside its biases."""
    design, offset = _design(other), other[:, 0]
    (solution,) = _solve_ridge(weights, design, l2, (weights * (targets - offset)) @ design)
    return solution


def _solve_ridge(
    weights: FloatArray, design: FloatArray, l2: float, *right: FloatArray
) -> tuple[FloatArray, ...]:
    """Solve the normal equations of each row for several right-hand sides, each (n, k)."""
    k = design.shape[1]
    products = (design[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(len(design), -1)
    gram = (weights @ products).reshape(-1, k, k) + l2 * np.eye(k)
    solved = np.linalg.solve(gram, np.stack(right, axis=-1))
    return tuple(np.moveaxis(solved, -1, 0))
