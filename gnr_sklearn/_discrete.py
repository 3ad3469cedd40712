"""Features whose values are codes of a few levels, in tables of numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._types import BoolArray, FloatArray

__all__ = ["DiscreteFeatures"]


class DiscreteFeatures:
    """Which features of a table are levels, coded by 0, 1, ..., and which are numbers.

    The *wide* form of a table has its numbers first, and then a column for each level: 1 for the
    level that a value is, and else 0, or a probability. It is that of
    :class:`~gnr_sklearn.nn.categories.CategoryLayout`.

    Parameters
    ----------
    n_features : int
        Number of features.
    levels : mapping of int to int
        How many levels each discrete feature has.
    ordered : collection of int, default=()
        Which of them have levels in an order.
    """

    def __init__(
        self, n_features: int, levels: Mapping[int, int], ordered: Collection[int] = ()
    ) -> None:
        self.n_features = n_features
        self.levels = dict(sorted(levels.items()))
        self.ordered = tuple(sorted(ordered))
        self.numbers = np.array([j for j in range(n_features) if j not in levels], dtype=np.intp)
        # The feature that each column of the wide form belongs to.
        self.owner: NDArray[np.intp] = np.concatenate(
            [self.numbers, np.repeat(list(self.levels), list(self.levels.values()))]
        ).astype(np.intp)

    def __bool__(self) -> bool:
        return bool(self.levels)

    @property
    def unordered(self) -> list[int]:
        """Discrete features whose levels have no order."""
        return [feature for feature in self.levels if feature not in self.ordered]

    @property
    def is_discrete(self) -> BoolArray:
        """Whether each feature is discrete."""
        return np.isin(np.arange(self.n_features), list(self.levels))

    def columns_of(self, feature: int) -> NDArray[np.intp]:
        """Return the columns of the wide form that belong to a feature."""
        return np.flatnonzero(self.owner == feature)

    def most_common(self, values: FloatArray) -> dict[int, float]:
        """Return the level of each discrete feature that is observed most often."""
        return {
            feature: float(np.argmax(self.counts_of(feature, values))) for feature in self.levels
        }

    def counts_of(self, feature: int, values: FloatArray) -> NDArray[np.intp]:
        """Count how often each level of a discrete feature is observed."""
        codes = values[:, feature]
        observed = codes[~np.isnan(codes)].astype(np.intp)
        return np.bincount(observed, minlength=self.levels[feature])

    def widen(self, values: FloatArray) -> FloatArray:
        """Return the wide form of a table, with NaN for all levels of what is missing."""
        if not self:
            return values
        wide = np.empty((len(values), len(self.owner)))
        wide[:, : len(self.numbers)] = values[:, self.numbers]
        for feature, n_levels in self.levels.items():
            codes = values[:, [feature]]
            hits = (codes == np.arange(n_levels)).astype(np.float64)
            wide[:, self.columns_of(feature)] = np.where(np.isnan(codes), np.nan, hits)
        return wide

    def decide(self, wide: FloatArray) -> FloatArray:
        """Return a table with the likeliest level, or the median one where they have an order."""
        if not self:
            return wide
        values = np.empty((len(wide), self.n_features))
        values[:, self.numbers] = wide[:, : len(self.numbers)]
        for feature in self.levels:
            weights = wide[:, self.columns_of(feature)]
            if feature in self.ordered:
                below = np.cumsum(weights, axis=1)
                # Up to rounding, so that halves are not a matter of the order of a sum.
                chosen = (below < (0.5 - 1e-9) * below[:, -1:]).sum(axis=1)
            else:
                chosen = np.argmax(weights, axis=1)
            values[:, feature] = chosen
        return values

    def numeric_view(self, values: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
        """Return codes of ordered levels as numbers, and zeros and ones for other levels.

        The first of levels without order has no column: with it, each would be told by the others.

        Returns
        -------
        view : ndarray of shape (n_samples, n_columns)
            The numbers, the codes, and NaN where a value is missing.
        owner : ndarray of shape (n_columns,)
            The feature that each column belongs to; features stay in order.
        """
        owner = self.view_owner
        if not self.unordered:
            return values, owner
        view = values[:, owner]
        for feature in self.unordered:
            columns = np.flatnonzero(owner == feature)
            codes = values[:, [feature]]
            hits = (codes == 1 + np.arange(len(columns))).astype(np.float64)
            view[:, columns] = np.where(np.isnan(codes), np.nan, hits)
        return view, owner

    def from_numeric_view(self, view: FloatArray) -> FloatArray:
        """Return a table from a completed view: the largest of ones, and the nearest of codes."""
        owner = self.view_owner
        values = view[:, np.unique(owner, return_index=True)[1]]
        for feature in self.unordered:
            ones = view[:, owner == feature]
            all_levels = np.column_stack([1.0 - ones.sum(axis=1), ones])
            values[:, feature] = all_levels.argmax(axis=1)
        return self.snap(values)

    @property
    def view_owner(self) -> NDArray[np.intp]:
        """The feature that each column of the numeric view belongs to."""
        widths = np.ones(self.n_features, dtype=np.intp)
        for feature in self.unordered:
            widths[feature] = max(self.levels[feature] - 1, 1)
        return np.repeat(np.arange(self.n_features), widths)

    def snap(self, values: FloatArray) -> FloatArray:
        """Round numbers to codes, in place."""
        for feature, n_levels in self.levels.items():
            codes = values[..., feature]
            values[..., feature] = np.clip(np.round(codes), 0, n_levels - 1)
        return values
