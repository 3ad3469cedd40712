"""How likely each value is to be observed, beside which values are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    check_column_names,
    check_count,
    check_matrix,
    column_names,
    input_names,
    number_that_marks,
    read_table,
    side_info_for,
)
from gnr_sklearn.plotting._tables import as_many_axes, incomplete, require_method

__all__ = ["MaskProbabilityDisplay"]


class MaskProbabilityDisplay:
    """The chance of each value to be observed by one model or several, beside the mask itself.

    This is Figure 5 of Chen et al. (CIKM 2023). How well such chances are calibrated is shown by
    scikit-learn's ``CalibrationDisplay.from_predictions(mask.ravel(), proba.ravel())``.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    matrices : sequence of ndarray of shape (n_samples, n_features)
        Numbers from 0 to 1, the last of them the mask: 1 where a value is observed.
    labels : sequence of str
        What stands above each.
    feature_names : sequence of str
        Names of the features.

    Attributes
    ----------
    images_ : list of matplotlib AxesImage
        One for each matrix.
    axes_ : ndarray of matplotlib Axes
        Axes with these.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.plotting import MaskProbabilityDisplay
    >>> mask = np.array([[1.0, 0.0], [1.0, 1.0]])
    >>> proba = np.array([[0.9, 0.4], [0.8, 0.7]])
    >>> display = MaskProbabilityDisplay.from_predictions(mask, proba)
    >>> display.labels
    ['probability', 'mask']
    """

    def __init__(
        self, matrices: Sequence[FloatArray], labels: Sequence[str], feature_names: Sequence[str]
    ) -> None:
        self.matrices = matrices
        self.labels = labels
        self.feature_names = feature_names

    def plot(self, ax: Any = None, *, image_kwargs: dict[str, Any] | None = None) -> Self:
        """Draw the matrices side by side, in the same colours.

        Parameters
        ----------
        ax : array-like of matplotlib Axes or None, default=None
            One for each matrix; None for a new figure.
        image_kwargs : dict or None, default=None
            Keywords for matplotlib's ``imshow``, such as ``{"cmap": "viridis"}``.

        Returns
        -------
        display : MaskProbabilityDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are not as many axes as matrices.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        n_matrices = len(self.matrices)
        if ax is None:
            size = (2.6 * n_matrices, 4.8)
            _, ax = plt.subplots(1, n_matrices, figsize=size, sharey=True, layout="constrained")
        axes = as_many_axes(ax, n_matrices)
        settings = {
            "cmap": "coolwarm_r", "vmin": 0.0, "vmax": 1.0, "aspect": "auto",
            "interpolation": "nearest",
        }  # fmt: skip
        self.images_ = []
        for each, matrix, label in zip(axes, self.matrices, self.labels, strict=True):
            image = each.imshow(matrix, **settings | (image_kwargs or {}))
            self.images_.append(image)
            each.set(title=label)
            each.set_xticks(np.arange(matrix.shape[1]), self.feature_names, rotation=90)
        axes[0].set(ylabel="Row")
        self.axes_, self.figure_ = axes, axes[0].figure
        self.figure_.colorbar(self.images_[-1], ax=list(axes), label="P(observed)")
        return self

    @classmethod
    def from_predictions(
        cls,
        mask: ArrayLike,
        *probas: ArrayLike,
        labels: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        max_rows: int = 40,
        ax: Any = None,
        image_kwargs: dict[str, Any] | None = None,
    ) -> MaskProbabilityDisplay:
        """Show a mask, and the chances that models gave to it.

        Parameters
        ----------
        mask : array-like of shape (n_samples, n_features)
            True or 1 where a value is observed.
        *probas : array-like of shape (n_samples, n_features)
            What ``predict_mask_proba`` returns, of one imputer or several.
        labels : sequence of str or None, default=None
            Names of these; None for "probability", numbered where there are several.
        feature_names : sequence of str or None, default=None
            Names of the features; None for those of the mask, or x0, x1, ...
        max_rows : int, default=40
            How many rows to show, the first ones.
        ax, image_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : MaskProbabilityDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If an argument is not as described.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        check_count(max_rows, "max_rows", 1)
        seen = check_matrix(mask, "mask")
        if not np.isin(seen, (0, 1)).all():
            raise ValueError("mask must hold nothing but True and False, or 1 and 0.")
        if not probas:
            raise ValueError("probas must be one matrix of probabilities at least, got none.")
        matrices = [check_matrix(proba, "probas") for proba in probas]
        for table in probas:
            check_column_names(table, "probas", column_names(mask), "mask")
        for proba in matrices:
            if proba.shape != seen.shape or not ((proba >= 0) & (proba <= 1)).all():
                raise ValueError(
                    f"probas must be probabilities of the shape of mask, {seen.shape}, got shape "
                    f"{proba.shape} from {np.min(proba):g} to {np.max(proba):g}."
                )
        if labels is None:
            numbers = [f" {k + 1}" for k in range(len(matrices))] if len(matrices) > 1 else [""]
            labels = [f"probability{number}" for number in numbers]
        elif np.shape(labels) != (len(matrices),):
            raise ValueError(f"labels must be {len(matrices)} names, got {labels!r}.")
        names = input_names(mask, seen.shape[1]) if feature_names is None else feature_names
        if np.shape(names) != (seen.shape[1],):
            raise ValueError(
                f"feature_names must be None or {seen.shape[1]} names, got {feature_names!r}."
            )
        display = cls(
            [matrix[:max_rows] for matrix in [*matrices, seen]], [*labels, "mask"], list(names)
        )
        return display.plot(ax, image_kwargs=image_kwargs)

    @classmethod
    def from_estimator(
        cls,
        imputer: Any,
        X: ArrayLike | DataFrameLike,
        *,
        side_info: ArrayLike | None = None,
        max_rows: int = 40,
        ax: Any = None,
        image_kwargs: dict[str, Any] | None = None,
    ) -> MaskProbabilityDisplay:
        """Show the mask of a table, and the chances that a fitted imputer gives to it.

        Parameters
        ----------
        imputer : fitted imputer
            With a method ``predict_mask_proba``.
        X : array-like or DataFrame of shape (n_samples, n_features)
            A table with missing values, marked as the imputer expects them.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            What is known of each row, if the imputer was fitted with it.
        max_rows, ax, image_kwargs
            As in :meth:`from_predictions`.

        Returns
        -------
        display : MaskProbabilityDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the imputer has no model of the mask.
        ValueError
            If X has nothing missing.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        require_method(imputer, "predict_mask_proba")
        values = read_table(X, "X", number_that_marks(imputer))
        mask = ~incomplete(values)
        return cls.from_predictions(
            mask.astype(float),
            imputer.predict_mask_proba(X, **side_info_for(imputer, side_info, len(values))),
            labels=[type(imputer).__name__],
            feature_names=input_names(X, values.shape[1]),
            max_rows=max_rows,
            ax=ax,
            image_kwargs=image_kwargs,
        )
