"""The benchmarks of ratings: their tables, their errors, and how settings are chosen."""

import argparse

import numpy as np
import pytest

from benchmarks import scale, table4
from benchmarks.ratings import draw_r3_shaped, rating_errors, split_sample
from benchmarks.records import RecordFile


def test_large_tables_of_ratings_are_measured(tmp_path, monkeypatch, capsys):
    small = draw_r3_shaped(n_users=60, n_items=40, n_rated=700, n_asked=50)
    monkeypatch.setattr(scale, "draw_r3_shaped", lambda: small)
    options = argparse.Namespace(results=tmp_path, datasets=["ratings"], quick=True)
    scale.main(options)
    records = RecordFile("scale", tmp_path).records
    assert {r["method"] for r in records} == {"GNR", "MF-SNIPS"}
    assert len(records) == 6
    assert all(r["mean"] > 0 for r in records if r["metric"] == "memory_mib")


def test_ratings_of_the_shape_of_yahoos():
    data = draw_r3_shaped(n_users=300, n_items=80, n_rated=2000, n_asked=100)
    rated, asked = ~np.isnan(data.train), ~np.isnan(data.test)
    assert rated.sum() == 2000
    assert (asked.sum(axis=1) == [10] * 100 + [0] * 200).all()
    for ratings in (data.train[rated], data.test[asked]):
        assert set(ratings) == {1, 2, 3, 4, 5}
    both = rated & asked
    np.testing.assert_array_equal(data.train[both], data.test[both])
    # Users rate what they like.
    assert data.train[rated].mean() > data.test[asked].mean() + 0.3


def test_a_sample_of_test_ratings_is_not_tested_on():
    test = np.full((20, 30), np.nan)
    test[:, :10] = np.arange(200).reshape(20, 10)
    sample, others = split_sample(test, seed=0)
    assert len(sample) == 10
    left = others[~np.isnan(others)]
    assert sorted([*sample, *left]) == list(range(200))
    assert not np.array_equal(split_sample(test, seed=1)[0], sample)


def test_errors_of_ratings():
    test = np.array([[5.0, 1.0, np.nan], [2.0, 2.0, np.nan], [np.nan, 1.0, 3.0]])
    predicted = np.array([[4.0, 1.0, 0.0], [2.0, 4.0, 0.0], [0.0, 2.0, 1.0]])
    errors = rating_errors(predicted, test)
    assert errors["mse"] == pytest.approx((1 + 4 + 1 + 4) / 6)
    assert errors["mae"] == pytest.approx((1 + 2 + 1 + 2) / 6)
    # The second user says nothing of an order; the third is given the worse item first.
    first, second = 1.0, 1 / np.log2(3)
    reversed_gain = (1 * first + 7 * second) / (7 * first + 1 * second)
    assert errors["ndcg5"] == pytest.approx((1 + reversed_gain) / 2)


def test_ratings_are_tuned_on_train_and_recorded(tmp_path, monkeypatch, capsys):
    data = draw_r3_shaped(n_users=60, n_items=40, n_rated=700, n_asked=50)
    data = data._replace(of_users=np.ones((60, 1)), of_items=np.arange(40.0).reshape(-1, 1))
    monkeypatch.setattr(table4, "load_ratings", lambda dataset, data_dir: data)
    monkeypatch.setattr(table4, "STEPS", {"coat": 5})
    monkeypatch.setitem(table4.METHODS[-1].params, "max_iter", 5)
    options = argparse.Namespace(
        results=tmp_path, data_dir=None, datasets=["coat"], seeds=1, methods=None, jobs=1
    )
    table4.main(options)
    records = RecordFile("table4", tmp_path).records
    assert {r["method"] for r in records} == {method.label for method in table4.METHODS}
    assert {r["setting"] for r in records} == {table4.NEW, table4.ALL}
    of_mse = {(r["method"], r["setting"]): r for r in records if r["metric"] == "mse"}
    # Ratings that stand in train come back as they are.
    assert all(
        of_mse[method.label, table4.ALL]["mean"] < of_mse[method.label, table4.NEW]["mean"]
        for method in table4.METHODS
    )
    assert of_mse["MF", table4.NEW]["paper"] == 1.28
    assert of_mse["MF", table4.ALL]["paper"] is None
    rest = np.isnan(data.train) & ~np.isnan(split_sample(data.test, 0)[1])
    by_mean = np.mean((np.nanmean(data.train) - data.test[rest]) ** 2)
    assert of_mse["mean of all", table4.NEW]["mean"] == pytest.approx(by_mean, abs=1e-4)
    assert (tmp_path / "coat.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(table4, "run", None)
    table4.main(options)
