"""Adaptive importance sampling against the exact posterior of linear-Gaussian models."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from gnr_sklearn._sampling import expectation
from gnr_sklearn.nn.adaptive import (
    WeightedSamples,
    adaptive_importance_sampling,
    linearized_posterior,
    map_samples,
    samples_to_linearize,
)
from gnr_sklearn.nn.bounds import (
    importance_weighted_bound,
    log_weights,
    normalized_weights,
    quasi_normal,
)
from gnr_sklearn.nn.likelihoods import Gaussian, standard_normal_log_density
from gnr_sklearn.nn.models import GNR
from gnr_sklearn.nn.networks import MIN_SCALE
from gnr_sklearn.nn.rows import MaskedRows
from tests.small_models import make_model, make_rows

N_ROWS, N_FEATURES, LATENT_DIM = 12, 6, 3
NOISE = 0.4


@pytest.fixture
def rows():
    return make_rows(N_ROWS, N_FEATURES)


@pytest.fixture
def model():
    # What the encoder proposes covers the posterior, but is much wider and knows nothing of it.
    model = make_model(N_FEATURES, LATENT_DIM, decoder="linear")
    with torch.no_grad():
        model.data_decoder.raw_scale.fill_(math.log(math.expm1(NOISE - MIN_SCALE)))
    return model


def make_rounds(sizes, seed=0, n_rows=1):
    noise = quasi_normal(sum(sizes), LATENT_DIM, seed).unsqueeze(1)
    return noise.expand(-1, n_rows, -1).split(list(sizes))


def exact(model, rows):
    """Log-likelihood of what is observed, and the conditional mean of all features."""
    layer = model.data_decoder.network[0]
    loading, mean = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    covariance = loading @ loading.T + NOISE**2 * np.eye(N_FEATURES)
    bounds, means = np.zeros(N_ROWS), np.tile(mean, (N_ROWS, 1))
    for i, (x, observed) in enumerate(zip(rows[0].numpy(), rows[1].numpy() == 1, strict=True)):
        if observed.any():
            inner = covariance[np.ix_(observed, observed)]
            bounds[i] = multivariate_normal.logpdf(x[observed], mean[observed], inner)
            signal = (loading @ loading.T)[:, observed]
            means[i] += signal @ np.linalg.solve(inner, x[observed] - mean[observed])
    return bounds, means


def errors(model, rows, sizes, seed):
    bounds, means = exact(model, rows)
    with torch.no_grad():
        samples = adaptive_importance_sampling(
            model, MaskedRows(*rows), make_rounds(sizes, seed), alpha=0.0
        )
    weights = normalized_weights(samples.log_w)
    imputed = torch.einsum("kb,kbd->bd", weights, samples.x_given_z.mean).numpy()
    bound = importance_weighted_bound(samples.log_w).numpy()
    return np.abs(bound - bounds).max(), np.abs(imputed - means).max()


def test_averages_and_draws_are_by_truncated_weights():
    # One of a hundred samples has half of the weight, which is cut at ten mean ones, a tenth.
    weights = torch.tensor([0.5] + [0.5 / 99] * 99).view(-1, 1)
    mean = torch.tensor([1.0] + [0.0] * 99).view(-1, 1, 1)
    samples = WeightedSamples(
        weights.log(), Gaussian(mean, torch.full_like(mean, 1e-3)), None, None
    )
    share = 0.1 / (0.1 + 0.5)
    assert expectation(samples.log_w, mean).item() == pytest.approx(share)
    draws = samples.draw(20_000, torch.Generator().manual_seed(0))
    # Five standard errors of a proportion.
    assert draws.mean().item() == pytest.approx(share, abs=5 * math.sqrt(share / 20_000))


def test_one_round_is_plain_importance_sampling(model, rows):
    (noise,) = make_rounds([50])
    with torch.no_grad():
        samples = adaptive_importance_sampling(model, MaskedRows(*rows), [noise], alpha=0.7)
        terms = model(*rows, noise)
    torch.testing.assert_close(samples.log_w, log_weights(terms, 0.7))
    assert torch.equal(samples.x_given_z.mean, terms.x_given_z.mean)
    assert torch.equal(samples.mask_logits, terms.mask_logits)
    scale = terms.x_given_z.scale.expand_as(terms.x_given_z.mean)
    assert torch.equal(samples.x_given_z.scale, scale)


@pytest.mark.parametrize("sizes", [(400, 30_000), (300, 10_000, 20_000), (16, 16, 30_000)])
def test_many_samples_give_the_exact_answers(model, rows, sizes):
    error_of_bound, error_of_mean = errors(model, rows, sizes, seed=0)
    assert error_of_bound < 5e-3
    assert error_of_mean < 5e-3


def test_adapting_makes_better_use_of_as_many_samples(model, rows):
    plain = np.mean([errors(model, rows, (192,), seed) for seed in range(10)], axis=0)
    adaptive = np.mean([errors(model, rows, (64, 64, 64), seed) for seed in range(10)], axis=0)
    assert (adaptive < plain / 3).all()


def linearized(model, rows, n_samples, alpha=0.0):
    """What the second round draws from, before it is widened."""
    (noise,) = make_rounds([n_samples])
    with torch.no_grad():
        terms = model(*rows, noise)
        log_p = log_weights(terms, alpha) + standard_normal_log_density(noise)
        return linearized_posterior(model, MaskedRows(*rows), terms, noise, log_p, alpha)


@pytest.mark.parametrize("observation_scale", ["shared", "feature"])
def test_linear_models_have_an_exact_second_round(rows, observation_scale):
    model = make_model(
        N_FEATURES, LATENT_DIM, decoder="linear", observation_scale=observation_scale
    )
    found = linearized(model, rows, samples_to_linearize(LATENT_DIM))
    layer = model.data_decoder.network[0]
    loading, center = layer.weight.detach(), layer.bias.detach()
    with torch.no_grad():
        precision = model.data_decoder(torch.zeros(1, LATENT_DIM).double()).scale ** -2
        q_mean, q_log_scale = model.encoder(*rows)
    precision = precision.expand(1, N_FEATURES) * rows[1]
    for i in range(N_ROWS):
        of_z = torch.eye(LATENT_DIM).double() + loading.T @ (precision[i, :, None] * loading)
        mean = torch.linalg.solve(of_z, loading.T @ (precision[i] * (rows[0][i] - center)))
        scale = q_log_scale[i].exp()
        covariance = torch.linalg.inv(of_z) / scale / scale[:, None]
        torch.testing.assert_close(found.mean[i], (mean - q_mean[i]) / scale)
        torch.testing.assert_close(found.factor[i] @ found.factor[i].T, covariance)
        assert torch.equal(found.factor[i], found.factor[i].tril())


@pytest.mark.parametrize("observation_scale", ["shared", "feature"])
def test_what_is_known_of_rows_belongs_to_the_exact_second_round(rows, observation_scale):
    model = make_model(
        N_FEATURES, LATENT_DIM, decoder="linear", observation_scale=observation_scale,
        auxiliary_dim=2,
    )  # fmt: skip
    x, mask = rows
    u = torch.from_numpy(np.random.default_rng(0).normal(size=(N_ROWS, 2)))
    (noise,) = make_rounds([samples_to_linearize(LATENT_DIM)])
    with torch.no_grad():
        terms = model(x, mask, noise, u)
        log_p = log_weights(terms, 0.0) + standard_normal_log_density(noise)
        found = linearized_posterior(model, MaskedRows(x, mask, u), terms, noise, log_p, 0.0)
        of_u = model.prior_network(torch.zeros(1, LATENT_DIM).double())
        of_x = model.data_decoder(torch.zeros(1, LATENT_DIM + 2).double())
        q_mean, q_log_scale = model.encoder(x, mask)
    weights = model.data_decoder.network[0].weight.detach()
    loading_of_u = model.prior_network.network[0].weight.detach()
    for i in range(N_ROWS):
        # Of x and u together, less what u adds to the mean of x.
        loading = torch.cat([weights[:, :LATENT_DIM], loading_of_u])
        known = torch.cat([x[i] - weights[:, LATENT_DIM:] @ u[i], u[i]])
        center = torch.cat([of_x.mean[0], of_u.mean[0]])
        precision = torch.cat([mask[i] / of_x.scale.square(), 1 / of_u.scale.square().expand(2)])
        of_z = torch.eye(LATENT_DIM).double() + loading.T @ (precision[:, None] * loading)
        mean = torch.linalg.solve(of_z, loading.T @ (precision * (known - center)))
        scale = q_log_scale[i].exp()
        torch.testing.assert_close(found.mean[i], (mean - q_mean[i]) / scale)
        covariance = torch.linalg.inv(of_z) / scale / scale[:, None]
        torch.testing.assert_close(found.factor[i] @ found.factor[i].T, covariance)


def test_too_few_samples_are_not_regressed_on(model, rows):
    assert linearized(model, rows, samples_to_linearize(LATENT_DIM) - 1) is None


@pytest.mark.parametrize("latent_dim", [1, 8, 20, 40])
def test_adapting_does_no_harm_in_many_dimensions(latent_dim):
    """Few samples tell little of many correlations; the proposals must not follow their noise."""
    n_features = latent_dim + 1
    model = GNR(n_features, latent_dim, decoder="linear", seed=3).double()
    head = model.encoder.network[-1]
    with torch.no_grad():
        head.weight *= 0.1
        head.bias[latent_dim:] = -0.2
        model.data_decoder.network[0].weight *= 0.5
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand((20, n_features), generator=generator) < 0.7).double()
    x = torch.randn(mask.shape, generator=generator, dtype=torch.float64) * mask
    means = {}
    with torch.no_grad():
        for name, sizes, seeds in (
            ("exact", [2**15], range(1)),
            ("plain", [160], range(1, 9)),
            ("adaptive", [32] * 5, range(1, 9)),
        ):
            means[name] = []
            for seed in seeds:
                noise = quasi_normal(sum(sizes), latent_dim, seed).unsqueeze(1)
                samples = adaptive_importance_sampling(
                    model, MaskedRows(x, mask), noise.split(sizes), 0.0
                )
                weights = normalized_weights(samples.log_w).unsqueeze(-1)
                means[name].append((weights * samples.x_given_z.mean).sum(0))
    errors = {
        name: float(torch.stack([(m - means["exact"][0]) ** 2 for m in each]).mean() ** 0.5)
        for name, each in means.items()
    }
    # Of 40 dimensions nothing is told by 32 samples.
    limit = 0.5 if samples_to_linearize(latent_dim) <= 32 else 1.05
    assert errors["adaptive"] < limit * errors["plain"]


def test_mask_takes_part_in_the_adaptation(model, rows):
    """With a strong mask term, against plain importance sampling with very many samples."""
    with torch.no_grad():
        reference = adaptive_importance_sampling(
            model, MaskedRows(*rows), make_rounds([2**18]), alpha=5.0
        )
        samples = adaptive_importance_sampling(
            model, MaskedRows(*rows), make_rounds([64, 64, 2000], seed=1), alpha=5.0
        )
    means = [
        torch.einsum("kb,kbd->bd", normalized_weights(s.log_w), s.x_given_z.mean)
        for s in (reference, samples)
    ]
    torch.testing.assert_close(means[1], means[0], rtol=0, atol=2e-2)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3), (16, 16, 16)])
def test_few_samples(model, rows, sizes):
    with torch.no_grad():
        samples = adaptive_importance_sampling(
            model, MaskedRows(*rows), make_rounds(sizes), alpha=1.0
        )
    assert samples.log_w.shape == (sum(sizes), N_ROWS)
    assert samples.log_w.isfinite().all()


@pytest.mark.parametrize("alpha", [1.0, 1e6])
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_rows_far_from_the_data(model, alpha, size):
    """All weight may fall on one sample; the proposals stay proper all the same."""
    x = torch.full((2, N_FEATURES), size, dtype=torch.float32)
    with torch.no_grad():
        samples = adaptive_importance_sampling(
            model.float(),
            MaskedRows(x, torch.ones_like(x)),
            [noise.float() for noise in make_rounds([64, 64, 64])],
            alpha,
        )
    assert samples.log_w.isfinite().all()
    assert samples.x_given_z.mean.isfinite().all()


@pytest.mark.parametrize("chunk_size", [1, 5, 12, 100])
def test_chunks_cover_the_rows(model, rows, chunk_size):
    rounds = make_rounds([20, 20])
    with torch.no_grad():
        whole = adaptive_importance_sampling(model, MaskedRows(*rows), rounds, alpha=1.0)
    chunks = list(
        map_samples(
            lambda samples, part: (samples, part),
            model,
            MaskedRows(*rows),
            lambda n: rounds,
            1.0,
            chunk_size,
        )
    )
    n_rows = [len(range(N_ROWS)[chunk]) for chunk, _ in chunks]
    assert sum(n_rows) == N_ROWS
    assert max(n_rows) == min(chunk_size, N_ROWS)
    parts = [samples for _, (samples, _) in chunks]
    torch.testing.assert_close(torch.cat([part.x for _, (_, part) in chunks]), rows[0])
    for read in (
        lambda samples: samples.log_w,
        lambda samples: samples.x_given_z.mean,
        lambda samples: samples.x_given_z.scale,
        lambda samples: samples.mask_logits,
    ):
        torch.testing.assert_close(torch.cat([read(p) for p in parts], dim=1), read(whole))


def test_noise_of_each_row(model, rows):
    """Rows with noise of their own are sampled by it."""
    shared = make_rounds([30, 30], n_rows=N_ROWS)
    own = [noise.clone() for noise in shared]
    own[1][:, 2] *= 0.5
    with torch.no_grad():
        first, second = (
            adaptive_importance_sampling(model, MaskedRows(*rows), rounds, alpha=1.0)
            for rounds in (shared, own)
        )
    is_close = first.x_given_z.mean.isclose(second.x_given_z.mean, rtol=0, atol=1e-9)
    changed = ~is_close.all(-1).all(0)
    assert changed.tolist() == [i == 2 for i in range(N_ROWS)]
