"""What is trained and imputed on a GPU; without one, all of it is skipped."""

import gc
import pickle

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from skorch.callbacks import Callback, Freezer, GradientNormClipping, Unfreezer

from gnr_sklearn import GNRImputer, MIWAEImputer, NotMIWAEImputer, PSMVAEImputer
from gnr_sklearn.metrics import imputation_rmse
from gnr_sklearn.nn.graphs import WARM_UP_STEPS
from gnr_sklearn.nn.rows import MaskedRows, RandomBatches
from tests import mixed_frames
from tests.contract import make_data, paper_gnr
from tests.small_models import factor_data

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SHORT = {"max_iter": 150, "device": "cuda", "precision": "float32", "random_state": 0}
IMPUTERS = {
    "paper": paper_gnr(**SHORT),
    "value": GNRImputer(**SHORT, prior=None),
    "value, told": GNRImputer(**SHORT, prior=None, missing_direction="above"),
    "shared units": GNRImputer(**SHORT, prior=None, scaling="shared", loading_penalty=10.0),
    "low sparsity": paper_gnr(**SHORT, prior="low_sparsity"),
    "heteroscedastic": paper_gnr(**SHORT, observation_scale="heteroscedastic"),
    "bfloat16": paper_gnr(**SHORT | {"precision": "bfloat16"}),
    "clipped": paper_gnr(**SHORT, callbacks=[GradientNormClipping(0.5)]),
    "weight decay": paper_gnr(
        **SHORT, net_params={"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.1}
    ),
    "other optimizer": paper_gnr(**SHORT, net_params={"optimizer": torch.optim.SGD}),
    "MIWAE": MIWAEImputer(**SHORT, decoder="curved"),
    "Student": MIWAEImputer(**SHORT, likelihood="student_t"),
    "not-MIWAE": NotMIWAEImputer(**SHORT, missing_process="self_masking_known"),
    "nonlinear": NotMIWAEImputer(**SHORT, missing_process="nonlinear"),
    "permutation invariant": paper_gnr(**SHORT, encoder="permutation_invariant"),
    "PSMVAE": PSMVAEImputer(**SHORT, n_components=2),
}


def kernel_by_kernel(imputer):
    params = imputer.net_params or {}
    return clone(imputer).set_params(net_params=params | {"cuda_graph": False})


def step_losses(imputer):
    rows = [row for epoch in imputer.history_ for row in epoch["batches"]]
    return np.array([row["train_loss"] for row in rows if "train_loss" in row])


@pytest.mark.parametrize("name", IMPUTERS)
def test_a_graph_does_what_its_kernels_do(name, monkeypatch):
    _, X = factor_data(200)
    replays = []
    replay = torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda g: replays.append(replay(g)))
    imputer = IMPUTERS[name]
    graphed = clone(imputer).fit(X)
    # More than these where several nets are trained.
    assert len(replays) >= graphed.n_iter_ - WARM_UP_STEPS
    n_replays = len(replays)
    plain = kernel_by_kernel(imputer).fit(X)
    assert len(replays) == n_replays
    tolerance = 0.02 if name == "bfloat16" else 1e-3
    np.testing.assert_allclose(
        step_losses(graphed)[:50], step_losses(plain)[:50], rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(
        graphed.transform(X), plain.transform(X), rtol=20 * tolerance, atol=20 * tolerance
    )


@pytest.mark.parametrize("name", ["paper", "value, told", "MIWAE", "not-MIWAE", "PSMVAE"])
def test_it_imputes_as_well_as_a_cpu(name):
    complete, X = factor_data()
    on_gpu = clone(IMPUTERS[name]).set_params(max_iter=600).fit(X)
    on_cpu = clone(on_gpu).set_params(device="cpu").fit(X)
    missing = np.isnan(X)
    errors = [imputation_rmse(complete, m.transform(X), missing) for m in (on_gpu, on_cpu)]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
    draws = on_gpu.sample(X, 2, random_state=0)
    assert draws.shape == (2, *X.shape)
    assert np.isfinite(draws).all()


@pytest.mark.parametrize("imputer", mixed_frames.IMPUTERS, ids=lambda i: type(i).__name__)
def test_categories(imputer):
    if "device" not in imputer.get_params():
        pytest.skip("is not trained")
    imputed = clone(imputer).set_params(device="cuda").fit_transform(mixed_frames.HOLES)
    assert imputed.shape == mixed_frames.HOLES.shape


@pytest.mark.parametrize(("width", "expected"), [(128, "float32"), (1024, "bfloat16")])
def test_large_decoders_are_trained_in_bfloat16(width, expected):
    params = SHORT | {"precision": "auto", "max_iter": 1, "hidden_dims": (width, width)}
    imputer = paper_gnr(**params).fit(make_data(130))
    supported = torch.cuda.is_bf16_supported(including_emulation=False)
    assert imputer.net_.precision == (expected if supported else "float32")


@pytest.mark.parametrize("frozen", ["encoder.*", "data_decoder.*"])
def test_parameters_that_callbacks_freeze_and_release(frozen):
    X = make_data()
    callbacks = [Freezer(frozen, at=2), Unfreezer(frozen, at=3)]
    params = SHORT | {"max_iter": 350, "early_stopping": False}
    graphed = paper_gnr(**params, callbacks=callbacks).fit(X)
    plain = kernel_by_kernel(paper_gnr(**params, callbacks=callbacks)).fit(X)
    np.testing.assert_allclose(graphed.transform(X), plain.transform(X), rtol=0.05, atol=0.05)


def test_a_callback_may_change_alpha():
    class Anneal(Callback):
        def on_epoch_begin(self, net, **kwargs):
            net.criterion_.alpha = float(len(net.history))

    X = make_data()
    params = SHORT | {"callbacks": [Anneal()], "max_iter": 200, "early_stopping": False}
    graphed = paper_gnr(**params).fit(X)
    plain = kernel_by_kernel(paper_gnr(**params)).fit(X)
    np.testing.assert_allclose(step_losses(graphed)[:120], step_losses(plain)[:120], rtol=0.02)


def test_threads_do_not_disturb_each_other():
    X = make_data()
    alone = [paper_gnr(**SHORT | {"random_state": s}).fit(X).transform(X) for s in range(4)]
    with parallel_config("threading", n_jobs=4):
        together = Parallel()(
            delayed(paper_gnr(**SHORT | {"random_state": s}).fit)(X) for s in range(4)
        )
    for expected, imputer in zip(alone, together, strict=True):
        np.testing.assert_allclose(imputer.transform(X), expected, rtol=0.02, atol=0.02)


def test_fits_leave_no_memory_taken():
    X = make_data()
    taken = []
    for _ in range(6):
        imputer = paper_gnr(**SHORT).fit(X)
        del imputer
        gc.collect()
        taken.append(torch.cuda.memory_allocated())
    assert taken[-1] - taken[1] < 2**20


def test_looking_for_anomalies():
    with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
        imputer = paper_gnr(**SHORT | {"max_iter": 20}).fit(make_data())
    assert imputer.n_iter_ == 20


def test_a_training_that_fails_lets_go_of_its_graph():
    class Die(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            self.net = net
            if training and net.n_steps == 50:
                raise RuntimeError

    die = Die()
    with pytest.raises(RuntimeError):
        paper_gnr(**SHORT, callbacks=[die]).fit(make_data())
    assert not hasattr(die.net, "graphed_step_")


def test_side_information():
    _, X = factor_data(200)
    side = np.nan_to_num(X[:, 2:3])
    imputer = paper_gnr(**SHORT).fit(X, side_info=side)
    assert np.isfinite(imputer.transform(X, side_info=side)).all()


def test_garbage_is_collected_again_after_a_graph_is_captured():
    paper_gnr(**SHORT).fit(make_data())
    assert gc.isenabled()


def test_the_same_seed_gives_the_same():
    X = make_data()
    first, second = (paper_gnr(**SHORT).fit(X).transform(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_callback_may_keep_losses():
    class Keep(Callback):
        def on_train_begin(self, net, **kwargs):
            self.losses = []

        def on_batch_end(self, net, training, loss, **kwargs):
            if training:
                self.losses.append(loss)

    kept = Keep()
    imputer = paper_gnr(**SHORT, callbacks=[kept], early_stopping=False).fit(make_data())
    np.testing.assert_allclose([loss.item() for loss in kept.losses], step_losses(imputer))


def test_pickles_and_parts():
    X = make_data()
    imputer = paper_gnr(**SHORT).partial_fit(X).partial_fit(X)
    again = pickle.loads(pickle.dumps(imputer))
    np.testing.assert_array_equal(again.transform(X), imputer.transform(X))
    again.partial_fit(X)
    assert again.n_iter_ == imputer.n_iter_ + 1


def test_a_checkpoint_is_taken_up(tmp_path):
    class Die(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                raise RuntimeError

    X = make_data()
    params = SHORT | {"max_iter": 300, "checkpoint": tmp_path / "state"}
    whole = paper_gnr(**params).fit(X)
    with pytest.raises(RuntimeError):
        paper_gnr(**params, callbacks=[Die()]).fit(X)
    assert (tmp_path / "state").exists()
    resumed = paper_gnr(**params).fit(X)
    np.testing.assert_allclose(resumed.transform(X), whole.transform(X), rtol=1e-4)


def test_rows_that_would_fill_a_gpu_stay_where_they_are(monkeypatch):
    rows = MaskedRows(torch.ones(10, 2), torch.ones(10, 2))
    assert rows.to_training("cuda").x.is_cuda
    assert rows.to_training("cpu") is rows
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", torch.cuda.memory_allocated)
    assert rows.to_training("cuda") is rows
    _, X = factor_data(100)
    assert np.isfinite(paper_gnr(**SHORT).fit(X).transform(X)).all()


def test_the_order_of_rows_is_that_of_a_cpu():
    x = torch.arange(20.0).view(10, 2)
    rows = MaskedRows(x, torch.ones_like(x))
    here, there = (
        [batch["x"].cpu() for batch, _ in RandomBatches(r, 3, 7, 7, seed=0)]
        for r in (rows, rows.to_training("cuda"))
    )
    assert all(torch.equal(*pair) for pair in zip(here, there, strict=True))
