"""Coefficients of fitted linear models, and how far they vary from sample to sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from gnr_sklearn._sklearn import take_rows
from gnr_sklearn._types import BoolArray, FloatArray

__all__ = [
    "bootstrap_variances",
    "check_variances",
    "coefficients_of",
    "final_step_names",
    "least_squares_variances",
    "mark_classes",
    "resample_rows",
    "residual_degrees_of_freedom",
    "stack",
    "take_rows",
]

# Of coef_ and intercept_ each; None where there is no intercept.
Pair = tuple[FloatArray, FloatArray | None]

# One row is in a resample with probability 0.63, and each of five in one of ten.
MAX_RESAMPLES = 100


def coefficients_of(fitted: Any) -> Pair:
    """Give coef_ and intercept_, of the last step of a Pipeline."""
    final = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    if not hasattr(final, "coef_"):
        raise TypeError(
            "estimator must have coef_ once fitted (its last step if it is a Pipeline), which "
            f"{final!r} does not."
        )
    coef, intercept = np.asarray(final.coef_, np.float64), getattr(final, "intercept_", None)
    if intercept is None or not getattr(final, "fit_intercept", True):
        return coef, None
    return coef, np.asarray(intercept, np.float64)


def stack(pairs: Sequence[Pair]) -> Pair:
    """Turn pairs of arrays into a pair of arrays with one more axis, the first."""
    shapes = sorted({coef.shape for coef, _ in pairs})
    if len(shapes) > 1:
        raise ValueError(
            f"estimator must have coef_ of one shape whichever rows it is fitted to, got {shapes}."
        )
    intercepts = [intercept for _, intercept in pairs if intercept is not None]
    return np.stack([coef for coef, _ in pairs]), np.stack(intercepts) if intercepts else None


def final_step_names(fitted: Any, names: NDArray[Any]) -> NDArray[Any] | None:
    """Follow names of columns through a Pipeline up to its last step; None where they get lost."""
    for _, step in fitted.steps[:-1] if isinstance(fitted, Pipeline) else []:
        if step is None or isinstance(step, str):  # "passthrough"
            continue
        if not hasattr(step, "get_feature_names_out"):
            return None
        names = step.get_feature_names_out(names)
    return names


def residual_degrees_of_freedom(model: LinearRegression, n_rows: int) -> int:
    """Count the rows beyond those that the coefficients take up."""
    return n_rows - int(model.rank_) - bool(model.fit_intercept)


def least_squares_variances(model: LinearRegression, X: FloatArray, y: NDArray[Any]) -> Pair:
    """Give s^2 diag((Z'Z)^-1), with Z the columns of X and that of the intercept."""
    degrees = residual_degrees_of_freedom(model, len(X))
    if degrees < 1:
        raise ValueError(
            "X must have more rows than the model has coefficients, for their variances to be "
            f"estimated, got {len(X)} rows for {len(X) - degrees} coefficients."
        )
    predicted, X = model.predict(X), np.asarray(X, dtype=np.float64)
    mean = X.mean(axis=0) if model.fit_intercept else np.zeros(X.shape[1])
    singular, directions = np.linalg.svd(X - mean, full_matrices=False)[1:]
    # Its product with its transpose is the inverse of X'X about the mean; where columns are
    # collinear the pseudo-inverse, by which the coefficients have been found then.
    factor = directions[: model.rank_].T / singular[: model.rank_]
    noise = ((y - predicted) ** 2).sum(axis=0) / degrees
    coef_variance = np.multiply.outer(noise, (factor**2).sum(axis=1))
    return coef_variance, noise * (1.0 / len(X) + ((mean @ factor) ** 2).sum())


def bootstrap_variances(
    fitted: Any, X: FloatArray, y: NDArray[Any], *, n_bootstrap: int, rng: np.random.Generator
) -> Pair:
    """Give the variances of coefficients over fits to rows drawn with replacement."""
    # Not within classes, for the intercept depends on how many rows each class happens to have.
    required = mark_classes(y) if is_classifier(fitted) else np.ones((len(y), 0), dtype=bool)
    fits = []
    for _ in range(n_bootstrap):
        rows = resample_rows(
            required,
            rng,
            "y must have enough rows of each class for resamples to have some of all, unless "
            "there is a coefficient_variance",
        )
        fits.append(coefficients_of(clone(fitted).fit(take_rows(X, rows), y[rows])))
    coefs, intercepts = stack(fits)
    return coefs.var(axis=0, ddof=1), None if intercepts is None else intercepts.var(axis=0, ddof=1)


def resample_rows(required: BoolArray, rng: np.random.Generator, demand: str) -> NDArray[np.int64]:
    """Draw rows with replacement, again until each column of ``required`` has one that is True."""
    for _ in range(MAX_RESAMPLES):
        rows = rng.integers(len(required), size=len(required))
        if required[rows].any(axis=0).all():
            return rows
    raise ValueError(f"{demand}, but {MAX_RESAMPLES} resamples in a row had not.")


def mark_classes(y: NDArray[Any]) -> BoolArray:
    """Give a column for each class of y (of each of its columns), True in the rows of that."""
    columns = y.reshape(len(y), -1).T
    return np.hstack([column[:, None] == np.unique(column) for column in columns])


def check_variances(variances: tuple[ArrayLike, ArrayLike | None], coefficients: Pair) -> Pair:
    """Check what a user's coefficient_variance gives for these coefficients."""
    if not (isinstance(variances, tuple) and len(variances) == 2):
        raise TypeError(
            "coefficient_variance must give a tuple of two: variances of coef_, and of intercept_ "
            f"or None, got {variances!r}."
        )
    (coef, intercept), (coef_variance, intercept_variance) = coefficients, variances
    checked = _check_variance(coef_variance, coef, "coef_")
    if intercept is None or intercept_variance is None:
        return checked, None
    return checked, _check_variance(intercept_variance, intercept, "intercept_")


def _check_variance(variance: ArrayLike, coefficient: FloatArray, name: str) -> FloatArray:
    array = np.asarray(variance, dtype=np.float64)
    if array.shape != coefficient.shape or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            f"coefficient_variance must give variances of {name}, finite, 0 or more and of shape "
            f"{coefficient.shape}, got {variance!r}."
        )
    return array
