"""Imputers on disk: files of skops, which run nothing, and versions."""

import io
import json
import os
import pickle
import re
import warnings
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from gnr_sklearn import GNRImputer, MeanImputer, MFImputer, MIWAEImputer
from gnr_sklearn.persistence import TRUSTED_TYPES, dump, load
from tests.contract import TINY, TINY_NET, make_data
from tests.mixed_frames import HOLES
from tests.mixed_frames import IMPUTERS as OF_FRAMES

skops_io = pytest.importorskip("skops.io")

X = make_data()
SIDE = np.random.default_rng(0).normal(size=(len(X), 2))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "imputer.skops"


def test_a_file_gives_back_the_same_imputer(imputer, path):
    fitted = imputer.fit(X)
    dump(fitted, path)
    read = load(path)
    assert_array_equal(read.transform(X), fitted.transform(X))
    if hasattr(fitted, "net_"):
        assert read.history_[:, "train_loss"] == fitted.history_[:, "train_loss"]
        assert read.net_.history is read.history_
        # All that training went by is there: the next step is the same.
        steps = [copied.net_.optimizer_.state_dict()["state"] for copied in (read, fitted)]
        assert steps[0].keys() == steps[1].keys()
        for place, of_parameter in steps[1].items():
            assert all(
                torch.equal(steps[0][place][name], of_parameter[name]) for name in of_parameter
            )
    assert_array_equal(read.fit_transform(X), imputer.fit_transform(X))


@pytest.mark.parametrize("imputer", OF_FRAMES, ids=lambda imputer: type(imputer).__name__)
def test_files_of_imputers_of_frames(imputer, path):
    fitted = clone(imputer).set_output(transform="pandas").fit(HOLES)
    dump(fitted, path)
    assert_frame_equal(load(path).transform(HOLES), fitted.transform(HOLES))


@pytest.mark.parametrize(
    ("imputer", "given"),
    [
        (MIWAEImputer(**TINY, likelihood={0: "bounded"}, min_value=-1e9, max_value=1e9), {}),
        (MIWAEImputer(**TINY, scaling="shared", feature_info=np.arange(4.0)[:, np.newaxis]), {}),
        (GNRImputer(**TINY_NET), {"side_info": SIDE}),
        (GNRImputer(**TINY_NET, net_params={"optimizer": torch.optim.AdamW}, verbose=1), {}),
        (GNRImputer(**TINY, missing_direction="above"), {}),
        (MFImputer(method="ips"), {"side_info": SIDE}),
        (MFImputer(method="ips"), {"mar_sample": X[0]}),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else "-".join(value),
)
def test_files_of_other_settings(imputer, given, path):
    fitted = imputer.fit(X, **given)
    dump(fitted, path)
    of_rows = {name: value for name, value in given.items() if name == "side_info"}
    assert_array_equal(load(path).transform(X, **of_rows), fitted.transform(X, **of_rows))


def test_pipelines_and_searches(path):
    pipeline = make_pipeline(GNRImputer(**TINY_NET), LinearRegression())
    search = GridSearchCV(pipeline, {"gnrimputer__alpha": [0.1, 1.0]}, cv=2)
    search.fit(X, np.arange(len(X), dtype=float))
    dump(search.best_estimator_, path)
    assert_array_equal(load(path).predict(X), search.predict(X))
    # What scikit-learn searches by is not among what skops trusts.
    dump(search, path)
    others = [
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.KFold",
        "numpy.ma.MaskedArray",
        "numpy.ma.core.MaskedArray",
        "numpy.ma.core._mareconstruct",
    ]
    assert_array_equal(load(path, trusted=others).predict(X), search.predict(X))


def test_what_is_not_trusted_is_named_and_not_run(path, tmp_path):
    target = tmp_path / "ran"
    dump(make_pipeline(FunctionTransformer(os.system), MeanImputer()), path)
    with pytest.raises(TypeError, match=r"holds (posix|nt)\.system; name them in trusted"):
        load(path)
    # A file in which an altered type would be called.
    dump(MIWAEImputer(**TINY).fit(X), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = parts["schema.json"].decode()
    ours = r'"__class__": "MIWAE",\s*"__module__": "gnr_sklearn.nn.models"'
    evil, n_altered = re.subn(ours, '"__class__": "system", "__module__": "os"', text)
    assert n_altered == 1
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"schema.json": evil.encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(TypeError, match=r"holds os\.system"):
        load(path)
    assert not target.exists()


class Payload:
    """What runs code when it is unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (os.mkdir, (self.target,))


def test_pickles_in_a_file_are_not_read(path, tmp_path):
    target = tmp_path / "ran"
    dump(MIWAEImputer(**TINY).fit(X), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    arrays = [name for name in parts if name.endswith(".npy")]
    stream = io.BytesIO()
    np.save(stream, np.array([Payload(target)], dtype=object), allow_pickle=True)
    for payload in (stream.getvalue(), pickle.dumps(Payload(target))):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, payload if name in arrays else content)
        with pytest.raises(ValueError, match="cannot be read as one"):
            load(path)
        assert not target.exists()


def test_damaged_files(path, tmp_path):
    dump(MeanImputer().fit(X), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"something else", pickle.dumps(3)):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"file must be one that gnr_sklearn\.persistence\.dump"
        ):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")


def with_bytes_of_the_directory(content, place, value):
    """Change a number of two bytes in the record of the first file in the directory of a zip."""
    start = content.index(b"PK\x01\x02") + place
    return content[:start] + value.to_bytes(2, "little") + content[start + 2 :]


def with_schema(content, schema):
    """Put another description in place of what a file of skops holds."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, schema if name == "schema.json" else old.read(name))
    return changed.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        # The version that is needed, an encrypted file, and an unknown way of compression.
        lambda content: with_bytes_of_the_directory(content, 6, 99),
        lambda content: with_bytes_of_the_directory(content, 8, 1),
        lambda content: with_bytes_of_the_directory(content, 10, 99),
        lambda content: with_schema(content, "[]"),
        lambda content: with_schema(content, "3"),
        lambda content: with_schema(content, "{"),
    ],
)
def test_damaged_archives(path, damage):
    dump(MeanImputer().fit(X), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"file must be one that gnr_sklearn\.persistence\.dump"):
        load(path)


