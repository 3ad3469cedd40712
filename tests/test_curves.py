"""Values that are normal on a curve: logarithms, counts, bounded numbers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import lognorm

from gnr_sklearn import GNRImputer, MIWAEImputer
from gnr_sklearn._curves import Curves
from tests.contract import TINY_NET

NO_LIMIT = np.full(4, np.inf)
KINDS = {0: "log_normal", 1: "count", 2: "bounded"}
LOWEST, HIGHEST = (
    np.array([-np.inf, -np.inf, -2.0, -np.inf]),
    np.array([np.inf, np.inf, 3.0, np.inf]),
)


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4))
def test_curves_lead_back_and_their_slope_is_their_derivative(row):
    curves = Curves(KINDS, LOWEST, HIGHEST)
    values = np.array([row])
    values[0, 2] = -2 + 5 * (0.01 + 0.98 * values[0, 2] / 1e3)
    assert_allclose(curves.inverse_transform(curves.transform(values)), values, rtol=1e-9)
    step = 1e-6 * np.abs(values)
    slope = (curves.transform(values + step) - curves.transform(values - step)) / (2 * step)
    assert_allclose(np.exp(curves.log_derivative(values)), slope, rtol=1e-5)


def test_curves_pass_over_what_is_missing_and_select():
    curves = Curves(KINDS, LOWEST, HIGHEST)
    row = np.array([[np.nan, 3.0, np.nan, 5.0]])
    bent = curves.transform(row)
    assert np.isnan(bent[0, [0, 2]]).all()
    assert_allclose(bent[0, [1, 3]], [np.log(4.0), 5.0])
    chosen = curves.select(np.array([3, 1]))
    assert chosen.kinds == {1: "count"}
    assert_allclose(chosen.transform(row[:, [3, 1]]), bent[:, [3, 1]])
    # Bounded values on a bound are as close to it as the margin.
    ends = curves.inverse_transform(curves.transform(np.array([[1.0, 0.0, 3.0, 0.0]])))
    assert_allclose(ends[0, 2], 3.0 - 5.0 * curves.margin)


NET = {"random_state": 0, "hidden_dims": 16, "decoder": "linear", "learning_rate": 0.01}


def make_log_normal(n_rows=1500, seed=0):
    """Two log-normal columns that depend on each other, and the first with holes at random."""
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal([1.0, 0.0], [[1.0, 0.8], [0.8, 1.0]], size=n_rows)
    full = np.exp(z)
    lost = rng.uniform(size=n_rows) < 0.4
    X = full.copy()
    X[lost, 0] = np.nan
    return X, full, lost, z


@pytest.mark.parametrize(
    "imputer",
    [
        MIWAEImputer(**NET, max_iter=800, observation_scale="feature", early_stopping=False),
        GNRImputer(**NET, max_iter=800, prior=None, missing_direction="neither"),
    ],
    ids=["MIWAE", "GNR"],
)
def test_imputed_is_the_mean_of_a_log_normal_distribution(imputer):
    X, _, lost, z = make_log_normal()
    imputer.set_params(likelihood={0: "log_normal", 1: "log_normal"})
    imputed = imputer.fit_transform(X)[lost, 0]
    # The logarithm is normal given the other one, with this mean and variance.
    mean, variance = 1.0 + 0.8 * z[lost, 1], 1.0 - 0.64
    expected = np.exp(mean + variance / 2)
    # Up to what 1500 rows say of both.
    assert np.abs(np.log(imputed / expected)).mean() < 0.08
    assert imputed.sum() == pytest.approx(expected.sum(), rel=0.08)


def test_score_is_a_density_in_the_units_of_the_data():
    X = make_log_normal()[0][:, [1]]
    net = NET | {"max_iter": 500, "n_imputation_samples": 1000, "early_stopping": False}
    imputer = MIWAEImputer(**net, likelihood={0: "log_normal"}).fit(X)
    best = lognorm(s=np.log(X).std(), scale=np.exp(np.log(X).mean())).logpdf(X).mean()
    assert imputer.score(X) == pytest.approx(best, abs=0.02)


def test_counts_are_imputed_by_whole_numbers():
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    X = np.column_stack([rng.poisson(np.exp(1 + 0.7 * z)), z + 0.3 * rng.normal(size=300)])
    X[rng.uniform(size=300) < 0.3, 0] = np.nan
    imputer = MIWAEImputer(**NET | {"max_iter": 100}, likelihood={0: "count"}).fit(X)
    for values in (imputer.transform(X), *imputer.sample(X, 3, random_state=0)):
        assert (values[:, 0] == np.round(values[:, 0])).all()
        assert (values[:, 0] >= 0).all()
        assert len(np.unique(values[np.isnan(X[:, 0]), 0])) > 3


def test_bounded_values_stay_between_their_bounds():
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    X = np.column_stack([1 / (1 + np.exp(-2 * z)), z + 0.3 * rng.normal(size=300)])
    X[rng.uniform(size=300) < 0.3, 0] = np.nan
    bounds = {"min_value": [0, -np.inf], "max_value": [1, np.inf]}
    net = TINY_NET | {"prior": "forest", "max_iter": 100, "missing_direction": "above"}
    imputer = GNRImputer(**net, **bounds, likelihood={0: "bounded"}).fit(X)
    for values in (imputer.transform(X), *imputer.sample(X, 3, random_state=0)):
        assert ((values[:, 0] > 0) & (values[:, 0] < 1)).all()
    assert 0 < imputer.missing_threshold_[0] < 1


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ("log_normal", "X must hold positive numbers in column 'b', .* 'log_normal', got -1"),
        ("count", "X must hold whole numbers that are not negative in column 'b', .* got -1"),
        ("bounded", "likelihood must not be 'bounded' for column 'b' unless min_value and max_v"),
    ],
)
def test_values_that_a_distribution_does_not_have(likelihood, message):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, np.nan]})
    imputer = MIWAEImputer(**NET | {"max_iter": 1}, likelihood={"b": likelihood})
    wrong = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [1.0, -1.0, np.nan]})
    with pytest.raises(ValueError, match=message):
        imputer.fit(wrong)
    if likelihood != "bounded":
        imputer.fit(frame)
    else:
        imputer.set_params(min_value=0, max_value=5).fit(frame)
        message = "X must hold numbers from 0 to 5 in column 'b'"
    with pytest.raises(ValueError, match=message):
        imputer.transform(wrong)
    with pytest.raises(ValueError, match="scaling must be 'observed' or None"):
        imputer.set_params(scaling="shared").fit(frame)


@pytest.mark.parametrize("prior", [None, "forest"])
def test_what_is_imputed_on_a_curve_is_the_mean_of_its_draws(prior):
    """Also where values decide, which then are not normal on the curve."""
    X, full, *_ = make_log_normal(600)
    X[:, 0] = np.where(full[:, 0] > np.median(full[:, 0]), np.nan, full[:, 0])
    likelihood = {0: "log_normal", 1: "log_normal"}
    imputer = GNRImputer(
        **NET | {"max_iter": 600, "prior": prior}, missing_direction="above", likelihood=likelihood
    )
    lost = np.isnan(X[:, 0])
    imputed = imputer.fit_transform(X)[lost, 0]
    draws = imputer.sample(X, 400, random_state=0)[:, lost, 0]
    assert imputed.mean() == pytest.approx(draws.mean(), rel=0.04 if prior is None else 0.15)


def test_a_curve_without_a_regression_has_its_expectation():
    """Of one column nothing else is known: the forest, which there is none of, has no say."""
    X = np.exp(np.random.RandomState(0).normal(size=(120, 1)))
    X[::3] = np.nan
    net = TINY_NET | {"max_iter": 60, "missing_direction": "neither"}
    alone, beside = (
        GNRImputer(**net | {"prior": prior}, likelihood={0: "log_normal"}).fit(X)
        for prior in (None, "forest")
    )
    assert_allclose(beside.transform(X), alone.transform(X), rtol=1e-6)
    draws = (each.sample(X, 4, random_state=0) for each in (alone, beside))
    assert_allclose(*draws, rtol=1e-6)


def test_counts_stay_within_bounds_when_they_are_rounded():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.poisson(2.0, size=80), rng.normal(size=80)]).astype(float)
    X[X[:, 0] > 2, 0] = np.nan
    imputer = MIWAEImputer(**NET, likelihood={0: "count"}, max_value={0: 3.4}, min_value={0: 2.3})
    assert np.unique(imputer.fit_transform(X)[np.isnan(X[:, 0]), 0]) == [3.0]
    with pytest.raises(ValueError, match=r"must have a whole number between them .* column 0, got"):
        imputer.set_params(max_value={0: 2.9}).fit(X)
    X[0, 0] = 0.5
    with pytest.raises(ValueError, match=r"X must hold whole numbers .* got 0\.5"):
        imputer.set_params(max_value=None).fit(X)
