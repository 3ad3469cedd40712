"""How good an imputation is: errors on removed cells, masks predicted, scorers for GridSearchCV.

A ``mask`` is True where a cell was removed; ``observed`` is True where a cell is observed (the m
of the GNR paper's eq. 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from gnr_sklearn._columns import Columns, read_columns
from gnr_sklearn._frames import without_cells
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    Features,
    RandomStateLike,
    as_generator,
    check_column_names,
    check_matrix,
    check_number,
    column_names,
    feature_indices,
    gives_back_cells,
    number_that_marks,
    observed_mean_and_std,
    replace_cells,
)
from gnr_sklearn.missingness import MCAR, Mechanism, ampute, check_mechanism

__all__ = [
    "complete_data_scorer",
    "imputation_mae",
    "imputation_rmse",
    "make_masked_cell_scorer",
    "mask_accuracy",
    "mask_auc",
]

Metric = Literal["rmse", "mae"]

NOT_GIVEN_BACK = (
    "estimator.transform(X) must give the observed cells of X back as they are: score an imputer, "
    "or a Pipeline that ends in one and whose other steps can be inverted."
)

_REDUCTIONS: dict[str, Callable[[FloatArray], float]] = {
    "rmse": lambda errors: float(np.sqrt(np.mean(errors**2))),
    "mae": lambda errors: float(np.mean(np.abs(errors))),
}


class Transformer(Protocol):
    """What a scorer asks of an estimator."""

    def transform(self, X: ArrayLike, /, **given: ArrayLike) -> ArrayLike: ...


def imputation_rmse(
    X_true: ArrayLike, X_imputed: ArrayLike, mask: ArrayLike, *, scale: ArrayLike | None = None
) -> float:
    """Root mean squared error over the removed cells.

    ``sqrt(mean over mask_ij of ((X_imputed_ij - X_true_ij) / scale_j)^2)``

    Parameters
    ----------
    X_true : array-like of shape (n_samples, n_features)
        The data before cells were removed; may be NaN where ``mask`` is False.
    X_imputed : array-like of shape (n_samples, n_features)
        The data as imputed.
    mask : array-like of shape (n_samples, n_features), bool
        True where a cell was removed: what ``np.isnan(X_missing)`` gives.
    scale : array-like of shape (n_features,) or None, default=None
        What the errors of each column are divided by; None for the units of X_true.
        ``X_true.std(axis=0)`` gives the paper's.

    Returns
    -------
    rmse : float
        0 or more; lower is better.

    Raises
    ------
    ValueError
        If shapes or names of columns differ, ``mask`` is not of booleans (or 0 and 1), no cell is
        True or it looks inverted (no error where True, some where False), an array is NaN where it
        is True, or the scale of a column with such cells is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.metrics import imputation_rmse
    >>> X = np.array([[1.0, 10.0], [2.0, 30.0], [6.0, 20.0]])
    >>> X_imputed = np.array([[1.0, 10.0], [2.0, 10.0], [3.0, 20.0]])
    >>> mask = X != X_imputed
    >>> round(imputation_rmse(X, X_imputed, mask), 3)
    14.3
    >>> round(imputation_rmse(X, X_imputed, mask, scale=X.std(axis=0)), 3)
    1.991
    """
    return _REDUCTIONS["rmse"](_removed_cell_errors(X_true, X_imputed, mask, scale))


def imputation_mae(
    X_true: ArrayLike, X_imputed: ArrayLike, mask: ArrayLike, *, scale: ArrayLike | None = None
) -> float:
    """Mean absolute error over the removed cells.

    ``mean over mask_ij of |X_imputed_ij - X_true_ij| / scale_j``

    Parameters
    ----------
    X_true, X_imputed, mask, scale
        As in :func:`imputation_rmse`.

    Returns
    -------
    mae : float
        0 or more; lower is better.

    Raises
    ------
    ValueError
        As :func:`imputation_rmse`.

    Examples
    --------
    >>> from gnr_sklearn.metrics import imputation_mae
    >>> imputation_mae([[1.0], [2.0], [6.0]], [[1.0], [1.0], [3.0]], [[False], [True], [True]])
    2.0
    """
    return _REDUCTIONS["mae"](_removed_cell_errors(X_true, X_imputed, mask, scale))


def mask_accuracy(
    observed: ArrayLike, proba: ArrayLike, *, features: Features = None, threshold: float = 0.5
) -> float:
    """Fraction of cells whose being observed or missing is predicted, as in the paper's Table 3.

    ``mean over cells of [(proba_ij >= threshold) == observed_ij]``

    Parameters
    ----------
    observed : array-like of shape (n_samples, n_features), bool
        True where a cell is observed: ``~np.isnan(X_missing)``.
    proba : array-like of shape (n_samples, n_features)
        P(observed), as the ``predict_mask_proba`` of an imputer gives.
    features : {"all", "first_half"}, sequence of int or None, default=None
        The columns that count; None for those with at least one missing cell.
    threshold : float, default=0.5
        From what probability on a cell is taken to be observed.

    Returns
    -------
    accuracy : float
        Between 0 and 1. Guessing at random at the right rate q of missing cells gives
        ``q^2 + (1 - q)^2``.

    Raises
    ------
    ValueError, TypeError
        If the arrays are not as described or differ in shape, or no column has a missing cell.

    Examples
    --------
    >>> from gnr_sklearn.metrics import mask_accuracy
    >>> observed = [[True, True], [False, True], [False, True]]
    >>> proba = [[0.9, 1.0], [0.2, 1.0], [0.6, 1.0]]
    >>> round(mask_accuracy(observed, proba), 3)
    0.667
    """
    mask, probability = _check_mask_and_proba(observed, proba)
    threshold = check_number(threshold, "threshold", 0, 1)
    if features is None:
        columns = np.flatnonzero(~mask.all(axis=0))
        if not columns.size:
            raise ValueError("observed must have a column with a missing cell, got no False in it.")
    else:
        columns = feature_indices(features, mask.shape[1])
    return float(np.mean((probability[:, columns] >= threshold) == mask[:, columns]))


def mask_auc(
    observed: ArrayLike,
    proba: ArrayLike,
    *,
    features: Features = None,
    average: Literal["macro", "micro"] = "macro",
) -> float:
    """Area under the ROC curve of P(observed), over columns that have both kinds of cells.

    Parameters
    ----------
    observed : array-like of shape (n_samples, n_features), bool
        True where a cell is observed: ``~np.isnan(X_missing)``.
    proba : array-like of shape (n_samples, n_features)
        P(observed), as the ``predict_mask_proba`` of an imputer gives.
    features : {"all", "first_half"}, sequence of int or None, default=None
        The columns to take; those without both observed and missing cells are left out. None is
        "all".
    average : {"macro", "micro"}, default="macro"
        "macro" averages the areas of the columns; "micro" pools their cells into one curve.

    Returns
    -------
    auc : float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    ValueError, TypeError
        If the arrays are not as described or differ in shape, or no column has both kinds of cells.

    Examples
    --------
    >>> from gnr_sklearn.metrics import mask_auc
    >>> observed = [[True, True], [False, True], [True, True]]
    >>> mask_auc(observed, [[0.9, 1.0], [0.5, 1.0], [0.4, 1.0]])
    0.5
    """
    if average not in ("macro", "micro"):
        raise ValueError(f'average must be "macro" or "micro", got {average!r}.')
    mask, probability = _check_mask_and_proba(observed, proba)
    columns = feature_indices(features, mask.shape[1])
    columns = columns[mask[:, columns].any(axis=0) & ~mask[:, columns].all(axis=0)]
    if not columns.size:
        raise ValueError("observed must have a column with both observed and missing cells.")
    truth, score = mask[:, columns], probability[:, columns]
    return float(roc_auc_score(truth, score, average=average))


def make_masked_cell_scorer(
    fraction: float = 0.2,
    mechanism: Mechanism | None = None,
    metric: Metric = "rmse",
    random_state: RandomStateLike = 0,
) -> _MaskedCellScorer:
    """Make a scorer for GridSearchCV that needs no true values of the missing cells.

    The scorer removes further cells of the X that it is given, among those observed, has the
    estimator fill them in, and returns minus the error there, in units of each column's sd over
    its observed cells (1 if that is 0). At least one observed cell per column stays. In a data
    frame with categories, or true and false, one of these that is wrong counts as an error of 1.

    Cells that one may hide are cells that were seen. Under MNAR they differ from the missing ones,
    so this score compares candidates by how well they rebuild what is observed, which is not
    always how well they impute; a ``mechanism`` close to the real one narrows the gap.

    Parameters
    ----------
    fraction : float, default=0.2
        Between 0 and 1, both excluded: each observed cell is removed with this probability.
        Ignored if a mechanism is given.
    mechanism : Mechanism or None, default=None
        What removes cells instead, given X with its missing cells.
    metric : {"rmse", "mae"}, default="rmse"
        The error.
    random_state : int, numpy Generator, numpy RandomState or None, default=0
        Read once, here: every call of one scorer removes the same cells from the same X, so that
        all candidates of a search are compared on the same cells.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None, side_info=None) -> float``, picklable; higher is better, and
        y is ignored. `side_info` goes to the estimator's ``transform``; a search hands it on where
        scikit-learn's metadata routing is enabled.
        X is an array or a DataFrame, without infinite values; pandas, and a frame with categories,
        is handed to the estimator as it is, all else as an array. Cells equal to
        ``estimator.missing_values`` (NaN where there is no such attribute, as in a Pipeline) are
        the missing ones; in a frame with categories it has to be NaN. The estimator is a fitted
        imputer that gives every column back, or a Pipeline that ends in one and whose earlier
        steps, scalers say, have an ``inverse_transform``. Else, or if X is too small to remove
        anything, it raises a ValueError, which GridSearchCV turns into a warning and a score of
        NaN unless ``error_score="raise"``.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.impute import KNNImputer
    >>> from sklearn.model_selection import GridSearchCV
    >>> from gnr_sklearn.metrics import make_masked_cell_scorer
    >>> x = np.linspace(0, 1, 60)
    >>> X = np.column_stack([x, 2 * x, -x])
    >>> X[::5, 0] = np.nan
    >>> search = GridSearchCV(
    ...     KNNImputer(), {"n_neighbors": [2, 40]}, scoring=make_masked_cell_scorer(0.2), cv=3
    ... )
    >>> search.fit(X).best_params_
    {'n_neighbors': 2}
    """
    if not isinstance(metric, str) or metric not in _REDUCTIONS:
        raise ValueError(f'metric must be "rmse" or "mae", got {metric!r}.')
    if mechanism is None:
        if not 0 < check_number(fraction, "fraction", 0, 1) < 1:
            raise ValueError(f"fraction must be more than 0 and less than 1, got {fraction!r}.")
        mechanism = MCAR(fraction)
    check_mechanism(mechanism, "mechanism")
    rng = as_generator(random_state)
    # An int serves as the seed itself, so that it shows in the repr.
    seed = int(random_state) if isinstance(random_state, Integral) else int(rng.integers(2**32))
    return _MaskedCellScorer(mechanism, metric, seed)


@dataclass(frozen=True, repr=False)
class _MaskedCellScorer:
    """See :func:`make_masked_cell_scorer`. A class, for closures cannot be pickled."""

    mechanism: Mechanism
    metric: Metric
    random_state: int

    def __repr__(self) -> str:
        return (
            f"make_masked_cell_scorer(mechanism={self.mechanism!r}, metric={self.metric!r}, "
            f"random_state={self.random_state})"
        )

    def get_metadata_routing(self) -> MetadataRequest:
        """Ask scikit-learn's metadata routing for the side information of the rows."""
        request = MetadataRequest(owner=self)
        request.score.add_request(param="side_info", alias=True)
        return request

    def __call__(
        self,
        estimator: Transformer,
        X: ArrayLike | DataFrameLike,
        y: object = None,
        side_info: ArrayLike | None = None,
    ) -> float:
        _check_transformer(estimator)
        given = {} if side_info is None else {"side_info": side_info}
        of_frame = read_columns(X)
        if of_frame is not None and of_frame[0].has_levels:
            return self._score_frame(estimator, X, *of_frame, given)
        values, marker = _mark_missing(estimator, X)
        scale = _positive(observed_mean_and_std(values.astype(np.float64))[1])
        observed = ~np.isnan(values)
        removed = self._removed(values, observed)
        amputed = replace_cells(X, check_matrix(X, "X"), removed, marker)
        imputed = _impute(estimator, amputed, values, observed & ~removed, given)
        return -_REDUCTIONS[self.metric](((imputed - values) / scale)[removed])

    def _removed(self, values: FloatArray, observed: BoolArray) -> BoolArray:
        """Choose cells to remove."""
        # Not the stream of the seed itself: where X was amputed with the same seed, that would pick
        # the very cells that are missing already.
        rng = np.random.default_rng(np.random.SeedSequence(self.random_state, spawn_key=(1,)))
        removed = observed & np.isnan(ampute(values, self.mechanism, rng))
        for column in np.flatnonzero(removed.any(axis=0) & ~(observed & ~removed).any(axis=0)):
            removed[rng.choice(np.flatnonzero(removed[:, column])), column] = False
        if not removed.any():
            raise ValueError(
                f"X must have observed cells that {self.mechanism!r} removes (one per column "
                f"always stays), got none in shape {values.shape}."
            )
        return removed

    def _score_frame(
        self,
        estimator: Transformer,
        X: ArrayLike | DataFrameLike,
        columns: Columns,
        values: FloatArray,
        given: dict[str, ArrayLike],
    ) -> float:
        marker = number_that_marks(estimator)
        if marker is not None:
            raise ValueError(
                "estimator.missing_values must be NaN for a data frame with categories, or true "
                f"and false, got {marker!r}."
            )
        is_level = np.array([column.categories is not None for column in columns.columns])
        scale = np.where(is_level, 1.0, _positive(observed_mean_and_std(values)[1]))
        removed = self._removed(values, ~np.isnan(values))
        observed = ~np.isnan(values) & ~removed

        def encoded(table: Any) -> FloatArray:
            # A search's part of the rows may lack a category that the imputer knows.
            return columns.extended_by(table).encode(table)

        def agrees(imputed: FloatArray) -> bool:
            if imputed.shape != values.shape:
                return False
            same = np.where(is_level, imputed == values, gives_back_cells(imputed, values))
            return bool(same[observed].all())

        imputed = _in_units_of_X(
            estimator, estimator.transform(without_cells(X, removed), **given), encoded, agrees
        )
        if imputed.shape != values.shape or np.isnan(imputed[removed]).any():
            raise ValueError(
                "estimator.transform(X) must have the columns of X, and none of its values "
                f"missing, to be scored cell by cell, got shape {imputed.shape} for {values.shape}."
            )
        if not agrees(imputed):
            raise ValueError(NOT_GIVEN_BACK)
        errors = np.where(is_level, imputed != values, (imputed - values) / scale)
        return -_REDUCTIONS[self.metric](errors[removed].astype(np.float64))


