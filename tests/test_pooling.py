"""Rubin's rules against numbers worked out by hand, and by their properties."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from gnr_sklearn.multiple import pool
from tests.multiple.normal_draws import FIELDS


def test_pool_by_hand():
    # Mean 2, B = (1 + 0 + 1) / 2 = 1, W = 1, T = 1 + 4/3 = 7/3, lambda = 4/7, r = 4/3.
    pooled = pool([1, 2, 3], [0.5, 1.0, 1.5])
    assert pooled.estimate == 2.0
    assert pooled.within_variance == 1.0
    assert pooled.between_variance == 1.0
    assert pooled.total_variance == pytest.approx(7 / 3)
    assert pooled.standard_error == pytest.approx(np.sqrt(7 / 3))
    assert pooled.degrees_of_freedom == pytest.approx(2 / (4 / 7) ** 2)  # 6.125
    assert pooled.fraction_missing_information == pytest.approx((4 / 3 + 2 / 9.125) / (7 / 3))
    assert pooled.n_draws == 3
    assert all(type(getattr(pooled, field)) is float for field in [*FIELDS, "standard_error"])


def test_degrees_of_freedom_by_hand():
    # nu_obs = 11/13 * 10 * 3/7 = 330/91, and 1/nu = 8/49 + 91/330.
    pooled = pool([1, 2, 3], [1, 1, 1], complete_degrees_of_freedom=10)
    assert pooled.degrees_of_freedom == pytest.approx(1 / (8 / 49 + 91 / 330))
    # The fraction of missing information is Rubin's, whatever the size of the data.
    assert pooled.fraction_missing_information == (
        pool([1, 2, 3], [1, 1, 1]).fraction_missing_information
    )
    # B = 0.0025, W = 0.09, m = 5: lambda = 0.003 / 0.093 = 1/31, so nu_m = 4 * 961.
    estimates = 0.7 + np.array([-0.05, -0.05, 0.0, 0.05, 0.05])
    assert pool(estimates, [0.09] * 5).degrees_of_freedom == pytest.approx(3844)
    nu_obs = 26 / 28 * 25 * 30 / 31
    pooled = pool(estimates, [0.09] * 5, complete_degrees_of_freedom=25)
    assert pooled.degrees_of_freedom == pytest.approx(3844 * nu_obs / (3844 + nu_obs))


@pytest.mark.parametrize("complete", [None, np.inf, 7.5])
def test_without_variation_between_draws(complete):
    # 0.1 summed three times and divided is not 0.1.
    pooled = pool([0.1] * 3, [0.04] * 3, complete_degrees_of_freedom=complete)
    assert pooled.estimate == 0.1
    assert pooled.between_variance == 0.0
    assert pooled.total_variance == pytest.approx(0.04)
    assert pooled.degrees_of_freedom == (complete or np.inf)
    assert pooled.fraction_missing_information == 0.0
    quantile = stats.norm.ppf(0.975) if complete != 7.5 else stats.t(7.5).ppf(0.975)
    assert_allclose(pooled.confidence_interval(), [0.1 - 0.2 * quantile, 0.1 + 0.2 * quantile])


def test_without_any_variance():
    pooled = pool([3.0, 3.0], [0.0, 0.0])
    assert pooled.total_variance == 0.0
    assert pooled.degrees_of_freedom == np.inf
    assert pooled.fraction_missing_information == 0.0
    assert pooled.confidence_interval() == (3.0, 3.0)


def test_without_variance_within():
    pooled = pool([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert pooled.total_variance == pytest.approx(4 / 3)
    assert pooled.degrees_of_freedom == 2.0
    assert pooled.fraction_missing_information == 1.0
    pooled = pool([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], complete_degrees_of_freedom=5)
    assert pooled.degrees_of_freedom == 0.0
    assert pooled.fraction_missing_information == 1.0
    assert pooled.confidence_interval() == (-np.inf, np.inf)


def test_few_degrees_of_freedom_give_wide_intervals_not_nan():
    for within in 10.0 ** -np.arange(1, 300, 20):
        pooled = pool([-1.0, 1.0], [within] * 2, complete_degrees_of_freedom=3)
        lower, upper = pooled.confidence_interval()
        assert lower < -4.0 < 4.0 < upper


def test_interval_at_another_level():
    pooled = pool([1, 2, 3], [1, 1, 1])
    half_width = stats.t.ppf(0.9, 6.125) * np.sqrt(7 / 3)
    assert_allclose(pooled.confidence_interval(0.8), [2 - half_width, 2 + half_width])


finite = st.floats(-1e3, 1e3)
positive = st.floats(1e-3, 1e3)


@st.composite
def draws_and_variances(draw, shape=None):
    n_draws = draw(st.integers(2, 6))
    if shape is None:
        shape = draw(st.sampled_from([(), (1,), (3,), (2, 3)]))
    full = (n_draws, *shape)
    return draw(arrays(float, full, elements=finite)), draw(arrays(float, full, elements=positive))


@settings(max_examples=50)
@given(draws_and_variances(), st.none() | positive)
def test_invariants(drawn, complete):
    estimates, variances = drawn
    n_draws = len(estimates)
    pooled = pool(estimates, variances, complete_degrees_of_freedom=complete)
    assert all(np.shape(getattr(pooled, field)) == estimates.shape[1:] for field in FIELDS)
    assert np.all(pooled.total_variance >= pooled.within_variance)
    assert np.all(estimates.min(axis=0) <= pooled.estimate)
    assert np.all(pooled.estimate <= estimates.max(axis=0))
    assert np.all(np.asarray(pooled.degrees_of_freedom) <= (complete or np.inf))
    rubin = np.asarray(pool(estimates, variances).degrees_of_freedom)
    assert np.all(rubin >= (n_draws - 1) * (1 - 1e-12))
    assert np.all(np.asarray(pooled.degrees_of_freedom) <= rubin * (1 + 1e-12))
    # Van Buuren (2018), sec. 2.3.5: how the fraction of missing information relates to lambda.
    share = 1 - np.asarray(pooled.within_variance) / np.asarray(pooled.total_variance)
    finite_rubin = np.minimum(rubin, 1e30)
    expected = (finite_rubin + 1) / (finite_rubin + 3) * share + 2 / (finite_rubin + 3)
    assert_allclose(pooled.fraction_missing_information, expected, atol=1e-12)
    lower, upper = pooled.confidence_interval()
    assert np.all(lower <= pooled.estimate)
    assert np.all(pooled.estimate <= upper)


@settings(max_examples=30)
@given(draws_and_variances(), st.randoms())
def test_order_of_draws_does_not_matter(drawn, random):
    estimates, variances = drawn
    order = list(range(len(estimates)))
    random.shuffle(order)
    first, second = pool(estimates, variances), pool(estimates[order], variances[order])
    for field in FIELDS[:4]:
        assert_allclose(getattr(second, field), getattr(first, field), rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(draws_and_variances(), st.sampled_from([-8.0, 0.5, 1024.0]))
def test_units_change_units_only(drawn, scale):
    """Powers of two, so that it holds to the last bit."""
    estimates, variances = drawn
    complete = np.linspace(1.0, 9.0, estimates[0].size).reshape(estimates[0].shape)
    first = pool(estimates, variances, complete_degrees_of_freedom=complete)
    # Of a number that is too small to be normal, a power of two takes bits away.
    for numbers in (estimates, variances, first.between_variance):
        size = np.abs(numbers)
        assume(not np.any((size > 0) & (size < 1e-290)))
    second = pool(scale * estimates, scale**2 * variances, complete_degrees_of_freedom=complete)
    assert_array_equal(second.estimate, scale * np.asarray(first.estimate))
    for field in FIELDS[1:4]:
        assert_array_equal(getattr(second, field), scale**2 * np.asarray(getattr(first, field)))
    for field in FIELDS[4:]:
        assert_array_equal(getattr(second, field), getattr(first, field))


@settings(max_examples=30)
@given(draws_and_variances(shape=(2, 3)))
def test_arrays_are_pooled_element_by_element(drawn):
    estimates, variances = drawn
    complete = np.array([5.0, np.inf, 0.5])  # broadcast over the rows
    pooled = pool(estimates, variances, complete_degrees_of_freedom=complete)
    for i, j in np.ndindex(2, 3):
        one = pool(estimates[:, i, j], variances[:, i, j], complete_degrees_of_freedom=complete[j])
        for field in FIELDS:
            assert_allclose(getattr(pooled, field)[i, j], getattr(one, field), rtol=1e-9, atol=1e-9)


def test_coverage_of_a_normal_mean():
    """20 of 30 values observed, the others drawn from their posterior predictive, three times."""
    rng = np.random.default_rng(0)
    n_repeats, n, n_seen, n_draws = 20_000, 30, 20, 3
    seen = rng.standard_normal((n_repeats, n_seen))
    mean, squares = seen.mean(axis=1), seen.var(axis=1) * n_seen
    sigma = np.sqrt(squares / rng.chisquare(n_seen - 1, (n_draws, n_repeats)))
    mu = mean + sigma / np.sqrt(n_seen) * rng.standard_normal((n_draws, n_repeats))
    noise = rng.standard_normal((n_draws, n_repeats, n - n_seen))
    drawn = mu[..., None] + sigma[..., None] * noise
    completed = np.concatenate([np.broadcast_to(seen, (n_draws, *seen.shape)), drawn], axis=2)
    pooled = pool(
        completed.mean(axis=2),
        completed.var(axis=2, ddof=1) / n,
        complete_degrees_of_freedom=n - 1,
    )
    lower, upper = pooled.confidence_interval()
    assert np.mean((lower < 0) & (upper > 0)) == pytest.approx(0.95, abs=0.01)
    # Each part is needed: neither the normal quantile nor the variance within would do.
    assert np.mean(np.abs(pooled.estimate) < 1.96 * pooled.standard_error) < 0.94
    assert np.mean(np.abs(pooled.estimate) < 2.05 * np.sqrt(pooled.within_variance)) < 0.94


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0]), r"estimates must hold at least 2 draws along the first axis, got shape"),
        ((1.0, 1.0), r"estimates must hold at least 2 draws"),
        (([1.0, 2.0], [1.0]), r"variances must have the shape of estimates, \(2,\), got \(1,\)"),
        (([1.0, 2.0], [1.0, -0.5]), r"variances must be 0 or more, got -0.5"),
        (([1.0, np.nan], [1.0, 1.0]), r"estimates must be finite"),
        (([1.0, 2.0], [1.0, np.inf]), r"variances must be finite"),
        ((["a", "b"], [1.0, 1.0]), r"estimates must be an array of numbers"),
        (([[1.0], [1.0, 2.0]], [1.0, 1.0]), r"estimates must be an array of numbers"),
        (([1.0, 2.0], [1.0, 1.0], 0), r"complete_degrees_of_freedom must be None or positive"),
        (([1.0, 2.0], [1.0, 1.0], np.nan), r"complete_degrees_of_freedom must be None or pos"),
        (([1.0, 2.0], [1.0, 1.0], "n"), r"complete_degrees_of_freedom must be None or positive"),
        (([1.0, 2.0], [1.0, 1.0], [3, 4]), r"complete_degrees_of_freedom must be one number"),
    ],
)
def test_bad_arguments_of_pool(arguments, message):
    estimates, variances, *complete = arguments
    with pytest.raises(ValueError, match=f"^{message}"):
        pool(estimates, variances, complete_degrees_of_freedom=complete[0] if complete else None)


@pytest.mark.parametrize(("level", "kind"), [(0, ValueError), (1.0, ValueError), ("a", TypeError)])
def test_bad_level(level, kind):
    with pytest.raises(kind, match=r"^level must be"):
        pool([1, 2], [1, 1]).confidence_interval(level)


def test_masked_estimates_are_no_estimates():
    masked = np.ma.masked_array([1.0, 2.0, 99.0], [False, False, True])
    with pytest.raises(ValueError, match=r"^estimates must be finite"):
        pool(masked, [1.0, 1.0, 1.0])
