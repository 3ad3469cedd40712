"""Encoders and distributions against what defines them."""

import numpy as np
import pytest
import torch
from scipy import stats

from gnr_sklearn.nn.likelihoods import Gaussian, StudentT
from gnr_sklearn.nn.models import GNR, MIWAE
from gnr_sklearn.nn.networks import (
    DataDecoder,
    PermutationInvariantEncoder,
    sum_over_all,
    sum_over_observed,
)
from tests.small_models import bound_of, make_model, make_rows, terms_at


@pytest.fixture
def encoder():
    generator = torch.Generator().manual_seed(0)
    return PermutationInvariantEncoder(5, 2, (8,), generator, embedding_dim=3, code_dim=7).double()


def encode(encoder, x, mask):
    with torch.no_grad():
        return torch.cat(encoder(x, mask), dim=-1)


def test_features_may_be_permuted_with_their_embeddings(encoder):
    x, mask = make_rows(12, 5)
    expected = encode(encoder, x, mask)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert not torch.allclose(encode(encoder, x[:, order], mask[:, order]), expected)
    with torch.no_grad():
        encoder.embedding.copy_(encoder.embedding[order])
    permuted = encode(encoder, x[:, order], mask[:, order])
    torch.testing.assert_close(permuted, expected, rtol=0, atol=1e-14)


def test_sums_of_codes_are_the_same_on_a_gpu():
    x, mask = make_rows(12, 5)
    of_value, constant = torch.linspace(-1.0, 2.0, 7).double(), torch.randn(5, 7).double()
    expected = torch.tanh(x.unsqueeze(-1) * of_value + constant)
    expected[mask == 0] = 0.0
    for sum_of_codes in (sum_over_observed, sum_over_all):
        found = sum_of_codes(x, mask, of_value, constant)
        torch.testing.assert_close(found, expected.sum(1), rtol=0, atol=1e-14)


def test_a_missing_cell_adds_nothing(encoder):
    x, mask = make_rows(12, 5)
    filled = torch.where(mask == 1, x, 1e3)
    assert torch.equal(encode(encoder, filled, mask), encode(encoder, x, mask))
    # An observed 0 is not the same as a missing value.
    x[0, 2] = 0.0
    before = encode(encoder, x, mask)[0]
    mask[0, 2] = 0.0
    assert not torch.allclose(encode(encoder, x, mask)[0], before)
    # A feature that is missing might as well not be there.
    kept = [0, 1, 3, 4]
    with torch.no_grad():
        expected = encode(encoder, x[:1], mask[:1])
        encoder.embedding = torch.nn.Parameter(encoder.embedding[kept])
    fewer = encode(encoder, x[:1, kept], mask[:1, kept])
    torch.testing.assert_close(fewer, expected, rtol=0, atol=1e-14)


def test_all_parts_of_the_encoder_learn(encoder):
    sum(part.sum() for part in encoder(*make_rows(12, 5))).backward()
    assert all((p.grad != 0).any() for p in encoder.parameters())