def test_what_callbacks_have_seen_is_left_out(path, tmp_path):
    callbacks = [LRScheduler("StepLR", step_size=3), ("stop", EarlyStopping(monitor="train_loss"))]
    fitted = MIWAEImputer(**TINY, callbacks=callbacks, checkpoint=tmp_path / "fit.npz").fit(X)
    dump(fitted, path)
    read = load(path)
    assert_array_equal(read.transform(X), fitted.transform(X))
    assert read.checkpoint == fitted.checkpoint
    assert read.callbacks[0].policy == "StepLR"
    # Of the user's own nothing is taken away.
    assert callbacks[0].lr_scheduler_ is fitted.callbacks[0].lr_scheduler_
    assert_array_equal(read.fit_transform(X), fitted.transform(X))


class OwnCallback(Callback):
    """A callback of a user."""


def test_types_of_ones_own(path):
    dump(MIWAEImputer(**TINY, callbacks=[OwnCallback()]).fit(X), path)
    own = f"{OwnCallback.__module__}.OwnCallback"
    with pytest.raises(TypeError, match="OwnCallback; name them in trusted"):
        load(path)
    assert isinstance(load(path, trusted=[own]).callbacks[0], OwnCallback)
    with pytest.raises(TypeError, match="trusted must be a sequence of names of types, got"):
        load(path, trusted=own)


@pytest.mark.parametrize(
    "params",
    [
        {"min_value": pd.Series(np.zeros(X.shape[1]))},
        {"feature_info": pd.DataFrame({"kind": np.arange(X.shape[1])})},
        {"missing_values": pd.NA},
    ],
    ids=lambda params: next(iter(params)),
)
def test_what_could_not_be_read_is_not_written(params, path):
    with pytest.raises(TypeError, match="estimator must hold nothing that cannot be read back"):
        dump(MIWAEImputer(**TINY, **params), path)
    assert not path.exists()


def test_all_that_is_trusted_is_there():
    from importlib import import_module

    for name in TRUSTED_TYPES:
        module, _, attribute = name.rpartition(".")
        assert (
            isinstance(getattr(import_module(module), attribute), type) or name == "builtins.print"
        )


def test_another_version_warns(path, monkeypatch):
    fitted = MeanImputer().fit(X)
    content = pickle.dumps(fitted)
    joblib.dump(fitted, path.with_suffix(".joblib"))
    dump(fitted, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "_gnr_sklearn_version" not in vars(pickle.loads(content))
        load(path)
    monkeypatch.setattr("gnr_sklearn._base.__version__", "9.9")
    message = r"MeanImputer was saved by version 0\.1.* and is read by 9\.9: what it imputes may"
    for read in (
        lambda: pickle.loads(content),
        lambda: joblib.load(path.with_suffix(".joblib")),
        lambda: load(path),
    ):
        with pytest.warns(UserWarning, match=message):
            assert_array_equal(read().transform(X), fitted.transform(X))


def test_imputers_hold_nothing_that_was_pickled_by_others():
    """Without weights in a pickle of their own, a pickle of an imputer has no other in it."""
    state = MIWAEImputer(**TINY).fit(X).net_.__getstate__()
    assert not any(isinstance(value, bytes) for value in state.values())
    json.dumps(state["optimizers_"])


def test_scikit_learns_own_imputers_are_no_matter_of_ours(path):
    dump(SimpleImputer().fit(X), path)
    assert_array_equal(load(path).statistics_, np.nanmean(X, axis=0))
