"""How training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn.plotting._tables import as_many_axes

__all__ = ["TrainingDisplay"]

LOSSES = {
    "train_loss": "training",
    "valid_loss": "held-out rows",
    "discriminator_loss": "discriminator",
}
TERMS = {
    "log_px": "observed values",
    "log_pm": "mask",
    "log_pu": "auxiliary variable",
    "log_ratio": "latent variable",
}


class TrainingDisplay:
    """The loss of each epoch, of a hundred steps at most, and the terms that it is made of.

    A loss that still falls at the end asks for more steps, one that jumps for a smaller step size,
    and one of held-out rows that rises while the other falls for early stopping. The terms say what
    a model explains: where that of the mask rises and that of the values falls, alpha is large.

    It is recommended to use :meth:`from_estimator` to create one; all parameters are stored as
    attributes.

    Parameters
    ----------
    losses, terms : mapping of str to sequence of float
        Curves by their labels, with one number for each epoch, NaN where there is none.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Axes of losses and of terms, if there are some.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from gnr_sklearn.plotting import TrainingDisplay
    >>> display = TrainingDisplay({"training": [3.0, 2.0]}, {}).plot()
    >>> len(display.axes_)
    1
    """

    def __init__(
        self, losses: Mapping[str, Sequence[float]], terms: Mapping[str, Sequence[float]]
    ) -> None:
        self.losses = losses
        self.terms = terms

    def plot(self, ax: Any = None, *, line_kwargs: dict[str, Any] | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, array-like of them or None, default=None
            One for the losses and one for the terms, if there are some; None for a new figure.
        line_kwargs : dict or None, default=None
            Keywords for matplotlib's ``plot``, such as ``{"marker": "."}``.

        Returns
        -------
        display : TrainingDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the number of axes is not as described.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        pictures = [("Loss", self.losses)]
        if self.terms:
            pictures.append(("Mean of a row, in nats", self.terms))
        if ax is None:
            size = (4.8 * len(pictures), 3.6)
            _, ax = plt.subplots(1, len(pictures), figsize=size, layout="constrained")
        axes = as_many_axes(ax, len(pictures))
        for each, (label, curves) in zip(axes, pictures, strict=True):
            for name, values in curves.items():
                # A single number is no line.
                settings = {"label": name, "marker": "." if len(values) == 1 else None}
                each.plot(np.arange(1, len(values) + 1), values, **settings | (line_kwargs or {}))
            each.set(xlabel="Epoch", ylabel=label)
            each.legend()
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    @classmethod
    def from_estimator(
        cls, imputer: Any, *, ax: Any = None, line_kwargs: dict[str, Any] | None = None
    ) -> TrainingDisplay:
        """Show how a fitted imputer was trained.

        Parameters
        ----------
        imputer : fitted imputer with ``history_``
            Such as :class:`~gnr_sklearn.GNRImputer`.
        ax, line_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : TrainingDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the imputer is not trained by steps.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(imputer)
        if not hasattr(imputer, "history_"):
            raise TypeError(
                f"imputer must have a history_, which {type(imputer).__name__} does not."
            )

        def curves(labels: Mapping[str, str]) -> dict[str, list[float]]:
            history = imputer.history_
            return {
                label: [epoch.get(name, np.nan) for epoch in history]
                for name, label in labels.items()
                if any(name in epoch for epoch in history)
            }

        return cls(curves(LOSSES), curves(TERMS)).plot(ax, line_kwargs=line_kwargs)
