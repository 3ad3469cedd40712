"""Scorers of imputers, by hand and inside grid searches."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PowerTransformer,
    StandardScaler,
)

from gnr_sklearn import MeanImputer
from gnr_sklearn.metrics import complete_data_scorer, make_masked_cell_scorer
from gnr_sklearn.missingness import MCAR, SelfMasking, ampute


class Spy(BaseEstimator, TransformerMixin):
    """Fills in a constant and remembers what it saw; ``change`` alters what it gives back."""

    def __init__(
        self, fill: float = 0.0, missing_values: float = np.nan, change: Callable | None = None
    ) -> None:
        self.fill = fill
        self.missing_values = missing_values
        self.change = change

    def fit(self, X: ArrayLike, y: object = None) -> Spy:
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        self.seen_ = X
        values = np.asarray(X, dtype=float)
        missing = np.isnan(values) | (values == self.missing_values)
        filled = np.where(missing, self.fill, values)
        return filled if self.change is None else self.change(filled)


def removed_cells(
    scorer: Callable[..., float], X: ArrayLike, marker: float = np.nan
) -> NDArray[np.bool_]:
    spy = Spy(missing_values=marker)
    scorer(spy, X)
    seen, before = np.asarray(spy.seen_, dtype=float), np.asarray(X, dtype=float)
    gone = [np.isnan(a) if np.isnan(marker) else a == marker for a in (seen, before)]
    np.testing.assert_array_equal(seen[~gone[0]], before[~gone[0]])
    assert (gone[0] | ~gone[1]).all()
    return gone[0] & ~gone[1]


def test_score_by_hand(wine_missing: NDArray[np.float64]) -> None:
    before = wine_missing.copy()
    scale = np.nanstd(wine_missing, axis=0)
    removed = removed_cells(make_masked_cell_scorer(), wine_missing)
    errors = (np.nan_to_num(wine_missing) / scale)[removed]
    rmse, mae = make_masked_cell_scorer(), make_masked_cell_scorer(metric="mae")
    assert rmse(Spy(), wine_missing) == pytest.approx(-np.sqrt(np.mean(errors**2)))
    assert mae(Spy(), wine_missing, "whatever y") == pytest.approx(-np.mean(np.abs(errors)))
    np.testing.assert_array_equal(wine_missing, before)


def test_score_has_no_units(wine_missing: NDArray[np.float64]) -> None:
    scorer = make_masked_cell_scorer()
    factors = 10.0 ** np.arange(-6, 7)
    scores = [scorer(SimpleImputer().fit(X), X) for X in (wine_missing, wine_missing * factors)]
    assert scores[0] == pytest.approx(scores[1])


def test_removed_cells(wine_missing: NDArray[np.float64]) -> None:
    removed = removed_cells(make_masked_cell_scorer(0.3), wine_missing)
    observed = ~np.isnan(wine_missing)
    assert not (removed & ~observed).any()
    assert removed[observed].mean() == pytest.approx(0.3, abs=0.03)
    mechanism = SelfMasking(features=[2], direction="below")
    removed = removed_cells(make_masked_cell_scorer(mechanism=mechanism), wine_missing)
    expected = np.zeros(removed.shape, dtype=bool)
    expected[:, 2] = wine_missing[:, 2] < np.nanmean(wine_missing[:, 2])
    np.testing.assert_array_equal(removed, expected)


def test_seed_of_the_amputation_may_be_that_of_the_scorer(wine: NDArray[np.float64]) -> None:
    X_missing = ampute(wine, MCAR(0.2), random_state=5)
    removed = removed_cells(make_masked_cell_scorer(0.2, random_state=5), X_missing)
    assert removed[~np.isnan(X_missing)].mean() == pytest.approx(0.2, abs=0.03)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 6))
def test_one_cell_stays_in_each_column(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    X[rng.random(X.shape) < 0.4] = np.nan
    X[:, 0] = 1.0
    removed = removed_cells(make_masked_cell_scorer(mechanism=MCAR(1.0), random_state=seed), X)
    observed = ~np.isnan(X)
    left = (observed & ~removed).sum(axis=0)
    np.testing.assert_array_equal(left, observed.any(axis=0))


@pytest.mark.parametrize("state", [0, np.int64(3), np.random.default_rng(1), None])
def test_every_call_removes_the_same_cells(
    state: object, wine_missing: NDArray[np.float64]
) -> None:
    scorer = make_masked_cell_scorer(random_state=state)
    first = removed_cells(scorer, wine_missing)
    for again in (scorer, pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert again == scorer
        assert hash(again) == hash(scorer)
        np.testing.assert_array_equal(first, removed_cells(again, wine_missing))
    other = removed_cells(make_masked_cell_scorer(random_state=99), wine_missing)
    assert (first != other).any()


def test_fresh_entropy_is_drawn_when_made() -> None:
    assert make_masked_cell_scorer(random_state=None) != make_masked_cell_scorer(random_state=None)
    assert make_masked_cell_scorer(random_state=np.int64(3)) == make_masked_cell_scorer(
        random_state=3
    )


def test_global_state_is_untouched(wine_missing: NDArray[np.float64]) -> None:
    before = str(np.random.get_bit_generator().state)
    make_masked_cell_scorer(mechanism=MCAR(1.0), random_state=None)(Spy(), wine_missing)
    assert str(np.random.get_bit_generator().state) == before


def test_repr_makes_the_scorer_again() -> None:
    scorer = make_masked_cell_scorer(0.3, metric="mae")
    assert repr(scorer) == (
        "make_masked_cell_scorer(mechanism=MCAR(p=0.3, features=None), metric='mae', "
        "random_state=0)"
    )
    assert eval(repr(scorer)) == scorer


def test_marker_of_missing_values(wine_missing: NDArray[np.float64]) -> None:
    scorer = make_masked_cell_scorer()
    marked = np.where(np.isnan(wine_missing), -1.0, wine_missing)
    np.testing.assert_array_equal(
        removed_cells(scorer, marked, marker=-1), removed_cells(scorer, wine_missing)
    )
    scores = [
        scorer(SimpleImputer(missing_values=marker).fit(X), X)
        for marker, X in ((-1, marked), (np.nan, wine_missing))
    ]
    assert scores[0] == scores[1]
    whole = np.arange(60).reshape(20, 3) - 1
    assert scorer(SimpleImputer(missing_values=-1).fit(whole), whole) < 0


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_frames(wine_missing: NDArray[np.float64], output: str) -> None:
    X = pd.DataFrame(wine_missing, columns=load_wine().feature_names)
    before = X.copy(deep=True)
    scorer = make_masked_cell_scorer()
    expected = pytest.approx(scorer(SimpleImputer().fit(wine_missing), wine_missing))
    imputer = SimpleImputer().set_output(transform=output).fit(X)
    assert scorer(imputer, X) == expected  # and no warning of feature names
    by_name = ColumnTransformer([("all", SimpleImputer(), list(X.columns))])
    assert scorer(by_name.fit(X), X) == expected
    pd.testing.assert_frame_equal(X, before)
    complete = np.nan_to_num(wine_missing, nan=1.0)
    score = complete_data_scorer(SimpleImputer().fit(wine_missing), wine_missing, complete)
    assert complete_data_scorer(imputer, X, X.fillna(1.0)) == pytest.approx(score)


@pytest.fixture
def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"height": rng.normal(170, 10, 200), "age": rng.normal(40, 10, 200)})
    X["sex"] = np.where(rng.uniform(size=200) < 0.5, "f", "m")
    X.loc[::5, "age"] = np.nan
    return X


def test_columns_of_a_frame_in_another_order_are_not_scored(people: pd.DataFrame) -> None:
    scorer = make_masked_cell_scorer(0.3)
    scores = []
    for numbers in (["height", "age"], ["age", "height"]):
        modes = SimpleImputer(strategy="most_frequent")
        parts = [("numbers", SimpleImputer(), numbers), ("levels", modes, ["sex"])]
        imputer = ColumnTransformer(parts).fit(people)
        if numbers[0] == "height":
            scores.append(scorer(imputer, people))
        else:
            with pytest.raises(ValueError, match="must give the observed cells of X back as they"):
                scorer(imputer, people)
    assert scores[0] == pytest.approx(scorer(MeanImputer().fit(people), people))


def test_pipelines_of_frames_are_scored_in_units_of_X(people: pd.DataFrame) -> None:
    def times(factor: float, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(frame, columns=people.columns).assign(age=frame["age"] * factor)

    step = FunctionTransformer(partial(times, 2.0), partial(times, 0.5), check_inverse=False)
    imputer = MeanImputer().set_output(transform="pandas")
    pipeline = make_pipeline(step, imputer).fit(people)
    scorer = make_masked_cell_scorer(0.3)
    expected = scorer(MeanImputer().fit(people), people)
    assert scorer(pipeline, people) == pytest.approx(expected)
    with pytest.raises(TypeError, match="estimator must have a transform method"):
        scorer(object(), people)


def test_large_means_do_not_hide_what_differs() -> None:
    """Pressures in pascal vary by a ten-thousandth of their mean."""
    rng = np.random.default_rng(0)
    truth = 101325.0 + 15.0 * rng.normal(size=(200, 2))
    X = truth.copy()
    X[::4, 0] = np.nan
    imputer = MeanImputer().fit(X)
    with pytest.raises(ValueError, match="y must equal X in the observed cells of X"):
        complete_data_scorer(imputer, X, truth[::-1])
    shift = FunctionTransformer(lambda X: X - 90.0, lambda X: X + 90.0, check_inverse=False)
    for scorer in (make_masked_cell_scorer(), partial(complete_data_scorer, y=truth)):
        shifted = scorer(make_pipeline(shift, MeanImputer()).fit(X), X)
        assert shifted == pytest.approx(scorer(imputer, X))
        single = X.astype(np.float32)
        assert scorer(MeanImputer().fit(single), single) == pytest.approx(shifted, rel=1e-3)


@pytest.mark.parametrize("marker", [0.1, np.float64(0.1), np.float32(0.1)])
def test_a_marker_is_read_in_the_precision_of_the_data(marker: float) -> None:
    X = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    X[::4, 0] = 0.1
    imputer = MeanImputer(missing_values=marker).fit(X)
    marked = np.where(X[0, 0] == X, np.float32(np.nan), X)
    expected = make_masked_cell_scorer()(MeanImputer().fit(marked), marked)
    assert make_masked_cell_scorer()(imputer, X) == pytest.approx(expected)


def test_float32_keeps_its_dtype(wine_missing: NDArray[np.float64]) -> None:
    spy, scorer = Spy(), make_masked_cell_scorer()
    score = scorer(spy, wine_missing.astype(np.float32))
    assert np.asarray(spy.seen_).dtype == np.float32
    assert score == pytest.approx(scorer(Spy(), wine_missing), rel=1e-5)


@pytest.mark.parametrize(
    "steps", [[StandardScaler()], [MinMaxScaler()], [StandardScaler(), PowerTransformer()], []]
)
def test_pipelines_are_scored_in_units_of_X(
    steps: list, wine: NDArray[np.float64], wine_missing: NDArray[np.float64]
) -> None:
    """Unlike KNNImputer, the column mean of scaled data is that of the data, scaled."""
    pipeline = make_pipeline(*steps, SimpleImputer()).fit(wine_missing)
    alone = SimpleImputer().fit(wine_missing)
    tolerance = 0.05 if len(steps) == 2 else 1e-9
    for scorer in (make_masked_cell_scorer(), partial(complete_data_scorer, y=wine)):
        expected = scorer(alone, wine_missing)
        assert scorer(pipeline, wine_missing) == pytest.approx(expected, rel=tolerance)


def test_constant_and_empty_columns(wine_missing: NDArray[np.float64]) -> None:
    n = len(wine_missing)
    X = np.column_stack([wine_missing, np.full(n, 0.1), np.full(n, np.nan)])
    imputer = SimpleImputer(keep_empty_features=True).fit(X)
    assert np.isfinite(make_masked_cell_scorer()(imputer, X))
    dropping = SimpleImputer().fit(X)
    with (
        pytest.warns(UserWarning, match="Skipping features"),
        pytest.raises(ValueError, match="set keep_empty_features=True and add_indicator=False"),
    ):
        make_masked_cell_scorer()(dropping, X)


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (Spy(change=lambda X: X[:, :2]), ValueError, r"\(178, 13\), .* got \(178, 2\): set keep_e"),
        (Spy(change=lambda X: X[:5]), ValueError, "must have the shape of X"),
        (Spy(change=lambda X: X + 1e4), ValueError, "must give the observed cells of X back"),
        (Spy(fill=np.nan), ValueError, "must not leave NaN"),
        (Spy(fill=np.inf), ValueError, "must hold finite numbers"),
        (Spy(missing_values="?"), TypeError, "estimator.missing_values must be NaN or a number"),
        (object(), TypeError, "estimator must have a transform method"),
        (
            make_pipeline(SimpleImputer(), StandardScaler()).fit(np.eye(13)),
            ValueError,
            "a Pipeline that ends in one",
        ),
        (
            make_pipeline(SimpleImputer(), PCA()).fit(load_wine().data),
            ValueError,
            "a Pipeline that ends in one",
        ),
        (make_pipeline(StandardScaler()).fit(load_wine().data), ValueError, "must not leave NaN"),
    ],
)
@pytest.mark.parametrize("oracle", [False, True])
def test_estimators_that_cannot_be_scored(
    estimator: object,
    error: type[Exception],
    message: str,
    oracle: bool,
    wine: NDArray[np.float64],
    wine_missing: NDArray[np.float64],
) -> None:
    scorer = partial(complete_data_scorer, y=wine) if oracle else make_masked_cell_scorer()
    with pytest.raises(error, match=message):
        scorer(estimator, wine_missing)


@pytest.mark.parametrize(
    "X", [np.ones((1, 3)), np.where(np.eye(3), 1.0, np.nan), np.full((4, 2), np.nan)]
)
def test_nothing_to_remove(X: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"^X must have observed cells that MCAR\(p=1.0, .* shape"):
        make_masked_cell_scorer(mechanism=MCAR(1.0))(Spy(), X)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"fraction": 0}, ValueError, "fraction must be more than 0 and less than 1, got 0"),
        ({"fraction": 1.0}, ValueError, "fraction must be more than 0 and less than 1"),
        ({"fraction": 1.2}, ValueError, "fraction must be a finite number between 0 and 1"),
        ({"fraction": "a"}, TypeError, "fraction must be a number"),
        ({"mechanism": 0.2}, TypeError, "mechanism must be a Mechanism instance"),
        ({"metric": "mse"}, ValueError, 'metric must be "rmse" or "mae", got \'mse\''),
        ({"random_state": -1}, ValueError, "random_state must not be negative"),
        ({"random_state": "a"}, TypeError, "random_state must be None, an int"),
    ],
)
def test_bad_arguments_of_the_scorer(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        make_masked_cell_scorer(**arguments)


@pytest.mark.parametrize("oracle", [False, True])
def test_imputers_that_work_in_place_cannot_change_the_data(
    oracle: bool, wine: NDArray[np.float64], wine_missing: NDArray[np.float64]
) -> None:
    scorer = partial(complete_data_scorer, y=wine) if oracle else make_masked_cell_scorer()
    before = wine_missing.copy()
    score = scorer(SimpleImputer(copy=False).fit(wine_missing), wine_missing)
    np.testing.assert_array_equal(wine_missing, before)
    assert score == scorer(SimpleImputer().fit(wine_missing), wine_missing)


# Grid searches


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("oracle", [False, True])
@pytest.mark.parametrize("frame", [False, True])
def test_grid_search_finds_the_right_candidate(
    routing: bool,
    oracle: bool,
    frame: bool,
    wine: NDArray[np.float64],
    wine_missing: NDArray[np.float64],
) -> None:
    """k = 120 neighbours of 118 is the mean, and the mean of wine is no good guess."""
    X, y = wine_missing, wine
    if frame:
        X, y = pd.DataFrame(X).add_prefix("x"), pd.DataFrame(y).add_prefix("x")
    scorer = complete_data_scorer if oracle else make_masked_cell_scorer()
    pipeline = make_pipeline(StandardScaler(), KNNImputer())
    grid = {"knnimputer__n_neighbors": [1, 10, 120]}
    folds = KFold(3, shuffle=True, random_state=0)
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(pipeline, grid, scoring=scorer, cv=folds, error_score="raise")
        search.fit(X, y if oracle else None)
    assert search.best_params_ == {"knnimputer__n_neighbors": 10}
    scores = -search.cv_results_["mean_test_score"]
    assert scores[1] < 0.85 < 0.95 < scores[2] < 1.15
    assert clone(search).get_params()["scoring"] == scorer


def test_searches_prefer_the_mean_to_the_median_of_skewed_data() -> None:
    X = np.random.default_rng(0).exponential(size=(600, 3))
    X_missing = ampute(X, MCAR(0.3), random_state=0)
    for scorer in (make_masked_cell_scorer(0.3), complete_data_scorer):
        search = GridSearchCV(SimpleImputer(), {"strategy": ["mean", "median"]}, scoring=scorer)
        assert search.fit(X_missing, X).best_params_ == {"strategy": "mean"}
    mae = make_masked_cell_scorer(0.3, metric="mae")
    search = GridSearchCV(SimpleImputer(), {"strategy": ["mean", "median"]}, scoring=mae)
    assert search.fit(X_missing).best_params_ == {"strategy": "median"}


def test_known_mechanism_narrows_the_gap_to_the_truth(normals: NDArray[np.float64]) -> None:
    """Under MNAR, hidden observed cells do not look like missing ones."""
    X = normals[:3000]
    X_missing = ampute(X, SelfMasking(0.8, features="all"), random_state=0)
    grid = {"fill_value": [-1.0, 0.0, 1.0]}
    best = []
    known = make_masked_cell_scorer(mechanism=SelfMasking(0.8, features="all", threshold=0.0))
    for scorer in (complete_data_scorer, known, make_masked_cell_scorer()):
        search = GridSearchCV(SimpleImputer(strategy="constant"), grid, scoring=scorer)
        best.append(search.fit(X_missing, X).best_params_["fill_value"])
    assert best == [1.0, 1.0, -1.0] or best == [1.0, 1.0, 0.0]


def test_a_search_reports_what_cannot_be_scored(wine_missing: NDArray[np.float64]) -> None:
    search = GridSearchCV(
        SimpleImputer(), {"add_indicator": [True, False]}, scoring=make_masked_cell_scorer(), cv=2
    )
    with (
        pytest.warns(UserWarning, match="non-finite"),
        pytest.warns(UserWarning, match="add_indicator=False"),
    ):
        search.fit(wine_missing)
    assert search.best_params_ == {"add_indicator": False}


# The oracle


def test_complete_data_score_by_hand() -> None:
    X = np.array([[1.0, np.nan], [np.nan, 4.0], [3.0, 8.0]])
    y = np.array([[1.0, 6.0], [5.0, 4.0], [3.0, 8.0]])
    expected = -np.sqrt(np.mean((np.array([6.0, 5.0]) / y.std(axis=0)[[1, 0]]) ** 2))
    assert complete_data_scorer(Spy(), X, y) == pytest.approx(expected)
    marked = np.nan_to_num(X, nan=-1)
    assert complete_data_scorer(Spy(missing_values=-1), marked, y) == pytest.approx(expected)
    assert complete_data_scorer(Spy(), X[:1], y[:1]) == -6.0  # one row: all sd are 0
    constant = np.full((3, 1), 0.1)  # its sd, computed naively, is 1e-17
    assert complete_data_scorer(Spy(), [[0.1], [0.1], [np.nan]], constant) == -0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": None}, "y must be the complete data, as in fit"),
        ({"y": np.ones((2, 2))}, "y must be complete data .* got 0 NaN in shape"),
        ({"y": [1.0, 2.0, 3.0]}, "y must be a matrix"),
        ({"y": [[1.0, np.nan], [2.0, 4.0], [3.0, 8.0]]}, "y must be complete data .* got 1 NaN"),
        ({"y": [[3.0, 8.0], [2.0, 4.0], [1.0, 6.0]]}, "y must equal X in the observed cells"),
        ({"X": [[1.0, 6.0], [2.0, 4.0], [3.0, 8.0]]}, "X must have missing cells to score"),
    ],
)
def test_bad_arguments_of_the_oracle(changes: dict, message: str) -> None:
    arguments = {
        "X": [[1.0, np.nan], [np.nan, 4.0], [3.0, 8.0]],
        "y": [[1.0, 6.0], [2.0, 4.0], [3.0, 8.0]],
    }
    with pytest.raises(ValueError, match=f"^{message}"):
        complete_data_scorer(Spy(), **{**arguments, **changes})


def test_pandas_na_is_a_marker_like_nan() -> None:
    X, _ = load_wine(return_X_y=True)
    X = ampute(X, MCAR(0.2), random_state=0)
    frame = pd.DataFrame(X).astype(object)
    frame[np.isnan(X)] = pd.NA
    scorer = make_masked_cell_scorer(0.2)
    expected = scorer(MeanImputer().fit(X), X)
    assert scorer(MeanImputer(missing_values=pd.NA).fit(frame), frame) == expected


def test_frames_with_several_levels_of_names() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": list("uvw") * 20, "x": rng.normal(size=60)})
    scorer = make_masked_cell_scorer(random_state=0)
    expected = scorer(MeanImputer().fit(frame), frame)
    frame.columns = pd.MultiIndex.from_tuples([("q", "k"), ("q", "x")])
    assert scorer(MeanImputer().fit(frame), frame) == expected
