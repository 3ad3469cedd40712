"""Estimates of each scenario, and where a conclusion changes."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.impute import SimpleImputer

from gnr_sklearn.sensitivity import sensitivity
from tests.sensitivity.drawing_imputers import DELTAS, DrawingImputer, column_mean


def test_an_estimate_of_each_scenario(X):
    result = sensitivity(SimpleImputer(), X, deltas=DELTAS, estimate=column_mean)
    assert_allclose(result.estimates, result.column_means[:, 1], rtol=1e-14)
    result = sensitivity(SimpleImputer(), X, estimate=lambda X: X.mean(axis=0)[None])
    assert result.estimates.shape == (6, 1, 3)
    assert_array_equal(result.estimates[:, 0], result.column_means)


def test_an_estimate_may_write_to_what_it_is_given(X):
    def estimate(X):
        X[:] = 7.0
        return 1

    for table in (X, pd.DataFrame(X)):
        result = sensitivity(SimpleImputer(), table, estimate=estimate, return_completed=True)
        assert (result.completed != 7.0).all()
        assert_array_equal(result.estimates, np.ones(6))


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_tipping_point_of_a_linear_estimate(one_at_a_time, X):
    result = sensitivity(
        SimpleImputer(), X, estimate=column_mean, one_at_a_time=one_at_a_time, deltas=[1, -1, 0.3]
    )
    slope = np.nanstd(X[:, 1]) * np.isnan(X[:, 1]).mean()
    for delta in (-0.999, -0.7, 1e-6, 0.1, 0.9):
        threshold = np.nanmean(X[:, 1]) + delta * slope
        assert result.tipping_point(threshold) == pytest.approx(delta, abs=1e-9)
        if one_at_a_time:
            alone = result.tipping_point(threshold, feature="x1")
            assert alone == pytest.approx(delta, abs=1e-9)
    assert np.isnan(result.tipping_point(np.nanmean(X[:, 1]) + 1.1 * slope))
    if one_at_a_time:
        # Moving x2 does not change the estimate.
        assert np.isnan(result.tipping_point(threshold, feature="x2"))


def test_the_tipping_point_nearest_to_the_reference(X):
    unit = np.nanstd(X[:, 1]) * np.isnan(X[:, 1]).mean()

    def squared_delta(X_completed):
        return ((column_mean(X_completed) - np.nanmean(X[:, 1])) / unit) ** 2

    result = sensitivity(SimpleImputer(), X, estimate=squared_delta, deltas=[-2, -1, 1.5, 3])
    # Broken lines through (-2, 4), (-1, 1), (0, 0), (1.5, 2.25), (3, 9).
    assert result.tipping_point(0.9) == pytest.approx(0.6)
    assert result.tipping_point(4.0) == pytest.approx(1.5 + 1.75 / 4.5)
    assert result.tipping_point(8.0) == pytest.approx(1.5 + 5.75 / 4.5)
    assert np.isnan(result.tipping_point(10.0))
    assert np.isnan(result.tipping_point(-0.5))
    # A scenario that meets the threshold is the tipping point itself.
    assert result.tipping_point(result.estimates[4]) == 3.0
    assert result.tipping_point(result.estimates[0]) == 0.0


def test_tipping_point_along_strengths(X):
    result = sensitivity(
        DrawingImputer(), X, deltas=None, strengths=[1.0, 2.0], estimate=column_mean
    )
    values, rows = result.curve("strength")
    assert_array_equal(values, [0.0, 1.0, 2.0])
    assert_array_equal(rows, [0, 1, 2])
    threshold = result.estimates[1:].mean()
    assert result.tipping_point(threshold, kind="strength") == pytest.approx(1.5)


def test_tipping_point_errors(X):
    without = sensitivity(SimpleImputer(), X)
    with pytest.raises(ValueError, match=r"estimate must have been .* got none"):
        without.tipping_point(0.0)
    array = sensitivity(SimpleImputer(), X, estimate=lambda X: X[0])
    with pytest.raises(ValueError, match=r"estimate must have been .* got shape \(3,\)"):
        array.tipping_point(0.0)
    result = sensitivity(SimpleImputer(), X, estimate=column_mean)
    with pytest.raises(TypeError, match="threshold must be a number"):
        result.tipping_point("0")
    with pytest.raises(ValueError, match="threshold must be a finite number"):
        result.tipping_point(np.nan)
    with pytest.raises(ValueError, match='kind must be "delta" or "strength", got \'direction\''):
        result.tipping_point(0.0, kind="direction")
    with pytest.raises(ValueError, match=r"kind and feature must be .* got 'strength' and None"):
        result.tipping_point(0.0, kind="strength")
    with pytest.raises(ValueError, match=r"kind and feature must be .* got 'delta' and 'x1'"):
        result.tipping_point(0.0, feature="x1")