def test_student_t_density():
    x = torch.linspace(-3, 30, 8, dtype=torch.float64).reshape(4, 2)
    mask = torch.tensor([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=torch.float64)
    mean = torch.linspace(-1, 2, 24, dtype=torch.float64).reshape(3, 4, 2)
    scale, degrees = torch.tensor([0.5, 2.0]).double(), torch.tensor([3.5, 40.0]).double()
    for wide in (lambda t: t, lambda t: t * mean.exp()):  # parameters, and functions of z
        expected = stats.t.logpdf(x, wide(degrees), mean, wide(scale)) * mask.numpy()
        actual = StudentT(mean, wide(scale), wide(degrees)).log_density(x, mask)
        np.testing.assert_allclose(actual, expected.sum(-1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("degrees", [3.0, 10.0, 1e4])
def test_student_t_draws(degrees):
    of = StudentT(torch.full((20_000, 1), 5.0), torch.tensor([2.0]), torch.tensor([degrees]))
    draws = of.draw(torch.Generator().manual_seed(0))
    assert torch.equal(draws, of.draw(torch.Generator().manual_seed(0)))
    test = stats.kstest(draws[:, 0].numpy(), stats.t(degrees, loc=5.0, scale=2.0).cdf)
    assert test.pvalue > 1e-3
    if degrees == 3.0:  # and the test can tell a normal distribution from it
        normal = Gaussian(of.mean, of.scale).draw(torch.Generator().manual_seed(0))
        other = stats.kstest(normal[:, 0].numpy(), stats.t(degrees, loc=5.0, scale=2.0).cdf)
        assert other.pvalue < 1e-9


@pytest.mark.parametrize(
    ("observation_scale", "shape"),
    [("shared", (1,)), ("feature", (3,)), ("heteroscedastic", (10, 7, 3))],
)
def test_student_t_decoder(observation_scale, shape):
    generator = torch.Generator().manual_seed(0)
    decoder = DataDecoder(2, 3, (4,), observation_scale, generator, "student_t")
    x_given_z = decoder(torch.randn(10, 7, 2))
    assert isinstance(x_given_z, StudentT)
    assert x_given_z.scale.shape == x_given_z.degrees_of_freedom.shape == shape
    assert (x_given_z.degrees_of_freedom >= 3.0).all()
    loss = x_given_z.log_density(torch.randn(7, 3), torch.ones(7, 3)).sum()
    loss.backward()
    assert all((p.grad != 0).any() for p in decoder.parameters())


def test_unknown_likelihood():
    with pytest.raises(ValueError, match="likelihood must be one of"):
        MIWAE(3, 2, likelihood="other")


@pytest.mark.parametrize("decoder", ["mlp", "linear"])
def test_auxiliary_variable_against_numerical_integration(decoder):
    """p(x, m, u) with a part of u from outside and a part that is a feature."""
    x, mask = make_rows(6, 4)
    u = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(6, 2)
    params = {"auxiliary_dim": 2, "auxiliary_features": (1,), "observation_scale": "feature"}
    model = make_model(4, 1, GNR, decoder=decoder, **params)
    grid = np.linspace(-8, 8, 2001)
    z = torch.from_numpy(grid)[:, None]
    expected = []
    for i in range(6):
        known = torch.cat([u[i], x[i, 1:2]])
        with torch.no_grad():
            joint = torch.cat([z, known.expand(len(z), -1)], dim=-1)
            x_mean, x_scale = (t.numpy() for t in model.data_decoder(joint))
            u_mean, u_scale = (t.numpy() for t in model.prior_network(z))
            logits = model.mask_decoder(joint).numpy()
            logits[:, 1] = model.prior_mask_decoder(z).numpy()[:, 0]
        log_p = stats.norm.logpdf(u[i].numpy(), u_mean[:, :2], u_scale[:2]).sum(-1)
        log_p += mask[i, 1].item() * stats.norm.logpdf(x[i, 1].item(), u_mean[:, 2], u_scale[2])
        others = [0, 2, 3]
        of_x = stats.norm.logpdf(x[i].numpy(), x_mean, x_scale) * mask[i].numpy()
        log_p += of_x[:, others].sum(-1)
        log_p += stats.bernoulli.logpmf(mask[i].numpy(), 1 / (1 + np.exp(-logits))).sum(-1)
        log_p += stats.norm.logpdf(grid)
        expected.append(np.logaddexp.reduce(log_p) + np.log(grid[1] - grid[0]))
    terms = terms_at(model, (x, mask), 2**14, u=u)
    np.testing.assert_allclose(bound_of(terms), expected, atol=2e-3)
    # What is imputed for a feature that is part of u is its mean given z alone.
    with torch.no_grad():
        q_mean, _ = model.encoder(x, mask)
        noise = torch.zeros((1, 6, 1), dtype=torch.float64)
        at_mean = model(x, mask, noise, u)
        of_u = model.prior_network(q_mean)
    torch.testing.assert_close(at_mean.x_given_z.mean[0, :, 1], of_u.mean[:, 2])
    torch.testing.assert_close(
        at_mean.x_given_z.scale[0, :, 1], of_u.scale[2].expand(6), check_stride=False
    )


def test_without_auxiliary_variable_nothing_is_added():
    plain = make_model(4, 2, GNR)
    assert plain.prior_network is None
    terms = terms_at(plain, make_rows(6, 4), 8)
    assert terms.log_pu == 0.0
