"""How ratings are distributed: those that users chose to give, and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    check_matrix,
    levels_of,
    nearest_level,
    number_that_marks,
)
from gnr_sklearn.plotting._tables import completed, new_axes

__all__ = ["RatingDistributionDisplay"]

# Of the distance between ratings, the part that their bars take up.
BARS_TOGETHER = 0.8
MAX_LEVELS = 50


class RatingDistributionDisplay:
    """How often each rating is given where users choose what to rate, and where they do not.

    It is recommended to use :meth:`from_predictions` or :meth:`from_estimator` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    levels : ndarray of shape (n_levels,)
        The ratings.
    shares : ndarray of shape (n_groups, n_levels)
        Part of each group's ratings that are at each level.
    labels : sequence of str
        Names of the groups.

    Attributes
    ----------
    bars_ : list of matplotlib BarContainer
        The bars of each group.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.plotting import RatingDistributionDisplay
    >>> chosen = np.array([[5.0, np.nan], [4.0, 5.0]])
    >>> at_random = np.array([[np.nan, 1.0], [4.0, np.nan]])
    >>> display = RatingDistributionDisplay.from_predictions(chosen, at_random)
    >>> display.shares.round(2)
    array([[0.  , 0.33, 0.67],
           [0.5 , 0.5 , 0.  ]])
    """

    def __init__(self, levels: FloatArray, shares: FloatArray, labels: Sequence[str]) -> None:
        self.levels = levels
        self.shares = shares
        self.labels = labels

    def plot(self, ax: Any = None, *, bar_kwargs: dict[str, Any] | None = None) -> Self:
        """Draw bars of the groups side by side.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None for a new figure.
        bar_kwargs : dict or None, default=None
            Keywords for matplotlib's ``bar``, such as ``{"edgecolor": "black"}``.

        Returns
        -------
        display : RatingDistributionDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        ax = new_axes(ax)
        places = np.arange(len(self.levels))
        width = BARS_TOGETHER / len(self.shares)
        self.bars_ = []
        for k, (share, label) in enumerate(zip(self.shares, self.labels, strict=True)):
            where = places + width * (k - (len(self.shares) - 1) / 2)
            self.bars_.append(
                ax.bar(where, share, **{"width": width, "label": label, **(bar_kwargs or {})})
            )
        ax.set_xticks(places, [f"{level:g}" for level in self.levels])
        ax.set(xlabel="Rating", ylabel="Share of ratings")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        chosen: ArrayLike,
        other: ArrayLike,
        *,
        labels: Sequence[str] = ("chosen by users", "chosen at random"),
        ax: Any = None,
        bar_kwargs: dict[str, Any] | None = None,
    ) -> RatingDistributionDisplay:
        """Compare two tables of ratings.

        Parameters
        ----------
        chosen, other : array-like of shape (n_users, n_items)
            Ratings with NaN where there are none.
        labels : sequence of two str
            Their names.
        ax, bar_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : RatingDistributionDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If a table is not as described, has no rating, or more than fifty different ones.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        if isinstance(labels, str) or len(labels) != 2:
            raise ValueError(f"labels must be two names, got {labels!r}.")
        groups = []
        for name, table in (("chosen", chosen), ("other", other)):
            values = check_matrix(table, name)
            groups.append(values[~np.isnan(values)])
            if not groups[-1].size:
                raise ValueError(f"{name} must hold one rating at least, got none.")
            _levels(groups[-1], name)
        levels = levels_of(*groups)
        shares = [
            np.bincount(nearest_level(levels, group), minlength=len(levels)) / len(group)
            for group in groups
        ]
        return cls(levels, np.array(shares), labels).plot(ax, bar_kwargs=bar_kwargs)

    @classmethod
    def from_estimator(
        cls,
        imputer: Any,
        X: ArrayLike | DataFrameLike,
        *,
        side_info: ArrayLike | None = None,
        ax: Any = None,
        bar_kwargs: dict[str, Any] | None = None,
    ) -> RatingDistributionDisplay:
        """Compare the ratings of a table with those that a fitted imputer puts in its gaps.

        Parameters
        ----------
        imputer : fitted imputer
            It must give every column back.
        X : array-like or DataFrame of shape (n_users, n_items)
            Ratings, with gaps marked as the imputer expects them.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            What is known of each row, if the imputer was fitted with it.
        ax, bar_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : RatingDistributionDisplay
            With the picture drawn, in which an imputed number counts for the nearest rating.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If X has no missing cell, no rating or more than fifty different ones, or the imputer
            drops columns.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        values = check_matrix(X, "X", number_that_marks(imputer))
        missing = np.isnan(values)
        if missing.all() or not missing.any():
            raise ValueError("X must have ratings and missing cells, got only one of them.")
        levels = _levels(values[~missing], "X")
        filled = completed(imputer, X, side_info, values.shape)
        nearest = np.where(missing, levels[nearest_level(levels, filled)], np.nan)
        return cls.from_predictions(
            values, nearest, labels=("observed", "imputed"), ax=ax, bar_kwargs=bar_kwargs
        )


def _levels(ratings: FloatArray, name: str) -> FloatArray:
    levels = levels_of(ratings)
    if len(levels) > MAX_LEVELS:
        raise ValueError(
            f"{name} must hold ratings of {MAX_LEVELS} levels at most, got {len(levels)}."
        )
    return levels
