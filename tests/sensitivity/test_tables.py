"""What is returned, of which data, and what stays as it was."""

import pickle
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer

from gnr_sklearn import GNRImputer, MeanImputer, MICEImputer
from gnr_sklearn.sensitivity import sensitivity
from tests.contract import SMALL_NET, assert_runs_in_a_new_process, state_of
from tests.sensitivity.drawing_imputers import DrawingImputer, column_mean


def test_to_frame(X):
    result = sensitivity(
        DrawingImputer(),
        X,
        deltas=[1.0],
        strengths=[0.1],
        directions=["above"],
        features=[1],
        one_at_a_time=True,
        estimate=column_mean,
    )
    frame = result.to_frame()
    kinds = ["reference", "delta", "delta", "strength", "strength", "direction"]
    assert frame["kind"].tolist() == kinds
    assert frame["value"].tolist() == [None, 1.0, 1.0, 0.1, 0.1, "above"]
    assert frame["feature"].tolist() == [None, None, "x1", None, "x1", None]
    assert_array_equal(frame["estimate"], result.estimates)
    assert_array_equal(frame["rms_move"], result.rms_move)
    assert_array_equal(frame[["mean_x0", "mean_x1", "mean_x2"]], result.column_means)
    assert_array_equal(frame[["std_x0", "std_x1", "std_x2"]], result.column_stds)
    assert_array_equal(frame[["rms_move_x0", "rms_move_x1", "rms_move_x2"]], result.rms_moves)
    arrays = sensitivity(SimpleImputer(), X, estimate=lambda X: X[:2, :2]).to_frame()
    assert [f"estimate_{k}" in arrays for k in range(5)] == [True] * 4 + [False]
    assert "estimate" not in sensitivity(SimpleImputer(), X).to_frame()


def test_to_frame_needs_pandas(X, monkeypatch):
    result = sensitivity(SimpleImputer(), X)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame requires pandas"):
        result.to_frame()


def test_importing_does_not_import_torch_or_matplotlib():
    code = (
        "import sys, gnr_sklearn.sensitivity, gnr_sklearn.plotting\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
    )
    assert_runs_in_a_new_process(code)


@pytest.mark.parametrize("imputer", [SimpleImputer(), MICEImputer()])
@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_frames_keep_names(imputer, output, X):
    frame = pd.DataFrame(X, columns=["age", "income", "dose"], index=range(100, 160))
    seen = []

    def estimate(X_completed):
        seen.append(X_completed)
        return X_completed["income"].mean()

    imputer = clone(imputer).set_output(transform=output)
    result = sensitivity(imputer, frame, features=["income"], estimate=estimate, random_state=0)
    assert result.feature_names.tolist() == ["age", "income", "dose"]
    assert_allclose(result.estimates, result.column_means[:, 1])
    assert all(isinstance(each, pd.DataFrame) for each in seen)
    assert seen[1].index.equals(frame.index)
    assert seen[1].columns.equals(frame.columns)
    expected = sensitivity(imputer, X, features=[1], random_state=0)
    assert_allclose(result.column_means, expected.column_means, rtol=1e-12)


def test_other_tables(X):
    expected = sensitivity(MICEImputer(), X, random_state=0)
    integers = pd.DataFrame(X).convert_dtypes()
    marked = np.where(np.isnan(X), -1.0, X)
    for imputer, table in (
        (MICEImputer(), pl.DataFrame(X, schema=["a", "b", "c"])),
        (MICEImputer(), X.tolist()),
        (MICEImputer(), integers),
        (MICEImputer(missing_values=pd.NA), integers.astype(object)),
        (MICEImputer(missing_values=-1), marked),
        (FrozenEstimator(MICEImputer(missing_values=-1).fit(marked)), marked),
        (MICEImputer(add_indicator=True), X),
    ):
        result = sensitivity(imputer, table, estimate=column_mean, random_state=0)
        assert_allclose(result.column_means, expected.column_means, rtol=1e-12)
        assert_array_equal(result.n_missing, expected.n_missing)
    single = sensitivity(MICEImputer(), X.astype(np.float32), random_state=0)
    assert_allclose(single.column_means, expected.column_means, rtol=1e-4)
    assert single.column_means.dtype == np.float64


def test_empty_columns(X):
    X[:, 0] = np.nan
    result = sensitivity(MeanImputer(), X, estimate=lambda X: X.mean(axis=0), features=[0, 1])
    assert result.feature_names.tolist() == ["x1", "x2"]
    assert result.estimates.shape == (6, 2)
    assert_allclose(result.rms_moves[1], [1.0, 0.0])
    kept = sensitivity(MeanImputer(keep_empty_features=True), pd.DataFrame(X))
    assert_array_equal(kept.column_means[:, 0], np.zeros(6))
    assert np.isnan(kept.observed_std[0])
    assert_allclose(kept.rms_move, [0.0, 1.0, 0.5, 0.0, 0.5, 1.0])
    with pytest.raises(ValueError, match="features must have one with missing cells that imputer"):
        sensitivity(MeanImputer(), X, features=[0])
    tilted = sensitivity(
        GNRImputer(**SMALL_NET, add_indicator=True), X, strengths=[0.1], random_state=0
    )
    assert tilted.feature_names.tolist() == ["x1", "x2"]
    assert (tilted.column_means[-1] > tilted.column_means[0]).all()


@pytest.mark.parametrize("as_frame", [False, True])
def test_nothing_of_the_user_is_changed(as_frame, X):
    table = pd.DataFrame(X) if as_frame else X
    before = pickle.dumps(table)
    for imputer in (SimpleImputer(copy=False), KNNImputer(copy=False)):
        sensitivity(imputer, table)
        assert pickle.dumps(table) == before
        assert not hasattr(imputer, "n_features_in_")
    fitted = GNRImputer(**SMALL_NET).fit(X[:50])
    state = state_of(fitted)
    sensitivity(fitted, table, strengths=[0.1], random_state=0)
    sensitivity(FrozenEstimator(fitted), table, strengths=[0.1], random_state=0)
    assert state_of(fitted) == state
    assert pickle.dumps(table) == before
    read_only = X.copy()
    read_only.setflags(write=False)
    sensitivity(SimpleImputer(), read_only)


def test_a_frozen_imputer_is_used_as_it_was_fitted(X):
    fitted = SimpleImputer().fit(X[:30])
    result = sensitivity(FrozenEstimator(fitted), X)
    assert_array_equal(result.column_means[0], fitted.transform(X).mean(axis=0))
    refitted = sensitivity(fitted, X)
    assert_array_equal(refitted.column_means[0], SimpleImputer().fit_transform(X).mean(axis=0))


def test_random_state(X):
    imputer = GNRImputer(**{**SMALL_NET, "random_state": None})
    state = pickle.dumps(np.random.get_state())  # noqa: NPY002
    runs = [sensitivity(imputer, X, strengths=[0.1], random_state=seed) for seed in (0, 0, 1, None)]
    assert_array_equal(runs[0].column_means, runs[1].column_means)
    for other in runs[2:]:
        assert (runs[0].column_means[:, 1:] != other.column_means[:, 1:]).all()
    assert pickle.dumps(np.random.get_state()) == state  # noqa: NPY002
