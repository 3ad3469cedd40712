"""Batches, the net's way of stopping, and what skorch's seams leave behind."""

import signal

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from tqdm import tqdm

from gnr_sklearn import MIWAEImputer
from gnr_sklearn.nn.models import GNR
from gnr_sklearn.nn.rows import HoldOut, MaskedRows, RandomBatches, SequentialBatches, map_chunks
from gnr_sklearn.nn.training import ImputationNet


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand((50, 3), generator=generator) < 0.7).float()
    return MaskedRows(torch.randn((50, 3), generator=generator) * mask, mask)


def make_net(n_steps=20, callbacks=None, hold_out=10, **params):
    defaults = {
        "module": GNR,
        "module__n_features": 3,
        "module__latent_dim": 2,
        "module__hidden_dims": (8,),
        "optimizer": torch.optim.Adam,
        "lr": 1e-2,
        "max_epochs": -(-n_steps // 5),
        "batch_size": 16,
        "iterator_train": RandomBatches,
        "iterator_train__n_steps": n_steps,
        "iterator_train__steps_per_epoch": 5,
        "iterator_train__seed": 0,
        "iterator_valid": SequentialBatches,
        "train_split": HoldOut(hold_out, seed=0),
        "callbacks": callbacks,
        "verbose": 0,
        "n_importance_samples": 4,
    }
    return ImputationNet(**defaults | params)


class Raise(Callback):
    """Raise an exception in a given epoch, from a callback or from training itself."""

    def __init__(self, error, epoch=2):
        self.error = error
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise self.error


def identified(n_rows):
    x = torch.arange(n_rows, dtype=torch.float32)[:, None]
    return MaskedRows(x, torch.ones_like(x))


@pytest.mark.parametrize(("n_rows", "batch_size"), [(10, 4), (12, 4), (3, 8), (1, 1)])
def test_random_batches_pass_over_all_rows_evenly(n_rows, batch_size):
    n_steps = 30
    batches = RandomBatches(identified(n_rows), batch_size, n_steps, 7, seed=0)
    drawn = []
    while batch_sizes := [batch["x"].ravel() for batch, _ in batches]:
        drawn += batch_sizes
    assert len(drawn) == n_steps
    assert {len(batch) for batch in drawn} == {min(batch_size, n_rows)}
    stream = torch.cat(drawn)
    # The stream is a sequence of permutations.
    for start in range(0, len(stream) - n_rows + 1, n_rows):
        assert stream[start : start + n_rows].sort().values.tolist() == list(range(n_rows))


def test_random_batches_cut_steps_into_epochs():
    batches = RandomBatches(identified(10), 4, n_steps=12, steps_per_epoch=5, seed=0)
    assert [len(list(batches)) for _ in range(4)] == [5, 5, 2, 0]


def test_sequential_batches_keep_order():
    batches = [batch["x"].ravel().tolist() for batch, _ in SequentialBatches(identified(5), 2)]
    assert batches == [[0, 1], [2, 3], [4]]


def test_hold_out_splits_without_overlap():
    train, held_out = HoldOut(3, seed=0)(identified(10))
    assert (len(train), len(held_out)) == (7, 3)
    assert sorted(torch.cat([train.x, held_out.x]).ravel().tolist()) == list(range(10))
    again = HoldOut(3, seed=0)(identified(10))[1]
    assert torch.equal(again.x, held_out.x)


def test_training_raises_the_bound(rows):
    net = make_net(n_steps=100).fit(rows)
    assert net.n_steps == 100
    losses = net.history[:, "train_loss"]
    assert losses[-1] < losses[0] - 0.5


def test_held_out_rows_meet_the_same_noise_each_time(rows):
    net = make_net(lr=0.0).fit(rows)
    assert len(set(net.history[:, "valid_loss"])) == 1
    assert len(set(net.history[:, "train_loss"])) > 1


def test_training_is_reproducible_and_leaves_the_global_state_alone(rows):
    before = torch.get_rng_state()
    nets = [make_net().fit(rows) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    states = [net.module_.state_dict() for net in nets]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_early_stopping_keeps_the_best_parameters(rows):
    stopping = EarlyStopping(patience=2, threshold_mode="abs", load_best=True)
    # A huge step size makes the bound fall again.
    net = make_net(n_steps=200, callbacks=[stopping], lr=0.3).fit(rows)
    assert net.n_steps < 200
    losses = net.history[:, "valid_loss"]
    assert losses[-1] > min(losses)
    _, held_out = HoldOut(10, seed=0)(rows)
    restored = net.validation_step(held_out[:])["loss"].item()
    assert restored == pytest.approx(min(losses), rel=1e-5)


def test_a_callback_may_end_training_quietly(rows):
    net = make_net(callbacks=[Raise(KeyboardInterrupt)]).fit(rows)
    assert net.n_steps == 10


@pytest.fixture
def interruptible():
    """Let Ctrl-C interrupt, also where tests run in the background of a shell that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_raises(rows):
    class Interrupt(GNR):
        calls = 0

        def forward(self, *args, **kwargs):
            Interrupt.calls += 1
            if Interrupt.calls == 8:
                signal.raise_signal(signal.SIGINT)
            return super().forward(*args, **kwargs)

    net = make_net(module=Interrupt)
    with pytest.raises(KeyboardInterrupt):
        net.fit(rows)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_a_callback_runs_raises_too(rows):
    class Signal(Callback):
        def on_epoch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make_net(callbacks=[Signal()]).fit(rows)


def test_other_defaults_of_torch_do_not_matter(rows):
    state = make_net().fit(rows).module_.state_dict()
    try:
        torch.set_default_dtype(torch.float64)
        other = make_net().fit(rows).module_.state_dict()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_other_errors_of_callbacks_are_not_swallowed(rows):
    with pytest.raises(RuntimeError, match="of the callback"):
        make_net(callbacks=[Raise(RuntimeError("of the callback"))]).fit(rows)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_training(rows, value):
    x = rows.x.clone()
    x[:, 0] = value
    with pytest.raises(ValueError, match=r"loss became \S+ at step 1\. Lower learning_rate"):
        make_net().fit(MaskedRows(x, torch.ones_like(x)))


def test_parameters_that_are_not_finite_after_the_last_step(rows):
    with pytest.raises(ValueError, match="parameters became infinite or NaN at step 1"):
        make_net(n_steps=1, lr=float("inf"), hold_out=0, train_split=None).fit(rows)


def test_progress_is_closed_where_training_fails(capsys):
    X = np.random.RandomState(0).normal(size=(40, 3))
    X[::3, 0] = np.nan
    before = len(tqdm._instances)
    imputer = MIWAEImputer(max_iter=50, learning_rate=1e30, verbose=1, random_state=0)
    with pytest.raises(ValueError, match="Lower learning_rate"):
        imputer.fit(X)
    assert len(tqdm._instances) == before


def test_what_takes_results_is_in_no_inference_mode():
    rows = MaskedRows(torch.zeros(40, 2), torch.ones(40, 2))
    modes = []
    chunks = map_chunks(
        lambda part, n_rows: modes.append(torch.is_inference_mode_enabled()), rows, 16,
        torch.device("cpu"),
    )  # fmt: skip
    for _ in chunks:
        assert not torch.is_inference_mode_enabled()
    assert modes == [True] * 3


def test_a_small_part_to_hold_out_is_one_row():
    X = np.random.RandomState(0).normal(size=(40, 3))
    imputer = MIWAEImputer(max_iter=20, early_stopping=True, validation_fraction=0.01).fit(X)
    assert "valid_loss" in imputer.history_[-1]