def complete_data_scorer(
    estimator: Transformer, X: ArrayLike | DataFrameLike, y: ArrayLike
) -> float:
    """Score an imputer by the truth: an oracle, for benchmarks only.

    It looks at the true values of the missing cells. A setting chosen with it must not be reported
    as if it had been found without them; :func:`make_masked_cell_scorer` is for that.

    Parameters
    ----------
    estimator : fitted imputer, or a Pipeline that ends in one
        As for :func:`make_masked_cell_scorer`.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Data with missing cells.
    y : array-like of shape (n_samples, n_features)
        The same rows, complete, so that ``GridSearchCV(...).fit(X_missing, X_complete)`` hands each
        fold its own.

    Returns
    -------
    score : float
        Minus the RMSE over the missing cells of X, in units of the sd of y's columns over the rows
        given (1 if that is 0). Higher is better.

    Raises
    ------
    ValueError
        If y has another shape than X, is NaN somewhere, or differs from X in an observed cell, if
        X has no missing cell, or if the estimator does not give every cell of X back.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.impute import SimpleImputer
    >>> from sklearn.model_selection import GridSearchCV
    >>> from gnr_sklearn.metrics import complete_data_scorer
    >>> from gnr_sklearn.missingness import MCAR, ampute
    >>> X = np.random.default_rng(0).exponential(size=(200, 3))
    >>> search = GridSearchCV(
    ...     SimpleImputer(), {"strategy": ["mean", "median"]}, scoring=complete_data_scorer
    ... )
    >>> search.fit(ampute(X, MCAR(0.3), random_state=0), X).best_params_
    {'strategy': 'mean'}
    """
    _check_transformer(estimator)
    values, marker = _mark_missing(estimator, X)
    if y is None:
        raise ValueError("y must be the complete data, as in fit(X_missing, X_complete), got None.")
    truth = check_matrix(y, "y").astype(np.float64)
    check_column_names(y, "y", column_names(X), "X")
    if truth.shape != values.shape or np.isnan(truth).any():
        raise ValueError(
            f"y must be complete data (no NaN) of the shape of X, {values.shape}, got "
            f"{np.isnan(truth).sum()} NaN in shape {truth.shape}."
        )
    missing = np.isnan(values)
    scale = _positive(observed_mean_and_std(truth)[1])
    if not gives_back_cells(values, truth)[~missing].all():
        raise ValueError("y must equal X in the observed cells of X, which it does not.")
    if not missing.any():
        raise ValueError("X must have missing cells to score, got none.")
    # A copy, for an imputer with copy=False writes to what it is given.
    X = replace_cells(X, check_matrix(X, "X"), missing, marker)
    imputed = _impute(estimator, X, truth, ~missing)
    return -_REDUCTIONS["rmse"](((imputed - truth) / scale)[missing])


