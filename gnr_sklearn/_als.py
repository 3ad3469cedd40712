"""Alternating least squares for ratings that are observed with unequal chances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from gnr_sklearn._types import FloatArray

__all__ = ["Factors", "LeastSquares", "MFMethod", "Ratings", "predicted"]

MFMethod = Literal["mf", "ips", "snips", "dr", "dr-jl", "cvib"]


class Ratings(NamedTuple):
    """The observed ratings of users, or of items where it is transposed.

    Attributes
    ----------
    values : csr_array of shape (n, d)
        Centred and scaled.
    inverse : csr_array of shape (n, d)
        One over the propensity, with the same cells in the same order.
    """

    values: csr_array
    inverse: csr_array

    @classmethod
    def of(cls, values: FloatArray, inverse: FloatArray) -> Ratings:
        """Take the ratings of a table that has NaN where there is none."""
        rows, columns = np.nonzero(~np.isnan(values))

        def in_cells(table: FloatArray) -> csr_array:
            return csr_array((table[rows, columns], (rows, columns)), shape=values.shape)

        return cls(in_cells(values), in_cells(inverse))

    @property
    def transposed(self) -> Ratings:
        """The same, of the other side."""
        return Ratings(self.values.T.tocsr(), self.inverse.T.tocsr())

    @property
    def cells(self) -> csr_array:
        """1 in each cell with a rating."""
        return self.with_data(np.ones(self.values.nnz))

    def with_data(self, data: FloatArray) -> csr_array:
        """Put numbers in the cells with a rating, 0 also."""
        return csr_array((data, self.values.indices, self.values.indptr), shape=self.values.shape)


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


class Squares(NamedTuple):
    """A sum of squares over cells: for each, a weight times the squared distance from a target.

    Attributes
    ----------
    weights : csr_array of shape (n, d)
        Weights of cells with a rating, beside what all cells have.
    weighted : csr_array of shape (n, d)
        Weights times targets of these cells, beside those of all cells.
    of_all : float
        A weight that all cells have.
    background : ndarray of shape (n, d) or None
        The target that this weight goes with; None for 0.
    """

    weights: csr_array
    weighted: csr_array
    of_all: float = 0.0
    background: FloatArray | None = None

    def equations(self, other: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the normal equations of the rows' factors: matrices (n, k, k) and (n, k)."""
        design, offset = _design(other), other[:, :1]
        k = design.shape[1]
        products = (design[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(len(design), -1)
        gram = self.weights @ products + self.of_all * products.sum(axis=0)
        right = self.weighted @ design - self.weights @ (offset * design)
        right -= self.of_all * (offset * design).sum(axis=0)
        if self.background is not None:
            right += self.of_all * (self.background @ design)
        return gram.reshape(-1, k, k), right


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
        return Factors(self._ridge(self._squares(ratings), other.main))

    @property
    def _density(self) -> float:
        return self.n_observed / (self.n_observed + self.n_missing)

    def _squares(self, ratings: Ratings, background: FloatArray | None = None) -> Squares:
        """Return what the method minimises, for joint learning with what is imputed."""
        values, inverse = ratings.values.data, ratings.inverse.data
        if self.method == "mf":
            return Squares(ratings.cells, ratings.values)
        if self.method == "ips":
            return _weighted(ratings, self._density * inverse, values)
        if self.method == "snips":
            return self._self_normalised(ratings, values)
        if self.method == "cvib":
            of_all = self.confidence_penalty * self._density
            return Squares(ratings.cells, ratings.values, of_all)
        # The squared errors of all cells as they are imputed, and on observed ones the inverse
        # propensity times what they are off: in the prediction this is one square for each cell.
        off = values if background is None else values - _in_cells(background, ratings)
        weighted = ratings.with_data(self._density * inverse * off)
        return Squares(ratings.with_data(0.0 * values), weighted, self._density, background)

    def _self_normalised(self, ratings: Ratings, targets: FloatArray) -> Squares:
        factor = self.n_observed / self.inverse_sum
        return _weighted(ratings, factor * ratings.inverse.data, targets)

    def _solve_jointly(self, ratings: Ratings, other: Factors) -> Factors:
        assert other.residual is not None
        # Not from the last doubly robust prediction: by it the next one would err as much, times
        # 1 / propensity - 1, and the turns would diverge.
        first = self._ridge(self._self_normalised(ratings, ratings.values.data), other.main)
        background = predicted(first, other.main)
        off = ratings.values.data - _in_cells(background, ratings)
        residual = self._ridge(self._self_normalised(ratings, off), other.residual)
        background += predicted(residual, other.residual)
        np.clip(background, *self.limits, out=background)
        return Factors(self._ridge(self._squares(ratings, background), other.main), residual)

    def _solve_balanced(self, ratings: Ratings, other: FloatArray, learn: bool) -> FloatArray:
        gram, right = self._squares(ratings).equations(other)
        design, offset = _design(other), other[:, 0]
        of_rated = ratings.cells
        per_rating, per_other = 1 / max(self.n_observed, 1), 1 / max(self.n_missing, 1)
        # How a row's factors move the difference of the two averages.
        pull = (per_rating + per_other) * (of_rated @ design) - per_other * design.sum(axis=0)
        strength = self.balance * self.n_observed
        free, against = self._solve(gram, right, pull)
        if learn:
            # The difference is the same for all rows: one equation, by Sherman and Morrison.
            of_offsets = (per_rating + per_other) * (of_rated @ offset) - per_other * offset.sum()
            difference = of_offsets.sum() + (pull * free).sum()
            self.imbalance = float(difference / (1.0 + strength * (pull * against).sum()))
        return free - strength * self.imbalance * against

    def _ridge(self, squares: Squares, other: FloatArray) -> FloatArray:
        (solution,) = self._solve(*squares.equations(other))
        return solution

    def _solve(self, gram: FloatArray, *right: FloatArray) -> tuple[FloatArray, ...]:
        """Solve the equations of each row for several right-hand sides, each (n, k)."""
        penalised = gram + self.l2 * np.eye(gram.shape[-1])
        try:
            solved = np.linalg.solve(penalised, np.stack(right, axis=-1))
        except np.linalg.LinAlgError as error:
            raise ValueError(f"l2 must be larger for these ratings, got {self.l2:g}.") from error
        return tuple(np.moveaxis(solved, -1, 0))


def _weighted(ratings: Ratings, weights: FloatArray, targets: FloatArray) -> Squares:
    return Squares(ratings.with_data(weights), ratings.with_data(weights * targets))


def _in_cells(table: FloatArray, ratings: Ratings) -> FloatArray:
    """Return the numbers of a table in the cells with a rating."""
    rows = np.repeat(np.arange(len(table)), np.diff(ratings.values.indptr))
    return table[rows, ratings.values.indices]


def _design(other: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(other)), other[:, 1:]])
