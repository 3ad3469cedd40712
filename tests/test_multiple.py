"""Multiple imputation and pooled fits against closed forms; see test_pooling.py for the rules."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
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

from gnr_sklearn import GNRImputer, MICEImputer, MIWAEImputer
from gnr_sklearn.multiple import draw_imputations, fit_pooled, pool
from tests.contract import SMALL_NET, paper_gnr

FIELDS = [
    "estimate",
    "within_variance",
    "between_variance",
    "total_variance",
    "degrees_of_freedom",
    "fraction_missing_information",
]


class NormalImputer(BaseEstimator):
    """Draws the gaps of each column from its normal regression on the other columns.

    The others must be complete. The parameters are those fitted, without uncertainty.
    """

    def __init__(self, random_state=None, missing_values=np.nan, add_indicator=False):
        self.random_state = random_state
        self.missing_values = missing_values
        self.add_indicator = add_indicator

    def fit(self, X, y=None):
        X, self.marked_ = self._read(X)
        self.models_ = {}
        for j in np.flatnonzero(np.isnan(X).any(axis=0)):
            seen = ~np.isnan(X[:, j])
            assert seen.any()
            Z = self._design(X, j)
            beta = np.linalg.lstsq(Z[seen], X[seen, j])[0]
            self.models_[j] = beta, np.std(X[seen, j] - Z[seen] @ beta)
        return self

    def sample(self, X, n_draws=5, random_state=None):
        rng = np.random.default_rng(random_state)
        X, marked = self._read(X)
        draws = np.repeat(X[None], n_draws, axis=0)
        for j, (beta, sd) in self.models_.items():
            gaps = np.isnan(X[:, j])
            mean = self._design(X, j)[gaps] @ beta
            draws[:, gaps, j] = mean + sd * rng.standard_normal((n_draws, gaps.sum()))
        if not self.add_indicator:
            return draws
        columns = self.marked_.any(axis=0)
        return np.stack([np.hstack([draw, marked[:, columns]]) for draw in draws])

    def _read(self, X):
        X = np.array(X, dtype=float)
        X[self.missing_values == X] = np.nan
        return X, np.isnan(X)

    @staticmethod
    def _design(X, j):
        return np.column_stack([np.ones(len(X)), np.delete(X, j, axis=1)])


# What comes of it can be compared with closed forms: the imputer is the same for all targets.
pool_from_x = partial(fit_pooled, impute_with_y=False)


class GivenDraws(BaseEstimator):
    """Samples what it is told to."""

    def __init__(self, draws):
        self.draws = draws

    def fit(self, X, y=None):
        return self

    def sample(self, X, n_draws=5, random_state=None):
        return self.draws


def make_regression(n=200, missing=0.4, seed=0):
    """Two correlated columns, the first with gaps, and y = 3 + x0 + 2 x1 + noise."""
    rng = np.random.default_rng(seed)
    x1 = rng.standard_normal(n)
    x0 = 0.5 * x1 + rng.standard_normal(n)
    X = np.column_stack([x0, x1])
    y = 3.0 + X @ [1.0, 2.0] + rng.standard_normal(n)
    X[rng.uniform(size=n) < missing, 0] = np.nan
    return X, y


def least_squares(X, y, intercept=True):
    """Textbook coefficients and variances; with an intercept, the last of each is its."""
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    inverse = np.linalg.inv(Z.T @ Z)
    beta = inverse @ Z.T @ y
    variance = ((y - Z @ beta) ** 2).sum() / (len(Z) - Z.shape[1])
    return beta, variance * np.diag(inverse)


# Completed data sets


@pytest.fixture(scope="module")
def half_seen():
    """400 standard normals, half of them missing."""
    X = np.random.default_rng(1).standard_normal((400, 1))
    X[::2] = np.nan
    return X


@pytest.mark.parametrize("bootstrap", [False, True])
def test_variance_of_a_mean(half_seen, bootstrap):
    """That of the 200 values seen, if the draws hold the uncertainty about mean and sd."""
    draws = draw_imputations(NormalImputer(), half_seen, 400, bootstrap=bootstrap, random_state=0)
    pooled = pool(draws.mean(axis=(1, 2)), draws.var(axis=(1, 2), ddof=1) / 400)
    variance = np.nanvar(half_seen)
    noise, parameters = 200 * variance / 400**2, (200 / 400) ** 2 * variance / 200
    expected = noise + parameters if bootstrap else noise
    # The variance of 400 numbers has a standard error of 7 %.
    assert pooled.between_variance == pytest.approx(expected, rel=0.2)
    assert pooled.within_variance == pytest.approx(variance / 400, rel=0.02)
    if bootstrap:
        assert pooled.total_variance == pytest.approx(variance / 200, rel=0.1)
    else:
        assert pooled.total_variance < 0.85 * variance / 200


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("as_frame", [None, pd.DataFrame, pl.DataFrame])
def test_draws_keep_what_is_observed(bootstrap, as_frame):
    X, _ = make_regression(40)
    before = X.copy()
    table = X if as_frame is None else as_frame(X)
    draws = draw_imputations(NormalImputer(), table, 3, bootstrap=bootstrap, random_state=0)
    assert draws.shape == (3, 40, 2)
    observed = ~np.isnan(X)
    assert_array_equal(draws[:, observed], np.broadcast_to(X[observed], (3, observed.sum())))
    gaps = np.isnan(X[:, 0])
    assert (np.ptp(draws[:, gaps, 0], axis=0) > 0).all()
    assert_array_equal(np.asarray(table), before)
    # The kind of table makes no difference.
    plain = draw_imputations(NormalImputer(), X, 3, bootstrap=bootstrap, random_state=0)
    assert_array_equal(draws, plain)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_chance_comes_from_random_state_alone(bootstrap):
    X, _ = make_regression(30)
    state = np.random.get_state()  # noqa: NPY002

    def draw(random_state):
        return draw_imputations(
            NormalImputer(), X, 2, bootstrap=bootstrap, random_state=random_state
        )

    assert_array_equal(draw(3), draw(3))
    for make in (np.random.default_rng, np.random.RandomState):
        assert_array_equal(draw(make(3)), draw(make(3)))
    assert (draw(3) != draw(4)).any()
    assert (draw(None) != draw(None)).any()
    assert_array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002


def test_seeds_of_the_imputer():
    X, y = make_regression(30)

    def seeds(imputer, **options):
        fit = fit_pooled(LinearRegression(), imputer, X, y, 4, random_state=0, **options)
        return [each.random_state for each in fit.imputers_]

    given = NormalImputer(random_state=7)
    assert seeds(given) == [7]
    assert seeds(NormalImputer())[0] is not None
    assert len({*seeds(given, bootstrap=True), 7}) == 5
    assert given.get_params()["random_state"] == 7
    assert not hasattr(given, "models_")


def test_an_imputer_that_is_frozen_is_not_fitted_again():
    X, _ = make_regression(60)
    fitted = NormalImputer().fit(X)
    models = fitted.models_
    draws = draw_imputations(FrozenEstimator(fitted), X[:20], 3, random_state=0)
    assert draws.shape == (3, 20, 2)
    assert fitted.models_ is models
    assert not np.isnan(draws).any()


def test_resamples_keep_what_the_columns_need():
    """One observed cell in column 0, one gap in column 1: each resample has both."""
    X = np.arange(24.0).reshape(12, 2)
    X[1:, 0] = np.nan
    draws = draw_imputations(NormalImputer(), X[:, :1], 20, bootstrap=True, random_state=0)
    assert_array_equal(draws, np.zeros((20, 12, 1)))
    # With the numeric marker of another imputer too, whose stub asserts that some are observed.
    marked = np.nan_to_num(X[:, :1], nan=-1.0)
    draws = draw_imputations(
        NormalImputer(missing_values=-1), marked, 20, bootstrap=True, random_state=0
    )
    assert_array_equal(draws, np.zeros((20, 12, 1)))
    X = np.arange(24.0).reshape(12, 2)
    X[5, 1] = np.nan
    imputer = NormalImputer(add_indicator=True)
    draws = draw_imputations(imputer, X, 20, bootstrap=True, random_state=0)
    assert_array_equal(draws[:, :, 2], np.broadcast_to(np.arange(12) == 5, (20, 12)))


def test_columns_that_resamples_keep_losing():
    X = np.full((60, 60), np.nan)
    np.fill_diagonal(X, 1.0)
    with pytest.raises(ValueError, match=r"^X must have enough observed cells in each column"):
        draw_imputations(NormalImputer(), X, 2, bootstrap=True, random_state=0)


def test_columns_that_come_and_go():
    class Fickle(NormalImputer):
        def sample(self, X, n_draws=5, random_state=None):
            return np.ones((n_draws, len(X), 1 + self.random_state % 2))

    with pytest.raises(ValueError, match=r"^imputer must give as many columns .* got \[1, 2\]"):
        draw_imputations(Fickle(), np.ones((5, 1)), 20, bootstrap=True, random_state=0)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (np.ones((2, 5)), r"imputer.sample must give floats of shape \(2, 5, 'd_out'\)"),
        (np.ones((3, 5, 1)), r"imputer.sample must give floats"),
        (np.ones((2, 4, 1)), r"imputer.sample must give floats"),
        (np.ones((2, 5, 1), dtype=object), r"imputer.sample must give floats .* got object"),
        (np.full((2, 5, 1), np.nan), r"imputer.sample must give finite numbers"),
    ],
)
def test_bad_draws(drawn, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        draw_imputations(GivenDraws(drawn), np.ones((5, 1)), 2)


# Least squares


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


# Other estimators


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
    imputer = GivenDraws(np.stack([columns, columns[:, ::-1]]))
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
            GivenDraws(draws),
            draws[0],
            np.arange(9.0),
            2,
            coefficient_variance=lambda fitted, *_: (np.ones_like(fitted.coef_), None),
        )


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
    ("changes", "kind", "message"),
    [
        ({"imputer": MICEImputer()}, TypeError, r"imputer must be an imputer with the methods"),
        ({"n_draws": 0}, ValueError, r"n_draws must be at least 1"),
        ({"bootstrap": None}, TypeError, r"bootstrap must be True or False"),
        ({"random_state": 0.5}, TypeError, r"random_state must be None, an int"),
        ({"X": [[np.inf]]}, ValueError, r"X must hold finite numbers or NaN"),
    ],
)
def test_bad_arguments_of_draw_imputations(changes, kind, message):
    arguments = {"imputer": NormalImputer(), "X": np.ones((3, 1))}
    with pytest.raises(kind, match=f"^{message}"):
        draw_imputations(**{**arguments, **changes})


# With an imputer of the package


@pytest.fixture(scope="module")
def frame():
    """An empty column, dropped, and one whose gaps get an indicator; float32."""
    X, y = make_regression(60, missing=0.3)
    table = pd.DataFrame({"gaps": X[:, 0], "empty": np.nan, "whole": X[:, 1]})
    return table.astype(np.float32), pd.Series(y, index=range(100, 160))


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("impute_with_y", [False, True])
def test_gnr(frame, bootstrap, impute_with_y):
    X, y = frame
    imputer = paper_gnr(**SMALL_NET, add_indicator=True)
    options = {"bootstrap": bootstrap, "impute_with_y": impute_with_y, "random_state": 0}
    before = X.copy()
    fit = fit_pooled(LinearRegression(), imputer, X, y, 3, **options)
    names = ["gaps", "whole", "missingindicator_gaps", "missingindicator_empty"]
    assert fit.feature_names_.tolist() == names
    assert fit.estimators_[0].coef_.dtype == np.float64
    # The indicator of the empty column is constant.
    assert (fit.coef_.standard_error[:3] > 0).all()
    assert fit.coef_.between_variance[0] > 0
    assert 1.5 < fit.coef_.estimate[1] < 3.0
    assert len(fit.imputers_) == (3 if bootstrap else 1)
    assert fit.imputers_[0].n_features_in_ == 3 + impute_with_y
    again = fit_pooled(LinearRegression(), imputer, X, y, 3, **options)
    assert_array_equal(again.coef_.estimate, fit.coef_.estimate)
    assert not hasattr(imputer, "net_")
    assert X.equals(before)


def test_gnr_of_a_classifier(frame):
    X, y = frame
    labels = np.where(y > 3, "high", "low")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    fit = fit_pooled(model, paper_gnr(**SMALL_NET), X, labels, 2, n_bootstrap=10, random_state=0)
    assert fit.feature_names_.tolist() == ["gaps", "whole"]
    assert fit.coef_.estimate.shape == (1, 2)
    assert fit.coef_.estimate[0, 1] < 0  # "low" comes last
    assert fit.coef_.within_variance.min() > 0


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


def test_pandas_na_as_a_marker():
    X, y = make_regression(60)
    imputer = MIWAEImputer(**SMALL_NET, missing_values=pd.NA)
    fit = fit_pooled(LinearRegression(), imputer, X, y, n_draws=2, random_state=0)
    plain = MIWAEImputer(**SMALL_NET)
    expected = fit_pooled(LinearRegression(), plain, X, y, n_draws=2, random_state=0)
    assert_array_equal(fit.coef_.estimate, expected.coef_.estimate)


def test_resamples_keep_the_categories_that_a_likelihood_declares():
    """One row of forty has the third level, which one of six resamples nearly always lacks."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=40), rng.integers(0, 2, size=40)]).astype(float)
    X[5, 1], X[3, 0], X[9, 1] = 2.0, np.nan, np.nan
    imputer = MIWAEImputer(**SMALL_NET | {"max_iter": 2}, likelihood={1: "categorical"})
    draws = draw_imputations(imputer, X, 6, bootstrap=True, random_state=0)
    assert np.isin(draws[:, 9, 1], (0.0, 1.0, 2.0)).all()
    imputer.set_params(missing_values=-9)
    marked = np.nan_to_num(X, nan=-9)
    assert draw_imputations(imputer, marked, 3, bootstrap=True, random_state=0).shape == (3, 40, 2)
    frame = pd.DataFrame({"a": marked[:, 0], "b": np.where(marked[:, 1] == 2, 1, marked[:, 1])})
    imputer.set_params(likelihood={"b": "bernoulli"})
    draws = draw_imputations(imputer, frame.astype({"b": int}), 2, bootstrap=True, random_state=0)
    assert draws.shape == (2, 40, 2)


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


def test_categories_that_resamples_keep_losing():
    towns = ["big"] * 275 + [f"town {k}" for k in range(25)]
    X = pd.DataFrame({"x": np.arange(300.0), "town": towns})
    X.loc[::5, "x"] = np.nan
    imputer = MIWAEImputer(**SMALL_NET | {"max_iter": 2})
    with pytest.raises(ValueError, match="rows of each category, unless unseen_categories='miss"):
        draw_imputations(imputer, X, 2, bootstrap=True, random_state=0)
    imputer.set_params(unseen_categories="missing")
    assert draw_imputations(imputer, X, 2, bootstrap=True, random_state=0).shape == (2, 300, 2)
