"""Pooled coefficients of estimators other than least squares, and wrong arguments."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDRegressor,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from gnr_sklearn import GNRImputer, MICEImputer
from gnr_sklearn.multiple import draw_imputations, fit_pooled
from tests.multiple.normal_draws import NormalImputer, make_regression, pool_from_x
from tests.sensitivity.drawing_imputers import GivenImputer


def test_bootstrap_agrees_with_least_squares():
    X, y = make_regression(300)
    options = {"n_bootstrap": 300, "random_state": 0}
    exact = fit_pooled(LinearRegression(), NormalImputer(), X, y, 2, **options)
    ridge = fit_pooled(Ridge(alpha=1e-9), NormalImputer(), X, y, 2, **options)
    assert_allclose(ridge.coef_.estimate, exact.coef_.estimate, rtol=1e-6)
    assert_allclose(ridge.coef_.between_variance, exact.coef_.between_variance, rtol=1e-5)
    assert_allclose(ridge.coef_.within_variance, exact.coef_.within_variance, rtol=0.3)
    assert ridge.intercept_.within_variance == pytest.approx(
        exact.intercept_.within_variance, rel=0.3
    )
    assert not np.isclose(ridge.coef_.within_variance, exact.coef_.within_variance).any()


def test_which_variances_are_of_least_squares():
    """Degrees of freedom tell: those of resamples are infinite where nothing is missing."""
    X, y = make_regression(30, missing=0.0)

    def degrees(estimator, **options):
        fit = fit_pooled(estimator, NormalImputer(), X, y, 2, n_bootstrap=3, **options)
        return fit.coef_.degrees_of_freedom.tolist()

    assert degrees(LinearRegression()) == [27, 27]
    assert degrees(LinearRegression(positive=True)) == [np.inf, np.inf]
    assert degrees(make_pipeline(StandardScaler(), LinearRegression())) == [np.inf, np.inf]
    assert degrees(Ridge(), complete_degrees_of_freedom=27) == [27, 27]
    assert degrees(LinearRegression(), complete_degrees_of_freedom=5) == [5, 5]


def test_intercept_of_a_classifier():
    """It is log(p / (1 - p)), of variance 1 / (n p (1 - p)); resampling within classes has none."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 1)), np.arange(300) < 90
    model = LogisticRegression(C=1e4)
    fit = fit_pooled(model, NormalImputer(), X, y, 2, n_bootstrap=150, random_state=0)
    assert fit.coef_.estimate.shape == (1, 1)
    assert fit.intercept_.estimate == pytest.approx(np.log(0.3 / 0.7), abs=0.02)
    assert fit.intercept_.total_variance == pytest.approx(1 / (300 * 0.3 * 0.7), rel=0.3)


@pytest.mark.parametrize(
    ("estimator", "shape"),
    [
        (Ridge(), (2,)),
        (PoissonRegressor(), (2,)),
        (SGDRegressor(), (2,)),
        (LogisticRegression(fit_intercept=False), (1, 2)),
        (LinearSVC(), (1, 2)),
        (make_pipeline(StandardScaler(), LogisticRegression()), (1, 2)),
        (make_pipeline("passthrough", PolynomialFeatures(2), Ridge()), (6,)),
    ],
    ids=["Ridge", "Poisson", "SGD", "Logistic", "SVC", "scaled", "polynomial"],
)
def test_estimators_with_coefficients(estimator, shape):
    X, y = make_regression(60)
    y = (y > 3).astype(int)
    state = np.random.get_state()  # noqa: NPY002
    options = {"n_bootstrap": 4, "random_state": 0}
    fit = fit_pooled(estimator, NormalImputer(), X, y, 3, **options)
    assert_array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002
    again = fit_pooled(estimator, NormalImputer(), X, y, 3, **options)
    assert fit.coef_.estimate.shape == shape
    assert (fit.coef_.standard_error[..., -2:] > 0).all()
    assert_array_equal(fit.coef_.total_variance, again.coef_.total_variance)
    if getattr(estimator, "fit_intercept", True):
        assert np.shape(fit.intercept_.estimate) == np.shape(again.intercept_.estimate)
        assert np.all(np.asarray(fit.intercept_.standard_error) > 0)
    else:
        assert fit.intercept_ is None
    assert not hasattr(estimator, "n_features_in_")
    if shape == (6,):
        assert fit.feature_names_.tolist() == ["1", "x0", "x1", "x0^2", "x0 x1", "x1^2"]


def test_names_end_at_a_step_that_has_none():
    X, y = make_regression(30)
    model = make_pipeline(FunctionTransformer(np.exp), Ridge())
    fit = fit_pooled(model, NormalImputer(), X, y, 2, n_bootstrap=2)
    assert fit.feature_names_ is None


