"""not-MIWAE and PSMVAE against numerical integration, and what they have in common."""

import numpy as np
import pytest
import torch
from scipy.special import log_expit, logsumexp
from scipy.stats import norm

from gnr_sklearn.nn.adaptive import adaptive_importance_sampling
from gnr_sklearn.nn.bounds import log_weights, normalized_weights, quasi_normal
from gnr_sklearn.nn.processes import MissingProcess
from gnr_sklearn.nn.rows import MaskedRows
from gnr_sklearn.nn.selection import PSMVAE, NotMIWAE
from tests.small_models import bound_of, make_model, terms_at

PROCESSES = ("self_masking", "self_masking_known", "linear", "nonlinear")


def make_rows():
    """Rows of two features: complete, with either one missing, and without any value."""
    mask = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=float)
    x = np.array([[0.5, -1.0], [1.2, 0.0], [0.0, 0.3], [0.0, 0.0]])
    return torch.from_numpy(x), torch.from_numpy(mask)


def integrate(model, rows, category=None):
    """Log p(x_obs, m) and the mean of x, by integrating z and each missing value on a grid."""
    z = np.linspace(-6, 6, 121)
    grid = np.linspace(-7, 7, 161)
    inputs = torch.from_numpy(z)[:, None]
    if category is not None:
        code = torch.eye(model.n_components, dtype=torch.float64)[category, 1:]
        inputs = torch.cat([inputs, code.expand(len(z), -1)], dim=-1)
    process = model.missing_process if category is None else model.missing_processes[category]
    with torch.no_grad():
        mean, scale = (part.numpy() for part in model.data_decoder(inputs))
    log_px, means = [], []
    for x, mask in zip(*(part.numpy() for part in rows), strict=True):
        axes = [np.array([v]) if m else grid for v, m in zip(x, mask, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        with torch.no_grad():
            logits = process(torch.from_numpy(points)).numpy()
        log_pm = log_expit(np.where(mask == 1, logits, -logits)).sum(-1)
        log_p = norm.logpdf(points, mean[:, None, None], scale).sum(-1) + log_pm
        log_p += norm.logpdf(z)[:, None, None] + np.log(z[1] - z[0])
        log_p += (mask == 0).sum() * np.log(grid[1] - grid[0])
        log_px.append(logsumexp(log_p))
        means.append(np.exp(log_p - log_px[-1]).sum((1, 2)) @ mean)
    return np.array(log_px), np.array(means)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("decoder", ["mlp", "linear"])
def test_not_miwae_against_numerical_integration(process, decoder):
    rows = make_rows()
    model = make_model(2, 1, NotMIWAE, decoder=decoder, missing_process=process)
    log_px, means = integrate(model, rows)
    terms = terms_at(model, rows, 2**15)
    np.testing.assert_allclose(bound_of(terms), log_px, atol=4e-3)
    weights = normalized_weights(log_weights(terms, 1.0))
    imputed = torch.einsum("kb,kbd->bd", weights, terms.x_given_z.mean)
    np.testing.assert_allclose(imputed, means, atol=1e-2)


@pytest.mark.parametrize("process", ["self_masking", "nonlinear"])
def test_psmvae_sums_over_its_categories(process):
    rows = make_rows()
    model = make_model(2, 1, PSMVAE, n_components=3, missing_process=process)
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    with torch.no_grad():
        model.component_logits.copy_(shares.log() + 7.0)
    of_each = [integrate(model, rows, category)[0] for category in range(3)]
    expected = logsumexp(np.array(of_each) + shares.log().numpy()[:, None], axis=0)
    np.testing.assert_allclose(bound_of(terms_at(model, rows, 2**15)), expected, atol=4e-3)
    assert np.ptp(of_each, axis=0).min() > 1e-3  # categories do differ


@pytest.mark.parametrize("process", PROCESSES)
def test_psmvae_with_one_component_is_not_miwae(process):
    rows = make_rows()
    params = {"missing_process": process}
    selection = make_model(2, 3, NotMIWAE, **params)
    mixture = make_model(2, 3, PSMVAE, n_components=1, **params)
    bounds = []
    for model in (selection, mixture):
        noise = quasi_normal(50, model.noise_dim, seed=0).unsqueeze(1)
        loss = torch.logsumexp(log_weights(model(*rows, noise), 1.0), dim=0).mean()
        loss.backward()
        bounds.append(loss.item())
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-14)
    gradients = [
        [p.grad for name, p in model.named_parameters() if name != "component_logits"]
        for model in (selection, mixture)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)


def test_samples_hold_what_is_observed_and_weigh_what_is_missing():
    """What is drawn has the distribution of x_mis given x_obs and m, not that given z alone."""
    rows = make_rows()
    model = make_model(2, 1, NotMIWAE, missing_process="self_masking_known")
    with torch.no_grad():
        model.missing_process.slope.fill_(3.0)
    terms = terms_at(model, rows, 2**14)
    x, mask = rows
    observed = (mask == 1).expand_as(terms.x_sample)
    assert torch.equal(terms.x_sample[observed], x.expand_as(terms.x_sample)[observed])

    noise = quasi_normal(2**14, model.noise_dim, seed=1).unsqueeze(1)
    with torch.no_grad():
        samples = adaptive_importance_sampling(model, MaskedRows(*rows), [noise], alpha=1.0)
    draws = samples.draw(4000, torch.Generator().manual_seed(0))
    assert torch.equal(draws[:, mask == 1], x[mask == 1].expand(4000, -1))
    # The second row: x_1 is 1.2, x_2 missing; its posterior on a grid of z and x_2.
    z, grid = np.linspace(-6, 6, 401), np.linspace(-6, 8, 701)
    with torch.no_grad():
        mean, scale = (part.numpy() for part in model.data_decoder(torch.from_numpy(z)[:, None]))
        points = np.column_stack([np.full(len(grid), 1.2), grid])
        logits = model.missing_process(torch.from_numpy(points)).numpy()[:, 1]
    log_p = norm.logpdf(1.2, mean[:, :1], scale) + norm.logpdf(grid, mean[:, 1:], scale)
    log_p += norm.logpdf(z)[:, None] + log_expit(-logits)
    density = np.exp(log_p - logsumexp(log_p)).sum(0)
    exact = density @ grid
    spread = np.sqrt(density @ (grid - exact) ** 2)
    drawn = draws[:, 1, 1].numpy()
    assert drawn.mean() == pytest.approx(exact, abs=5 * spread / np.sqrt(4000))
    assert drawn.std() == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize("model_class", [NotMIWAE, PSMVAE])
def test_adaptive_samples_estimate_the_same(model_class):
    rows = make_rows()
    model = make_model(2, 1, model_class, missing_process="self_masking_known")
    plain = terms_at(model, rows, 2**15)
    weights = normalized_weights(log_weights(plain, 1.0))
    expected = torch.einsum("kb,kbd->bd", weights, plain.x_given_z.mean)
    rounds = quasi_normal(3 * 2**12, model.noise_dim, seed=1).unsqueeze(1).split(2**12)
    with torch.no_grad():
        samples = adaptive_importance_sampling(model, MaskedRows(*rows), rounds, alpha=1.0)
    weights = normalized_weights(samples.log_w)
    imputed = torch.einsum("kb,kbd->bd", weights, samples.x_given_z.mean)
    torch.testing.assert_close(imputed, expected, rtol=0, atol=1e-2)


def test_known_directions():
    generator = torch.Generator().manual_seed(0)
    process = MissingProcess("self_masking_known", 2, (), generator, [1, -1])
    with torch.no_grad():
        low, high = process(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    # The larger, the less likely to be observed for the first, the more for the second.
    assert (low[0] > high[0], low[1] < high[1]) == (True, True)
    # From a slope of 1 and a threshold of 0.
    torch.testing.assert_close(low, torch.tensor([1.0, -1.0]))


def test_unknown_process():
    with pytest.raises(ValueError, match="kind must be 'self_masking'"):
        NotMIWAE(3, 2, missing_process="other")
