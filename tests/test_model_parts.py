"""What models are given reaches the part that it is for."""

from itertools import product

import numpy as np
import pytest
import torch

from gnr_sklearn.nn.categories import DiscreteFeature
from gnr_sklearn.nn.likelihoods import StudentT
from gnr_sklearn.nn.models import GNR, MIWAE, Terms, ValueGNR
from gnr_sklearn.nn.networks import PermutationInvariantEncoder, ZeroFillEncoder
from gnr_sklearn.nn.selection import PSMVAE, NotMIWAE
from tests.small_models import make_rows

N_FEATURES = 4
VALUE = {"missing_fraction": [0.3] * N_FEATURES, "missing_direction": [1] * N_FEATURES}
CLASSES = [(MIWAE, {}), (GNR, {}), (ValueGNR, VALUE), (NotMIWAE, {}), (PSMVAE, {})]
each_class = pytest.mark.parametrize(("model_class", "params"), CLASSES)

# The second of four features has levels without an order, the fourth has some in order.
DISCRETE = [
    DiscreteFeature(1, (-1.0, 0.5, 2.0), (0.2, 0.5, 0.3), False),
    DiscreteFeature(3, (-1.0, 1.0), (0.5, 0.5), True),
]


def noise_for(model, n_rows, n_samples=3):
    generator = torch.Generator().manual_seed(0)
    shape = (n_samples, n_rows, model.noise_dim)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def rows_with_levels():
    """Rows of which each feature is missing and observed, with 0 for what is missing."""
    mask = np.array(list(product([0.0, 1.0], repeat=N_FEATURES)))
    rng = np.random.default_rng(0)
    x = rng.normal(size=mask.shape)
    x[:, 1], x[:, 3] = rng.choice([-1.0, 0.5, 2.0], len(x)), rng.choice([-1.0, 1.0], len(x))
    return torch.from_numpy(x * mask), torch.from_numpy(mask)


def spread(module):
    """Give all parameters values that differ from one another."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.4 * torch.randn(parameter.shape, generator=generator)
    return module.double()


def states_equal(first, second):
    states = first.state_dict(), second.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )


@each_class
def test_defaults(model_class, params):
    first = model_class(N_FEATURES, 2, **params)
    invariant = {"encoder": "permutation_invariant"}
    told = {"seed": 0, "hidden_dims": (128, 128), "decoder": "mlp", "observation_scale": "shared"}
    if model_class in (NotMIWAE, PSMVAE):
        told |= {"missing_process": "self_masking", "shared_process": False}
    if model_class is PSMVAE:
        told["n_components"] = 3
    if model_class is ValueGNR:
        told["shared_process"] = False
    assert states_equal(first, model_class(N_FEATURES, 2, **params, **told))
    assert states_equal(
        model_class(N_FEATURES, 2, **params, **invariant),
        model_class(N_FEATURES, 2, **params, **told, **invariant, embedding_dim=20, code_dim=50),
    )
    assert not states_equal(first, model_class(N_FEATURES, 2, **params, **told | {"seed": 1}))


@each_class
@pytest.mark.parametrize(
    "networks",
    [
        {"auxiliary_dim": 2, "auxiliary_features": [0, 3]},
        {"discrete": DISCRETE},
        {"feature_info": np.eye(N_FEATURES, 3, dtype=np.float32)},
        {"encoder": "permutation_invariant"},
    ],
    ids=lambda networks: next(iter(networks)),
)
def test_making_one_depends_on_the_seed_alone(model_class, params, networks):
    """Neither torch's random state, nor what numbers and devices others prefer, count."""
    params = params | networks | {"hidden_dims": (5,), "seed": 3}
    expected = model_class(N_FEATURES, 2, **params)
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            model = model_class(N_FEATURES, 2, **params)
        # Buffers count rows and levels by whole numbers.
        kinds = {t.dtype for t in model.state_dict().values() if t.is_floating_point()}
        assert kinds == {torch.float32}
        assert states_equal(model, expected)
        x, mask = (part.float() for part in make_rows(5, N_FEATURES))
        u = torch.ones(5, 2, dtype=torch.float32) if "auxiliary_dim" in networks else None
        noise = noise_for(model, 5).float()
        with torch.device("meta"), torch.no_grad():
            terms = model(x, mask, noise, u)
        assert (terms.log_px.dtype, terms.log_px.device.type) == (torch.float32, "cpu")
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("first", ["float32", "float64"])
def test_terms_are_averaged_by_name(first):
    def part(*values):
        return torch.tensor([values], dtype=getattr(torch, first))

    terms = Terms(part(1.0, 3.0), part(-2.0, 0.0), 0.0, part(5.0, 7.0), part(1.0, 2.0), None)
    assert terms.averages() == {"log_px": 2.0, "log_pm": -1.0, "log_ratio": 4.5}


