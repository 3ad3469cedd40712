"""Pooled least squares against what Rubin's rules make of textbook formulas."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, LogisticRegression

from gnr_sklearn.multiple import draw_imputations, fit_pooled, pool
from tests.multiple.normal_draws import (
    FIELDS,
    NormalImputer,
    least_squares,
    make_regression,
    pool_from_x,
)


def pooled_by_hand(draws, y, intercept=True):
    betas, variances = zip(*(least_squares(draw, y, intercept) for draw in draws), strict=True)
    degrees = len(y) - len(betas[0])
    return pool(betas, variances, complete_degrees_of_freedom=degrees)


def assert_same(pooled, expected, part):
    for field in FIELDS:
        assert_allclose(getattr(pooled, field), getattr(expected, field)[part], rtol=1e-6)


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("as_frame", [False, True])
def test_least_squares(bootstrap, as_frame):
    X, y = make_regression()
    table = pd.DataFrame(X, columns=["a", "b"]) if as_frame else X
    options = {"bootstrap": bootstrap, "random_state": 0}
    fit = pool_from_x(LinearRegression(), NormalImputer(), table, y, 7, **options)
    expected = pooled_by_hand(draw_imputations(NormalImputer(), table, 7, **options), y)
    assert_same(fit.coef_, expected, slice(0, 2))
    assert_same(fit.intercept_, expected, 2)
    assert (expected.fraction_missing_information > 0.001).all()
    assert len(fit.estimators_) == 7
    assert_allclose(np.mean([each.coef_ for each in fit.estimators_], axis=0), fit.coef_.estimate)
    assert len(fit.imputers_) == (7 if bootstrap else 1)
    assert all(hasattr(each, "models_") for each in fit.imputers_)
    assert fit.feature_names_.tolist() == (["a", "b"] if as_frame else ["x0", "x1"])


def test_least_squares_without_intercept():
    X, y = make_regression()
    fit = pool_from_x(
        LinearRegression(fit_intercept=False), NormalImputer(), X, y, 5, random_state=0
    )
    draws = draw_imputations(NormalImputer(), X, 5, random_state=0)
    assert fit.intercept_ is None
    assert_same(fit.coef_, pooled_by_hand(draws, y, intercept=False), slice(None))


def test_least_squares_of_several_targets():
    X, y = make_regression()
    targets = np.column_stack([y, X[:, 1] + np.sin(10 * y)])
    fit = pool_from_x(LinearRegression(), NormalImputer(), X, targets, 4, random_state=0)
    assert fit.coef_.estimate.shape == (2, 2)
    for k in range(2):
        one = pool_from_x(LinearRegression(), NormalImputer(), X, targets[:, k], 4, random_state=0)
        assert_same(one.coef_, fit.coef_, k)
        assert_same(one.intercept_, fit.intercept_, k)
    column = pool_from_x(LinearRegression(), NormalImputer(), X, targets[:, :1], 4, random_state=0)
    assert column.coef_.estimate.shape == (1, 2)
    assert_same(column.coef_, fit.coef_, slice(0, 1))


def test_nothing_missing_is_ordinary_least_squares():
    X, y = make_regression(50, missing=0.0)
    # In other units, and far from 0.
    X = X * [1e-2, 1e2] + [5.0, 1e4]
    fit = pool_from_x(LinearRegression(), NormalImputer(), X, y, 2)
    beta, variance = least_squares(X - X.mean(axis=0), y)
    assert_allclose(fit.coef_.estimate, beta[:2], rtol=1e-6)
    assert_allclose(fit.coef_.total_variance, variance[:2], rtol=1e-6)
    assert_array_equal(fit.coef_.degrees_of_freedom, [47, 47])
    assert fit.intercept_.degrees_of_freedom == 47
    slopes = np.linalg.inv((X - X.mean(axis=0)).T @ (X - X.mean(axis=0))) * variance[2] * 50
    at_origin = variance[2] + X.mean(axis=0) @ slopes @ X.mean(axis=0)
    assert fit.intercept_.total_variance == pytest.approx(at_origin, rel=1e-6)


def test_collinear_columns():
    """A column of zeros, as of an imputer that keeps empty ones, and one that is there twice."""
    X, y = make_regression(60, missing=0.0)
    wide = np.column_stack([X[:, 0], np.zeros(60), X[:, 1], X[:, 1]])
    fit = pool_from_x(LinearRegression(), NormalImputer(), wide, y, 2)
    plain = pool_from_x(LinearRegression(), NormalImputer(), X, y, 2)
    assert_allclose(fit.coef_.estimate[:2], [plain.coef_.estimate[0], 0.0], atol=1e-12)
    assert_allclose(fit.coef_.standard_error[:2], [plain.coef_.standard_error[0], 0.0])
    # Each of the twins has half of the coefficient.
    assert_allclose(fit.coef_.standard_error[2:], [plain.coef_.standard_error[1] / 2] * 2)
    assert_array_equal(fit.coef_.degrees_of_freedom, [57] * 4)


def test_more_coefficients_than_rows():
    with pytest.raises(ValueError, match=r"^X must have more rows .* got 3 rows for 3 coeff"):
        fit_pooled(LinearRegression(), NormalImputer(), np.eye(3)[:, :2], [1.0, 2.0, 4.0], 2)


def test_columns_imputed_with_y_have_the_right_coefficients():
    """Without y, what is imputed weakens the relation with y."""
    X, y = make_regression(2000)
    with_y, without_y = (
        fit_pooled(
            LinearRegression(), NormalImputer(), X, y, 10, impute_with_y=flag, random_state=0
        )
        for flag in (True, False)
    )
    assert_allclose(with_y.coef_.estimate, [1.0, 2.0], atol=0.1)
    assert with_y.intercept_.estimate == pytest.approx(3.0, abs=0.1)
    assert without_y.coef_.estimate[0] == pytest.approx(0.6, abs=0.1)
    assert with_y.feature_names_.tolist() == ["x0", "x1"]
    # The columns of y come first.
    (beta, _), *_ = with_y.imputers_[0].models_.values()
    assert list(with_y.imputers_[0].models_) == [1]
    assert len(beta) == 3


def test_classes_as_columns_for_the_imputer():
    X, y = make_regression(60)
    for labels, n_columns in ((np.where(y > 3, "b", "a"), 1), (np.digitize(y, [2, 4]), 2)):
        fit = fit_pooled(
            LogisticRegression(), NormalImputer(), X, labels, 2, impute_with_y=True, n_bootstrap=2
        )
        assert list(fit.imputers_[0].models_) == [n_columns]
        assert fit.coef_.estimate.shape[1] == 2


def test_marker_that_is_a_value_of_y():
    X, y = np.nan_to_num(make_regression(20)[0], nan=-1.0), np.arange(20.0) - 3
    with pytest.raises(ValueError, match=r"^imputer.missing_values must not be a number that is"):
        fit_pooled(
            LinearRegression(), NormalImputer(missing_values=-1), X, y, 2, impute_with_y=True
        )
