"""Levels beside numbers on the torch side: log-densities, losses by themselves, and shapes."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical, Normal

from gnr_sklearn.nn.bounds import log_weights
from gnr_sklearn.nn.categories import CategoricalHead, CategoryLayout, DiscreteFeature
from gnr_sklearn.nn.likelihoods import Gaussian, Mixed
from gnr_sklearn.nn.models import GNR, MIWAE, ValueGNR
from gnr_sklearn.nn.selection import PSMVAE, NotMIWAE

# Of five features the second and the fourth are levels: three without an order, and two with one.
DISCRETE = [
    DiscreteFeature(1, (-1.0, 0.5, 2.0), (0.2, 0.5, 0.3), False),
    DiscreteFeature(3, (-1.0, 1.0), (0.5, 0.5), True),
]
LEVELS = {1: [-1.0, 0.5, 2.0], 3: [-1.0, 1.0]}


def make_rows(n_rows, seed=0, missing=0.3):
    """Rows of five features, with zeros at what is missing, and their mask."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 5))
    for feature, levels in LEVELS.items():
        x[:, feature] = rng.choice(levels, size=n_rows)
    mask = rng.uniform(size=x.shape) >= missing
    return torch.from_numpy(x * mask).float(), torch.from_numpy(mask).float()


def randomise(module, seed=0):
    """Give all parameters values that are no special case."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


def test_log_density_is_that_of_normal_and_categorical_distributions():
    layout = CategoryLayout(5, DISCRETE)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 7, 2, 3, generator=generator)
    logits[..., 1, 2] = -torch.inf
    numbers = Gaussian(torch.randn(4, 7, 3, generator=generator), torch.tensor(0.7))
    mixed = Mixed(numbers, logits.log_softmax(-1).clamp(min=-1e4), layout)
    x, mask = make_rows(7)
    expected = (Normal(*numbers).log_prob(x[:, [0, 2, 4]]) * mask[:, [0, 2, 4]]).sum(-1)
    for place, (feature, levels) in enumerate(LEVELS.items()):
        seen = mask[:, feature] > 0
        code = (x[:, feature, None] - torch.tensor(levels)).abs().argmin(-1)
        log_prob = Categorical(logits=logits[..., place, :]).log_prob(code)
        expected = expected + torch.where(seen, log_prob, 0.0)
    torch.testing.assert_close(mixed.log_density(x, mask), expected)


def test_ordered_levels_have_the_odds_of_adjacent_categories():
    ordered = [DiscreteFeature(0, (-2.0, 0.0, 2.0), (0.3, 0.3, 0.4), True)]
    layout = CategoryLayout(1, ordered)
    head = CategoricalHead(layout, ordered)
    assert head.n_outputs == 1
    low, high = head(torch.tensor([[0.0], [1.5]])).squeeze(1)
    # The log-odds of each level against the one below rise by the output times the gap.
    torch.testing.assert_close(high.diff() - low.diff(), torch.tensor([3.0, 3.0]))
    torch.testing.assert_close(low.exp(), torch.tensor([0.3, 0.3, 0.4]))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(0, 2**16),
)
def test_wide_form_and_back(n_levels, n_numbers, seed):
    rng = np.random.default_rng(seed)
    n_features = len(n_levels) + n_numbers
    places = rng.permutation(n_features)[: len(n_levels)]
    gaps = rng.uniform(0.01, 3.0, size=len(n_levels))
    discrete = [
        DiscreteFeature(
            int(place), tuple(gap * np.arange(n) - 1.0), (1.0 / n,) * n, bool(place % 2)
        )
        for place, n, gap in zip(places, n_levels, gaps, strict=True)
    ]
    layout = CategoryLayout(n_features, discrete)
    x = torch.from_numpy(rng.normal(size=(6, n_features))).float()
    codes = {feature.place: rng.integers(len(feature.levels), size=6) for feature in discrete}
    for feature in discrete:
        levels = torch.tensor(feature.levels, dtype=torch.float32)
        x[:, feature.place] = levels[codes[feature.place]]
    mask = torch.from_numpy(rng.uniform(size=x.shape) < 0.7).float()
    wide, seen = layout.widen(x * mask, mask)
    assert wide.shape == seen.shape == (6, n_numbers + sum(n_levels))
    for feature in discrete:
        part = wide[:, layout.owner == feature.place]
        known = mask[:, feature.place] > 0
        assert (part.sum(1) == known.float()).all()
        assert (part.argmax(1)[known].numpy() == codes[feature.place][known.numpy()]).all()
    numbers = layout.continuous
    assert (wide[:, : len(numbers)] == (x * mask)[:, numbers]).all()
    assert (layout.join(x[:, numbers], x[:, layout.discrete]) == x).all()


@pytest.mark.parametrize("encoder", ["zero", "permutation_invariant"])
@pytest.mark.parametrize("scale", ["shared", "feature", "heteroscedastic"])
def test_models_of_numbers_and_levels(encoder, scale):
    networks = {"hidden_dims": (6,), "discrete": DISCRETE, "encoder": encoder}
    networks |= {"observation_scale": scale}
    x, mask = make_rows(8)
    selection = {"missing_process": "linear"}
    for model in (
        MIWAE(5, 2, **networks),
        MIWAE(5, 2, **networks, likelihood="student_t", decoder="curved"),
        GNR(5, 2, **networks),
        NotMIWAE(5, 2, **networks),
        NotMIWAE(5, 2, **networks, missing_process="self_masking_known"),
        PSMVAE(5, 2, **networks, **selection, n_components=2),
        ValueGNR(5, 2, **networks, missing_fraction=[0.3] * 5, missing_direction=[1, 0, -1, 1, 0]),
    ):
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(3, 8, model.noise_dim, generator=generator)
        terms = model(x, mask, noise)
        n_terms = 3 * model.terms_per_noise
        assert terms.log_px.shape == (n_terms, 8)
        assert terms.x_given_z.mean.shape == (n_terms, 8, 3 + 5)
        probs = terms.x_given_z.mean[..., 3:6].sum(-1)
        torch.testing.assert_close(probs, torch.ones(n_terms, 8))
        draws = terms.x_given_z.draw(generator)
        assert set(draws[..., 1].unique().tolist()) <= {-1.0, 0.5, 2.0}
        assert set(draws[..., 3].unique().tolist()) <= {-1.0, 1.0}
        log_weights(terms, 1.0).sum().backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def make_value_model(directions):
    """A model of two features that are levels, one of which decides whether it is seen."""
    levels = {0: (-1.0, 0.0, 1.0), 1: (-0.5, 0.5)}
    discrete = [
        DiscreteFeature(0, levels[0], (0.3, 0.3, 0.4), True),
        DiscreteFeature(1, levels[1], (0.5, 0.5), False),
    ]
    model = ValueGNR(
        2, 1, hidden_dims=(4,), discrete=discrete, missing_fraction=[0.4, 0.2],
        missing_direction=directions,
    )  # fmt: skip
    return randomise(model), levels


@pytest.mark.parametrize("directions", [(1, 0), (-1, 0), (1, 1)])
def test_levels_that_decide_whether_they_are_seen_are_a_distribution(directions):
    """Over all that can be observed of a row, the probabilities sum to 1, at each z."""
    model, levels = make_value_model(directions)
    rows = [
        tuple(zip(*cells, strict=True))
        for cells in product(*([(0.0, 0.0), *((v, 1.0) for v in levels[j])] for j in (0, 1)))
    ]
    x, mask = (torch.tensor(part) for part in zip(*rows, strict=True))
    z = torch.tensor([[-1.2], [0.3], [2.0]])
    # The encoder sees the rows; only p(x, m | z) is looked at, at the same z for all.
    model.encoder.forward = lambda x, mask: (torch.zeros(len(x), 1), torch.zeros(len(x), 1))
    terms = model(x, mask, z.unsqueeze(1).expand(3, len(x), 1))
    total = (terms.log_px + terms.log_pm).exp().sum(1)
    torch.testing.assert_close(total, torch.ones(3))


def test_levels_that_are_missing_are_those_that_go_missing():
    model, levels = make_value_model((1, 0))
    model.encoder.forward = lambda x, mask: (torch.zeros(len(x), 1), torch.zeros(len(x), 1))
    x, mask = torch.zeros(1, 2), torch.zeros(1, 2)
    noise = torch.tensor([[[0.7]], [[-1.0]]])
    before = model.decode_data(x, mask, noise)[1].x_given_z.log_probs.exp()
    x_given_z = model(x, mask, noise).x_given_z
    # The process knows nothing of levels: it is asked for each value as if it were a number.
    chance = torch.stack(
        [model.process.step().log_missing(torch.full((1, 2), v)).exp()[0, 0] for v in levels[0]]
    )
    joint = before[:, 0, 0] * chance
    torch.testing.assert_close(
        x_given_z.log_probs.exp()[:, 0, 0], joint / joint.sum(-1, keepdim=True)
    )
    log_odds = model.mask_logits(x, mask, x_given_z)[:, 0, 0]
    torch.testing.assert_close(log_odds.sigmoid(), 1.0 - joint.sum(-1))
    # A value that is seen tells its own chance.
    x, mask = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    seen = model.mask_logits(x, mask, model(x, mask, noise).x_given_z)[:, 0, 0]
    torch.testing.assert_close(seen.sigmoid(), (1.0 - chance[2]).expand(2))
