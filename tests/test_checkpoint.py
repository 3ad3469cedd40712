"""Fits that are cut off and go on from a file."""

import copy
import errno
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from skorch.callbacks import Callback, LRScheduler

import gnr_sklearn
from gnr_sklearn import GAINImputer, GNRImputer, MIWAEImputer, NotMIWAEImputer
from gnr_sklearn.nn import checkpoint as module
from tests.contract import make_data

X = make_data(80)

NET = {"hidden_dims": 8, "n_importance_samples": 2, "n_imputation_samples": 48, "random_state": 0}
IMPUTERS = [
    GNRImputer(**NET, max_iter=30, prior=None, missing_direction="above"),
    GNRImputer(**NET, max_iter=25, prior=None, alpha="auto"),
    # Stopped at its fourth epoch, with the parameters of the third.
    MIWAEImputer(**NET, max_iter=70, n_iter_no_change=10, learning_rate=0.5),
    NotMIWAEImputer(**NET, max_iter=25, encoder="permutation_invariant"),
    GAINImputer(max_iter=25, random_state=0),
    MIWAEImputer(
        **NET,
        max_iter=25,
        early_stopping=False,
        callbacks=[LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)],
        net_params={"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
    ),
]


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    """A file is written after each."""
    for name in ("_deep", "_vae"):
        monkeypatch.setattr(f"gnr_sklearn.{name}.STEPS_PER_EPOCH", 10)


class Killed(BaseException):
    """Nothing that a fit would handle."""


class Kill(Callback):
    """Cuts training off in the middle of an epoch."""

    def __init__(self, after):
        self.after = after

    def on_batch_end(self, net, training=False, **kwargs):
        if training and net.n_steps >= self.after:
            raise Killed


def cut_off(imputer, path, after=21, table=X):
    """Begin a fit, of which a file is left."""
    callbacks = [*(imputer.callbacks or []), Kill(after)]
    begun = type(imputer)(**imputer.get_params(deep=False) | {"callbacks": callbacks})
    with pytest.raises(Killed):
        begun.set_params(checkpoint=path).fit(table)
    assert not hasattr(begun, "net_")
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.npz"


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda imputer: type(imputer).__name__)
def test_a_fit_goes_on_to_the_same_bits(imputer, path, tmp_path):
    expected = imputer.set_params(checkpoint=None).fit(X)
    state = {name: t.clone() for name, t in expected.net_.module_.state_dict().items()}
    imputed, losses = expected.transform(X), expected.history_[:, "train_loss"]
    cut_off(imputer, path)
    assert os.listdir(tmp_path) == ["fit.npz"]
    # As a string, and with more to tell: neither is another fit.
    resumed = imputer.set_params(checkpoint=str(path)).fit(X)
    for name, tensor in resumed.net_.module_.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert_array_equal(resumed.transform(X), imputed)
    assert resumed.history_[:, "train_loss"] == losses
    assert resumed.n_iter_ == sum(len(epoch["batches"]) for epoch in resumed.history_) or (
        resumed.net_.train_split is not None
    )
    # It is done: the next fit begins anew.
    assert os.listdir(tmp_path) == []
    imputer.set_params(checkpoint=None)


def test_the_stopped_fit_of_these_tests_stops():
    stopped = IMPUTERS[2].fit(X)
    assert 30 < stopped.n_iter_ < 70


