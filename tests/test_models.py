"""The models against closed forms, numerical integration and another implementation."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import multivariate_normal, norm

from gnr_sklearn.nn.bounds import (
    importance_weighted_bound,
    log_weights,
    normalized_weights,
)
from gnr_sklearn.nn.likelihoods import (
    Gaussian,
    bernoulli_log_density,
    standard_normal_log_density,
)
from gnr_sklearn.nn.models import GNR
from gnr_sklearn.nn.networks import MIN_SCALE, DataDecoder
from tests.small_models import bound_of, make_model, make_rows, terms_at

N_ROWS, N_FEATURES = 6, 4


@pytest.fixture
def rows():
    return make_rows(N_ROWS, N_FEATURES)


def linear_parameters(model):
    layer = model.data_decoder.network[0]
    scale = math.log1p(math.exp(float(model.data_decoder.raw_scale.detach()))) + MIN_SCALE
    return layer.weight.detach().numpy(), layer.bias.detach().numpy(), scale


def test_bound_rises_to_the_marginal_likelihood_of_factor_analysis(rows):
    model = make_model(N_FEATURES, 2, decoder="linear")
    loading, mean, scale = linear_parameters(model)
    covariance = loading @ loading.T + scale**2 * np.eye(N_FEATURES)
    exact = np.zeros(N_ROWS)
    for i, (x, mask) in enumerate(zip(rows[0].numpy(), rows[1].numpy() == 1, strict=True)):
        if mask.any():
            exact[i] = multivariate_normal.logpdf(
                x[mask], mean[mask], covariance[np.ix_(mask, mask)]
            )
    errors = []
    for n_samples in (2**6, 2**10, 2**16):
        bound = bound_of(terms_at(model, rows, n_samples), alpha=0.0)
        errors.append(np.abs(bound - exact).max())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_imputation_is_the_conditional_mean_of_factor_analysis(rows):
    model = make_model(N_FEATURES, 2, decoder="linear")
    loading, mean, scale = linear_parameters(model)
    covariance = loading @ loading.T + scale**2 * np.eye(N_FEATURES)
    terms = terms_at(model, rows, 2**16)
    weights = normalized_weights(log_weights(terms, 0.0))
    imputed = torch.einsum("kb,kbd->bd", weights, terms.x_given_z.mean).numpy()
    for x, observed, completed in zip(rows[0].numpy(), rows[1].numpy() == 1, imputed, strict=True):
        missing = ~observed
        gain = covariance[np.ix_(missing, observed)] @ np.linalg.inv(
            covariance[np.ix_(observed, observed)]
        )
        expected = mean[missing] + gain @ (x[observed] - mean[observed])
        np.testing.assert_allclose(completed[missing], expected, atol=2e-3)


@pytest.mark.parametrize("decoder", ["mlp", "linear"])
@pytest.mark.parametrize("observation_scale", ["shared", "feature", "heteroscedastic"])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_bound_matches_numerical_integration(rows, decoder, observation_scale, alpha):
    model = make_model(N_FEATURES, 1, decoder=decoder, observation_scale=observation_scale)
    grid = np.linspace(-8, 8, 4001)
    with torch.no_grad():
        z = torch.from_numpy(grid)[:, None, None]
        x_mean, x_scale = (t.numpy() for t in model.data_decoder(z))
        logits = model.mask_decoder(z).numpy()
    x, mask = rows[0].numpy(), rows[1].numpy()
    log_px = (norm.logpdf(x, x_mean, x_scale) * mask).sum(-1)
    log_pm = np.where(mask == 1, log_expit(logits), log_expit(-logits)).sum(-1)
    integrand = log_px + alpha * log_pm + norm.logpdf(grid)[:, None]
    exact = logsumexp(integrand, axis=0) + np.log(grid[1] - grid[0])
    bound = bound_of(terms_at(model, rows, 2**14), alpha)
    np.testing.assert_allclose(bound, exact, atol=2e-3)


def test_bound_grows_with_the_number_of_samples(rows):
    model = make_model(N_FEATURES, 3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        noise = torch.randn((400, 50, N_ROWS, 3), generator=generator, dtype=torch.float64)
        log_w = torch.stack([log_weights(model(*rows, n), 1.0) for n in noise])
    means = [
        torch.stack([importance_weighted_bound(w[:n_samples]).mean() for w in log_w]).mean()
        for n_samples in (1, 5, 50)
    ]
    assert means[0] < means[1] < means[2]


def test_at_alpha_zero_the_objective_is_that_of_miwae(rows):
    """Against MIWAE's bound written out in numpy from its paper."""
    model = make_model(N_FEATURES, 3)
    noise = torch.randn((7, N_ROWS, 3), generator=torch.Generator().manual_seed(0)).double()
    bound = importance_weighted_bound(log_weights(model(*rows, noise), 0.0)).mean()
    bound.backward()

    with torch.no_grad():
        q_mean, q_log_scale = (t.numpy() for t in model.encoder(*rows))
        z = q_mean + np.exp(q_log_scale) * noise.numpy()
        x_mean, x_scale = (t.numpy() for t in model.data_decoder(torch.from_numpy(z)))
    x, observed = rows[0].numpy(), rows[1].numpy() == 1
    log_w = (
        np.where(observed, norm.logpdf(x, x_mean, x_scale), 0.0).sum(-1)
        + norm.logpdf(z).sum(-1)
        - norm.logpdf(z, q_mean, np.exp(q_log_scale)).sum(-1)
    )
    expected = (logsumexp(log_w, axis=0) - np.log(7)).mean()
    assert bound.item() == pytest.approx(expected, abs=1e-12)
    # Nothing is learned of the mask either.
    assert all((p.grad == 0).all() for p in model.mask_decoder.parameters())
    assert any((p.grad != 0).any() for p in model.data_decoder.parameters())


