"""Imputed values shifted by a number of standard deviations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.impute import KNNImputer, SimpleImputer

from gnr_sklearn import MeanImputer, MICEImputer
from gnr_sklearn.sensitivity import Scenario, sensitivity
from tests.sensitivity.drawing_imputers import DELTAS, DrawingImputer


@pytest.mark.parametrize("imputer", [SimpleImputer(), KNNImputer(), MeanImputer(), MICEImputer()])
def test_a_shift_moves_means_by_delta_sd_and_the_fraction_missing(imputer, X):
    result = sensitivity(imputer, X, deltas=DELTAS, random_state=0)
    plain = imputer.fit_transform(X)
    missing, sd = np.isnan(X), np.nanstd(X, axis=0)
    kinds = [Scenario("reference"), *(Scenario("delta", delta) for delta in DELTAS)]
    assert list(result.scenarios) == kinds
    assert_allclose(result.observed_std, sd)
    assert_array_equal(result.n_missing, [0, 20, 12])
    assert_allclose(result.column_means[0], plain.mean(axis=0), rtol=1e-12)
    assert_array_equal(result.column_means[3], result.column_means[0])
    for row, delta in enumerate(DELTAS, start=1):
        expected = plain.mean(axis=0) + delta * sd * missing.mean(axis=0)
        assert_allclose(result.column_means[row], expected, rtol=1e-12)
        completed = plain + np.where(missing, delta * sd, 0.0)
        assert_allclose(result.column_stds[row], completed.std(axis=0), rtol=1e-9)
        assert_allclose(result.rms_moves[row], [np.nan, abs(delta), abs(delta)], rtol=1e-12)
    assert_allclose(result.rms_move, [0, *np.abs(DELTAS)], rtol=1e-12)
    assert result.estimates is None
    assert result.completed is None
    assert np.isnan(result.effective_n_draws).all()


def test_completed_data_on_request(X):
    result = sensitivity(SimpleImputer(), X, deltas=[0.0, 1.0], return_completed=True)
    missing = np.isnan(X)
    plain = SimpleImputer().fit_transform(X)
    assert_array_equal(result.completed[:2], [plain, plain])
    assert_array_equal(result.completed[2][~missing], X[~missing])
    assert_allclose(result.completed[2] - plain, np.where(missing, np.nanstd(X, axis=0), 0.0))


@pytest.mark.parametrize("features", [[2], ["x2"], np.array([2]), ["x0", "x2"], (0, 2)])
def test_only_the_chosen_features_move(features, X):
    result = sensitivity(SimpleImputer(), X, deltas=[1.0], features=features)
    assert_array_equal(result.rms_moves[1, :2], [np.nan, 0.0])
    assert_allclose(result.rms_moves[1, 2], 1.0)
    # 12 of 32 missing cells moved.
    assert_allclose(result.rms_move[1], np.sqrt(12 / 32))


def test_one_feature_at_a_time(X):
    result = sensitivity(SimpleImputer(), X, deltas=[-1.0, 1.0], one_at_a_time=True)
    features = [scenario.feature for scenario in result.scenarios]
    assert features == [None, None, None, "x1", "x1", "x2", "x2"]
    assert_allclose(
        result.rms_moves[1:, 1:], [[1, 1], [1, 1], [1, 0], [1, 0], [0, 1], [0, 1]], atol=1e-12
    )


def test_what_does_not_vary_is_not_moved():
    X = [[3.0, 1.0], [3.0, np.nan], [np.nan, 2.0]]
    result = sensitivity(DrawingImputer(), X, deltas=[1.0], strengths=[1.0], n_draws=20)
    assert_array_equal(result.column_means[:, 0], [2.0] * 3)
    assert np.isnan(result.rms_moves[:, 0]).all()
    assert (result.rms_moves[1:, 1] > 0).all()
    assert_array_equal(result.rms_move, result.rms_moves[:, 1])
    alone = sensitivity(SimpleImputer(), [[3.0], [np.nan]])
    assert np.isnan(alone.rms_move).all()
    tilted = sensitivity(DrawingImputer(), [[3.0], [np.nan]], deltas=None, strengths=[1.0])
    assert_array_equal(tilted.column_means, [[1.5]] * 2)
    assert np.isnan(tilted.effective_n_draws).all()
