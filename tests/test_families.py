"""Families of tables: their shape, and the moments that are said to be known."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.families import (
    CORRELATION,
    DEGREES_OF_FREEDOM,
    FAMILIES,
    LEVELS,
    LOCATION,
    SCALE,
    draw,
)
from benchmarks.protocols import load

MANY = 200_000


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_always_the_same_table(name):
    table = load(name, None)
    assert table.shape == (2000, 8)
    assert np.isfinite(table).all()
    np.testing.assert_array_equal(table, draw(name))
    assert not (draw(name) == 0).all()


def test_correlations_are_those_of_factors():
    np.testing.assert_allclose(np.diag(CORRELATION), 1)
    # Three large eigenvalues, and the noise's.
    eigenvalues = np.linalg.eigvalsh(CORRELATION)
    np.testing.assert_allclose(eigenvalues[:5], 0.2)
    assert eigenvalues[5] > 0.5


def test_moments_of_the_linear_family():
    table = draw("linear", MANY)
    standard = (table - LOCATION) / SCALE
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(table.T), CORRELATION, atol=0.01)


def test_moments_of_the_nonlinear_family():
    table = draw("nonlinear", MANY)
    standard = (table - LOCATION) / SCALE
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=0.02)
    # A square is not correlated with what it is the square of, but depends on it.
    found = np.corrcoef(standard[:, 0], standard[:, 4])[0, 1]
    assert found == pytest.approx(0, abs=0.02)
    found = np.corrcoef(standard[:, 0], standard[:, 4] ** 2)[0, 1]
    assert found == pytest.approx(0.9 * np.sqrt(0.9), abs=0.02)


def test_quantiles_and_ranks_of_the_heavy_tailed_family():
    table = draw("heavy_tailed", MANY)
    standard = (table - LOCATION) / SCALE
    shares = (0.01, 0.25, 0.5, 0.9)
    expected = stats.t(DEGREES_OF_FREEDOM).ppf(shares)
    found = np.quantile(standard, shares, axis=0)
    np.testing.assert_allclose(found, np.tile(expected[:, None], 8), rtol=0.06, atol=0.02)
    # Kendall's tau is 2 / pi * arcsin of the correlation, whatever the tails.
    tau = stats.kendalltau(table[:20_000, 0], table[:20_000, 1]).statistic
    assert tau == pytest.approx(2 / np.pi * np.arcsin(CORRELATION[0, 1]), abs=0.02)


def test_levels_of_the_discrete_family_are_equally_likely():
    table = draw("discrete", MANY)
    for column, n_levels in zip(table.T, LEVELS, strict=True):
        levels, counts = np.unique(column, return_counts=True)
        np.testing.assert_array_equal(levels, np.arange(n_levels))
        np.testing.assert_allclose(counts / MANY, 1 / n_levels, atol=0.005)
    assert set(LEVELS) == {3, 4, 5, 6, 7}
