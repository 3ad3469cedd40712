"""Which values are missing together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import DataFrameLike, check_count, input_names, read_table
from gnr_sklearn.plotting._tables import new_axes

__all__ = ["MissingPatternDisplay"]


class MissingPatternDisplay:
    """Which values are missing together: the patterns of a table, and how many rows have each.

    It is recommended to use :meth:`from_data` to create one; all parameters are stored as
    attributes.

    Parameters
    ----------
    patterns : ndarray of shape (n_patterns, n_features)
        True where a value is missing, the most common pattern first.
    counts : ndarray of shape (n_patterns,)
        Number of rows that have each.
    n_rows : int
        Number of rows of the table, of which patterns that are not shown have the others.
    missing_fraction : ndarray of shape (n_features,)
        Part of all rows in which each feature is missing.
    feature_names : sequence of str
        Names of the features.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The matrix of patterns.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.plotting import MissingPatternDisplay
    >>> X = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, 4.0]])
    >>> display = MissingPatternDisplay.from_data(X)
    >>> display.patterns, display.counts
    (array([[False,  True],
           [False, False]]), array([2, 1]))
    """

    def __init__(
        self,
        patterns: BoolArray,
        counts: NDArray[np.intp],
        n_rows: int,
        missing_fraction: FloatArray,
        feature_names: Sequence[str],
    ) -> None:
        self.patterns = patterns
        self.counts = counts
        self.n_rows = n_rows
        self.missing_fraction = missing_fraction
        self.feature_names = feature_names

    def plot(self, ax: Any = None, *, image_kwargs: dict[str, Any] | None = None) -> Self:
        """Draw a row for each pattern and a column for each feature, dark where it is missing.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None for a new figure.
        image_kwargs : dict or None, default=None
            Keywords for matplotlib's ``imshow``, such as ``{"cmap": "Blues"}``.

        Returns
        -------
        display : MissingPatternDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        n_patterns, n_features = self.patterns.shape
        ax = new_axes(ax, (2.0 + 0.4 * n_features, 2.5 + 0.2 * n_patterns))
        settings = {
            "cmap": "Greys", "vmin": 0.0, "vmax": 1.4, "aspect": "auto", "interpolation": "nearest",
        }  # fmt: skip
        self.image_ = ax.imshow(self.patterns.astype(float), **settings | (image_kwargs or {}))
        labels = [
            f"{name} ({fraction:.0%})"
            for name, fraction in zip(self.feature_names, self.missing_fraction, strict=True)
        ]
        ax.set_xticks(np.arange(len(labels)), labels, rotation=90)
        shares = [f"{count} ({count / self.n_rows:.0%})" for count in self.counts]
        ax.set_yticks(np.arange(len(shares)), shares)
        ax.set(xlabel="Feature (part missing)", ylabel="Rows with the pattern")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_data(
        cls,
        X: ArrayLike | DataFrameLike,
        *,
        max_patterns: int = 20,
        ax: Any = None,
        image_kwargs: dict[str, Any] | None = None,
    ) -> MissingPatternDisplay:
        """Show the patterns of a table.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            A table with NaN where values are missing.
        max_patterns : int, default=20
            How many patterns to show, the most common ones.
        ax, image_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : MissingPatternDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If an argument is not as described.
        """
        check_matplotlib_support(f"{cls.__name__}.from_data")
        check_count(max_patterns, "max_patterns", 1)
        missing = np.isnan(read_table(X, "X"))
        patterns, counts = np.unique(missing, axis=0, return_counts=True)
        # Of patterns that are as common, the one that lacks less comes first.
        order = np.lexsort([patterns.sum(axis=1), -counts])[:max_patterns]
        display = cls(
            patterns[order],
            counts[order],
            len(missing),
            missing.mean(axis=0),
            input_names(X, missing.shape[1]),
        )
        return display.plot(ax, image_kwargs=image_kwargs)
