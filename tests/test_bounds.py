"""Properties of the bound, the weights, resampling and quasi-random numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnr_sklearn.nn.bounds import (
    importance_weighted_bound,
    log_weights,
    normalized_weights,
    quasi_normal,
    resample,
    truncated_weights,
)
from gnr_sklearn.nn.models import Terms

log_weight_arrays = arrays(
    np.float64,
    st.tuples(st.integers(1, 20), st.integers(1, 4)),
    elements=st.floats(-1e4, 1e4),
)


def test_log_weights_are_those_of_equation_18():
    generator = torch.Generator().manual_seed(0)
    px, pm, pu, pz, qz = torch.randn(5, 3, 2, generator=generator).double()
    terms = Terms(px, pm, pu, pz, qz, None)
    for alpha in (0.0, 0.3, 1.0, 100.0):
        torch.testing.assert_close(log_weights(terms, alpha), px + pu + pz - qz + alpha * pm)


@given(log_weight_arrays)
def test_bound_lies_between_the_mean_and_the_largest_log_weight(array):
    log_w = torch.from_numpy(array)
    bound = importance_weighted_bound(log_w)
    assert (bound <= log_w.max(dim=0).values + 1e-9).all()
    assert (bound >= log_w.mean(dim=0) - 1e-9).all()


@given(log_weight_arrays, st.floats(-1e3, 1e3))
def test_bound_moves_with_a_common_factor_and_weights_do_not(array, shift):
    log_w = torch.from_numpy(array)
    torch.testing.assert_close(
        importance_weighted_bound(log_w + shift), importance_weighted_bound(log_w) + shift
    )
    torch.testing.assert_close(
        normalized_weights(log_w + shift), normalized_weights(log_w), rtol=1e-6, atol=1e-9
    )


@given(log_weight_arrays)
def test_weights_sum_to_one(array):
    weights = normalized_weights(torch.from_numpy(array))
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(weights.shape[1]).double())
    assert (weights >= 0).all()


@given(log_weight_arrays)
def test_weights_are_cut_at_root_k_mean_ones_and_normalised(array):
    weights = np.exp(array - array.max(axis=0))
    bounded = np.minimum(weights, np.sqrt(len(array)) * weights.mean(axis=0))
    truncated = truncated_weights(torch.from_numpy(array))
    np.testing.assert_allclose(truncated, bounded / bounded.sum(axis=0), rtol=1e-9, atol=1e-12)


def test_truncated_weights_err_less_where_the_proposal_is_narrow():
    # The mean of a normal distribution at 1, by samples of one at 0 with four fifths its spread.
    generator = torch.Generator().manual_seed(0)
    z = 0.8 * torch.randn(160, 2000, generator=generator, dtype=torch.float64)
    log_w = z.square() / (2.0 * 0.8**2) - 0.5 * (z - 1.0).square()
    plain, truncated = (
        (weights(log_w) * z).sum(dim=0) for weights in (normalized_weights, truncated_weights)
    )
    # The bias that this takes is less than the variance that it spares.
    assert (truncated - 1.0).square().mean() < 0.8 * (plain - 1.0).square().mean()


def test_resampling_follows_the_weights():
    weights = torch.tensor([[0.1, 0.5], [0.2, 0.0], [0.7, 0.5]])
    n_draws = 40_000
    indices = resample(weights, n_draws, torch.Generator().manual_seed(0))
    assert indices.shape == (n_draws, 2)
    for row in range(2):
        frequencies = torch.bincount(indices[:, row], minlength=3) / n_draws
        # Five standard errors of a proportion.
        np.testing.assert_allclose(frequencies, weights[:, row], atol=5 * math.sqrt(0.25 / n_draws))


@pytest.mark.parametrize("dimension", [1, 5, 40])
def test_quasi_normal_numbers_have_the_moments_of_a_normal(dimension):
    noise = quasi_normal(1024, dimension, seed=0)
    assert noise.shape == (1024, dimension)
    assert noise.isfinite().all()
    # A tenth of the standard error 1 / sqrt(1024) that independent numbers would have.
    assert noise.mean(dim=0).abs().max() < 0.1 / 32
    assert (noise.std(dim=0) - 1).abs().max() < 0.02


def test_quasi_normal_numbers_are_finite_in_great_number():
    assert quasi_normal(2**20, 2, seed=1).isfinite().all()


def test_quasi_normal_numbers_are_finite_if_a_point_rounds_to_1(monkeypatch):
    def drawn(engine, n_samples, dtype):
        return torch.ones((n_samples, 2), dtype=dtype)

    monkeypatch.setattr("torch.quasirandom.SobolEngine.draw", drawn)
    assert quasi_normal(3, 2, seed=1).isfinite().all()


def test_quasi_normal_numbers_come_from_the_seed_alone():
    before = torch.get_rng_state()
    assert torch.equal(quasi_normal(8, 2, seed=3), quasi_normal(8, 2, seed=3))
    assert not torch.equal(quasi_normal(8, 2, seed=3), quasi_normal(8, 2, seed=4))
    assert torch.equal(torch.get_rng_state(), before)


def test_quasi_random_numbers_are_quantiles_of_the_middles_of_a_grid():
    noise = quasi_normal(256, 3, seed=5)
    assert noise.dtype == torch.float64
    places = torch.special.ndtr(noise) * 2.0**30
    np.testing.assert_allclose(places - places.floor(), 0.5, atol=1e-3)
    corners = torch.quasirandom.SobolEngine(3, scramble=True, seed=5).draw(256, dtype=torch.float64)
    assert torch.equal(places.floor(), corners * 2.0**30)


def test_draws_come_from_the_generator_alone():
    weights = torch.full((50, 3), 0.02)
    before = torch.get_rng_state()
    first, again, other = (
        resample(weights, 8, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_quasi_normal_numbers_do_not_depend_on_the_default_precision():
    expected = quasi_normal(9, 4, 0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(quasi_normal(9, 4, 0), expected)
    finally:
        torch.set_default_dtype(before)
