"""How results change with what the data cannot tell: sensitivity analysis of imputations.

Nothing observed says how far missing values lie from those that an imputer puts in their place,
since all that it learns from is observed. :func:`sensitivity` therefore imputes under a list of
scenarios, and reports how imputed values, column means and an estimate of the user's move.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from gnr_sklearn._drawing import sample_checked
from gnr_sklearn._pooling import as_floats
from gnr_sklearn._sensitivity import (
    CompletedData,
    check_directions,
    check_numbers,
    check_sensitivity_imputer,
    chosen_columns,
    complete,
    fit_clone,
    standard_draws,
    tilt,
)
from gnr_sklearn._sklearn import check_pandas_support
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    RandomStateLike,
    as_generator,
    check_count,
    check_flag,
    check_matrix,
    check_number,
    input_names,
    next_seed,
    number_that_marks,
    seed_random_states,
    side_info_for,
    without_marker,
)

__all__ = ["Scenario", "SensitivityResult", "sensitivity"]

Direction = str | Sequence[str | None] | None

# A weighted mean of draws that are worth fewer equally weighted ones says little.
MIN_DRAWS = 10


class Scenario(NamedTuple):
    """What is assumed of the missing values.

    Attributes
    ----------
    kind : {"reference", "delta", "strength", "direction"}
        "reference" is the imputation as it is.
    value : float, str, tuple or None
        Delta, gamma or the direction; None for the reference.
    feature : str or None
        The one feature whose imputed values are moved; None for all the chosen ones together.
    """

    kind: Literal["reference", "delta", "strength", "direction"]
    value: float | str | tuple[str | None, ...] | None = None
    feature: str | None = None


@dataclass(frozen=True, eq=False)
class SensitivityResult:
    """What changes from scenario to scenario.

    Made by :func:`~gnr_sklearn.sensitivity.sensitivity`.

    The first axis of each array goes over the scenarios, of which the first is the reference. The
    d features are those of X that the imputer returns.

    Attributes
    ----------
    scenarios : tuple of Scenario
        Of length n_scenarios.
    feature_names : ndarray of shape (n_features,) of str objects
        Names of the features; x0, x1, ... where X has none.
    observed_std : ndarray of shape (n_features,)
        Population standard deviation of the observed cells, in units of X; NaN where there are
        none.
    n_missing : ndarray of shape (n_features,) of int
        Number of missing cells.
    column_means, column_stds : ndarray of shape (n_scenarios, n_features)
        Mean and population standard deviation of the completed columns, in units of X.
    rms_moves : ndarray of shape (n_scenarios, n_features)
        Root mean square, over the missing cells of a feature, of the difference to the reference in
        units of `observed_std`; NaN where there are no such cells or the observed ones do not vary.
    estimates : ndarray of shape (n_scenarios, ...) or None
        What the user's `estimate` gave.
    effective_n_draws : ndarray of shape (n_scenarios,)
        For strengths, the number of equally weighted draws that those of a cell are worth, 1 / sum
        of squared weights, averaged over the cells; else NaN.
    completed : ndarray of shape (n_scenarios, n_samples, n_features) or None
        The completed data, where asked for.
    """

    scenarios: tuple[Scenario, ...]
    feature_names: NDArray[Any]
    observed_std: FloatArray
    n_missing: NDArray[np.intp]
    column_means: FloatArray
    column_stds: FloatArray
    rms_moves: FloatArray
    estimates: FloatArray | None
    effective_n_draws: FloatArray
    completed: FloatArray | None = field(default=None, repr=False)

    @property
    def rms_move(self) -> FloatArray:
        """Root mean square move over the missing cells of all features, (n_scenarios,)."""
        counted = ~np.isnan(self.rms_moves[0])
        weights = self.n_missing[counted]
        squares = (self.rms_moves[:, counted] ** 2 * weights).sum(axis=1)
        return np.sqrt(squares / weights.sum()) if counted.any() else np.full(len(squares), np.nan)

    def curve(
        self, kind: Literal["delta", "strength"] = "delta", feature: str | None = None
    ) -> tuple[FloatArray, NDArray[np.intp]]:
        """Give the scenarios of one kind in order.

        Parameters
        ----------
        kind : {"delta", "strength"}, default="delta"
            The kind of scenario.
        feature : str or None, default=None
            The one feature that is moved; None for all the chosen ones together.

        Returns
        -------
        values : ndarray of shape (n_points,)
            Deltas or strengths, ascending, with 0 among them, for which the reference stands where
            there is no such scenario.
        rows : ndarray of shape (n_points,) of int
            The scenarios that they belong to: indices of the first axis of the arrays.

        Raises
        ------
        ValueError
            If there is no such scenario.

        Examples
        --------
        >>> from gnr_sklearn import MeanImputer
        >>> from gnr_sklearn.sensitivity import sensitivity
        >>> result = sensitivity(MeanImputer(), [[1.0], [3.0], [float("nan")]], deltas=[1.5, -1.0])
        >>> values, rows = result.curve()
        >>> values.tolist(), rows.tolist(), result.column_means[rows, 0].round(2).tolist()
        ([-1.0, 0.0, 1.5], [2, 0, 1], [1.67, 2.0, 2.5])
        """
        if kind not in ("delta", "strength"):
            raise ValueError(f'kind must be "delta" or "strength", got {kind!r}.')
        rows = [
            row
            for row, scenario in enumerate(self.scenarios)
            if scenario.kind == kind and scenario.feature == feature
        ]
        if not rows:
            raise ValueError(
                "kind and feature must be those of a scenario that was asked for, got "
                f"{kind!r} and {feature!r}."
            )
        values = [self.scenarios[row].value for row in rows]
        if 0.0 not in values:
            values, rows = [0.0, *values], [0, *rows]
        numbers = np.asarray(values, dtype=np.float64)
        order = np.argsort(numbers, kind="stable")
        return numbers[order], np.asarray(rows)[order]

    def tipping_point(
        self,
        threshold: float,
        *,
        kind: Literal["delta", "strength"] = "delta",
        feature: str | None = None,
    ) -> float:
        """Find how far missing values must be moved for the estimate to reach a threshold.

        Parameters
        ----------
        threshold : float
            The value of the estimate at which the conclusion changes, such as 0 for an effect or
            0.05 for a p-value.
        kind : {"delta", "strength"}, default="delta"
            The scenarios to look along.
        feature : str or None, default=None
            The one feature that is moved; None for all the chosen ones together.

        Returns
        -------
        value : float
            The delta, or strength, where the estimate equals the threshold, interpolated linearly
            between scenarios; of several the one nearest to 0. NaN where the estimate stays on one
            side of the threshold: the tipping point, if there is one, lies outside what was tried.

        Raises
        ------
        ValueError, TypeError
            If the estimate was not given or is not one number, or there are no such scenarios.

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import MeanImputer
        >>> from gnr_sklearn.sensitivity import sensitivity
        >>> X = np.array([[1.0], [3.0], [np.nan], [np.nan]])
        >>> result = sensitivity(MeanImputer(), X, estimate=np.mean)
        >>> result.tipping_point(2.375)
        0.75
        """
        threshold = check_number(threshold, "threshold")
        values, rows = self.curve(kind, feature)
        if self.estimates is None or self.estimates.ndim > 1:
            got = "none" if self.estimates is None else f"shape {self.estimates.shape[1:]}"
            raise ValueError(
                "estimate must have been a function that gives one number for there to be a "
                f"tipping point, got {got}."
            )
        return first_crossing(values, self.estimates[rows] - threshold)

    def to_frame(self) -> Any:
        """Give a table with one row for each scenario.

        Returns
        -------
        frame : pandas.DataFrame
            With the columns kind, value, feature, rms_move (over all features), effective_n_draws,
            then estimate (estimate_0, estimate_1, ... for an array, flattened) where there is one,
            and mean_<name>, std_<name> and rms_move_<name> for each feature.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from gnr_sklearn import MeanImputer
        >>> from gnr_sklearn.sensitivity import sensitivity
        >>> result = sensitivity(MeanImputer(), [[1.0], [3.0], [float("nan")]], deltas=[-1, 1])
        >>> result.to_frame()[["kind", "value", "rms_move", "mean_x0"]].round(2)
                kind value  rms_move  mean_x0
        0  reference  None       0.0     2.00
        1      delta  -1.0       1.0     1.67
        2      delta   1.0       1.0     2.33
        """
        pandas = check_pandas_support(f"{type(self).__name__}.to_frame")
        columns: dict[str, Any] = {
            "kind": [scenario.kind for scenario in self.scenarios],
            # Numbers, words and None: pandas would guess a common type.
            "value": pandas.Series([scenario.value for scenario in self.scenarios], dtype=object),
            "feature": pandas.Series(
                [scenario.feature for scenario in self.scenarios], dtype=object
            ),
            "rms_move": self.rms_move,
            "effective_n_draws": self.effective_n_draws,
        }
        if self.estimates is not None and self.estimates.ndim == 1:
            columns["estimate"] = self.estimates
        elif self.estimates is not None:
            flat = self.estimates.reshape(len(self.scenarios), -1)
            columns.update({f"estimate_{k}": each for k, each in enumerate(flat.T)})
        for prefix, numbers in (
            ("mean", self.column_means),
            ("std", self.column_stds),
            ("rms_move", self.rms_moves),
        ):
            for name, column in zip(self.feature_names, numbers.T, strict=True):
                columns[f"{prefix}_{name}"] = column
        return pandas.DataFrame(columns)


def sensitivity(
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
    return_completed: bool = False,
    side_info: ArrayLike | None = None,
    random_state: RandomStateLike = None,
) -> SensitivityResult:
    r"""Impute under several assumptions about the missing values, and compare.

    The reference is what the imputer imputes. In the other scenarios imputed values are moved away
    from it: by a given distance (`deltas`), as if large values went missing more often than the
    imputer supposes, or less (`strengths`), or by an imputer that is fitted again and told which
    values go missing (`directions`).

    Parameters
    ----------
    imputer : estimator with ``fit(X)`` and ``transform(X)``
        Any imputer that returns observed values as they are; for `strengths` with ``sample(X,
        n_draws, random_state)`` as well, and for `directions` with a parameter
        ``missing_direction``. It is cloned and fitted to X, also if it is fitted, and stays as it
        is. To use one as it was fitted, pass ``sklearn.frozen.FrozenEstimator(imputer)``.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Numbers with missing cells. It is not changed.
    deltas : sequence of float or None, default=(-1.0, -0.5, 0.0, 0.5, 1.0)
        Distances that imputed values are moved by, in units of the standard deviation of the
        observed cells of their column. None for no such scenario.
    strengths : sequence of float or None, default=None
        The gammas of exponential tilting: log odds ratios of going missing, for values that differ
        by that standard deviation, beyond what the imputer supposes itself. Positive ones say that
        missing values are larger than imputed. None for no such scenario.
    directions : sequence of directions or None, default=None
        Values for the imputer's ``missing_direction``: "above", "below", "both" if it knows of
        that, "neither", which stands for missing at random, or None. Each is one for all features
        or a sequence with one per feature of X, and no dict. An imputer is fitted for each that is
        not its own already. None for no such scenario.
    features : {"all", "first_half"}, sequence of int or of str or None, default=None
        The columns, by number or name, whose imputed values `deltas` and `strengths` move; None is
        all that are not categories without an order (``likelihood="categorical"``). Those without
        missing cells do not matter.
    one_at_a_time : bool, default=False
        Whether to move each of these features alone as well, after all of them together.
    estimate : callable or None, default=None
        ``estimate(X_completed) -> float or array``: a result that is to be compared, such as a
        coefficient. It gets float64 columns, those of X that the imputer returns and not those of
        an indicator: a DataFrame with the index of X if X is one from pandas, else an array.
    n_draws : int, default=200
        Number of draws of each missing cell for `strengths`, at least 2. All are in memory at once.
    return_completed : bool, default=False
        Whether the result holds the completed data of each scenario.
    side_info : array-like of shape (n_samples, n_side_features) or None, default=None
        What is known of each row, for an imputer that takes it in all its methods.
    random_state : int, numpy Generator, numpy RandomState or None, default=None
        Controls all randomness; None draws fresh entropy. Global random states are neither read
        nor changed. It also seeds every ``random_state`` of the imputer that is None, alike for
        all `directions`.

    Returns
    -------
    result : SensitivityResult
        The reference, then all deltas, strengths and directions, in the order given.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, if nothing is missing in the chosen features, if the
        imputer cannot do what a scenario needs, or it or `estimate` does not give finite numbers.

    Warns
    -----
    UserWarning
        If strengths leave so few effective draws that the tilted means are not to be trusted, or if
        a direction changes nothing.

    Notes
    -----
    **Deltas.** A missing cell becomes :math:`\hat x_{ij} + \delta s_j`, with :math:`s_j` the
    standard deviation of the observed cells: delta adjustment, [1]_ section 3.8 and [2]_, which the
    user should let range over what experts hold possible. The mean of the column moves by
    :math:`\delta s_j` times the fraction missing. The imputed values of other features do not
    respond, and bounds of the imputer do not hold for what is moved, here or by strengths: codes of
    levels and counts become numbers between or beyond them.

    **Strengths.** If the odds of going missing are :math:`\propto \exp(\gamma x_{ij} / s_j)` given
    what is observed, missing values are distributed as :math:`p(x) \exp(\gamma x / s_j)` where
    :math:`p(x)` is the distribution of those that are not missing [3]_ [4]_. For an imputer that
    supposes values to be missing at random its draws are from :math:`p`; for one that models the
    mechanism, :math:`\gamma` adds to it. With draws :math:`x^{(l)}` of a cell,

    .. math::

        \hat x_{ij} + \sum_l w_l x^{(l)} - \frac 1L \sum_l x^{(l)}, \qquad
        w_l = \frac{\exp(\gamma x^{(l)} / s_j)}{\sum_k \exp(\gamma x^{(k)} / s_j)},

    the tilted mean, as the imputer's value and what tilting changes: the error of the plain mean of
    the draws cancels, and :math:`\gamma = 0` is the reference. That takes an imputer whose values
    are the means of its draws. Where all draws and imputed values of a column are whole numbers,
    such as codes of levels or counts, what is imputed is a mode, a median or rounded: there the
    tilted mean is that of the draws, :math:`\sum_l w_l x^{(l)}`, which is within their range, and
    at :math:`\gamma = 0` their plain mean, a scenario that is added where it is not among
    `strengths`. For normal draws of standard
    deviation :math:`\sigma` the shift is :math:`\gamma \sigma^2 / s_j`: the better a value is known
    from the others, the less it moves. Each cell is tilted for itself, given the observed cells of
    its row. No weighted mean lies beyond the draws, so that strong tilts come out too weak; see
    `effective_n_draws`, about :math:`L \exp(-\gamma^2 \sigma^2 / s_j^2)`.

    A column whose observed cells are all equal has :math:`s_j = 0`, and is not moved.

    Estimates are those of one completed data set each. How much they vary by chance is for
    :func:`~gnr_sklearn.multiple.fit_pooled` to say.

    References
    ----------
    .. [1] S. van Buuren, "Flexible Imputation of Missing Data", 2nd ed., CRC Press 2018.
    .. [2] F. P. Leacy, "Multiple imputation under missing not at random assumptions via fully
       conditional specification", PhD thesis, University of Cambridge 2016.
    .. [3] D. O. Scharfstein, A. Rotnitzky, J. M. Robins, "Adjusting for Nonignorable Drop-Out Using
       Semiparametric Nonresponse Models", Journal of the American Statistical Association 94
       (1999).
    .. [4] A. M. Franks, A. D'Amour, A. Feller, "Flexible Sensitivity Analysis for Observational
       Studies Without Observable Implications", Journal of the American Statistical Association 115
       (2020).

    Examples
    --------
    Half of the incomes are missing. Were the missing ones higher than imputed by how many standard
    deviations, would the mean reach 2.1?

    >>> import numpy as np
    >>> from gnr_sklearn import MICEImputer
    >>> from gnr_sklearn.sensitivity import sensitivity
    >>> rng = np.random.default_rng(0)
    >>> age = rng.normal(size=400)
    >>> income = 2.0 + age + rng.normal(size=400)
    >>> income[rng.uniform(size=400) < 0.5] = np.nan
    >>> X = np.column_stack([age, income])
    >>> result = sensitivity(MICEImputer(), X, estimate=lambda X: X[:, 1].mean(), random_state=0)
    >>> result.estimates.round(1).tolist()
    [1.8, 1.1, 1.5, 1.8, 2.2, 2.5]
    >>> round(result.tipping_point(2.1), 1)
    0.4
    """
    values = check_matrix(X, "X")
    shifts, gammas = check_numbers(deltas, "deltas"), check_numbers(strengths, "strengths")
    told = check_directions(directions, values.shape[1], imputer)
    if not (shifts or gammas or told):
        raise ValueError(
            "deltas, strengths or directions must hold a scenario, got none in all three."
        )
    check_flag(one_at_a_time, "one_at_a_time")
    check_flag(return_completed, "return_completed")
    n_draws = check_count(n_draws, "n_draws", 2)
    if not (estimate is None or callable(estimate)):
        raise TypeError(f"estimate must be None or a function of X, got {estimate!r}.")
    check_sensitivity_imputer(imputer, draws=bool(gammas), refits=bool(told))
    given = side_info_for(imputer, side_info, len(values))
    names = input_names(X, values.shape[1])
    chosen = chosen_columns(features, names)
    holes = without_marker(values, number_that_marks(imputer)).astype(np.float64)
    if not np.isnan(holes[:, chosen]).any():
        raise ValueError("features must have a missing cell in X, got none in those chosen.")
    rng = as_generator(random_state)

    model = clone(imputer)
    # What it returns is not used: the set_params of a FrozenEstimator returns nothing.
    seed_random_states(model, partial(next_seed, rng))
    fitted = fit_clone(model, X, given)
    reference = complete(fitted, X, given, holes, names)
    unordered = np.array(getattr(fitted, "_unordered_features", []), dtype=np.intp)
    columns = reference.columns_to_move(chosen, unordered, is_default=features is None)
    groups: list[tuple[str | None, NDArray[np.intp]]] = [(None, columns)]
    if one_at_a_time:
        groups += [(str(reference.names[j]), columns[columns == j]) for j in columns]

    summaries = _Summaries(reference, X, estimate, return_completed)
    summaries.add(Scenario("reference"), reference.values)
    for feature, moved in groups:
        for delta in shifts:
            completed = reference.moved(delta * reference.scale, moved)
            summaries.add(Scenario("delta", delta, feature), completed)
    if gammas:
        draws = sample_checked(fitted, X, (n_draws, len(values)), rng, given)
        cells, whole = standard_draws(draws, reference)
        for feature, moved in groups:
            # The reference does not stand for it where imputed values are no means of draws.
            needs_zero = 0.0 not in gammas and whole.intersection(moved.tolist())
            for gamma in [*gammas, 0.0] if needs_zero else gammas:
                step, effective = tilt(cells, whole, gamma, moved, reference)
                completed = reference.moved(step, moved)
                summaries.add(Scenario("strength", gamma, feature), completed, effective)
        _warn_of_few_draws(summaries, n_draws)
    for direction in told:
        completed = reference.values
        if not _is_own(direction, model):
            other = fit_clone(clone(model).set_params(missing_direction=direction), X, given)
            completed = complete(other, X, given, holes, names).values
            if not _agree(fitted, other, direction):
                _warn_if_equal(completed, reference.values, direction)
        summaries.add(Scenario("direction", direction), completed)
    return summaries.result()


def first_crossing(values: FloatArray, heights: FloatArray) -> float:
    """Find where a broken line through ascending values is 0: nearest to 0, or NaN."""
    zeros = values[heights == 0].tolist()
    for left in np.flatnonzero(np.sign(heights[:-1]) * np.sign(heights[1:]) < 0):
        share = heights[left] / (heights[left] - heights[left + 1])
        zeros.append(float(values[left] + share * (values[left + 1] - values[left])))
    return min(zeros, key=abs, default=np.nan)


class _Summaries:
    """What is kept of each scenario, while no more than one completed data set is in memory."""

    def __init__(
        self, data: CompletedData, X: Any, estimate: Callable[[Any], ArrayLike] | None, keep: bool
    ) -> None:
        self.data, self.X, self.estimate, self.keep = data, X, estimate, keep
        self.scenarios: list[Scenario] = []
        self.means: list[FloatArray] = []
        self.stds: list[FloatArray] = []
        self.moves: list[FloatArray] = []
        self.estimates: list[FloatArray] = []
        self.effective: list[float] = []
        self.completed: list[FloatArray] = []

    def add(self, scenario: Scenario, completed: FloatArray, effective: float = np.nan) -> None:
        self.scenarios.append(scenario)
        self.means.append(completed.mean(axis=0))
        self.stds.append(completed.std(axis=0))
        self.moves.append(self._rms_moves(completed))
        self.effective.append(effective)
        if self.keep:
            self.completed.append(completed)
        if self.estimate is not None:
            result = self.estimate(self._as_given(completed))
            numbers = as_floats(result, "the result of estimate")
            if self.estimates and numbers.shape != self.estimates[0].shape:
                raise ValueError(
                    "estimate must give as many numbers in all scenarios, got shapes "
                    f"{self.estimates[0].shape} and {numbers.shape}."
                )
            self.estimates.append(numbers)

    def result(self) -> SensitivityResult:
        return SensitivityResult(
            scenarios=tuple(self.scenarios),
            feature_names=self.data.names,
            observed_std=self.data.observed_std,
            n_missing=self.data.missing.sum(axis=0),
            column_means=np.stack(self.means),
            column_stds=np.stack(self.stds),
            rms_moves=np.stack(self.moves),
            estimates=np.stack(self.estimates) if self.estimates else None,
            effective_n_draws=np.asarray(self.effective),
            completed=np.stack(self.completed) if self.keep else None,
        )

    def _rms_moves(self, completed: FloatArray) -> FloatArray:
        data = self.data
        squares = np.where(data.missing, completed - data.values, 0.0) ** 2
        moves = np.full(len(data.names), np.nan)
        counted = data.missing.any(axis=0) & (data.scale > 0)
        mean_squares = squares[:, counted].sum(axis=0) / data.missing[:, counted].sum(axis=0)
        moves[counted] = np.sqrt(mean_squares) / data.scale[counted]
        return moves

    def _as_given(self, completed: FloatArray) -> Any:
        # A copy, so that an estimate that writes to what it is given changes nothing here.
        if not hasattr(self.X, "iloc"):
            return completed.copy()
        columns = self.X.columns[self.data.kept]
        return type(self.X)(completed.copy(), index=self.X.index, columns=columns)


def _warn_of_few_draws(summaries: _Summaries, n_draws: int) -> None:
    few = {
        scenario.value
        for scenario, effective in zip(summaries.scenarios, summaries.effective, strict=True)
        if scenario.kind == "strength" and scenario.value and effective < MIN_DRAWS
    }
    if few:
        warnings.warn(
            f"Of n_draws={n_draws} draws, strengths {sorted(few, key=str)} leave fewer than "
            f"{MIN_DRAWS} effective ones of a cell on average: what they impute depends on "
            "chance, and moves too little. Take more draws or weaker strengths.",
            UserWarning,
            stacklevel=3,
        )


def _is_own(direction: Any, model: Any) -> bool:
    own = model.missing_direction
    # A sequence may be an array, which is not compared so easily; then it is fitted again.
    return (own is None or isinstance(own, str)) and direction == own


def _agree(fitted: Any, told: Any, direction: Any) -> bool:
    """Tell whether an imputer has chosen by itself the directions that another was told."""
    chosen, used = (getattr(each, "missing_direction_", None) for each in (fitted, told))
    if chosen is None or used is None:
        return False
    # What was told may also have been of no use.
    is_used = direction == "neither" or any(each is not None for each in used)
    return list(chosen) == list(used) and is_used


def _warn_if_equal(completed: FloatArray, reference: FloatArray, direction: Any) -> None:
    if np.array_equal(completed, reference):
        warnings.warn(
            f"The direction {direction!r} in directions changes nothing of what is imputed. Has "
            "imputer other parameters by which it uses missing_direction, such as "
            'missing_process="self_masking_known" in NotMIWAEImputer?',
            UserWarning,
            stacklevel=3,
        )
