"""How a conclusion moves with how values are thought to be lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    RandomStateLike,
    check_number,
)
from gnr_sklearn.plotting._tables import new_axes
from gnr_sklearn.sensitivity import Direction, SensitivityResult, first_crossing, sensitivity

__all__ = ["SensitivityDisplay"]

Kind = Literal["delta", "strength", "direction"]
Quantity = Literal["estimate", "mean", "move"]

X_LABELS: dict[Kind, str] = {
    "delta": r"Shift of imputed values, $\delta$ (standard deviations)",
    "strength": r"Log odds ratio of going missing, $\gamma$ (per standard deviation)",
    "direction": "Side on which values go missing",
}
Y_LABELS: dict[Quantity, str] = {
    "estimate": "Estimate",
    "mean": "Change of the column mean (standard deviations)",
    "move": "RMS move of imputed values (standard deviations)",
}

TOGETHER = "all together"

ARROWS = {"above": "↑", "below": "↓", "both": "↕", "neither": "·", None: "-"}

# Colours repeat after ten lines, and so do the kinds of line after as many tens.
N_COLOURS = 10
LINE_STYLES = ("-", "--", "-.", ":")

# Of the distance between directions, the part that the points of one of them take up.
DODGE = 0.4

# A longer legend hides lines, and goes beside them.
LONGEST_LEGEND_INSIDE = 7


class SensitivityDisplay:
    """How a result moves with what is assumed of the missing values.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    result : SensitivityResult
        What :func:`~gnr_sklearn.sensitivity.sensitivity` returns.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        A line for each curve; points alone for directions.
    reference_line_ : matplotlib Line2D
        Horizontal, at the imputation as it is.
    threshold_line_ : matplotlib Line2D or None
        Horizontal, at the threshold where there is one.
    tipping_points_ : ndarray of shape (n_lines,) or None
        Where each line crosses the threshold, NaN where it does not; None without a threshold or
        for directions. See :meth:`SensitivityResult.tipping_point
        <gnr_sklearn.sensitivity.SensitivityResult.tipping_point>`.
    tipping_markers_ : matplotlib Line2D or None
        Dots at the tipping points; None where there are none.
    ax_ : matplotlib Axes
        The axes with the lines.
    figure_ : matplotlib Figure
        The figure that has the axes.

    See Also
    --------
    SensitivityDisplay.from_estimator : Impute under the scenarios, and draw.
    SensitivityDisplay.from_predictions : Draw a result that is there already.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import MeanImputer
    >>> from gnr_sklearn.plotting import SensitivityDisplay
    >>> from gnr_sklearn.sensitivity import sensitivity
    >>> X = np.array([[1.0], [3.0], [np.nan], [np.nan]])
    >>> result = sensitivity(MeanImputer(), X, estimate=np.mean)
    >>> display = SensitivityDisplay(result=result).plot(threshold=2.375)
    >>> display.ax_.get_ylabel(), display.tipping_points_.tolist()
    ('Estimate', [0.75])
    """

    lines_: list[Any]
    reference_line_: Any
    threshold_line_: Any
    tipping_points_: FloatArray | None
    tipping_markers_: Any
    ax_: Any
    figure_: Any

    def __init__(self, *, result: SensitivityResult) -> None:
        self.result = result

    def plot(
        self,
        ax: Any = None,
        *,
        kind: Kind | None = None,
        quantity: Quantity | None = None,
        threshold: float | None = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the scenarios of one kind.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None for a new figure.
        kind : {"delta", "strength", "direction"} or None, default=None
            The kind of scenario; None for the first of these that there is.
        quantity : {"estimate", "mean", "move"} or None, default=None
            What to draw: the estimate, a line for each feature that is moved alone too or for each
            number of an array; the change of each column mean; or the root mean square move of the
            imputed values of each feature. The latter two are in units of the standard deviation of
            the observed cells, where all chosen features are moved together, and leave out
            features that they are not defined for. None for "estimate" where there is one, else
            "mean".
        threshold : float or None, default=None
            A value of the estimate to mark, and where the lines cross it.
        line_kwargs : dict or None, default=None
            Keywords for matplotlib's ``plot``, such as ``{"linewidth": 1}``, for all curves.

        Returns
        -------
        display : SensitivityDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If an argument is not as described, or the result does not hold what is to be drawn.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D

        _check_result(self.result)
        there = {scenario.kind for scenario in self.result.scenarios}
        has_estimate = self.result.estimates is not None
        kind, quantity = _choose_kind(there, kind), _choose_quantity(has_estimate, quantity)
        threshold = _check_threshold(threshold, quantity)
        curves = _curves_of(self.result, kind, quantity)
        given = normalize_kwargs(line_kwargs or {}, Line2D)
        ax = new_axes(ax)

        self.reference_line_ = ax.axhline(
            curves[0].reference, color="0.5", linestyle="--", linewidth=1, zorder=1
        )
        # The one line of a whole array of estimates says nothing of where its other numbers were.
        self.reference_line_.set_visible(len({curve.reference for curve in curves}) == 1)
        self.lines_ = []
        for k, curve in enumerate(curves):
            style = {**_line_style(k, curve), "label": curve.label}
            x = curve.x
            if kind == "direction":
                style |= {"linestyle": "none", "markersize": 7}
                x = x + DODGE * ((k + 0.5) / len(curves) - 0.5)
            self.lines_ += ax.plot(x, curve.y, **{**style, **given})
        self._mark_threshold(ax, curves, kind, threshold)
        if kind == "direction":
            _label_directions(ax, self.result)
        ax.set(xlabel=X_LABELS[kind], ylabel=Y_LABELS[quantity])
        self._add_legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        imputer: Any,
        X: ArrayLike | DataFrameLike,
        *,
        deltas: Sequence[float] | FloatArray | None = (-1.0, -0.5, 0.0, 0.5, 1.0),
        strengths: Sequence[float] | FloatArray | None = None,
        directions: Sequence[Direction] | None = None,
        features: str | Sequence[int] | Sequence[str] | NDArray[np.integer] | None = None,
        one_at_a_time: bool = False,
        estimate: Callable[[Any], ArrayLike] | None = None,
        n_draws: int = 200,
        side_info: ArrayLike | None = None,
        random_state: RandomStateLike = None,
        kind: Kind | None = None,
        quantity: Quantity | None = None,
        threshold: float | None = None,
        ax: Any = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> SensitivityDisplay:
        """Impute under the scenarios, and draw.

        Parameters
        ----------
        imputer : estimator with ``fit(X)`` and ``transform(X)``
            It is cloned and fitted to X, also if it is fitted, and stays as it is.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Numbers with missing cells.
        deltas, strengths, directions, features, one_at_a_time, estimate, n_draws
            As in :func:`~gnr_sklearn.sensitivity.sensitivity`.
        side_info, random_state
            As there.
        kind, quantity, threshold, ax, line_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : SensitivityDisplay
            With the picture drawn, and the `result`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            As :func:`~gnr_sklearn.sensitivity.sensitivity` and :meth:`plot`.

        Examples
        --------
        >>> from gnr_sklearn import MICEImputer
        >>> from gnr_sklearn.plotting import SensitivityDisplay
        >>> X = [[0.0, 1.0], [1.0, 3.0], [2.0, float("nan")], [3.0, 6.0]]
        >>> display = SensitivityDisplay.from_estimator(MICEImputer(), X, random_state=0)
        >>> [line.get_label() for line in display.lines_]
        ['x1']
        """
        # Before what may take minutes.
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        asked = {"delta": deltas, "strength": strengths, "direction": directions}
        _choose_kind({name for name, values in asked.items() if values is not None}, kind)
        _check_threshold(threshold, _choose_quantity(estimate is not None, quantity))
        result = sensitivity(
            imputer,
            X,
            deltas=deltas,
            strengths=strengths,
            directions=directions,
            features=features,
            one_at_a_time=one_at_a_time,
            estimate=estimate,
            n_draws=n_draws,
            side_info=side_info,
            random_state=random_state,
        )
        return cls.from_predictions(
            result,
            kind=kind,
            quantity=quantity,
            threshold=threshold,
            ax=ax,
            line_kwargs=line_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        result: SensitivityResult,
        *,
        kind: Kind | None = None,
        quantity: Quantity | None = None,
        threshold: float | None = None,
        ax: Any = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> SensitivityDisplay:
        """Draw a result that is there already.

        Parameters
        ----------
        result : SensitivityResult
            What :func:`~gnr_sklearn.sensitivity.sensitivity` returns.
        kind, quantity, threshold, ax, line_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : SensitivityDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            As :meth:`plot`.

        Examples
        --------
        >>> from gnr_sklearn import MeanImputer
        >>> from gnr_sklearn.plotting import SensitivityDisplay
        >>> from gnr_sklearn.sensitivity import sensitivity
        >>> result = sensitivity(MeanImputer(), [[1.0], [3.0], [float("nan")]])
        >>> display = SensitivityDisplay.from_predictions(result, quantity="move")
        >>> display.lines_[0].get_ydata().round(1).tolist()
        [1.0, 0.5, 0.0, 0.5, 1.0]
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        return cls(result=result).plot(
            ax, kind=kind, quantity=quantity, threshold=threshold, line_kwargs=line_kwargs
        )

    def _mark_threshold(
        self, ax: Any, curves: list[_Curve], kind: Kind, threshold: float | None
    ) -> None:
        self.threshold_line_ = self.tipping_points_ = self.tipping_markers_ = None
        if threshold is None:
            return
        self.threshold_line_ = ax.axhline(
            threshold, color="black", linestyle=":", zorder=1, label=f"threshold ({threshold:g})"
        )
        if kind == "direction":
            return
        self.tipping_points_ = np.array(
            [first_crossing(curve.x, curve.y - threshold) for curve in curves]
        )
        crossings = self.tipping_points_[~np.isnan(self.tipping_points_)]
        if crossings.size:
            found = f"tipping point ({crossings[0]:.2f})" if len(curves) == 1 else "tipping points"
            (self.tipping_markers_,) = ax.plot(
                crossings,
                np.full(crossings.size, threshold),
                linestyle="none",
                marker="D",
                color="black",
                label=found,
                zorder=3,
            )

    def _add_legend(self, ax: Any) -> None:
        lines = [*self.lines_, self.threshold_line_, self.tipping_markers_]
        if self.reference_line_.get_visible():
            self.reference_line_.set_label("as imputed")
            lines.append(self.reference_line_)
        shown = [line for line in lines if line is not None]
        place: dict[str, Any] = {}
        if len(shown) > LONGEST_LEGEND_INSIDE:
            place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
        ax.legend(handles=shown, **place)