@each_class
def test_what_is_known_of_rows_reaches_the_decoder(model_class, params):
    """Each model, at the same z, against its own networks put together by hand."""
    model = spread(model_class(N_FEATURES, 2, auxiliary_dim=2, hidden_dims=(5,), **params))
    x, mask = make_rows(5, N_FEATURES)
    u = torch.randn(5, 2, generator=torch.Generator().manual_seed(2)).double()
    noise = noise_for(model, 5)
    with torch.no_grad():
        terms = model(x, mask, noise, u)
        mean, log_scale = model.encoder(x, mask)
        z = mean + log_scale.exp() * noise[..., :2]
        z = z.repeat_interleave(model.terms_per_noise, dim=0)
        joint = [z, u.expand(len(z), -1, -1)]
        if model_class is PSMVAE:
            codes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).double()
            joint.append(codes.repeat(3, 1).unsqueeze(1).expand(-1, 5, -1))
        decoded = model.data_decoder(torch.cat(joint, dim=-1))
        of_u = model.prior_network(z).log_density(u, torch.ones_like(u))
    torch.testing.assert_close(terms.log_px, decoded.log_density(x, mask))
    torch.testing.assert_close(terms.log_pu, of_u)


@pytest.mark.parametrize("discrete", [(), DISCRETE], ids=["numbers", "with levels"])
def test_features_that_are_part_of_u_come_from_its_distribution(discrete):
    model = spread(
        MIWAE(N_FEATURES, 2, auxiliary_dim=1, auxiliary_features=[0, 2], hidden_dims=(5,),
              observation_scale="feature", discrete=discrete)
    )  # fmt: skip
    x, mask = rows_with_levels()
    u = torch.ones(len(x), 1, dtype=torch.float64)
    noise = noise_for(model, len(x))
    with torch.no_grad():
        terms = model(x, mask, noise, u)
        mean, log_scale = model.encoder(x, mask)
        of_u = model.prior_network(mean + log_scale.exp() * noise)
    numbers = terms.x_given_z.numbers if discrete else terms.x_given_z
    # Of the numbers alone, these features are the first and the second.
    places = [0, 1] if discrete else [0, 2]
    torch.testing.assert_close(numbers.mean[..., places], of_u.mean[..., 1:])
    torch.testing.assert_close(numbers.scale[..., places], of_u.scale[1:].expand(3, len(x), 2))


def test_the_mask_of_u_is_told_by_z_alone():
    """What sees u would read it off the zeros in u."""
    model = spread(GNR(N_FEATURES, 2, auxiliary_features=[0, 2], hidden_dims=(5,)))
    x, mask = make_rows(6, N_FEATURES)
    noise = noise_for(model, 6)
    with torch.no_grad():
        logits = model(x, mask, noise).mask_logits
        mean, log_scale = model.encoder(x, mask)
        z = mean + log_scale.exp() * noise
        torch.testing.assert_close(logits[..., [0, 2]], model.prior_mask_decoder(z))
        others = model.mask_decoder(torch.cat([z, x[:, [0, 2]].expand(3, -1, -1)], dim=-1))
    torch.testing.assert_close(logits[..., [1, 3]], others[..., [1, 3]])


def test_mask_decoder_knows_features():
    """With nothing learned of single features, those of which the same is known are the same."""
    info = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    model = GNR(N_FEATURES, 2, hidden_dims=(5,), feature_info=info)
    weights = [m for m in model.mask_decoder.modules() if hasattr(m, "info")]
    assert any(module.info is not None for module in weights)
    plain = GNR(N_FEATURES, 2, hidden_dims=(5,))
    assert len(model.mask_decoder.state_dict()) > len(plain.mask_decoder.state_dict())