def test_rare_classes_are_in_every_resample():
    X, _ = make_regression(40)
    labels = np.array(["rare", *["a", "b"] * 19, "b"], dtype=object)
    fit = fit_pooled(
        LogisticRegression(), NormalImputer(), X, labels, 2, n_bootstrap=20, random_state=0
    )
    assert fit.coef_.estimate.shape == (3, 2)
    assert (fit.coef_.within_variance > 0).all()


def test_too_many_rare_classes():
    X, _ = make_regression(60)
    labels = np.minimum(np.arange(60), 25)
    with pytest.raises(ValueError, match=r"^y must have enough rows of each class"):
        fit_pooled(LogisticRegression(), NormalImputer(), X, labels, 2, random_state=0)


def test_variances_of_ones_own():
    X, y = make_regression(30)
    calls = []

    def variance(fitted, completed, targets):
        calls.append((fitted, completed, targets))
        return np.array([1.0, 4.0]), 9.0

    model = make_pipeline(StandardScaler(), LinearRegression())
    fit = pool_from_x(
        model, NormalImputer(), X, y, 3, coefficient_variance=variance, random_state=0
    )
    assert_array_equal(fit.coef_.within_variance, [1.0, 4.0])
    assert fit.intercept_.within_variance == 9.0
    assert [call[0] for call in calls] == fit.estimators_
    draws = draw_imputations(NormalImputer(), X, 3, random_state=0)
    assert_array_equal(np.stack([call[1] for call in calls]), draws)
    assert_array_equal(calls[0][2], y)

    def coef_only(fitted, completed, targets):
        return [1.0, 4.0], None

    fit = pool_from_x(model, NormalImputer(), X, y, 3, coefficient_variance=coef_only)
    assert fit.intercept_ is None


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (np.ones(2), TypeError, r"coefficient_variance must give a tuple of two"),
        (([1.0], 1.0), ValueError, r"coefficient_variance must give variances of coef_"),
        (([1.0, -1.0], 1.0), ValueError, r"coefficient_variance must give variances of coef_"),
        (([1.0, np.nan], 1.0), ValueError, r"coefficient_variance must give variances of coef_"),
        (([1.0, 1.0], [1.0]), ValueError, r"coefficient_variance must give variances of inter"),
    ],
)
def test_bad_variances_of_ones_own(given, kind, message):
    X, y = make_regression(30)
    with pytest.raises(kind, match=f"^{message}"):
        fit_pooled(Ridge(), NormalImputer(), X, y, coefficient_variance=lambda *_: given)


def test_coefficients_of_different_columns_are_not_pooled():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(30)
    columns = np.column_stack([y, rng.standard_normal(30)])
    imputer = GivenImputer(draws=np.stack([columns, columns[:, ::-1]]))
    model = make_pipeline(SelectKBest(f_regression, k=1), LinearRegression())
    with pytest.raises(ValueError, match=r"^estimator must use the same .* \['x0'\] and \['x1'\]"):
        pool_from_x(model, imputer, columns, y, 2, n_bootstrap=2)


def test_coefficients_of_changing_number_are_not_pooled():
    class Fickle(Ridge):
        def fit(self, X, y):
            super().fit(X, y)
            self.coef_ = self.coef_[: 1 + (X[0, 0] > 0)]
            return self

    draws = np.random.default_rng(0).standard_normal((2, 9, 2))
    draws[:, 0, 0] = [-1.0, 1.0]
    with pytest.raises(ValueError, match=r"^estimator must have coef_ of one shape"):
        pool_from_x(
            Fickle(),
            GivenImputer(draws=draws),
            draws[0],
            np.arange(9.0),
            2,
            coefficient_variance=lambda fitted, *_: (np.ones_like(fitted.coef_), None),
        )


class SeenColumns(NormalImputer):
    """Remembers how many columns it was given."""

    def fit(self, X, y=None):
        self.n_columns_ = np.shape(X)[1]
        return super().fit(X, y)


