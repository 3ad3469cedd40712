"""The comparison with other imputers: what is measured, and what is kept of it."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.records import RecordFile
from gnr_sklearn.missingness import MCAR, ampute

HERE = ("mean", "IterativeImputer", "KNNImputer", "MissForest", "MICE")


class Constant:
    """Fills in a number."""

    def __init__(self, number, together=False):
        self.number = number
        self.together = together

    def fit(self, X):
        return self.transform(X) if self.together else None

    def transform(self, X):
        return np.where(np.isnan(X), self.number, X)


def peer_named(name):
    (peer,) = [peer for peer in peers.PEERS if peer.name == name]
    return peer


def keys(folder):
    path = folder / "peers.json"
    records = json.loads(path.read_text()) if path.exists() else []
    return {(r["method"], r["dataset"], r["metric"]) for r in records}


@pytest.fixture
def measured(monkeypatch):
    """Measure by a stand-in, which keeps what it was asked; that of "broken" fails."""
    asked = []

    def measure(peer, python, dataset, rate, seed, data_dir):
        asked.append((peer.name, dataset, rate, seed))
        if peer.name == "broken":
            raise subprocess.CalledProcessError(1, "python", stderr="Traceback:\n\nOops: no\n")
        if peer.name == "incomplete":
            raise ValueError("X_imputed must not be NaN")
        return dict.fromkeys(peers.METRICS, 1.0)

    monkeypatch.setattr(peers, "measure_in_process", measure)
    return asked


def stand_in(name, distribution=""):
    return peers.Peer(name, Constant, "some settings", distribution)


@pytest.mark.parametrize("name", HERE)
def test_imputers_at_hand_are_measured(name):
    X = ampute(np.random.default_rng(0).normal(5, 2, size=(50, 3)), MCAR(0.2), random_state=0)
    peer = peer_named(name)
    result = peers.measure(peer.make(0), X[:40], X[40:], peer.standardise)
    for part, rows in (("training", X[:40]), ("new", X[40:])):
        observed = ~np.isnan(rows)
        np.testing.assert_allclose(result[part][observed], rows[observed])
        assert not np.isnan(result[part]).any()
    assert result["seconds_fit"] >= 0
    assert result["seconds_transform"] >= 0
    assert result["memory_mib"] >= 0


@pytest.mark.parametrize("together", [False, True])
def test_standardised_rows_are_taken_back(together):
    training = np.array([[0.0, 1.0], [4.0, 1.0], [np.nan, 1.0]])
    new = np.array([[np.nan, 3.0]])
    result = peers.measure(Constant(1.0, together), training, new, standardise=True)
    # Mean and sd of what is observed of the first column are 2; the second is constant.
    np.testing.assert_allclose(result["training"], [[0, 1], [4, 1], [4, 1]])
    np.testing.assert_allclose(result["new"], [[4, 3]])


def test_memory_is_that_of_the_measurement():
    class Hungry(Constant):
        def fit(self, X):
            np.ones(32_000_000).sum()

    earlier = np.ones(48_000_000)
    del earlier
    X = np.zeros((2, 2))
    memory = peers.measure(Hungry(0.0), X, X, standardise=False)["memory_mib"]
    assert 200 < memory < 300


def test_one_is_run_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "DATASETS", ("diabetes",))
    options = argparse.Namespace(
        methods=["mean"], datasets=None, rates=None, seeds=None, results=tmp_path, data_dir=None
    )
    peers.main(options)
    assert keys(tmp_path) == {("mean", "diabetes", metric) for metric in peers.METRICS}
    (rmse,) = [r for r in RecordFile("peers", tmp_path).records if r["metric"] == "rmse"]
    assert (rmse["protocol"], rmse["setting"], rmse["params"]) == ("field", "80%", "MeanImputer()")
    # Those above the mean are gone: their own mean is more than one sd from that of the rest.
    assert 1 < rmse["mean"] < 2
    assert not (tmp_path / "peers_failures.txt").exists()


def test_what_is_on_record_is_not_measured_again(tmp_path, measured):
    arguments = ([stand_in("some")], ["a", "b"], [0.8], range(1), tmp_path, None)
    peers.run_peers(*arguments)
    assert measured == [("some", "a", 0.8, 0), ("some", "b", 0.8, 0)]
    peers.run_peers(*arguments)
    assert len(measured) == 2
    peers.run_peers([stand_in("some")], ["a"], [0.8, 0.2], range(2), tmp_path, None)
    assert measured[2:] == [("some", "a", 0.8, 1), ("some", "a", 0.2, 0), ("some", "a", 0.2, 1)]
    settings = {record["setting"] for record in RecordFile("peers", tmp_path).records}
    assert settings == {"80%", "20%"}


def test_failures_are_told_and_do_not_stop_the_rest(tmp_path, measured, monkeypatch):
    def environment(peer):
        if peer.name == "missing":
            message = "see https://some.host/simple/x\nERROR: none in /home/someone/x for missing\n"
            raise subprocess.CalledProcessError(1, "pip", stderr=message)
        return Path(sys.executable)

    monkeypatch.setattr(peers, "environment", environment)
    names = ["missing", "broken", "incomplete", "some"]
    bad = [stand_in(name, f"{name}==1.0" if name == "missing" else "") for name in names]
    peers.run_peers(bad, ["a"], [0.8], range(1), tmp_path, None)
    assert keys(tmp_path) == {("some", "a", metric) for metric in peers.METRICS}
    failures = tmp_path / "peers_failures.txt"
    assert failures.read_text().splitlines() == [
        "broken: run on a, 80%, seed 0: Oops: no",
        "incomplete: run on a, 80%, seed 0: X_imputed must not be NaN",
        "missing 1.0: install: ERROR: none in (path) for missing",
    ]
    # Another run that goes well takes the line back.
    monkeypatch.undo()
    monkeypatch.setattr(
        peers, "measure_in_process", lambda *args: dict.fromkeys(peers.METRICS, 1.0)
    )
    peers.run_peers([bad[1], bad[2]], ["a"], [0.8], range(1), tmp_path, None)
    assert failures.read_text().splitlines() == [
        "missing 1.0: install: ERROR: none in (path) for missing"
    ]


def test_a_script_that_dies_says_why(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        peers.measure_in_process(stand_in("unheard of"), sys.executable, "diabetes", 0.8, 0, None)
    assert peers.reason(caught.value) == "KeyError: 'unheard of'"
    killed = subprocess.CalledProcessError(-9, "python", stderr="")
    assert "SIGKILL" in peers.reason(killed)
    assert peers.reason(subprocess.TimeoutExpired("python", 1)) == "not done after 3600 s"


def test_labels_tell_the_version():
    labels = [peer.label for peer in peers.PEERS]
    assert len(set(labels)) == len(labels)
    assert {"GNR", "mean", "miceforest 6.0.5", "miwae, hyperimpute 0.1.17"} <= set(labels)
    assert peer_named("KNNImputer").label.startswith("KNNImputer, scikit-learn 1.")


def test_environments_are_kept(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setenv("GNR_PEERS_DIR", str(tmp_path))
    monkeypatch.setattr(peers.venv, "create", lambda folder, **kwargs: os.mkdir(folder))
    monkeypatch.setattr(peers.subprocess, "run", lambda command, **kwargs: calls.append(command))
    for peer in (peer_named("miwae"), peer_named("gain")):
        python = peers.environment(peer)
    assert python.is_relative_to(tmp_path)
    # One environment for both plug-ins: what they need, and then the package alone.
    first, second = calls
    assert "torch==2.13.0" in first
    assert second[-2:] == ["--no-deps", "hyperimpute==0.1.17"]
    assert peers.environment(peer_named("GNR")) == Path(sys.executable)