def test_encoder_sees_neither_the_mask_nor_what_is_missing(rows):
    model = make_model(N_FEATURES, 2)
    x, mask = rows
    noise = torch.zeros((1, N_ROWS, 2), dtype=torch.float64)
    with torch.no_grad():
        terms = model(x, mask, noise)
        other = model(x, torch.ones_like(mask), noise)
    assert torch.equal(terms.log_qz, other.log_qz)
    assert torch.equal(terms.x_given_z.mean, other.x_given_z.mean)
    assert not torch.equal(terms.log_pm, other.log_pm)


def test_initial_weights_come_from_the_seed_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = GNR(3, 2, seed=1), GNR(3, 2, seed=1), GNR(3, 2, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    state = first.state_dict()
    assert all(torch.equal(state[k], v) for k, v in second.state_dict().items())
    assert any(not torch.equal(state[k], v) for k, v in other.state_dict().items())


@pytest.mark.parametrize(
    ("observation_scale", "shape"),
    [("shared", (1,)), ("feature", (3,)), ("heteroscedastic", (10, 7, 3))],
)
def test_shape_of_the_observation_scale(observation_scale, shape):
    decoder = DataDecoder(2, 3, (4,), observation_scale, torch.Generator().manual_seed(0))
    mean, scale = decoder(torch.zeros(10, 7, 2))
    assert mean.shape == (10, 7, 3)
    assert scale.shape == shape
    assert (scale > 0).all()


def test_unknown_observation_scale():
    with pytest.raises(ValueError, match="observation_scale must be one of"):
        GNR(3, 2, observation_scale="other")


def test_log_densities():
    x = torch.linspace(-3, 3, 8, dtype=torch.float64).reshape(4, 2)
    mask = torch.tensor([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=torch.float64)
    mean = torch.linspace(-1, 2, 24, dtype=torch.float64).reshape(3, 4, 2)
    scale = torch.tensor([0.5, 2.0], dtype=torch.float64)
    for each in (scale, scale * mean.exp()):  # a parameter, and a function of z
        expected = (norm.logpdf(x.numpy(), mean.numpy(), each.numpy()) * mask.numpy()).sum(-1)
        actual = Gaussian(mean, each).log_density(x, mask)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        standard_normal_log_density(x), norm.logpdf(x.numpy()).sum(-1), rtol=1e-12
    )
    logits = torch.tensor([[-50.0], [-1.0], [0.0], [800.0]], dtype=torch.float64)
    ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)
    np.testing.assert_allclose(
        bernoulli_log_density(ones, logits).exp(), expit(logits[:, 0].numpy()), rtol=1e-12
    )
    # No underflow to minus infinity where a probability is tiny.
    np.testing.assert_allclose(bernoulli_log_density(zeros, logits)[-1], -800.0)