@dataclass(frozen=True, eq=False)
class _Curve:
    """A line of the picture; for directions, x counts them."""

    label: str
    x: FloatArray
    y: FloatArray
    reference: float


def _curves_of(result: SensitivityResult, kind: Kind, quantity: Quantity) -> list[_Curve]:
    if quantity != "estimate":
        return _feature_curves(result, kind, quantity)
    assert result.estimates is not None
    columns = result.estimates.reshape(len(result.scenarios), -1)
    if result.estimates.ndim > 1:
        x, rows = _points(result, kind, None)
        return [_Curve(f"estimate {k}", x, y[rows], float(y[0])) for k, y in enumerate(columns.T)]
    y = columns[:, 0]
    moved = _moved_features(result, kind)
    curves = []
    for feature in moved:
        x, rows = _points(result, kind, feature)
        together = "estimate" if len(moved) == 1 else TOGETHER
        label = together if feature is None else feature
        curves.append(_Curve(label, x, y[rows], float(y[0])))
    return curves


def _feature_curves(result: SensitivityResult, kind: Kind, quantity: Quantity) -> list[_Curve]:
    """Give the curves of the features that move, all of them moved together."""
    x, rows = _points(result, kind, None)
    moves = result.rms_moves[rows]
    if np.isnan(moves).all():
        raise ValueError(
            'quantity must be "estimate" where no feature with missing cells varies, got '
            f"{quantity!r}."
        )
    shown = (moves > 0).any(axis=0)
    if not shown.any():
        shown = ~np.isnan(moves[0])
    curves = []
    for j in np.flatnonzero(shown):
        change = result.column_means[rows, j] - result.column_means[0, j]
        y = moves[:, j] if quantity == "move" else change / result.observed_std[j]
        curves.append(_Curve(str(result.feature_names[j]), x, y, 0.0))
    return curves