def test_each_of_several_targets_gives_its_classes_but_the_first():
    X, _ = make_regression(60)
    y = (np.random.RandomState(0).uniform(size=(60, 2)) < 0.5).astype(int)
    fit = fit_pooled(RidgeClassifier(), SeenColumns(), X, y, n_draws=2, n_bootstrap=3)
    assert fit.imputers_[0].n_columns_ == X.shape[1] + 2


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"imputer": MICEImputer()}, TypeError, r"imputer must be .* fit and sample, .* MICEImp"),
        ({"imputer": GNRImputer}, TypeError, r"imputer must be an imputer with the methods"),
        ({"estimator": "ols"}, TypeError, r"estimator must be an estimator with a fit method"),
        ({"estimator": Ridge}, TypeError, r"estimator must be an estimator with a fit method"),
        ({"estimator": KNeighborsRegressor()}, TypeError, r"estimator must have coef_ once fitt"),
        ({"n_draws": 1}, ValueError, r"n_draws must be at least 2, got 1"),
        ({"n_draws": 2.0}, TypeError, r"n_draws must be an int, got 2.0"),
        ({"n_draws": True}, TypeError, r"n_draws must be an int"),
        ({"n_bootstrap": 1}, ValueError, r"n_bootstrap must be at least 2"),
        ({"bootstrap": 200}, TypeError, r"bootstrap must be True or False, got 200"),
        ({"impute_with_y": "yes"}, TypeError, r"impute_with_y must be True or False"),
        ({"coefficient_variance": 1.0}, TypeError, r"coefficient_variance must be None or a func"),
        ({"complete_degrees_of_freedom": -1}, ValueError, r"complete_degrees_of_freedom must be"),
        ({"complete_degrees_of_freedom": [9, 9]}, ValueError, r"complete_degrees_of_freedom must"),
        ({"random_state": "seed"}, TypeError, r"random_state must be None, an int"),
        ({"random_state": -1}, ValueError, r"random_state must not be negative"),
        ({"X": [1.0, 2.0]}, ValueError, r"X must be a matrix"),
        ({"X": [["a"], ["b"]]}, ValueError, r"X must be a dense numeric"),
        ({"y": np.ones(29)}, ValueError, r"y must have one row for each of the 30 .*\(29,\)"),
        ({"y": None}, ValueError, r"y must have one row for each of the 30 rows of X"),
        ({"y": [np.nan] * 30}, ValueError, r"y must be finite"),
        ({"y": ["a"] * 30, "impute_with_y": True}, ValueError, r"y must be an array of numbers"),
    ],
)
def test_bad_arguments_of_fit_pooled(changes, kind, message):
    class Untouched(NormalImputer):
        def fit(self, X, y=None):
            assert isinstance(changes.get("estimator"), KNeighborsRegressor), "work before checks"
            return super().fit(X)

    X, y = make_regression(30)
    arguments = {"estimator": Ridge(), "imputer": Untouched(), "X": X, "y": y, "n_draws": 2}
    with pytest.raises(kind, match=f"^{message}"):
        fit_pooled(**{**arguments, **changes})


@pytest.mark.parametrize(
    "y",
    [
        np.ma.masked_array(np.arange(60.0), np.arange(60) % 3 == 0),
        np.ma.masked_array([0, 1] * 30, np.arange(60) == 5),
        pd.Series([True, None, False] * 20, dtype="boolean"),
        pd.Series(["a", None, "b"] * 20, dtype="string"),
        pd.Series([1, None, 2] * 20, dtype="Int64"),
    ],
    ids=["masked", "masked integers", "boolean", "string", "Int64"],
)
def test_targets_that_are_missing(y):
    X = make_regression(60)[0]
    with pytest.raises(ValueError, match="y must be finite and have no missing values"):
        fit_pooled(LogisticRegression(), NormalImputer(), X, y, 2)


class Untouched:
    """An imputer that must not be fitted."""

    def __init__(self):
        self.missing_values = np.nan

    def get_params(self, deep=True):
        return {}

    def fit(self, *args, **kwargs):
        raise AssertionError("fitted")

    sample = fit


@pytest.mark.parametrize(
    ("y", "estimator", "message"),
    [
        (np.linspace(0, 1, 20) + 0.01, LogisticRegression(), "y must hold classes"),
        (np.ones(20), LogisticRegression(), "y must hold two classes or more"),
        (np.arange(20) + 1j, LinearRegression(), "y must hold real numbers or classes"),
        (np.empty((20, 0)), LinearRegression(), "y must have one row for each of the 20 rows"),
        (np.arange(20).astype("M8[D]"), LinearRegression(), "y must hold numbers, not dates"),
    ],
)
@pytest.mark.parametrize("impute_with_y", [True, False])
def test_what_cannot_be_explained_is_refused_before_anything_is_imputed(
    y, estimator, message, impute_with_y
):
    X = np.random.default_rng(0).normal(size=(20, 2))
    X[::4, 0] = np.nan
    with pytest.raises((ValueError, TypeError), match=message):
        fit_pooled(estimator, Untouched(), X, y, impute_with_y=impute_with_y)
