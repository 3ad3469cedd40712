"""How far draws of the missing values lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    check_count,
    check_matrix,
    input_names,
    number_that_marks,
    observed_mean_and_std,
    side_info_for,
)
from gnr_sklearn.plotting._tables import incomplete, new_axes, require_method

__all__ = ["DrawSpreadDisplay"]


class DrawSpreadDisplay:
    """The spread of draws of each missing value, in parts of that of the observed ones.

    A spread of 1 says that the rest of the row tells nothing of a value, and one of 0 that it tells
    all, or that the draws are none.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    spreads : sequence of ndarray
        For each feature with missing values, the standard deviation of the draws of each of them
        (divided by one less than their number).
    feature_names : sequence of str
        Names of these features.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.plotting import DrawSpreadDisplay
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> draws = np.stack([np.nan_to_num(X, nan=4.0), np.nan_to_num(X, nan=2.0)])
    >>> DrawSpreadDisplay.from_predictions(X, draws).spreads[0].round(3)
    array([0.707])
    """

    def __init__(self, spreads: Sequence[FloatArray], feature_names: Sequence[str]) -> None:
        self.spreads = spreads
        self.feature_names = feature_names

    def plot(self, ax: Any = None, *, box_kwargs: dict[str, Any] | None = None) -> Self:
        """Draw a box for each feature.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None for a new figure.
        box_kwargs : dict or None, default=None
            Keywords for matplotlib's ``boxplot``, such as ``{"showfliers": False}``.

        Returns
        -------
        display : DrawSpreadDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        ax = new_axes(ax)
        settings = box_kwargs or {}
        ax.boxplot(list(self.spreads), **settings)
        places = np.arange(1, len(self.spreads) + 1)
        label = "Spread of draws / spread of observed values"
        if settings.get("orientation") == "horizontal" or settings.get("vert") is False:
            ax.set_yticks(places, self.feature_names)
            ax.set(xlabel=label, xlim=(0, None))
        else:
            ax.set_xticks(places, self.feature_names, rotation=90)
            ax.set(ylabel=label, ylim=(0, None))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike | DataFrameLike,
        draws: ArrayLike,
        *,
        ax: Any = None,
        box_kwargs: dict[str, Any] | None = None,
    ) -> DrawSpreadDisplay:
        """Show the spread of draws.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            A table of numbers with NaN where values are missing.
        draws : array-like of shape (n_draws, n_samples, n_features)
            Completed tables, at least two.
        ax, box_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : DrawSpreadDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If an argument is not as described, or nothing is missing.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        values = check_matrix(X, "X")
        display = cls._of_tables(values, draws, input_names(X, values.shape[1]))
        return display.plot(ax, box_kwargs=box_kwargs)

    @classmethod
    def _of_tables(
        cls, values: FloatArray, draws: ArrayLike, names: list[str]
    ) -> DrawSpreadDisplay:
        missing = incomplete(values)
        tables = np.asarray(draws, dtype=np.float64)
        if (
            tables.ndim != 3
            or len(tables) < 2
            or tables.shape[1:] != values.shape
            or not np.isfinite(tables).all()
        ):
            raise ValueError(
                "draws must be at least two completed tables of the shape of X, "
                f"(n_draws, {values.shape[0]}, {values.shape[1]}), got shape {tables.shape} with "
                f"{np.count_nonzero(~np.isfinite(tables))} values that are NaN or infinite."
            )
        shown = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
        if not shown.size:
            raise ValueError("X must have a feature with both observed and missing values.")
        _, spread = observed_mean_and_std(values[:, shown])
        # Of a feature that does not vary, draws in its own units.
        spread[spread == 0] = 1.0
        of_draws = tables[:, :, shown].std(axis=0, ddof=1) / spread
        return cls(
            [of_draws[missing[:, j], k] for k, j in enumerate(shown)], [names[j] for j in shown]
        )

    @classmethod
    def from_estimator(
        cls,
        imputer: Any,
        X: ArrayLike | DataFrameLike,
        n_draws: int = 20,
        *,
        side_info: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        box_kwargs: dict[str, Any] | None = None,
    ) -> DrawSpreadDisplay:
        """Show how far the draws of a fitted imputer lie apart.

        Parameters
        ----------
        imputer : fitted imputer with ``sample``
            Such as :class:`~gnr_sklearn.GNRImputer`. It must give every column back.
        X : array-like or DataFrame of shape (n_samples, n_features)
            A table of numbers with missing values, marked as the imputer expects them.
        n_draws : int, default=20
            Number of draws, at least 2.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            What is known of each row, if the imputer was fitted with it.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.
        ax, box_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : DrawSpreadDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the imputer does not draw.
        ValueError
            If X has nothing missing, or the imputer drops columns.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_count(n_draws, "n_draws", 2)
        require_method(imputer, "sample")
        values = check_matrix(X, "X", number_that_marks(imputer))
        incomplete(values)
        given = side_info_for(imputer, side_info, len(values))
        draws = imputer.sample(X, n_draws, random_state=random_state, **given)
        display = cls._of_tables(values, draws, input_names(X, values.shape[1]))
        return display.plot(ax, box_kwargs=box_kwargs)