def _removed_cell_errors(
    X_true: ArrayLike, X_imputed: ArrayLike, mask: ArrayLike, scale: ArrayLike | None
) -> FloatArray:
    """Check the arguments, and give the errors of the cells that mask marks, one by one."""
    truth = check_matrix(X_true, "X_true").astype(np.float64)
    imputed = check_matrix(X_imputed, "X_imputed").astype(np.float64)
    removed = _check_mask(mask, "mask")
    for name, table in (("X_imputed", X_imputed), ("mask", mask)):
        check_column_names(table, name, column_names(X_true), "X_true")
    if not truth.shape == imputed.shape == removed.shape:
        raise ValueError(
            "X_true, X_imputed and mask must have one shape, got "
            f"{truth.shape}, {imputed.shape} and {removed.shape}."
        )
    if not removed.any():
        raise ValueError("mask must be True in at least one cell (the removed ones), got none.")
    for name, array in (("X_true", truth), ("X_imputed", imputed)):
        if np.isnan(array[removed]).any():
            raise ValueError(
                f"{name} must not be NaN where mask is True, got NaN in "
                f"{np.isnan(array[removed]).sum()} of {removed.sum()} such cells."
            )
    known = ~(removed | np.isnan(truth) | np.isnan(imputed))
    agrees = gives_back_cells(imputed, truth)
    if agrees[removed].all() and not agrees[known].all():
        raise ValueError(
            "mask looks inverted: every cell where it is True agrees and others do not, but True "
            "must mark the removed cells."
        )
    if scale is None:
        return imputed[removed] - truth[removed]
    try:
        unit = np.asarray(scale, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"scale must hold one number per column ({error}).") from error
    if unit.shape != (truth.shape[1],):
        raise ValueError(
            f"scale must be of shape ({truth.shape[1]},), one number per column, got {unit.shape}."
        )
    per_cell = np.broadcast_to(unit, truth.shape)[removed]
    if not (np.isfinite(per_cell) & (per_cell > 0)).all():
        raise ValueError(
            "scale must be positive and finite in every column with a removed cell, "
            f"got {unit.tolist()}."
        )
    return (imputed[removed] - truth[removed]) / per_cell