@pytest.mark.parametrize("discrete", [(), DISCRETE], ids=["numbers", "with levels"])
def test_log_odds_of_what_is_seen_are_those_of_its_value(discrete):
    model = spread(ValueGNR(N_FEATURES, 2, hidden_dims=(5,), discrete=discrete, **VALUE))
    x, mask = rows_with_levels()
    with torch.no_grad():
        terms = model(x, mask, noise_for(model, len(x)))
        logits = model.mask_logits(x, mask, terms.x_given_z)
        expected = model.process.step().log_observed(x) - model.process.step().log_missing(x)
    seen = (mask == 1).expand_as(logits)
    torch.testing.assert_close(logits[seen], expected.expand_as(logits)[seen])
    assert (logits[~seen] != expected.expand_as(logits)[~seen]).all()


@pytest.mark.parametrize(
    "model_class", [ValueGNR, NotMIWAE, PSMVAE], ids=lambda model_class: model_class.__name__
)
def test_one_process_for_all_features(model_class):
    params = VALUE if model_class is ValueGNR else {}
    model = model_class(N_FEATURES, 2, shared_process=True, **params)
    process = {ValueGNR: "process", NotMIWAE: "missing_process", PSMVAE: "missing_processes"}
    found = getattr(model, process[model_class])
    for each in found if model_class is PSMVAE else [found]:
        assert each.threshold.shape == (1,)


@pytest.mark.parametrize("model_class", [NotMIWAE, PSMVAE])
@pytest.mark.parametrize(("told", "expected"), [(None, [1, 0, 1, 1]), ([-1] * 4, [-1, 0, -1, -1])])
def test_directions(model_class, told, expected):
    """Levels without an order do not decide."""
    model = model_class(
        N_FEATURES, 2, discrete=DISCRETE, missing_process="self_masking_known",
        missing_direction=told,
    )  # fmt: skip
    processes = [model.missing_process] if model_class is NotMIWAE else model.missing_processes
    for process in processes:
        assert process.direction.tolist() == expected


@pytest.mark.parametrize("kind", ["self_masking", "linear", "nonlinear"])
@pytest.mark.parametrize("discrete", [(), DISCRETE], ids=["numbers", "with levels"])
def test_what_processes_see(kind, discrete):
    """The complete row with its sampled values, or its wide form where all values count."""
    model = NotMIWAE(
        N_FEATURES, 2, hidden_dims=(6, 7), discrete=discrete, missing_process=kind
    )  # fmt: skip
    spread(model)
    x, mask = rows_with_levels()
    noise = noise_for(model, len(x))
    with torch.no_grad():
        terms = model(x, mask, noise)
        seen = model.process_inputs(x, mask, terms)
        torch.testing.assert_close(terms.mask_logits, model.missing_process(seen))
    x_noise = noise[..., 2:]
    if discrete:
        numbers = terms.x_given_z.numbers
        drawn = numbers.mean + numbers.scale * x_noise[..., [0, 2]]
        probabilities = terms.x_given_z.log_probs.exp()
        levels = torch.tensor([[-1.0, 0.5, 2.0], [-1.0, 1.0, 0.0]]).double()
        fresh = torch.empty(3, *x.shape).double()
        fresh[..., [0, 2]], fresh[..., [1, 3]] = drawn, (probabilities * levels).sum(-1)
    else:
        fresh = terms.x_given_z.mean + terms.x_given_z.scale * x_noise
    complete = torch.where(mask == 1, x, fresh)
    torch.testing.assert_close(terms.x_sample, complete)
    if not discrete or kind == "self_masking":
        torch.testing.assert_close(seen, complete)
        return
    wide = [complete[..., [0, 2]]]
    for place, (feature, size) in enumerate([(1, 3), (3, 2)]):
        codes = (x[:, feature, None] == levels[place, :size]).double()
        of_level = probabilities[:, :, place, :size]
        wide.append(torch.where(mask[:, feature, None] == 1, codes, of_level))
    torch.testing.assert_close(seen, torch.cat(wide, dim=-1))


def test_the_network_of_a_process_has_one_hidden_layer():
    model = NotMIWAE(N_FEATURES, 2, hidden_dims=(6, 7), missing_process="nonlinear")
    shapes = [tuple(p.shape) for p in model.missing_process.parameters() if p.dim() == 2]
    assert shapes == [(6, N_FEATURES), (N_FEATURES, 6)]


