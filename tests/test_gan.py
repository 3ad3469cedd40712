"""GAIN: its losses, its steps, and the imputer; what all imputers share is in test_contract.py."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, LRScheduler

from gnr_sklearn import GAINImputer, MeanImputer
from gnr_sklearn.metrics import imputation_rmse
from gnr_sklearn.missingness import MCAR, ampute
from gnr_sklearn.nn.adversarial import (
    NOISE_LIMIT,
    AdversarialNet,
    Discriminator,
    Generator,
    GeneratorLoss,
    adversarial_loss,
    complete,
    discriminator_loss,
    draw_hint,
    reconstruction_loss,
)
from gnr_sklearn.nn.rows import MaskedRows, RandomBatches
from tests.small_models import record_compiled

QUICK = {"max_iter": 40, "random_state": 0}


def random_rows(n_rows=50, n_features=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand((n_rows, n_features), generator=generator) < 0.7).float()
    return MaskedRows(torch.rand((n_rows, n_features), generator=generator) * mask, mask)


def make_net(n_steps=1, callbacks=None, **params):
    defaults = {
        "module__n_features": 3,
        "module__hidden_dims": (8,),
        "module__seed": 1,
        "discriminator__n_features": 3,
        "discriminator__hidden_dims": (8,),
        "discriminator__seed": 2,
        "optimizer": torch.optim.Adam,
        "lr": 1e-2,
        "max_epochs": -(-n_steps // 5),
        "batch_size": 16,
        "iterator_train": RandomBatches,
        "iterator_train__n_steps": n_steps,
        "iterator_train__steps_per_epoch": 5,
        "iterator_train__seed": 0,
        "train_split": None,
        "callbacks": callbacks,
        "verbose": 0,
    }
    return AdversarialNet(**defaults | params)


def linear_data(n_rows=800, seed=0):
    """Columns in different units, of which one tells the others but for little noise."""
    rng = np.random.RandomState(seed)
    standard = rng.uniform(-1, 1, size=(n_rows, 1)) + 0.05 * rng.normal(size=(n_rows, 4))
    complete_table = standard * [1.0, -20.0, 0.3, 1e4] + [5.0, 0.0, -7.0, 1e5]
    return complete_table, ampute(complete_table, MCAR(0.2), random_state=seed)


@pytest.fixture(scope="module")
def fitted():
    complete_table, X = linear_data()
    imputer = GAINImputer(max_iter=1500, learning_rate=5e-3, random_state=0)
    return imputer.fit(X), complete_table, X


# Losses


@pytest.fixture
def cells():
    """Log-odds, generated values, rows and mask, of one batch."""
    rows = random_rows(6)
    generator = torch.Generator().manual_seed(1)
    logits = 3.0 * torch.randn((6, 3), generator=generator)
    return logits, torch.rand((6, 3), generator=generator), rows.x, rows.mask


def test_losses_are_those_of_the_paper(cells):
    logits, generated, x, mask = cells
    proba, g, values, m = (
        table.double().numpy() for table in (logits.double().sigmoid(), generated, x, mask)
    )
    of_discriminator = -np.mean(m * np.log(proba) + (1 - m) * np.log(1 - proba))
    assert discriminator_loss(logits, mask).item() == pytest.approx(of_discriminator, rel=1e-5)
    adversarial = -np.mean((1 - m) * np.log(proba))
    assert adversarial_loss(logits, mask).item() == pytest.approx(adversarial, rel=1e-5)
    error = np.mean((m * values - m * g) ** 2) / np.mean(m)
    assert reconstruction_loss(generated, x, mask).item() == pytest.approx(error, rel=1e-5)
    loss = GeneratorLoss(alpha=7.0)(logits, generated, x, mask)
    assert loss.item() == pytest.approx(adversarial + 7.0 * error, rel=1e-5)


def test_losses_stay_finite(cells):
    _, generated, x, mask = cells
    sure = torch.where(mask > 0, -1e4, 1e4)
    for wrong in (sure, -sure):
        assert torch.isfinite(discriminator_loss(wrong, mask))
        assert torch.isfinite(adversarial_loss(wrong, mask))
    assert reconstruction_loss(generated, x, torch.zeros_like(mask)) == 0.0


def test_hint_tells_of_observed_cells_at_its_rate():
    mask = random_rows(20_000).mask
    hint = draw_hint(mask, 0.9, torch.Generator().manual_seed(1))
    assert set(hint.unique().tolist()) == {0.0, 1.0}
    assert (hint[mask == 0] == 0).all()
    n_observed = mask.sum(0)
    told = (hint.sum(0) / n_observed).numpy()
    # Four standard errors.
    np.testing.assert_allclose(told, 0.9, atol=4 * (0.09 / n_observed.min().item()) ** 0.5)
    assert torch.equal(draw_hint(mask, 1.0, torch.Generator()), mask)
    assert not draw_hint(mask, 0.0, torch.Generator()).any()


def test_networks_are_those_of_the_paper():
    rows = random_rows(5)
    noise = NOISE_LIMIT * torch.rand((5, 3), generator=torch.Generator().manual_seed(3))

    def by_hand(network, left, right):
        values = np.hstack([left.numpy(), right.numpy()])
        layers = [layer for layer in network.network if hasattr(layer, "weight")]
        for layer in layers:
            weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
            values = values @ weight.T + bias
            if layer is not layers[-1]:
                values = np.maximum(values, 0.0)
        assert len(layers) == 3
        return values

    generator = Generator(3, (4, 5), seed=0)
    filled = torch.where(rows.mask > 0, rows.x, noise)
    torch.testing.assert_close(complete(rows.x, rows.mask, noise), filled)
    expected = expit(by_hand(generator, filled, rows.mask))
    generated = generator(rows.x, rows.mask, noise).detach().numpy()
    np.testing.assert_allclose(generated, expected, rtol=1e-5)
    discriminator = Discriminator(3, (4, 5), seed=0)
    logits = discriminator(filled, rows.mask).detach().numpy()
    np.testing.assert_allclose(logits, by_hand(discriminator, filled, rows.mask), rtol=1e-4)


# Steps


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(before, network):
    return [not torch.equal(before[name], now) for name, now in network.state_dict().items()]


class Halves(Callback):
    """At each half step, note what has gradients and what has moved since the last."""

    def on_train_begin(self, net, **kwargs):
        self.before_ = [state_of(net.module_), state_of(net.discriminator_)]
        self.halves_ = []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        given = {id(p) for _, p in named_parameters}
        networks = (net.module_, net.discriminator_)
        self.halves_.append(
            {
                "gradients": [all(p.grad is not None for p in n.parameters()) for n in networks],
                "none": [all(p.grad is None for p in n.parameters()) for n in networks],
                "given": [given == {id(p) for p in n.parameters()} for n in networks],
                "moved": [any(changed(b, n)) for b, n in zip(self.before_, networks, strict=True)],
            }
        )
        self.before_ = [state_of(n) for n in networks]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_each_half_step_moves_its_own_network_alone(weight_decay):
    halves = Halves()
    net = make_net(
        3,
        callbacks=[halves],
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=weight_decay,
    ).fit(random_rows())
    assert len(halves.halves_) == 6
    for number, half in enumerate(halves.halves_):
        # First the discriminator, then the generator: what moved is that of the half before.
        discriminating = number % 2 == 0
        own = [not discriminating, discriminating]
        assert half["gradients"] == own
        assert half["given"] == own
        assert half["none"] == [not has for has in own]
        assert half["moved"] == ([discriminating, not discriminating] if number else [False] * 2)
    assert all(changed(halves.before_[0], net.module_))
    assert not any(changed(halves.before_[1], net.discriminator_))


def test_a_step_is_that_of_two_optimizers():
    """Gradient descent by hand, with the noise and the hint that the net draws."""
    rows = random_rows(10)
    params = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.5, "lr": 0.1, "seed": 4}
    net = make_net(3, batch_size=10, **params).fit(rows)
    generator = Generator(3, (8,), seed=1)
    discriminator = Discriminator(3, (8,), seed=2)
    networks = (discriminator, generator)
    optimizers = [torch.optim.SGD(n.parameters(), lr=0.1, momentum=0.5) for n in networks]
    batches = iter(RandomBatches(rows, 10, 3, 3, seed=0))
    rng = torch.Generator().manual_seed(4)
    recorded = []
    for batch, _ in batches:
        x, mask = batch["x"], batch["mask"]
        noise = NOISE_LIMIT * torch.rand(x.shape, generator=rng)
        hint = mask * (torch.rand(x.shape, generator=rng) < 0.9)
        losses = []
        for half, optimizer in enumerate(optimizers):
            generated = generator(x, mask, noise)
            logits = discriminator(torch.where(mask > 0, x, generated), hint)
            if half == 0:
                loss = discriminator_loss(logits, mask)
            else:
                loss = GeneratorLoss(100.0)(logits, generated, x, mask)
            for optimizer_ in optimizers:
                optimizer_.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        recorded.append(losses)
    for ours, theirs in ((net.module_, generator), (net.discriminator_, discriminator)):
        for name, expected in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], expected)
    batches = net.history[0, "batches"]
    names = ("discriminator_loss", "train_loss")
    np.testing.assert_allclose([[b[n] for n in names] for b in batches], recorded, rtol=1e-5)


def test_noise_is_new_in_each_step_and_within_its_limit():
    seen = []

    class Watch(Generator):
        def forward(self, x, mask, noise):
            seen.append(noise)
            return super().forward(x, mask, noise)

    make_net(40, module=Watch).fit(random_rows())
    draws = torch.stack(seen)
    assert draws.shape == (40, 16, 3)
    assert (draws >= 0).all()
    assert 0.95 * NOISE_LIMIT < draws.max() < NOISE_LIMIT
    assert len(draws.unique()) > 0.99 * draws.numel()


# The imputer


def test_a_linear_relation_is_learned(fitted):
    imputer, complete_table, X = fitted
    missing = np.isnan(X)
    scale = complete_table.std(axis=0)
    error = imputation_rmse(complete_table, imputer.transform(X), missing, scale=scale)
    mean = imputation_rmse(complete_table, MeanImputer().fit_transform(X), missing, scale=scale)
    assert error < 0.4 * mean


def test_new_rows_are_imputed_as_well_without_training(fitted):
    imputer, _, _ = fitted
    complete_table, X = linear_data(seed=1)
    scale = complete_table.std(axis=0)
    before = state_of(imputer.net_.module_)
    error = imputation_rmse(complete_table, imputer.transform(X), np.isnan(X), scale=scale)
    assert error < 0.4
    assert not any(changed(before, imputer.net_.module_))


def test_both_parts_of_the_loss_make_a_difference():
    _, X = linear_data(200)
    imputed = [
        GAINImputer(**QUICK | params).fit_transform(X)
        for params in ({}, {"hint_rate": 0.1}, {"alpha": 1.0}, {"alpha": 0.0})
    ]
    for first, other in pairwise(imputed):
        assert (first != other).any()
    # Without reconstruction, the generator learns from the discriminator alone.
    net = GAINImputer(**QUICK, alpha=0.0).fit(X).net_
    start = Generator(4, (4, 4), seed=net.module__seed)
    assert any(changed(state_of(start), net.module_))


def test_imputed_values_are_those_of_the_generator(fitted):
    imputer, _, X = fitted
    least, largest = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
    mask = ~np.isnan(X)
    scaled = np.nan_to_num((X - least) / (largest - least))
    tensors = [torch.tensor(table, dtype=torch.float32) for table in (scaled, mask)]
    with torch.no_grad():
        generated = imputer.net_.module_(*tensors, noise=0.005).double().numpy()
    imputed = (imputer.transform(X) - least) / (largest - least)
    np.testing.assert_allclose(imputed, np.where(mask, scaled, generated), atol=1e-6)


def test_imputed_values_lie_between_those_observed(fitted):
    imputer, _, X = fitted
    # So far out that the sigmoid rounds to 0 and to 1.
    far = np.array([[1e300, np.nan, np.nan, -1e300], [np.nan, 1e300, -1e300, np.nan]])
    rows = np.vstack([X, far, -far])
    missing = np.isnan(rows)
    imputed = imputer.transform(rows)
    assert np.isfinite(imputed).all()
    least, largest = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
    assert ((imputed >= least) & (imputed <= largest))[missing].all()
    for limit in (least, largest):
        assert (imputed == limit)[missing].any()


def test_rounding_does_not_lead_beyond_what_is_observed():
    draws = np.random.RandomState(0).normal(size=(100, 2))
    (least, largest), *_ = ((a, b) for a, b in draws if a < b < a + (b - a))
    X = np.array([[least], [largest]])
    imputer = GAINImputer(**QUICK).fit(X)
    # Certain of the largest.
    imputer.net_.module_.network[-1].bias.data.fill_(100.0)
    assert imputer.transform([[np.nan]]) == largest


@pytest.mark.parametrize("n_features", [1, 2, 3, 7, 33])
def test_rows_are_treated_alike_to_the_last_bit(n_features):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, n_features)) + rng.normal(size=(400, 1))
    X[rng.uniform(size=X.shape) < 0.4] = np.nan
    imputer = GAINImputer(**QUICK).fit(X)
    imputed = imputer.transform(X)
    for n_rows in (1, 2, 17, 129, 300):
        some = rng.permutation(len(X))[:n_rows]
        np.testing.assert_array_equal(imputer.transform(X[some]), imputed[some])


def test_constant_columns_are_imputed_by_their_value():
    _, X = linear_data(60)
    X[:, 1] = np.where(np.isnan(X[:, 1]), np.nan, 0.1)
    X[:, 2] = np.where(np.isnan(X[:, 2]), np.nan, -1e12)
    imputed = GAINImputer(**QUICK).fit_transform(X)
    assert (imputed[:, 1] == 0.1).all()
    assert (imputed[:, 2] == -1e12).all()


def test_batches_without_observed_values_do_no_harm():
    X = np.full((300, 3), np.nan)
    X[::50] = np.arange(18).reshape(6, 3)
    imputed = GAINImputer(**QUICK | {"batch_size": 2}).fit_transform(X)
    assert np.isfinite(imputed).all()


def test_history_holds_the_losses_of_both(fitted):
    imputer, _, _ = fitted
    assert imputer.n_iter_ == 1500
    assert len(imputer.history_) == 15
    for name in ("train_loss", "discriminator_loss"):
        steps = np.array(imputer.history_[:, "batches", :, name])
        assert steps.shape == (15, 100)
        np.testing.assert_allclose(imputer.history_[:, name], steps.mean(axis=1), rtol=1e-5)
    # The mask is guessed at 20%, and the hint tells 90% of what is observed.
    losses = imputer.history_[:, "discriminator_loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), clone])
def test_copies(how):
    _, X = linear_data(60)
    imputer = GAINImputer(**QUICK, hidden_dims=[8], alpha=10, hint_rate=0.5).fit(X)
    copied = how(imputer)
    assert repr(copied) == repr(imputer)
    # A copy goes on from nothing but the parameters.
    np.testing.assert_array_equal(copied.fit(X).transform(X), imputer.transform(X))


@pytest.mark.parametrize(
    ("hidden_dims", "expected"), [(None, [4, 4]), (6, [6]), ((7,), [7]), ([3, 9, 5], [3, 9, 5])]
)
def test_hidden_layers(hidden_dims, expected):
    _, X = linear_data(60)
    imputer = GAINImputer(**QUICK | {"max_iter": 1}, hidden_dims=hidden_dims).fit(X)
    for network in (imputer.net_.module_, imputer.net_.discriminator_):
        widths = [len(layer.weight) for layer in network.network if hasattr(layer, "weight")]
        assert widths == [*expected, 4]


def test_the_networks_start_apart():
    _, X = linear_data(60)
    net = GAINImputer(**QUICK | {"learning_rate": 1e-12}).fit(X).net_
    first, other = (n.network[0].weight for n in (net.module_, net.discriminator_))
    assert not torch.allclose(first, other)


def test_global_random_state_and_default_type_do_not_matter():
    _, X = linear_data(60)
    expected = GAINImputer(**QUICK).fit_transform(X)
    before = torch.get_rng_state()
    torch.manual_seed(123)
    states = [torch.get_rng_state(), pickle.dumps(np.random.get_state())]  # noqa: NPY002
    try:
        torch.set_default_dtype(torch.float64)
        np.testing.assert_array_equal(GAINImputer(**QUICK).fit_transform(X), expected)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert pickle.dumps(np.random.get_state()) == states[1]  # noqa: NPY002
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_rng_state(before)


# Training by skorch


def test_parameters_of_the_net_hold_for_both_networks():
    _, X = linear_data(60)
    decay = {"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 100.0}
    # Each step takes a tenth of the weights away.
    net = GAINImputer(**QUICK, net_params=decay).fit(X).net_
    plain = GAINImputer(**QUICK).fit(X).net_
    for name in ("module_", "discriminator_"):
        strong, free = (
            max(p.abs().max().item() for p in getattr(n, name).parameters()) for n in (net, plain)
        )
        assert strong < 0.2 * free
    assert isinstance(net.optimizer_, torch.optim.AdamW)
    assert net.optimizer_.param_groups[0]["fused"]


def test_a_schedule_holds_for_both_networks():
    _, X = linear_data(60)
    freeze = LRScheduler("LambdaLR", lr_lambda=lambda epoch: float(epoch == 0))
    params = QUICK | {"max_iter": 101, "learning_rate_schedule": "constant"}
    frozen = GAINImputer(**params, callbacks=[freeze]).fit(X).net_
    first = GAINImputer(**params | {"max_iter": 100}).fit(X).net_
    further = GAINImputer(**params).fit(X).net_
    for name in ("module_", "discriminator_"):
        before = state_of(getattr(first, name))
        assert not any(changed(before, getattr(frozen, name)))
        assert any(changed(before, getattr(further, name)))


def test_gradients_are_limited_by_a_callback():
    _, X = linear_data(60)

    class Norms(Callback):
        def on_train_begin(self, net, **kwargs):
            self.norms_ = []

        def on_grad_computed(self, net, named_parameters, **kwargs):
            squares = [p.grad.square().sum() for _, p in named_parameters]
            self.norms_.append(torch.stack(squares).sum().sqrt().item())

    free, limited = Norms(), Norms()
    GAINImputer(**QUICK, callbacks=[free]).fit(X)
    GAINImputer(**QUICK, callbacks=[GradientNormClipping(0.01), limited]).fit(X)
    assert min(free.norms_) > 0.02
    assert len(limited.norms_) == 80
    assert max(limited.norms_) <= 0.01 * (1 + 1e-5)


def test_a_callback_may_end_training():
    _, X = linear_data(60)
    stopping = EarlyStopping("train_loss", patience=2, threshold=1e9, threshold_mode="abs")
    imputer = GAINImputer(max_iter=1000, random_state=0, callbacks=[stopping]).fit(X)
    assert imputer.n_iter_ == 300
    assert np.isfinite(imputer.transform(X)).all()


def test_ctrl_c_leaves_an_imputer_as_it_was():
    _, X = linear_data(60)
    imputer = GAINImputer(**QUICK).fit(X)
    before = imputer.transform(X)

    class Interrupt(Callback):
        def on_grad_computed(self, net, **kwargs):
            net.criterion_.forward = interrupt

    def interrupt(*args):
        raise KeyboardInterrupt

    imputer.set_params(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        imputer.fit(X[:30, :3])
    np.testing.assert_array_equal(imputer.transform(X), before)


def test_training_that_diverges_says_what_to_change():
    _, X = linear_data(60)
    with pytest.raises(ValueError, match=r"loss became .* Lower learning_rate"):
        GAINImputer(**QUICK | {"learning_rate": 1e30}).fit(X)
    # What the last half step did to its own network shows in no loss.
    infinite = make_net(lr=float("inf"))
    with pytest.raises(ValueError, match="Lower learning_rate"):
        infinite.fit(random_rows())


@pytest.mark.parametrize("network", ["module_", "discriminator_"])
def test_parameters_of_either_network_are_checked_at_the_end(network):
    class Spoil(Callback):
        def on_batch_end(self, net, **kwargs):
            next(getattr(net, network).parameters()).data.fill_(float("nan"))

    with pytest.raises(ValueError, match="parameters became infinite or NaN at step 1"):
        make_net(callbacks=[Spoil()]).fit(random_rows())


def test_progress_and_table(capsys):
    _, X = linear_data(60)
    GAINImputer(**QUICK, verbose=2).fit(X)
    out, err = capsys.readouterr()
    assert "GAINImputer: 100%" in err
    assert "generator=" in err
    assert "discriminator=" in err
    assert "discriminator_loss" in out


def test_compiled_net_imputes_uncompiled(monkeypatch):
    calls = record_compiled(monkeypatch)
    _, X = linear_data(60)
    compiled = GAINImputer(**QUICK, net_params={"compile": True}).fit(X)
    assert {Generator, Discriminator} <= set(calls)
    calls.clear()
    plain = GAINImputer(**QUICK).fit(X)
    np.testing.assert_array_equal(compiled.transform(X), plain.transform(X))
    assert not calls


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": -1.0}, "'alpha' parameter of GAINImputer must be"),
        ({"alpha": np.nan}, "'alpha' parameter of GAINImputer must be"),
        ({"hint_rate": 1.1}, "'hint_rate' parameter of GAINImputer must be"),
        ({"hint_rate": -0.1}, "'hint_rate' parameter of GAINImputer must be"),
        ({"hidden_dims": 0}, "'hidden_dims' parameter of GAINImputer must be"),
        ({"hidden_dims": (16, 0)}, "hidden_dims must be an int or a non-empty sequence"),
        ({"hidden_dims": ()}, "hidden_dims must be an int or a non-empty sequence"),
        ({"max_iter": 0}, "'max_iter' parameter of GAINImputer must be"),
        ({"min_value": 2, "max_value": 1}, "min_value must not exceed max_value"),
        ({"callbacks": [3]}, "callbacks must be a list of skorch callbacks"),
        ({"net_params": {"no_such_option": 1}}, "net_params must hold .*no_such_option"),
        ({"net_params": {"hint_rate": 0.5}}, "must not hold 'hint_rate'"),
        ({"net_params": {"discriminator__seed": 0}}, "must not hold 'discriminator__seed'"),
        ({"net_params": {"discriminator": Discriminator}}, "must not hold 'discriminator'"),
        ({"net_params": {"module__hidden_dims": (2,)}}, "must not hold 'module__hidden_dims'"),
    ],
)
def test_wrong_parameters_are_named_before_training(params, message):
    class Fail(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError("training has begun")

    _, X = linear_data(60)
    with pytest.raises(ValueError, match=message):
        GAINImputer(**QUICK | {"callbacks": [Fail()]} | params).fit(X)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree(fitted):
    on_cpu, complete_table, X = fitted
    on_gpu = clone(on_cpu).set_params(device="cuda").fit(X)
    scale = complete_table.std(axis=0)
    error = imputation_rmse(complete_table, on_gpu.transform(X), np.isnan(X), scale=scale)
    assert error < 0.4
