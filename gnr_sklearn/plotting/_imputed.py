"""What is imputed, beside what is observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike

from gnr_sklearn._columns import read_columns
from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    check_column_names,
    check_matrix,
    column_names,
    input_names,
    number_that_marks,
    read_table,
)
from gnr_sklearn.plotting._tables import (
    as_many_axes,
    completed,
    incomplete,
    settings_of_points,
    spread_out,
)

__all__ = ["ImputedValuesDisplay"]

Kind = Literal["density", "strip"]

N_COLUMNS = 4
MAX_BINS = 30
# Relative to the largest value: a range that is rounding, and the margin of the one bin of it.
NO_RANGE = 1e-10
SINGLE_BIN = 1e-6
# How far points of a strip are moved apart.
JITTER = 0.3
COLOURS = {"observed": "tab:blue", "imputed": "tab:orange"}


class ImputedValuesDisplay:
    """Values that were observed and values that were imputed, feature by feature.

    That they differ is no sign of a bad imputation: where values are missing not at random they
    should. Values that nobody could have, such as negative ages, are one, and so is it if the
    imputed ones hardly vary although they are draws.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    observed, imputed : sequence of ndarray
        The values of each feature, of any number.
    feature_names : sequence of str
        Names of the features.
    categories : mapping of str to sequence, default={}
        The categories of features, by their names, whose values are places among them.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (n_features,)
        Axes with the picture of each feature.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import MICEImputer
    >>> from gnr_sklearn.plotting import ImputedValuesDisplay
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0], [4.0, 8.0]])
    >>> display = ImputedValuesDisplay.from_estimator(MICEImputer().fit(X), X)
    >>> [values.size for values in display.observed + display.imputed]
    [3, 1]
    """

    def __init__(
        self,
        observed: Sequence[FloatArray],
        imputed: Sequence[FloatArray],
        feature_names: Sequence[str],
        categories: Mapping[str, Sequence[Any]] = MappingProxyType({}),
    ) -> None:
        self.observed = observed
        self.imputed = imputed
        self.feature_names = feature_names
        self.categories = categories

    def plot(
        self, ax: Any = None, *, kind: Kind = "density", artist_kwargs: dict[str, Any] | None = None
    ) -> Self:
        """Draw a picture for each feature.

        Parameters
        ----------
        ax : matplotlib Axes, array-like of them or None, default=None
            One for each feature; None for a new figure.
        kind : {"density", "strip"}, default="density"
            Histograms whose areas are 1, with bins in common, or a point for each value.
        artist_kwargs : dict or None, default=None
            Keywords for matplotlib's ``hist`` or ``scatter``, such as ``{"alpha": 0.3}``.

        Returns
        -------
        display : ImputedValuesDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `kind` or the number of axes is not as described.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {get_args(Kind)}, got {kind!r}.")
        axes = self._axes(ax)
        draw = self._draw_density if kind == "density" else self._draw_strip
        for each, observed, imputed, name in zip(
            axes, self.observed, self.imputed, self.feature_names, strict=True
        ):
            levels = self.categories.get(name, ())
            draw(each, {"observed": observed, "imputed": imputed}, artist_kwargs or {}, len(levels))
            each.set(xlabel=name)
            if len(levels):
                each.set_xticks(range(len(levels)), [str(level) for level in levels])
        axes[0].legend()
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike | DataFrameLike,
        X_imputed: ArrayLike | DataFrameLike,
        *,
        kind: Kind = "density",
        ax: Any = None,
        artist_kwargs: dict[str, Any] | None = None,
    ) -> ImputedValuesDisplay:
        """Compare the values of a table with those that were put into its gaps.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            A table with NaN where values are missing, or a data frame with gaps.
        X_imputed : array-like or DataFrame of shape (n_samples, n_features)
            The same without gaps, such as an imputation or one of several draws.
        kind, ax, artist_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : ImputedValuesDisplay
            With a picture for each feature that has missing values.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If an argument is not as described, or nothing is missing.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        return cls._of_tables(X, X_imputed, None).plot(ax, kind=kind, artist_kwargs=artist_kwargs)

    @classmethod
    def _of_tables(
        cls,
        X: ArrayLike | DataFrameLike,
        X_imputed: ArrayLike | DataFrameLike,
        marker: float | None,
    ) -> ImputedValuesDisplay:
        of_frame = read_columns(X, marker)
        check_column_names(X_imputed, "X_imputed", column_names(X), "X")
        categories: dict[str, Sequence[Any]] = {}
        if of_frame is None:
            values = check_matrix(X, "X", marker)
            filled = check_matrix(X_imputed, "X_imputed")
            names = input_names(X, values.shape[1])
        else:
            columns, values = of_frame
            columns = columns.extended_by(X_imputed)
            filled = columns.encode(X_imputed)
            names = [str(column.name) for column in columns.columns]
            for name, column in zip(names, columns.columns, strict=True):
                if column.categories is not None:
                    categories[name] = column.categories
        missing = incomplete(values)
        if filled.shape != values.shape or np.isnan(filled).any():
            raise ValueError(
                f"X_imputed must be complete and of the shape of X, {values.shape}, got shape "
                f"{filled.shape} with {np.isnan(filled).sum()} missing values."
            )
        shown = np.flatnonzero(missing.any(axis=0))
        return cls(
            [values[~missing[:, j], j] for j in shown],
            [filled[missing[:, j], j] for j in shown],
            [names[j] for j in shown],
            categories,
        )

    @classmethod
    def from_estimator(
        cls,
        imputer: Any,
        X: ArrayLike | DataFrameLike,
        *,
        side_info: ArrayLike | None = None,
        kind: Kind = "density",
        ax: Any = None,
        artist_kwargs: dict[str, Any] | None = None,
    ) -> ImputedValuesDisplay:
        """Compare the values of a table with those that a fitted imputer puts into its gaps.

        Parameters
        ----------
        imputer : fitted imputer
            It must give every column back.
        X : array-like or DataFrame of shape (n_samples, n_features)
            A table with missing values, marked as the imputer expects them.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            What is known of each row, if the imputer was fitted with it.
        kind, ax, artist_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : ImputedValuesDisplay
            With a picture for each feature that has missing values.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If X has nothing missing, or the imputer drops columns.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        marker = number_that_marks(imputer)
        values = read_table(X, "X", marker)
        incomplete(values)
        filled = completed(imputer, X, side_info, values.shape)
        display = cls._of_tables(X, filled, marker)
        return display.plot(ax, kind=kind, artist_kwargs=artist_kwargs)

    def _axes(self, ax: Any) -> Any:
        import matplotlib.pyplot as plt

        n_features = len(self.feature_names)
        if ax is not None:
            return as_many_axes(ax, n_features, ", one for each feature with missing values")
        n_columns = min(n_features, N_COLUMNS)
        n_rows = -(-n_features // n_columns)
        size = (3.2 * n_columns, 2.4 * n_rows)
        _, grid = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
        for unused in grid.ravel()[n_features:]:
            unused.set_axis_off()
        return grid.ravel()[:n_features]

    @staticmethod
    def _draw_density(
        ax: Any, groups: dict[str, FloatArray], artist_kwargs: dict[str, Any], n_levels: int
    ) -> None:
        together = np.concatenate(list(groups.values()))
        edges = np.arange(n_levels + 1) - 0.5 if n_levels else _bin_edges(together)
        for name, values in groups.items():
            settings = {
                "bins": edges, "density": True, "alpha": 0.5, "color": COLOURS[name], "label": name
            }  # fmt: skip
            if len(values):
                ax.hist(values, **settings | artist_kwargs)
        ax.set_yticks([])

    @staticmethod
    def _draw_strip(
        ax: Any, groups: dict[str, FloatArray], artist_kwargs: dict[str, Any], n_levels: int
    ) -> None:
        for height, (name, values) in enumerate(groups.items()):
            settings = {"s": 8, "alpha": 0.5, "color": COLOURS[name], "label": name}
            ax.scatter(
                values,
                height + JITTER * (spread_out(len(values)) - 0.5),
                **settings_of_points(settings, artist_kwargs),
            )
        ax.set_yticks(range(len(groups)), list(groups))


def _bin_edges(values: FloatArray) -> FloatArray:
    """Divide the range of values, or what is around them where they differ by rounding alone."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    magnitude = max(abs(low), abs(high))
    if high - low <= NO_RANGE * magnitude:
        margin = SINGLE_BIN * magnitude or 0.5
        return np.array([low - margin, high + margin])
    # As numpy counts them, for the smaller group must not be lost in wide bins.
    n_bins = min(MAX_BINS, max(len(np.histogram_bin_edges(values, "auto")) - 1, 1))
    return np.histogram_bin_edges(values, n_bins)
