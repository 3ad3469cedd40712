"""How a GNRImputer is trained: stopping, callbacks, optimizers, precision."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler

from gnr_sklearn import GNRImputer
from gnr_sklearn.missingness import SelfMasking, ampute
from gnr_sklearn.nn.models import GNR
from tests.contract import QUICK, make_data, paper_gnr
from tests.small_models import factor_data, record_compiled


def test_early_stopping_takes_fewer_steps():
    _, X = factor_data(200)
    quick = QUICK | {"max_iter": 3000, "learning_rate": 0.02}
    stopped = paper_gnr(n_iter_no_change=100, **quick).fit(X)
    assert stopped.n_iter_ < 3000
    assert stopped.n_iter_ % 100 == 0


@pytest.mark.parametrize(("n_rows", "early_stopping"), [(19, True), (60, False)])
def test_training_without_held_out_rows(n_rows, early_stopping):
    _, X = factor_data(n_rows)
    imputer = paper_gnr(early_stopping=early_stopping, **QUICK).fit(X)
    assert imputer.n_iter_ == 40
    assert "valid_loss" not in imputer.history_[-1]
    assert imputer.lower_bound_ == -imputer.history_[-1, "train_loss"]


@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_callback_may_end_training_at_once(early_stopping):
    class Stop(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    _, X = factor_data(60)
    imputer = paper_gnr(callbacks=[Stop()], early_stopping=early_stopping, **QUICK).fit(X)
    assert imputer.n_iter_ == 1
    assert np.isnan(imputer.lower_bound_)
    assert np.isfinite(imputer.transform(X)).all()


def test_lower_bound_is_that_of_the_parameters_kept():
    _, X = factor_data(300)
    quick = QUICK | {"max_iter": 1500, "learning_rate": 0.01}
    imputer = paper_gnr(tol=1.0, **quick).fit(X)
    losses = imputer.history_[:, "valid_loss"]
    assert -imputer.lower_bound_ in losses
    assert -imputer.lower_bound_ > min(losses)


def test_the_bound_of_a_training_that_a_callback_ends_is_the_last_on_record():
    class Stop(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training and net.n_steps == 250:
                raise KeyboardInterrupt

    _, X = factor_data(60)
    quick = QUICK | {"max_iter": 400}
    imputer = paper_gnr(callbacks=[Stop()], early_stopping=False, **quick).fit(X)
    assert "train_loss" not in imputer.history_[-1]
    assert imputer.lower_bound_ == -imputer.history_[1, "train_loss"]


def test_a_callback_may_have_the_name_of_one_that_is_not_there():
    class Count(Callback):
        n_trainings = 0

        def on_train_begin(self, net, **kwargs):
            self.n_trainings += 1

    counter = Count()
    _, X = factor_data(60)
    imputer = paper_gnr(callbacks=[("early_stopping", counter)], early_stopping=False, **QUICK)
    imputer.fit(X).partial_fit(X)
    assert counter.n_trainings == 2


def test_nearly_all_rows_may_be_held_out():
    _, X = factor_data(60)
    assert paper_gnr(validation_fraction=0.999, **QUICK).fit(X).n_iter_ == 40


def test_skorch_callbacks_and_net_params_reach_the_net():
    class Count(Callback):
        epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    counter = Count()
    _, X = factor_data(60)
    imputer = paper_gnr(
        callbacks=[counter],
        net_params={"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.3},
        **QUICK | {"max_iter": 250},
    ).fit(X)
    assert counter.epochs == 3
    assert isinstance(imputer.net_.optimizer_, torch.optim.AdamW)
    assert imputer.net_.optimizer_.defaults["weight_decay"] == 0.3


def test_callbacks_are_for_the_model_itself_not_for_those_a_direction_is_chosen_by():
    class Watch(Callback):
        def __init__(self, imputer):
            self.imputer = imputer
            self.steps = []

        def on_epoch_end(self, net, **kwargs):
            self.steps.append(net.n_steps)

    _, X = factor_data(60)
    imputer = GNRImputer(
        **QUICK | {"max_iter": 150},
        prior=None,
        early_stopping=True,
        net_params={"callbacks__early_stopping__patience": 7},
    )
    # It refers to the imputer, which must be copied neither by it nor with it.
    watch = Watch(imputer)
    imputer.set_params(callbacks=[("watch", watch)]).fit(X)
    assert watch.steps == [100, 150]
    assert dict(imputer.net_.callbacks_)["early_stopping"].patience == 7


def test_what_an_earlier_fit_found_of_the_process_is_forgotten():
    _, X = factor_data(60)
    imputer = GNRImputer(**QUICK, prior=None, missing_direction="above").fit(X)
    assert (imputer.missing_slope_[:2] > 0).all()
    imputer.set_params(mask_model="latent", missing_direction=None).fit(X)
    assert imputer.missing_direction_ is None
    assert imputer.missing_slope_ is None


def test_progress_bar_under_verbose(capsys):
    _, X = factor_data(60)
    paper_gnr(**QUICK).fit(X)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    paper_gnr(verbose=1, **QUICK).fit(X)
    captured = capsys.readouterr()
    assert "GNRImputer" in captured.err
    assert "40/40" in captured.err
    assert captured.out == ""
    paper_gnr(verbose=2, **QUICK).fit(X)
    assert "train_loss" in capsys.readouterr().out


def test_ctrl_c_leaves_an_earlier_fit_as_it_was():
    class Interrupt(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            # Outside of skorch's hooks, where a callback might mean to end training.
            net.criterion_.forward = interrupt

    def interrupt(terms):
        raise KeyboardInterrupt

    _, X = factor_data(60)
    imputer = paper_gnr(**QUICK).fit(X)
    before = imputer.transform(X)
    imputer.set_params(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        imputer.fit(X[:30, :4])
    assert imputer.n_features_in_ == 5
    np.testing.assert_array_equal(imputer.transform(X), before)


def test_a_loss_that_is_not_finite_says_what_to_change():
    _, X = factor_data(60)
    imputer = paper_gnr(**QUICK | {"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"loss became .* Lower learning_rate"):
        imputer.fit(X)
    assert not hasattr(imputer, "net_")


def test_learning_rate_schedule():
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    params = QUICK | {"max_iter": 150, "learning_rate": 0.01, "early_stopping": False}
    falling = paper_gnr(**params).fit(X)
    rates = [batch["event_lr"] for epoch in falling.history_ for batch in epoch["batches"]]
    steps = np.arange(150)
    np.testing.assert_allclose(rates, 0.005 * (1 + np.cos(np.pi * steps / 150)), rtol=1e-6)
    constant = paper_gnr(**params, learning_rate_schedule="constant").fit(X)
    assert constant.net_.optimizer_.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("pair", [True, False])
def test_schedule_of_ones_own(pair):
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    schedule = LRScheduler("StepLR", step_size=1, gamma=0.5)
    callbacks = [("learning_rate_schedule", schedule) if pair else schedule]
    params = QUICK | {"max_iter": 300, "learning_rate": 0.01, "early_stopping": False}
    imputer = paper_gnr(**params, callbacks=callbacks).fit(X)
    assert imputer.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.01 * 0.5**3)


NO_CLIPPING = {"callbacks__gradient_norm_clipping": None}


class GradientNorms(Callback):
    def on_train_begin(self, net, **kwargs):
        self.computed, self.applied = [], []

    def on_grad_computed(self, net, **kwargs):
        self.computed.append(self.norm(net))

    def on_batch_end(self, net, **kwargs):
        self.applied.append(self.norm(net))

    def norm(self, net):
        gradients = [p.grad for _, p in net.get_all_learnable_params() if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients).item()


@pytest.mark.parametrize(("net_params", "n_steps"), [(None, 600), (NO_CLIPPING, 50)])
def test_a_value_far_out_of_a_nearly_constant_feature(net_params, n_steps):
    rng = np.random.RandomState(0)
    numbers = rng.normal(size=(1000, 1)) + 0.6 * rng.normal(size=(1000, 3))
    constant = np.full((1000, 1), 0.5)
    constant[rng.choice(1000, 5, replace=False)] = 1.0
    X = ampute(np.hstack([numbers, constant]), SelfMasking(0.8, features=(0, 1)), random_state=0)
    norms = GradientNorms()
    imputer = GNRImputer(
        missing_direction="above", prior=None, callbacks=[norms], net_params=net_params,
        max_iter=n_steps, random_state=0,
    )  # fmt: skip
    imputer.fit(X)
    if net_params:
        assert norms.applied == norms.computed
    else:
        # By far most steps are as they would be without.
        assert np.mean(np.array(norms.computed) > 100) < 0.05
        assert max(norms.computed) > 150
        np.testing.assert_allclose(norms.applied, np.minimum(norms.computed, 100.0), rtol=1e-4)


def test_another_optimizer():
    """Adam's fused form is for Adam alone."""
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    imputer = paper_gnr(**QUICK, net_params={"optimizer": torch.optim.RMSprop})
    assert isinstance(imputer.fit(X).net_.optimizer_, torch.optim.RMSprop)
    assert paper_gnr(**QUICK).fit(X).net_.optimizer_.param_groups[0]["fused"]
    decaying = paper_gnr(**QUICK, net_params={"optimizer": torch.optim.AdamW}).fit(X)
    assert decaying.net_.optimizer_.param_groups[0]["fused"]


