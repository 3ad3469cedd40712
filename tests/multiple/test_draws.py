"""Completed data sets: their variance, their randomness, and what resamples keep."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression

from gnr_sklearn import MICEImputer, MIWAEImputer
from gnr_sklearn.multiple import draw_imputations, fit_pooled, pool
from tests.contract import SMALL_NET
from tests.multiple.normal_draws import NormalImputer, make_regression
from tests.sensitivity.drawing_imputers import GivenImputer


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
        draw_imputations(GivenImputer(draws=drawn), np.ones((5, 1)), 2)


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


def test_categories_that_resamples_keep_losing():
    towns = ["big"] * 275 + [f"town {k}" for k in range(25)]
    X = pd.DataFrame({"x": np.arange(300.0), "town": towns})
    X.loc[::5, "x"] = np.nan
    imputer = MIWAEImputer(**SMALL_NET | {"max_iter": 2})
    with pytest.raises(ValueError, match="rows of each category, unless unseen_categories='miss"):
        draw_imputations(imputer, X, 2, bootstrap=True, random_state=0)
    imputer.set_params(unseen_categories="missing")
    assert draw_imputations(imputer, X, 2, bootstrap=True, random_state=0).shape == (2, 300, 2)
