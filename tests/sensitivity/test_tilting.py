"""Draws that are weighted by how likely values of their size are to be missing."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gnr_sklearn import GNRImputer, MIWAEImputer
from gnr_sklearn.sensitivity import Scenario, sensitivity
from tests.contract import SMALL_NET, make_data
from tests.sensitivity.drawing_imputers import DrawingImputer


def test_tilting_two_points_exactly(X):
    """Weights of c + h and c - h give the mean c + h tanh(gamma h / sd)."""
    gammas = [-2.0, 0.0, 0.5]
    result = sensitivity(
        DrawingImputer(), X, deltas=None, strengths=gammas, n_draws=100, return_completed=True
    )
    assert result.scenarios[1:] == tuple(Scenario("strength", gamma) for gamma in gammas)
    missing = np.isnan(X)
    for row, gamma in enumerate(gammas, start=1):
        tanh = np.tanh(gamma * 0.5 / np.nanstd(X, axis=0))
        # Added to what is imputed, which is not the mean of the draws here.
        expected = np.where(missing, 0.5 * tanh, X)
        assert_allclose(result.completed[row], expected, rtol=1e-10, atol=1e-12)
        effective = np.broadcast_to(100 / (1 + tanh**2), X.shape)[missing].mean()
        assert result.effective_n_draws[row] == pytest.approx(effective)
    assert np.isnan(result.effective_n_draws[0])


class LevelImputer(DrawingImputer):
    """Imputes 1, and draws 0 one time and 1 three times of four."""

    def transform(self, X):
        return np.where(np.isnan(X), 1.0, X)

    def sample(self, X, n_draws=5, random_state=None):
        levels = (np.arange(n_draws)[:, None, None] % 4 > 0) * np.ones(np.shape(X))
        return np.where(np.isnan(X), levels, X)


def test_levels_are_tilted_within_their_range():
    """The tilted mean is the tilted probability, whichever level is imputed."""
    rng = np.random.RandomState(0)
    X = (rng.uniform(size=(200, 2)) < 0.5).astype(float)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    gammas = [-3.0, 0.0, 1.0]
    result = sensitivity(
        LevelImputer(), X, deltas=None, strengths=gammas, n_draws=100, return_completed=True
    )
    for row, gamma in enumerate(gammas, start=1):
        odds = 3.0 * np.exp(gamma / np.nanstd(X, axis=0))
        expected = np.where(np.isnan(X), odds / (1.0 + odds), X)
        assert_allclose(result.completed[row], expected, rtol=1e-10)


def test_the_tipping_point_of_levels_does_not_depend_on_the_strengths_asked_for():
    """What is imputed, a mode, is not what strength 0 gives: it must not stand for it."""
    X = np.repeat([0.0, 0.0, 1.0, np.nan], 10)[:, np.newaxis]
    settings = {"deltas": None, "estimate": np.mean, "n_draws": 100}
    results = [
        sensitivity(LevelImputer(), X, strengths=strengths, **settings)
        for strengths in ([-1.0, 0.0, 1.0], [-1.0, 1.0])
    ]
    for result in results:
        values, rows = result.curve("strength")
        assert_array_equal(values, [-1.0, 0.0, 1.0])
        # Three draws of four are 1, and 10 of the other 30 cells.
        assert result.estimates[rows[1]] == pytest.approx((0.75 * 10 + 10) / 40)
        assert (np.diff(result.estimates[rows]) > 0).all()
        assert result.tipping_point((0.75 * 10 + 10) / 40, kind="strength") == 0.0
    assert results[1].scenarios[-1] == Scenario("strength", 0.0)


def test_categories_without_an_order_are_not_moved():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.normal(size=80), rng.randint(3, size=80), rng.randint(3, size=80)])
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    likelihood = {1: "categorical", 2: "ordinal"}
    imputer = MIWAEImputer(**SMALL_NET, likelihood=likelihood)
    result = sensitivity(imputer, X, deltas=[0.5], strengths=[1.0], n_draws=60, random_state=0)
    assert_array_equal(result.rms_moves[1:, 1], 0.0)
    assert (result.rms_moves[1:3, [0, 2]] > 0).all()
    with pytest.raises(ValueError, match=r"^features must not have categories without an order"):
        sensitivity(imputer, X, features=[0, 1])
    with pytest.raises(ValueError, match=r"^features must have one with missing cells"):
        sensitivity(MIWAEImputer(**SMALL_NET, likelihood={0: "categorical"}), X[:, 1:2])


def test_tilting_normal_draws(X):
    """The mean moves by gamma sigma^2 / sd, and the variance of weights is known as well."""
    result = sensitivity(
        DrawingImputer("normal"),
        X,
        deltas=None,
        strengths=[-0.1, 0.1],
        features=[2],
        n_draws=20_000,
        random_state=0,
    )
    sd = np.nanstd(X[:, 2])
    moves = (result.column_means[1:, 2] - result.column_means[0, 2]) / np.isnan(X[:, 2]).mean()
    # Of the 12 cells' means of 20,000 draws with sigma = 0.5, the standard error is 0.001.
    assert_allclose(moves, np.array([-0.1, 0.1]) * 0.25 / sd, atol=0.004)
    assert_allclose(
        result.effective_n_draws[1:], 20_000 * np.exp(-((0.1 * 0.5 / sd) ** 2)), rtol=0.02
    )


def test_tilting_one_feature_at_a_time(X):
    result = sensitivity(
        DrawingImputer(), X, deltas=None, strengths=[1.0], one_at_a_time=True, random_state=0
    )
    together, first, second = result.column_means[1:]
    assert_array_equal(first, [together[0], together[1], result.column_means[0, 2]])
    assert_array_equal(second, [together[0], result.column_means[0, 1], together[2]])


def test_few_effective_draws_warn(X):
    # In units of the column x2 the draws spread by five: two of them have all the weight.
    with pytest.warns(UserWarning, match=r"strengths \[3.0\] leave fewer than 10 effective"):
        sensitivity(
            DrawingImputer("normal"), X, strengths=[0.0, 3.0], features=["x2"], random_state=0
        )


def test_gnr_is_tilted():
    X = make_data()
    gammas = [-0.5, 0.0, 0.5]
    imputer = GNRImputer(**SMALL_NET)
    result = sensitivity(imputer, X, deltas=[0.0], strengths=gammas, random_state=0)
    plain = imputer.fit_transform(X)
    for row in (0, 1, 3):
        assert_allclose(result.column_means[row], plain.mean(axis=0), rtol=1e-9)
    assert (np.diff(result.column_means[2:], axis=0) > 0).all()
    assert (result.effective_n_draws[2:] > 100).all()


def test_large_numbers_are_no_levels():
    """Where all numbers are whole, as those of times in nanoseconds, tilting is the same."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, 1)) * [1.0, 2.0]
    X[::3, 0] = np.nan
    settings = {"deltas": None, "strengths": [0.5, 1.0], "random_state": 0}
    result = sensitivity(MIWAEImputer(**SMALL_NET), X, **settings)
    moved = sensitivity(MIWAEImputer(**SMALL_NET), 1.7e18 + 1e12 * X, **settings)
    assert moved.scenarios == result.scenarios
    assert_allclose(moved.rms_move, result.rms_move, atol=0.02)