def _line_style(k: int, curve: _Curve) -> dict[str, Any]:
    if curve.label == TOGETHER:
        # Mostly on top of the line of the one feature that matters; so it shows beneath.
        return {"color": "0.6", "linewidth": 4, "marker": "o", "markersize": 6, "zorder": 1.5}
    return {
        "color": f"C{k % N_COLOURS}",
        "linestyle": LINE_STYLES[k // N_COLOURS % len(LINE_STYLES)],
        "marker": "o",
        "markersize": 4,
    }


def _points(
    result: SensitivityResult, kind: Kind, feature: str | None
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Give where on the x axis scenarios belong, and which they are."""
    if kind != "direction":
        return result.curve(kind, feature)
    rows = np.flatnonzero([scenario.kind == kind for scenario in result.scenarios])
    return np.arange(len(rows), dtype=np.float64), rows


def _moved_features(result: SensitivityResult, kind: Kind) -> list[str | None]:
    """Give what is moved in the scenarios of a kind, in order: None is all together."""
    return list(dict.fromkeys(each.feature for each in result.scenarios if each.kind == kind))


def _label_directions(ax: Any, result: SensitivityResult) -> None:
    labels = [
        direction_label(scenario.value)
        for scenario in result.scenarios
        if scenario.kind == "direction"
    ]
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.5, len(labels) - 0.5)


def direction_label(direction: Any) -> str:
    """Give a direction in words, or an arrow for each feature where each has its own."""
    if isinstance(direction, tuple):
        return "".join(ARROWS[each] for each in direction)
    return "not told" if direction is None else str(direction)


def _choose_kind(there: Collection[str], kind: Kind | None) -> Kind:
    kinds = [each for each in X_LABELS if each in there]
    if kind is None:
        return next(iter(kinds), "delta")
    if kind not in kinds:
        raise ValueError(f"kind must be None or of a scenario in result, {kinds}, got {kind!r}.")
    return kind


def _choose_quantity(has_estimate: bool, quantity: Quantity | None) -> Quantity:
    if quantity is None:
        return "estimate" if has_estimate else "mean"
    if quantity not in Y_LABELS:
        raise ValueError(f"quantity must be None or one of {list(Y_LABELS)}, got {quantity!r}.")
    if quantity == "estimate" and not has_estimate:
        raise ValueError(
            'quantity must not be "estimate" where result has none: pass estimate to sensitivity.'
        )
    return quantity


def _check_threshold(threshold: float | None, quantity: Quantity) -> float | None:
    if threshold is None:
        return None
    if quantity != "estimate":
        raise ValueError(
            f'threshold must be None for a quantity other than "estimate", got {threshold!r}.'
        )
    return check_number(threshold, "threshold")


def _check_result(result: Any) -> None:
    if not isinstance(result, SensitivityResult):
        raise TypeError(
            f"result must be a SensitivityResult, as sensitivity returns it, got {result!r}."
        )