@pytest.mark.parametrize(
    ("model_class", "params", "verb"),
    [(ValueGNR, VALUE, "integrates"), (NotMIWAE, {}, "samples"), (PSMVAE, {}, "samples")],
)
def test_only_normal_distributions_are_taken(model_class, params, verb):
    message = rf"^likelihood must be 'gaussian' in a model that {verb} x\.$"
    with pytest.raises(ValueError, match=message):
        model_class(N_FEATURES, 2, likelihood="student_t", **params)
    model_class(N_FEATURES, 2, likelihood="gaussian", **params)


@pytest.mark.parametrize(
    ("decoder", "of_data", "of_mask"),
    [("mlp", [6, 7, 4], [6, 7, 4]), ("linear", [4], [4]), ("curved", [4, 4, 6], [4])],
)
def test_decoders_are_those_asked_for(decoder, of_data, of_mask):
    model = GNR(N_FEATURES, 2, hidden_dims=(6, 7), decoder=decoder, observation_scale="feature")
    for network, widths in ((model.data_decoder, of_data), (model.mask_decoder, of_mask)):
        found = [len(p) for name, p in network.named_parameters() if p.dim() == 2]
        assert sorted(found) == sorted(widths)


@pytest.mark.parametrize("discrete", [(), DISCRETE], ids=["numbers", "with levels"])
def test_encoders_are_those_asked_for(discrete):
    n_cells = 2 + 3 + 2 if discrete else N_FEATURES
    networks = {"hidden_dims": (6,), "discrete": discrete}
    plain = MIWAE(N_FEATURES, 2, **networks)
    assert isinstance(plain.encoder, ZeroFillEncoder)
    assert plain.encoder.network[0].weight.shape == (6, n_cells)
    info = np.eye(N_FEATURES, 3, dtype=np.float32)
    for known in (None, info):
        model = MIWAE(
            N_FEATURES, 2, **networks, feature_info=None if discrete else known,
            encoder="permutation_invariant", embedding_dim=5, code_dim=9,
        )  # fmt: skip
        assert isinstance(model.encoder, PermutationInvariantEncoder)
        shapes = [tuple(p.shape) for p in model.encoder.parameters()]
        assert (n_cells, 5) in shapes
        assert any(9 in shape for shape in shapes)
        assert ((3, 5) in shapes) == (known is not None and not discrete)


def test_what_a_sample_takes_room_for():
    model = MIWAE(N_FEATURES, 2, hidden_dims=(6,), discrete=DISCRETE).double()
    x, mask = rows_with_levels()
    with torch.no_grad():
        x_given_z = model(x, mask, noise_for(model, len(x))).x_given_z
    n_numbers = x_given_z.numbers.mean.shape[-1] + x_given_z.log_probs[0, 0].numel()
    assert model.width == n_numbers
    assert MIWAE(N_FEATURES, 2).width == N_FEATURES


def test_decoders_know_limits_likelihood_and_features():
    info = np.eye(N_FEATURES, 3, dtype=np.float32)
    x, mask = make_rows(6, N_FEATURES)
    model = spread(
        MIWAE(N_FEATURES, 2, hidden_dims=(6,), mean_limits=(-0.1, 0.1), feature_info=info)
    )
    with torch.no_grad():
        model.data_decoder.network[-1].own_weight *= 100.0
        mean = model(x, mask, noise_for(model, 6)).x_given_z.mean
    assert mean.abs().max() <= 0.1
    assert mean.std() > 0.03
    known = {name for name, _ in model.data_decoder.named_parameters()}
    plain = MIWAE(N_FEATURES, 2, hidden_dims=(6,), likelihood="student_t").double()
    assert known > {"network.0.weight"}
    assert known != {name for name, _ in plain.data_decoder.named_parameters()}
    with torch.no_grad():
        assert isinstance(plain(x, mask, noise_for(plain, 6)).x_given_z, StudentT)


def test_features_that_are_part_of_u_are_normal():
    message = r"^likelihood must be 'gaussian' where features are part of u\.$"
    with pytest.raises(ValueError, match=message):
        MIWAE(N_FEATURES, 2, likelihood="student_t", auxiliary_features=[0])


def test_weights_do_not_depend_on_the_default_type_of_torch():
    torch.set_default_dtype(torch.float64)
    try:
        model = ValueGNR(
            2, 1, missing_fraction=[0.3, 0.4], missing_direction=[1, 1],
            has_few_levels=[True, False],
        )  # fmt: skip
    finally:
        torch.set_default_dtype(torch.float32)
    assert {part.dtype for part in model.process.parameters()} == {torch.float32}