@pytest.mark.parametrize("how", ["foreach", "fused"])
def test_another_form_of_adam(how):
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    net_params = {f"optimizer__{how}": how != "fused"}
    imputer = paper_gnr(**QUICK, net_params=net_params).fit(X)
    assert not imputer.net_.optimizer_.param_groups[0]["fused"]


def test_compiled_net_imputes_uncompiled(monkeypatch):
    """What ``torch.compile`` returns is called in training, and not for the shapes of imputing."""
    calls = record_compiled(monkeypatch)
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    compiled = paper_gnr(**QUICK | {"max_iter": 3}, net_params={"compile": True}).fit(X)
    assert GNR in calls
    calls.clear()
    plain = paper_gnr(**QUICK | {"max_iter": 3}).fit(X)
    np.testing.assert_array_equal(compiled.transform(X), plain.transform(X))
    np.testing.assert_array_equal(compiled.encode(X), plain.encode(X))
    assert not calls


def test_precision():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(100, 1)) + 0.3 * rng.normal(size=(100, 4))
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    # Wide enough for bfloat16 to make a difference, and trained to the end.
    params = {
        "hidden_dims": 32,
        "latent_dim": 1,
        "max_iter": 200,
        "n_importance_samples": 5,
        "early_stopping": False,
    }
    results = {
        precision: paper_gnr(precision=precision, random_state=0, **params).fit(X)
        for precision in ("float32", "bfloat16")
    }
    low, full = results["bfloat16"], results["float32"]
    assert not np.array_equal(low.transform(X), full.transform(X))
    # Parameters, bound and imputation are in float32.
    assert {p.dtype for p in low.net_.module_.parameters()} == {torch.float32}

    def of_samples(samples, part):
        tensors = [samples.log_w, samples.mask_logits, *samples.x_given_z]
        assert {tensor.dtype for tensor in tensors} == {torch.float32}
        return samples.log_w.sum(0)

    low._map_samples(of_samples, low._rows(X[:3], np.empty((3, 0))))
    assert low.score(X) == pytest.approx(full.score(X), abs=0.1)
    difference = low.transform(X) - full.transform(X)
    assert np.sqrt(np.mean(difference[np.isnan(X)] ** 2)) < 0.1
    again = clone(low).fit(X)
    np.testing.assert_array_equal(again.transform(X), low.transform(X))


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_automatic_precision_follows_the_processor(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    imputer = paper_gnr(**QUICK | {"max_iter": 1, "hidden_dims": 128, "n_importance_samples": 1000})
    X = make_data(130)
    assert imputer.fit(X).net_.precision == expected
    assert imputer.set_params(precision="float32").fit(X).net_.precision == "float32"
    # Where there is little to compute it does not pay.
    imputer.set_params(precision="auto")
    assert imputer.fit(X[:20]).net_.precision == "float32"
    assert imputer.set_params(n_importance_samples=5).fit(X).net_.precision == "float32"


@pytest.mark.parametrize(
    ("width", "supported", "expected"),
    [(128, True, "float32"), (1024, True, "bfloat16"), (1024, False, "float32")],
)
def test_automatic_precision_follows_the_gpu(monkeypatch, width, supported, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    imputer = paper_gnr(**QUICK | {"max_iter": 1}).fit(make_data())
    module = GNR(11, 10, hidden_dims=(width, width))
    net = SimpleNamespace(device="cuda", module_=module)
    assert imputer.set_params(n_importance_samples=20)._choose_precision(net, 128) == expected


def test_automatic_precision_without_knowing_the_processor(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    X = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, 1.0]])
    imputer = paper_gnr(**QUICK | {"max_iter": 1}).fit(X)
    assert imputer.net_.precision == "float32"


@pytest.mark.parametrize(
    "callback",
    [
        ("gradient_norm_clipping", GradientNormClipping(0.5)),
        GradientNormClipping(0.5),
        GradientNormClipping,
    ],
    ids=["named", "instance", "class"],
)
def test_a_clipping_of_ones_own_replaces_that_of_the_imputer(callback):
    _, X = factor_data(60)
    net = paper_gnr(**QUICK, callbacks=[callback]).fit(X).net_
    (clipping,) = (each for _, each in net.callbacks_ if isinstance(each, GradientNormClipping))
    expected = None if callback is GradientNormClipping else 0.5
    assert clipping.gradient_clip_value == expected


def test_early_stopping_may_be_taken_out():
    _, X = factor_data(60)
    params = QUICK | {"max_iter": 300, "net_params": {"callbacks__early_stopping": None}}
    imputer = paper_gnr(**params).fit(X)
    assert imputer.n_iter_ == 300
    assert imputer.lower_bound_ == -imputer.history_[-1, "valid_loss"]