def _check_mask(mask: ArrayLike, name: str) -> BoolArray:
    array = check_matrix(mask, name)
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must hold booleans, or 0 and 1, got other values.")
    return array.astype(bool)


def _check_mask_and_proba(observed: ArrayLike, proba: ArrayLike) -> tuple[BoolArray, FloatArray]:
    mask, probability = _check_mask(observed, "observed"), check_matrix(proba, "proba")
    check_column_names(proba, "proba", column_names(observed), "observed")
    if mask.shape != probability.shape:
        raise ValueError(
            f"observed and proba must have one shape, got {mask.shape} and {probability.shape}."
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("proba must hold probabilities between 0 and 1, without NaN.")
    return mask, probability


def _mark_missing(estimator: Transformer, X: ArrayLike | DataFrameLike) -> tuple[FloatArray, float]:
    """Give X as numbers with NaN in its missing cells, and the estimator's marker of these."""
    given = getattr(estimator, "missing_values", np.nan)
    # pandas.NA marks what NaN does.
    if not isinstance(given, Real) and type(given).__name__ != "NAType":
        raise TypeError(f"estimator.missing_values must be NaN or a number, got {given!r}.")
    marker = number_that_marks(estimator)
    return check_matrix(X, "X", marker), np.nan if marker is None else marker


def _check_transformer(estimator: object) -> None:
    if not hasattr(estimator, "transform"):
        raise TypeError(f"estimator must have a transform method, got {estimator!r}.")


def _impute(
    estimator: Transformer,
    X: ArrayLike | DataFrameLike,
    truth: FloatArray,
    observed: BoolArray,
    given: Mapping[str, ArrayLike] = MappingProxyType({}),
) -> FloatArray:
    """Have X imputed, in its own units, where ``truth`` holds the values of its observed cells."""

    def agrees(imputed: FloatArray) -> bool:
        is_table = imputed.shape == truth.shape
        return is_table and bool(gives_back_cells(imputed, truth)[observed].all())

    completed = estimator.transform(X, **given)  # type: ignore[arg-type]
    read = partial(check_matrix, name="estimator.transform(X)")
    imputed = _in_units_of_X(estimator, completed, read, agrees)
    if imputed.shape != truth.shape:
        raise ValueError(
            f"estimator.transform(X) must have the shape of X, {truth.shape}, to be scored cell by "
            f"cell, got {imputed.shape}: set keep_empty_features=True and add_indicator=False."
        )
    if np.isnan(imputed).any():
        raise ValueError("estimator.transform(X) must not leave NaN, which it does.")
    if not agrees(imputed):
        raise ValueError(NOT_GIVEN_BACK)
    return imputed


def _in_units_of_X(
    estimator: Transformer,
    completed: Any,
    read: Callable[[Any], FloatArray],
    agrees: Callable[[FloatArray], bool],
) -> FloatArray:
    """Read what an estimator gives, undoing the steps of a Pipeline that change what is observed.

    Errors would be in their units. Where they cannot be undone, what disagrees is returned.
    """
    imputed = read(completed)
    if isinstance(estimator, Pipeline) and not agrees(imputed):
        with suppress(AttributeError, ValueError):
            imputed = read(estimator[:-1].inverse_transform(completed))
    return imputed


def _positive(std: FloatArray) -> FloatArray:
    """Replace an sd of 0, or of a column without observed cells (NaN), by 1."""
    return np.where(std > 0, std, 1.0)
