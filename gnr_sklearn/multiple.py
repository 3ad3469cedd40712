"""Multiple imputation: completed data sets drawn, a model fitted to each, and the fits pooled.

One completed data set, or the mean of many, treats imputed values as if they had been observed:
standard errors come out too small. Several draws of the missing values show how much the result
depends on them, and Rubin's rules (:func:`pool`) add that to the standard errors.
:func:`draw_imputations` draws with any imputer that has a ``sample``, and :func:`fit_pooled` does
all of it for scikit-learn's linear models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.utils.multiclass import type_of_target

from gnr_sklearn._base import BaseImputer
from gnr_sklearn._coefficients import (
    bootstrap_variances,
    check_variances,
    coefficients_of,
    final_step_names,
    least_squares_variances,
    mark_classes,
    resample_rows,
    residual_degrees_of_freedom,
    stack,
    take_rows,
)
from gnr_sklearn._columns import DISCRETE, read_columns
from gnr_sklearn._drawing import sample_checked
from gnr_sklearn._frames import as_frame, with_first_columns, with_values
from gnr_sklearn._pooling import (
    PooledEstimate,
    as_floats,
    check_degrees_of_freedom,
    pool,
)
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    RandomStateLike,
    as_generator,
    check_count,
    check_flag,
    check_matrix,
    gaps_as_nan,
    input_names,
    next_seed,
    number_that_marks,
    read_table,
    refuse_dates,
    seed_random_states,
    side_info_for,
)

__all__ = ["PooledEstimate", "PooledFit", "draw_imputations", "fit_pooled", "pool"]


CoefficientVariance = Callable[[Any, FloatArray, NDArray[Any]], tuple[ArrayLike, ArrayLike | None]]


def draw_imputations(
    imputer: Any,
    X: ArrayLike | DataFrameLike,
    n_draws: int = 20,
    *,
    bootstrap: bool = False,
    side_info: ArrayLike | None = None,
    random_state: RandomStateLike = None,
) -> FloatArray:
    """Fit an imputer to X, and draw completed data sets from it.

    Parameters
    ----------
    imputer : estimator with ``fit(X)`` and ``sample(X, n_draws, random_state)``
        Such as :class:`~gnr_sklearn.GNRImputer`. It is cloned, and stays as it is.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Numbers with missing cells, or a data frame with categories for an imputer that takes them.
    n_draws : int, default=20
        Number of completed data sets.
    bootstrap : bool, default=False
        Whether the draws hold the uncertainty about the imputer's parameters. If False, one fit
        serves all draws: they differ by the spread of the missing values given the parameters
        alone, and the between variance of what is computed from them is too small ("improper"
        imputation, Rubin 1987, ch. 4). If True, each draw comes from an imputer fitted anew, to
        rows drawn from X with replacement, which takes `n_draws` times as long.
    side_info : array-like of shape (n_samples, n_side_features) or None, default=None
        What is known of each row, for an imputer that takes it in all its methods.
    random_state : int, numpy Generator, numpy RandomState or None, default=None
        Controls all randomness; None draws fresh entropy. Global random states are neither read
        nor changed.

    Returns
    -------
    draws : ndarray of shape (n_draws, n_samples, n_features_out)
        Completed data sets: all rows of X, in order, with the columns that the imputer's
        ``transform`` returns. Those of data frames with categories are objects.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, the imputer does not give finite numbers of that shape,
        or a column of X has so few observed cells, or a category so few rows, that resamples keep
        losing all of them.

    Notes
    -----
    Parameters fitted to a bootstrap resample take the place of a draw from their posterior, to
    which they are equivalent in large samples (Little & Rubin 2019, ch. 10; Efron 1994). Amelia's
    imputations are made so as well (Honaker & King 2010).

    A resample is drawn anew if it loses all observed cells of a column, a category of which the
    imputer would refuse the rows in X, or, with ``add_indicator=True``, all missing cells of an
    incomplete column.

    With ``bootstrap=False`` a ``random_state`` of the imputer is kept, and where it is None it is
    set from the `random_state` given here. With ``bootstrap=True`` each fit gets its own.

    References
    ----------
    Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.

    Efron, B. (1994). Missing data, imputation, and the bootstrap. Journal of the American
    Statistical Association 89, 463-475.

    Honaker, J. & King, G. (2010). What to do about missing values in time-series cross-section
    data. American Journal of Political Science 54, 561-581.

    Little, R. J. A. & Rubin, D. B. (2019). Statistical Analysis with Missing Data, 3rd ed. Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import GNRImputer
    >>> from gnr_sklearn.multiple import draw_imputations
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> X[::4, 1] = np.nan
    >>> draws = draw_imputations(GNRImputer(max_iter=20, hidden_dims=8), X, 5, random_state=0)
    >>> draws.shape
    (5, 50, 3)
    >>> bool((draws[0, ::4, 1] != draws[1, ::4, 1]).all())
    True
    """
    n_draws = check_count(n_draws, "n_draws", 1)
    check_flag(bootstrap, "bootstrap")
    _check_imputer(imputer, bootstrap)
    rng = as_generator(random_state)
    return _fit_and_sample(imputer, X, side_info, n_draws, bootstrap, rng)[0]


@dataclass(frozen=True, eq=False)
class PooledFit:
    """A linear model fitted to several completed data sets.

    Made by :func:`~gnr_sklearn.multiple.fit_pooled`.

    Attributes
    ----------
    coef_ : PooledEstimate
        Of the shape of the estimator's ``coef_``: (p,), or (n_targets, p) or (n_classes, p).
    intercept_ : PooledEstimate or None
        Of the shape of the estimator's ``intercept_``; None where there is none.
    feature_names_ : ndarray of str objects or None
        The columns that the coefficients belong to; None where a step of a Pipeline does not tell.
    estimators_ : list
        The estimator as fitted to each completed data set, of length n_draws. The mean of their
        predictions is the pooled prediction.
    imputers_ : list
        The fitted imputer; with ``bootstrap=True``, that of each draw.
    """

    coef_: PooledEstimate
    intercept_: PooledEstimate | None
    feature_names_: NDArray[Any] | None
    estimators_: list[Any]
    imputers_: list[Any]


def fit_pooled(
    estimator: Any,
    imputer: Any,
    X: ArrayLike | DataFrameLike,
    y: ArrayLike,
    n_draws: int = 20,
    *,
    bootstrap: bool = False,
    impute_with_y: bool = True,
    coefficient_variance: CoefficientVariance | None = None,
    complete_degrees_of_freedom: float | None = None,
    n_bootstrap: int = 200,
    side_info: ArrayLike | None = None,
    random_state: RandomStateLike = None,
) -> PooledFit:
    """Fit a linear model to data with missing cells, by multiple imputation.

    The imputer is fitted to X, completed data sets are drawn from it, the estimator is fitted to
    each of them, and the coefficients are pooled by Rubin's rules (:func:`pool`).

    By default the imputer's parameters are held fixed over the draws, so that the between
    variance leaves out the uncertainty of the imputation model, and standard errors are too small,
    the more so the fewer rows there are. With ``bootstrap=True`` it is in them.

    Parameters
    ----------
    estimator : estimator with ``coef_`` once fitted
        A linear regressor or classifier, or a Pipeline whose last step is one. It is cloned.
    imputer : estimator with ``fit(X)`` and ``sample(X, n_draws, random_state)``
        Such as :class:`~gnr_sklearn.GNRImputer`. It is cloned and fitted, also if it is fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Numbers with missing cells. The estimator is given float64 arrays, whatever X is; but if X
        is a data frame with categories, or true and false, data frames like it.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        The targets, none missing.
    n_draws : int, default=20
        Number of completed data sets, at least 2.
    bootstrap : bool, default=False
        Whether to fit the imputer anew to a bootstrap resample of the rows for each draw; see
        :func:`draw_imputations`. It has nothing to do with `n_bootstrap`.
    impute_with_y : bool, default=True
        Whether the imputer is given the columns [y, X] instead of X, with y as numbers (for a
        classifier a column of zeros and ones for each class but the first). See the notes.
    coefficient_variance : callable or None, default=None
        ``coefficient_variance(fitted_estimator, X_completed, y) -> (coef_variance,
        intercept_variance)``: the squared standard errors of ``coef_`` and of ``intercept_`` in one
        completed data set, of their shapes; None in second place leaves the intercept out of the
        result. For a Pipeline, the first argument is the whole of it. If this is None: for a
        LinearRegression those of ordinary least squares, ``s^2 diag((Z'Z)^-1)`` with Z the columns
        with that of the intercept, of pseudo-inverses where they are collinear; for all else, and
        if its coefficients must be positive, the variance over bootstrap resamples of the rows of
        the completed data set.
    complete_degrees_of_freedom : float or None, default=None
        Degrees of freedom of the coefficients were nothing missing; see :func:`pool`. None is
        n - p - 1 (n - p without intercept) where the variances are those of ordinary least squares,
        with p the rank of the centred columns (``rank_``), and else infinity.
    n_bootstrap : int, default=200
        Number of resamples for one variance, at least 2, so that the estimator is fitted
        ``n_draws * (n_bootstrap + 1)`` times. Resamples in which a class of a classifier is missing
        are drawn anew.
    side_info : array-like of shape (n_samples, n_side_features) or None, default=None
        What is known of each row, for an imputer that takes it in all its methods; the estimator is
        not given it.
    random_state : int, numpy Generator, numpy RandomState or None, default=None
        Controls all randomness; None draws fresh entropy. Global random states are neither read
        nor changed. It also seeds every ``random_state`` of the estimator that is None. With an
        int, the completed data sets are those of :func:`draw_imputations`, of the table that the
        imputer is given.

    Returns
    -------
    fit : PooledFit

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, if the estimator has no ``coef_`` once fitted, or if the
        columns that its coefficients belong to are not the same in all completed data sets, as
        where a step selects columns.

    Notes
    -----
    Values imputed from X alone know nothing of y, and the coefficients of columns with missing
    cells come out too close to 0: an imputation model must hold what the analysis relates
    (Little & Rubin 2019, ch. 10). So y is given to it as well, and an imputer's parameters for each
    column, such as bounds, count the columns of y first, unless they are a dict by the names of
    columns. ``impute_with_y=False`` is for predictions for new rows, whose y is not known.

    Intervals rest on the imputer's model, which no draw corrects: one that was trained too briefly,
    or that is too simple, relates columns too weakly, and so do the coefficients. Compare the
    imputer's `score` before and after raising `max_iter`; for columns that are normal given one
    another ``MIWAEImputer(decoder="linear", observation_scale="feature", learning_rate=0.01,
    max_iter=3000, early_stopping=False)`` is all that is needed.

    The coefficients must mean the same in each data set: not those of principal components, say.
    The variance over resamples of a penalised estimator, such as Ridge, is about its own mean: the
    bias that comes from the penalty is not in the intervals.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from gnr_sklearn import GNRImputer
    >>> from gnr_sklearn.multiple import fit_pooled
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2))
    >>> y = X @ [1.0, 2.0] + rng.normal(size=100)
    >>> X[::4, 0] = np.nan
    >>> imputer = GNRImputer(max_iter=20, hidden_dims=8)
    >>> fit = fit_pooled(LinearRegression(), imputer, X, y, 5, random_state=0)
    >>> fit.feature_names_.tolist(), fit.coef_.estimate.shape
    (['x0', 'x1'], (2,))
    >>> lower, upper = fit.coef_.confidence_interval()
    >>> bool(lower[1] < 2.0 < upper[1])
    True
    """
    n_draws = check_count(n_draws, "n_draws", 2)
    n_bootstrap = check_count(n_bootstrap, "n_bootstrap", 2)
    check_flag(bootstrap, "bootstrap")
    check_flag(impute_with_y, "impute_with_y")
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(f"estimator must be an estimator with a fit method, got {estimator!r}.")
    _check_imputer(imputer, bootstrap)
    if not (coefficient_variance is None or callable(coefficient_variance)):
        raise TypeError(
            "coefficient_variance must be None or a function of the fitted estimator, X and y, "
            f"got {coefficient_variance!r}."
        )
    degrees = complete_degrees_of_freedom
    check_degrees_of_freedom(degrees, ())
    of_frame = read_columns(X)
    values = check_matrix(X, "X") if of_frame is None else of_frame[1]
    has_levels = of_frame is not None and of_frame[0].has_levels
    targets = _check_targets(y, len(values), estimator)
    rng = as_generator(random_state)

    table: Any = X
    names, n_known = input_names(X, values.shape[1]), 0
    if impute_with_y:
        known = _numeric_targets(targets, estimator, imputer)
        n_known = known.shape[1]
        of_y = [f"y{k}" for k in range(n_known)]
        while set(of_y) & set(names):
            of_y = [name + "_" for name in of_y]
        frame = as_frame(X, of_floats=True)
        has_names = frame is not None and all(isinstance(name, str) for name in frame.columns)
        if has_names:
            table = with_first_columns(X, known, of_y)
        elif has_levels:
            assert frame is not None
            # Beside names that are no strings scikit-learn takes none that are.
            used: list[Any] = frame.columns
            largest = max((float(name) for name in used if isinstance(name, Real)), default=0.0)
            first = 1 + ceil(largest)
            table = with_first_columns(X, known, range(first, first + n_known))
        else:
            table = np.hstack([known, values])
        names = of_y + names
    draws, imputers = _fit_and_sample(imputer, table, side_info, n_draws, bootstrap, rng)
    if hasattr(imputers[0], "get_feature_names_out"):
        names = imputers[0].get_feature_names_out(names)
    # The columns of y come first, and without gaps, so that no imputer drops or marks them.
    completed_tables: Any = draws[:, :, n_known:]
    if has_levels:
        if completed_tables.shape[2] != values.shape[1]:
            raise ValueError(
                "imputer must return the columns of a data frame with categories and no others, "
                f"{values.shape[1]}, got {completed_tables.shape[2]}."
            )
        marker = number_that_marks(imputer)
        completed_tables = [with_values(X, each, marker) for each in completed_tables]
    else:
        completed_tables = completed_tables.astype(np.float64)
    columns = np.asarray(names[n_known:], dtype=object)

    model = seed_random_states(clone(estimator), partial(next_seed, rng))
    if coefficient_variance is not None:
        variance_of = coefficient_variance
    elif type(model) is LinearRegression and not model.positive:
        variance_of = least_squares_variances
    else:
        variance_of = partial(bootstrap_variances, n_bootstrap=n_bootstrap, rng=rng)

    estimators, coefficients, variances = [], [], []
    for completed in completed_tables:
        fitted = clone(model).fit(completed, targets)
        estimators.append(fitted)
        coefficients.append(coefficients_of(fitted))
        _check_same_columns(estimators[0], fitted, columns)
        variance = variance_of(fitted, completed, targets)
        variances.append(check_variances(variance, coefficients[-1]))
    if variance_of is least_squares_variances and degrees is None:
        degrees = min(residual_degrees_of_freedom(each, len(values)) for each in estimators)

    coefs, intercepts = stack(coefficients)
    coef_variances, intercept_variances = stack(variances)
    intercept = None
    if intercepts is not None and intercept_variances is not None:
        intercept = pool(intercepts, intercept_variances, complete_degrees_of_freedom=degrees)
    return PooledFit(
        coef_=pool(coefs, coef_variances, complete_degrees_of_freedom=degrees),
        intercept_=intercept,
        feature_names_=final_step_names(estimators[0], columns),
        estimators_=estimators,
        imputers_=imputers,
    )


def _fit_and_sample(
    imputer: Any,
    X: Any,
    side_info: ArrayLike | None,
    n_draws: int,
    bootstrap: bool,
    rng: np.random.Generator,
) -> tuple[FloatArray, list[Any]]:
    """Draw completed data sets, and give the imputers that they come from."""
    values = read_table(X, "X", number_that_marks(imputer))
    given = side_info_for(imputer, side_info, len(values))
    if not bootstrap:
        fitted = seed_random_states(clone(imputer), partial(next_seed, rng)).fit(X, None, **given)
        return sample_checked(fitted, X, (n_draws, len(values)), rng, given), [fitted]
    required = _required_cells(imputer, values)
    demand = (
        "X must have enough observed cells in each column (and missing ones, if they get an "
        "indicator) for resamples to have some of all, with bootstrap=True"
    )
    of_levels: list[BoolArray] = []
    if getattr(imputer, "unseen_categories", "error") == "error":
        of_levels = list(_cells_of_levels(imputer, X, values))
    if of_levels:
        required = np.hstack([required, *of_levels])
        demand += ", and rows of each category, unless unseen_categories='missing'"
    draws, imputers = [], []
    for _ in range(n_draws):
        rows = resample_rows(required, rng, demand)
        fresh = seed_random_states(clone(imputer), partial(next_seed, rng), every=True)
        of_rows = {name: take_rows(known, rows) for name, known in given.items()}
        fitted = fresh.fit(take_rows(X, rows), None, **of_rows)
        draws.append(sample_checked(fitted, X, (1, len(values)), rng, given)[0])
        imputers.append(fitted)
    widths = sorted({draw.shape[1] for draw in draws})
    if len(widths) > 1:
        raise ValueError(
            "imputer must give as many columns whichever rows it is fitted to, for "
            f"bootstrap=True, got {widths}."
        )
    return np.stack(draws), imputers


def _required_cells(imputer: Any, values: FloatArray) -> BoolArray:
    """Mark cells of which each column must keep one, for the imputer to give the same columns."""
    missing = np.isnan(values)
    required = ~missing[:, ~missing.all(axis=0)]
    if getattr(imputer, "add_indicator", False):
        required = np.hstack([required, missing[:, missing.any(axis=0)]])
    return required


def _cells_of_levels(imputer: Any, X: Any, values: FloatArray) -> Iterator[BoolArray]:
    """Mark the cells of each category, of which a resample that knows it must have one.

    Which columns hold categories is said by their types, or by the imputer's likelihood.
    """
    names = list(getattr(X, "columns", range(values.shape[1])))
    asked = imputer._asked_kinds(names) if isinstance(imputer, BaseImputer) else {}
    places = {place for place, kind in asked.items() if kind in DISCRETE}
    of_frame = read_columns(X, number_that_marks(imputer))
    for place, column in enumerate(of_frame[0].columns if of_frame is not None else ()):
        if column.kind in ("ordinal", "categorical") and place not in asked:
            places.add(place)
    for place in sorted(places):
        levels = values[:, [place]]
        yield levels == np.unique(levels[~np.isnan(levels)])


def _numeric_targets(y: NDArray[Any], estimator: Any, imputer: Any) -> FloatArray:
    """Give y as columns for the imputer: zeros and ones for the classes of a classifier."""
    if is_classifier(estimator):
        of_targets = [mark_classes(target)[:, 1:] for target in y.reshape(len(y), -1).T]
        columns: FloatArray = np.hstack(of_targets).astype(np.float64)
    else:
        columns = as_floats(y, "y").reshape(len(y), -1)
    marker = number_that_marks(imputer)
    if marker is not None and (columns == marker).any():
        raise ValueError(
            "imputer.missing_values must not be a number that is in y, for impute_with_y=True, "
            f"got {marker!r}."
        )
    return columns


def _check_imputer(imputer: Any, bootstrap: bool) -> None:
    if isinstance(imputer, type) or not (hasattr(imputer, "fit") and hasattr(imputer, "sample")):
        raise TypeError(
            "imputer must be an imputer with the methods fit and sample, such as GNRImputer(), "
            f"got {imputer!r}."
        )
    if bootstrap and isinstance(imputer, FrozenEstimator):
        raise ValueError(
            f"bootstrap must be False for an imputer that is not fitted again, got {imputer!r}."
        )


def _check_same_columns(first: Any, fitted: Any, columns: NDArray[Any]) -> None:
    expected, names = (final_step_names(each, columns) for each in (first, fitted))
    if expected is not None and names is not None and not np.array_equal(expected, names):
        raise ValueError(
            "estimator must use the same columns in every completed data set for their "
            f"coefficients to be pooled, got {expected.tolist()} and {names.tolist()}."
        )


def _check_targets(y: ArrayLike, n_rows: int, estimator: Any) -> NDArray[Any]:
    array = np.asarray(y)
    refuse_dates(array, "y")
    targets = gaps_as_nan(array)
    if targets.ndim not in (1, 2) or len(targets) != n_rows or not targets.size:
        raise ValueError(
            f"y must have one row for each of the {n_rows} rows of X, in one or two dimensions, "
            f"got shape {targets.shape}."
        )
    if targets.dtype.kind == "c":
        raise TypeError("y must hold real numbers or classes, got complex numbers.")
    if targets.dtype.kind == "O":
        missing = any(value is None or value != value for value in targets.ravel())
    else:
        missing = targets.dtype.kind == "f" and not np.isfinite(targets).all()
    if missing or np.ma.is_masked(y):
        raise ValueError("y must be finite and have no missing values.")
    if is_classifier(estimator):
        # Each of so many classes would be a column for the imputer.
        kind = type_of_target(targets)
        if kind.startswith(("continuous", "unknown")):
            raise ValueError(f"y must hold classes for {estimator!r}, got {kind} values.")
        if any(len(np.unique(target)) < 2 for target in targets.reshape(n_rows, -1).T):
            raise ValueError(f"y must hold two classes or more for {estimator!r}, got one.")
    return targets
