"""Benchmarks of speed, memory and tests, and the plain torch beside them, at a small size."""

import argparse
import json

import numpy as np
import pytest
import torch

from benchmarks import curves, mutants, scale, soak, speed
from benchmarks.plain import train
from benchmarks.protocols import PAPER_MODEL, Cell, Method
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer, MeanImputer
from gnr_sklearn.nn.bounds import log_weights, quasi_normal
from gnr_sklearn.nn.models import GNR
from gnr_sklearn.nn.rows import MaskedRows
from gnr_sklearn.nn.training import NegativeBound


def test_plain_torch_computes_what_the_package_does():
    module = GNR(5, 3, hidden_dims=(128, 128), seed=1)
    plain = speed.plain_copy(module)
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand((7, 5), generator=generator) < 0.7).float()
    x = torch.randn((7, 5), generator=generator) * mask
    torch.manual_seed(0)
    expected, expected_mean = plain.log_weights(x, mask, 4)
    torch.manual_seed(0)
    terms = module(x, mask, torch.normal(torch.zeros(4, 7, 3), torch.ones(4, 7, 3)))
    torch.testing.assert_close(log_weights(terms, 1.0), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms.x_given_z.mean, expected_mean, rtol=1e-4, atol=1e-5)
    torch.manual_seed(0)
    loss = plain.loss(x, mask, 4)
    torch.testing.assert_close(loss, NegativeBound()(terms), rtol=1e-4, atol=1e-4)


def test_plain_torch_imputes_what_the_package_does():
    module = GNR(5, 3, hidden_dims=(128, 128), seed=1).eval()
    mask = torch.tensor([[1.0, 0, 1, 1, 0], [0, 0, 0, 1, 1]])
    rows = MaskedRows(mask * 0.5, mask)
    torch.manual_seed(0)
    expected = speed.plain_copy(module).impute(rows.x, rows.mask, 20_000)
    noise = [quasi_normal(2**12, 3, 0).float().unsqueeze(1)]
    imputed = speed.impute(module, rows, lambda n_rows: noise, 1, 1.0, speed.plain_average)
    np.testing.assert_allclose(imputed, expected, atol=0.03)


def test_plain_training_learns():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((200, 1), generator=generator) + torch.zeros(200, 3)
    first, last = (train(x, torch.ones_like(x), 1, n_steps) for n_steps in (0, 100))
    assert last.loss(x, torch.ones_like(x), 20) < first.loss(x, torch.ones_like(x), 20) - 0.5


def test_monte_carlo_errors_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "REFERENCE_SAMPLES", 500)
    monkeypatch.setattr(speed, "PAPER_MODEL", PAPER_MODEL | {"max_iter": 20})
    records = RecordFile("speed", tmp_path)
    speed.measure_transform(records, "diabetes", None, quick=True)
    methods = {record["method"] for record in records.records}
    assert {"1000 random", "160 in rounds that adapt"} <= methods
    assert all(record["mean"] > 0 for record in records.records)


def test_curve_is_measured_beside_the_fit():
    params = PAPER_MODEL | {"max_iter": 200, "hidden_dims": 8, "n_importance_samples": 2}
    cell = Cell("field", "diabetes", 1.0, Method("GNR", GNRImputer, params), 0)
    _, result = curves.run(cell, None)
    assert [steps for steps, _, _ in result["points"]] == [100, 200]
    assert 0 < result["points"][0][1] < result["points"][1][1] < result["seconds"]
    assert result["rmse"] == cell.run(None)["rmse"]
    # The last is that of the model at its end, from fewer samples.
    assert result["points"][-1][2] == pytest.approx(result["rmse"], rel=0.1)


def test_curves_are_drawn_and_resumed(tmp_path, capsys, monkeypatch):
    quick = PAPER_MODEL | {"max_iter": 100, "hidden_dims": 8, "n_importance_samples": 2}
    paper, default = (Method(label, GNRImputer, quick) for label in ("paper", "default"))
    monkeypatch.setattr(curves, "PAPER", paper)
    monkeypatch.setattr(curves, "DEFAULT", default)
    monkeypatch.setattr(curves, "METHODS", (paper, default))
    monkeypatch.setattr(curves, "UCI_ORDER", ("diabetes",))
    options = argparse.Namespace(
        data_dir=None, results=tmp_path, seeds=1, rates=[1.0], protocols=["field"], datasets=None,
        methods=None, jobs=1,
    )  # fmt: skip
    curves.main(options)
    assert (tmp_path / "curves.png").stat().st_size > 0
    assert "RMSE 1.000" in capsys.readouterr().out
    monkeypatch.setattr(curves, "run", None)
    curves.main(options)


def test_memory_of_many_rows_is_measured():
    X = np.random.default_rng(0).normal(size=(500, 4))
    X[::3, 0] = np.nan
    imputer = GNRImputer(max_iter=20, missing_direction="above", prior=None)
    measured = scale.measure(imputer, X, imputes=True)
    assert set(measured) == {"fit_seconds", "transform_seconds", "memory_mib"}
    assert set(scale.measure(imputer, X, imputes=False)) == {"fit_seconds", "memory_mib"}


def test_tables_on_disk_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "PART", 60)
    small = GNRImputer(missing_direction="above", prior=None, hidden_dims=8)
    monkeypatch.setattr(scale, "GROWING_METHODS", {"GNR, no regressions": small})
    path = tmp_path / "table.npy"
    scale.write(150, path)
    table = np.load(path)
    assert table.shape == (150, scale.N_FEATURES)
    assert 0.2 < np.isnan(table).mean() < 0.4
    assert len(np.unique(table[:, 0])) > 90
    assert set(scale.measure_file(path)) == {"fit_seconds", "memory_mib", "bound"}


def test_soak(tmp_path, monkeypatch, capsys):
    few = (MeanImputer(), GNRImputer(**soak.NET | {"max_iter": 2}, prior=None))
    monkeypatch.setattr(soak, "IMPUTERS", few)
    soak.main(argparse.Namespace(results=tmp_path, quick=True))
    found = {r["metric"]: r["mean"] for r in RecordFile("soak", tmp_path).records}
    assert set(found) == {"memory_growth", "new_files", "new_threads"}
    assert found["new_files"] == 0


def test_mutants_that_no_test_notices_are_listed(tmp_path, monkeypatch, capsys):
    outcome = {"a": 1, "b": mutants.SURVIVED, "c": mutants.UNTESTED, "d": 3}

    def run(target, folder, jobs):
        path = mutants.meta_of(target, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"exit_code_by_key": outcome}))

    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "run", run)
    monkeypatch.setattr(mutants, "differences", lambda target, folder, names: names)
    options = argparse.Namespace(datasets=["metrics.py"], jobs=1, results=tmp_path)
    mutants.main(options)
    options.datasets = ["nn/bounds.py"]
    mutants.main(options)
    listed = (tmp_path / "mutants.txt").read_text()
    assert listed.count("b\nc\n") == 2
    assert "## metrics.py" in listed
    assert "## nn/bounds.py" in listed
    records = json.loads((tmp_path / "mutants.json").read_text())
    values = {(r["dataset"], r["metric"]): r["mean"] for r in records}
    assert values["metrics.py", "mutants"] == 4
    assert values["nn/bounds.py", "noticed"] == 50.0