def test_after_sigkill_another_process_goes_on(path, tmp_path, monkeypatch):
    script = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np
        import torch
        from skorch.callbacks import Callback
        from gnr_sklearn import MIWAEImputer

        class Kill(Callback):
            def on_epoch_begin(self, net, **kwargs):
                if len(net.history) == 2:
                    os.kill(os.getpid(), signal.SIGKILL)

        torch.set_num_threads(1)
        path, table, how = sys.argv[1:]
        X = np.load(table)
        callbacks = [Kill()] if how == "killed" else None
        imputer = MIWAEImputer(
            max_iter=300, hidden_dims=8, n_importance_samples=2, n_imputation_samples=48,
            random_state=0, checkpoint=path, callbacks=callbacks,
        )
        print(imputer.fit(X).transform(X).tobytes().hex())
        """
    )

    def run(how):
        root = Path(__file__).parents[1]
        command = [sys.executable, "-c", script, str(path), str(tmp_path / "X.npy"), how]
        return subprocess.run(command, capture_output=True, text=True, cwd=root)

    np.save(tmp_path / "X.npy", X)
    killed = run("killed")
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == ""
    assert path.exists()
    resumed = run("resumed")
    assert resumed.returncode == 0, resumed.stderr
    assert len(resumed.stdout) > 1000
    monkeypatch.undo()  # epochs are as long as in the other process
    whole = MIWAEImputer(**NET, max_iter=300).fit(X)
    assert bytes.fromhex(resumed.stdout) == whole.transform(X).tobytes()
    assert not path.exists()


SMALL = MIWAEImputer(**NET, max_iter=30)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": 0.1}, "other settings"),
        ({"random_state": 1}, "other settings"),
        ({"max_iter": 40}, "other settings"),
    ],
)
def test_the_file_of_another_fit(path, change, words):
    cut_off(SMALL, path)
    before = path.read_bytes()
    other = MIWAEImputer(**SMALL.get_params(deep=False) | change | {"checkpoint": path})
    with pytest.raises(ValueError, match=f"checkpoint must name the file of this .* {words}; name"):
        other.fit(X)
    assert path.read_bytes() == before


def test_the_file_of_other_data_and_of_another_version(path, monkeypatch):
    cut_off(SMALL, path)
    other = MIWAEImputer(**SMALL.get_params(deep=False) | {"checkpoint": path})
    with pytest.raises(ValueError, match="with other data; name another file"):
        other.fit(X[:70])
    monkeypatch.setattr("gnr_sklearn._deep.__version__", "9.9")
    with pytest.raises(ValueError, match="with other version of gnr_sklearn; name"):
        other.fit(X)
    assert gnr_sklearn.__version__ != "9.9"


class Payload:
    """What runs code when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def test_files_that_are_no_checkpoints_are_refused_and_run_nothing(path, tmp_path):
    target = tmp_path / "ran"
    good = cut_off(SMALL, path).read_bytes()
    with np.load(path) as file:
        arrays = dict(file.items())
    imputer = MIWAEImputer(**SMALL.get_params(deep=False) | {"checkpoint": path})
    objects = np.array([Payload(target)], dtype=object)
    for write in (
        lambda: path.write_bytes(good[: len(good) // 2]),
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(b"not a checkpoint"),
        lambda: path.write_bytes(pickle.dumps(Payload(target))),
        lambda: np.savez(path, **{name: objects for name in arrays}),
        lambda: np.savez(path, **arrays | {"noise": objects}),
        lambda: np.savez(path, **arrays | {"text": np.array("{")}),
    ):
        write()
        before = path.read_bytes()
        with pytest.raises(ValueError, match="cannot be read as one; delete it, and the fit st"):
            imputer.fit(X)
        assert path.read_bytes() == before
        assert not target.exists()


def test_a_write_that_fails_leaves_the_file_before(path, tmp_path, monkeypatch):
    cut_off(SMALL, path)
    before = path.read_bytes()
    imputer = MIWAEImputer(**SMALL.get_params(deep=False) | {"checkpoint": path})

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.np, "savez", full)
        with pytest.raises(
            OSError, match=r"cannot be written, and the fit ends.*No space"
        ) as caught:
            imputer.fit(X)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["fit.npz"]
    imputer.fit(X)


def test_what_cannot_have_a_checkpoint(path, tmp_path, monkeypatch):
    for place in (tmp_path, tmp_path / "nowhere" / "fit.npz"):
        with pytest.raises(ValueError, match="checkpoint must name a file in a folder that can be"):
            MIWAEImputer(random_state=0, checkpoint=place).fit(X)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="checkpoint must name a file in a folder that can be"):
        MIWAEImputer(random_state=0, checkpoint=path).fit(X)
    for random_state in (None, np.random.RandomState(0)):
        with pytest.raises(ValueError, match="random_state must be an int for a fit with a check"):
            MIWAEImputer(random_state=random_state, checkpoint=path).fit(X)
    with pytest.raises(ValueError, match="'checkpoint' parameter of MIWAEImputer must be"):
        MIWAEImputer(checkpoint=3).fit(X)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # Of so many numbers repr leaves most out.
        ({"feature_info": np.zeros((600, 2))}, {"feature_info": np.eye(600, 2)}),
        ({"feature_info": np.zeros((600, 2))}, {"feature_info": np.zeros((600, 2), np.float32)}),
        ({"prior": Ridge(alpha=1.0)}, {"prior": Ridge(alpha=2.0)}),
        ({"net_params": {"optimizer": torch.optim.Adam}}, {"net_params": {"optimizer": 1}}),
        ({"net_params": {"a": [np.ones(3)]}}, {"net_params": {"a": [np.zeros(3)]}}),
        ({"net_params": {"a": partial(max, 1)}}, {"net_params": {"a": partial(max, 2)}}),
        ({"net_params": {"a": cut_off}}, {"net_params": {"a": make_data}}),
    ],
)
def test_settings_are_told_from_others(first, second):
    def identity(params):
        return GNRImputer(random_state=0, **params)._fit_identity()

    assert identity(first) != identity(second)
    assert identity(first) == identity(copy.deepcopy(first))
    assert " at 0x" not in str(identity(first))


def test_settings_that_cannot_be_recognised(path):
    imputer = MIWAEImputer(**NET, checkpoint=path, net_params={"a": object()})
    with pytest.raises(ValueError, match="checkpoint must be None where net_params holds what can"):
        imputer.fit(X)


def test_callbacks_may_record_numbers_of_numpy_and_torch(path):
    class Records(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("of_numpy", np.float32(0.5))
            net.history.record("of_torch", torch.tensor(2))
            net.history.record("other", self.other)

    recorder = Records()
    recorder.other = 1
    imputer = MIWAEImputer(**NET, max_iter=30, callbacks=[recorder])
    cut_off(imputer, path)
    resumed = imputer.set_params(checkpoint=path).fit(X)
    assert resumed.history_[:, ("of_numpy", "of_torch")] == [(0.5, 2)] * 3
    recorder.other = np.ones(2)
    with pytest.raises(TypeError, match="callbacks must record plain numbers and text"):
        imputer.fit(X)
