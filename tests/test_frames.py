"""Data frames with columns of several types: what goes in comes out, without holes."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gnr_sklearn import (
    GAINImputer,
    GNRImputer,
    MeanImputer,
    MICEImputer,
    MissForestImputer,
    MIWAEImputer,
)
from gnr_sklearn.gnr import _moved_levels
from tests.contract import TINY, TINY_NET, imputer_id
from tests.mixed_frames import FULL, HOLES, IMPUTERS, MISSING

every_imputer = pytest.mark.parametrize("imputer", IMPUTERS, ids=imputer_id)


@every_imputer
def test_pandas_frames_come_back_as_they_came(imputer, frame):
    imputed = clone(imputer).set_output(transform="pandas").fit_transform(frame)
    assert_frame_equal(frame, HOLES)
    assert (imputed.dtypes == HOLES.dtypes).all()
    assert imputed.index.equals(HOLES.index)
    assert list(imputed.columns) == list(HOLES.columns)
    assert not imputed.isna().any().any()
    for name in HOLES:
        seen = ~MISSING[name]
        assert (imputed.loc[seen, name] == HOLES.loc[seen, name]).all()
    assert set(imputed["kind"]) <= {"x", "y", "z"}
    assert set(imputed["text"]) <= {"u", "v"}


@every_imputer
def test_polars_frames_come_back_as_they_came(imputer):
    table = pl.from_pandas(HOLES).with_columns(
        pl.col("grade").cast(pl.Enum(["low", "mid", "high"]))
    )
    fitted = clone(imputer).set_output(transform="polars").fit(table)
    imputed = fitted.transform(table)
    assert imputed.schema == table.schema
    assert imputed.null_count().sum_horizontal().item() == 0
    for name in table.columns:
        seen = table[name].is_not_null()
        assert imputed[name].filter(seen).equals(table[name].filter(seen))
    one_row = fitted.transform(table[3:4])
    if not isinstance(imputer, MICEImputer | MissForestImputer):
        assert one_row["kind"].equals(imputed["kind"][3:4])
        assert one_row["flag"].equals(imputed["flag"][3:4])


@every_imputer
def test_arrays_of_objects_without_a_container(imputer, frame):
    fitted = clone(imputer).fit(frame)
    imputed = fitted.transform(frame)
    assert imputed.dtype == object
    named = clone(imputer).set_output(transform="pandas").fit_transform(frame)
    assert_array_equal(imputed, named.to_numpy(dtype=object))
    again = pickle.loads(pickle.dumps(fitted)).transform(frame)
    assert_array_equal(again, imputed)


@pytest.mark.parametrize("imputer", IMPUTERS[3:], ids=imputer_id)
def test_other_methods_of_generative_imputers(imputer, frame):
    fitted = clone(imputer).fit(frame)
    draws = fitted.sample(frame, n_draws=4, random_state=0)
    assert draws.shape == (4, *frame.shape)
    for draw in draws:
        drawn = pd.DataFrame(draw, columns=frame.columns, index=frame.index)
        assert not drawn.isna().any().any()
        assert (drawn["kind"][~MISSING["kind"]] == frame["kind"][~MISSING["kind"]]).all()
        assert set(drawn["grade"]) <= {"low", "mid", "high"}
    # Arrays, whatever `transform` is asked for.
    fitted.set_output(transform="pandas")
    assert_array_equal(fitted.sample(frame, n_draws=4, random_state=0), draws)
    fitted.set_output(transform="default")
    # Of a hole in the most uncertain column not all draws are the same.
    assert (draws[0] != draws[1]).any()
    assert np.isfinite(fitted.score(frame))
    assert (fitted.effective_sample_size(frame) >= 1 - 1e-6).all()
    assert fitted.encode(frame).shape == (len(frame), fitted.latent_dim_)
    if hasattr(fitted, "predict_mask_proba"):
        proba = fitted.predict_mask_proba(frame)
        assert proba.shape == frame.shape
        assert ((proba >= 0) & (proba <= 1)).all()


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_indicators_empty_columns_and_another_library(container, frame):
    frame["empty"] = np.nan
    imputer = MeanImputer(add_indicator=True).set_output(transform=container)
    imputed = imputer.fit_transform(frame)
    names = list(imputer.get_feature_names_out())
    assert list(imputed.columns) == names
    assert "empty" not in names
    assert names[8:] == [f"missingindicator_{name}" for name in [*HOLES.columns[:7], "empty"]]
    indicator = np.asarray(imputed["missingindicator_kind"])
    assert indicator.dtype == np.float64
    assert_array_equal(indicator, MISSING["kind"])
    kept = MeanImputer(keep_empty_features=True).set_output(transform=container)
    assert (np.asarray(kept.fit_transform(frame)["empty"]) == 0).all()


def test_empty_columns_without_numbers_cannot_be_kept(frame):
    frame["empty"] = pd.array([None] * len(frame), dtype="str")
    imputer = MeanImputer(keep_empty_features=True)
    with pytest.raises(ValueError, match=r"keep_empty_features must be False .* 'empty'"):
        imputer.fit(frame)
    dropped = imputer.set_params(keep_empty_features=False).fit_transform(frame)
    assert dropped.shape == HOLES.shape


def test_indicators_do_not_take_the_place_of_columns():
    table = pd.DataFrame({"a": [1, np.nan], "missingindicator_a": [1.0, 2.0], "text": ["a", "b"]})
    with pytest.raises(ValueError, match=r"^X must not have columns with the names of those"):
        MeanImputer(add_indicator=True).fit(table)


def test_numbers_true_and_false_are_a_matrix_of_floats(frame):
    imputed = MeanImputer().fit_transform(frame[["number", "whole", "flag", "seen"]])
    assert imputed.dtype == np.float64
    assert set(imputed[:, 2]) == {0.0, 1.0}
    # Unrounded: what is a matrix of numbers has no types to keep.
    whole = frame["whole"].astype(float)
    assert_array_equal(imputed[:, 1], whole.fillna(whole.mean()))


@every_imputer
def test_frames_of_categories_alone(imputer, frame):
    names = ["kind", "grade", "flag", "text"]
    if hasattr(imputer, "observation_scale"):
        imputer = clone(imputer).set_params(observation_scale="heteroscedastic")
    imputed = clone(imputer).set_output(transform="pandas").fit_transform(frame[names])
    assert (imputed.dtypes == frame[names].dtypes).all()
    assert not imputed.isna().any().any()
    one = clone(imputer).fit(frame[["text"]])
    assert set(one.transform(frame[["text"]]).ravel()) == {"u", "v"}


def test_with_a_global_container(frame):
    with config_context(transform_output="pandas"):
        imputed = GNRImputer(**TINY_NET).fit_transform(frame)
    assert (imputed.dtypes == frame.dtypes).all()


def test_in_a_pipeline(frame):
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )
    imputer = MIWAEImputer(**TINY).set_output(transform="pandas")
    target = FULL["number"] > 0
    model = make_pipeline(imputer, encode, LogisticRegression()).fit(frame, target)
    assert model.score(frame, target) > 0.7


@pytest.mark.parametrize("imputer", [MIWAEImputer(), MeanImputer()], ids=imputer_id)
def test_tags_tell_of_categories(imputer):
    assert imputer.__sklearn_tags__().input_tags.categorical
    assert not GAINImputer().__sklearn_tags__().input_tags.categorical


@every_imputer
def test_categories_that_were_not_there_in_fit(imputer, frame):
    fitted = clone(imputer).set_output(transform="pandas").fit(frame)
    other = frame[:10].copy()
    other["kind"] = other["kind"].cat.add_categories("new")
    other.iloc[0, 2] = "new"
    with pytest.raises(ValueError, match=r"'new' in column 'kind', whose categories are \['x'"):
        fitted.transform(other)
    passed = clone(imputer).set_params(unseen_categories="missing")
    imputed = passed.set_output(transform="pandas").fit(frame).transform(other)
    assert imputed["kind"].iloc[0] == "new"
    assert not imputed.isna().any().any()
    # The rest of the row is imputed as if it were missing there.
    other.iloc[0, 2] = np.nan
    without = passed.transform(other).drop(columns="kind")
    assert_frame_equal(imputed.drop(columns="kind"), without)


def test_new_rows_may_have_other_declared_categories(frame):
    imputer = MeanImputer().set_output(transform="pandas").fit(frame)
    most_common = frame["kind"].mode()[0]
    rows = frame[frame["kind"] != most_common].copy()
    rows["kind"] = rows["kind"].cat.remove_unused_categories()
    imputed = imputer.transform(rows)
    assert (imputed["kind"][rows["kind"].isna()] == most_common).all()


def test_types_may_change_between_fit_and_new_rows(frame):
    imputer = MeanImputer().set_output(transform="pandas").fit(frame)
    rows = frame[:5].copy()
    rows["whole"] = rows["whole"].astype(float)
    rows["text"] = rows["text"].astype("category")
    imputed = imputer.transform(rows)
    assert (imputed.dtypes == rows.dtypes).all()
    with pytest.raises(ValueError, match=r"X must hold numbers in column 'number'"):
        imputer.transform(rows.assign(number="much"))
    with (
        pytest.warns(UserWarning, match="feature names"),
        pytest.raises(TypeError, match="X must be a data frame, as it was in fit"),
    ):
        imputer.transform(np.zeros((3, 8)))


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("values", "filled"),
    [
        (["x", "y", "y"], "y"),
        (pd.Categorical(["x", "y", "y"]), "y"),
        ([True, False, True], True),
        ([1.0, 2.0, 6.0], 3.0),
    ],
    ids=["text", "categories", "flags", "numbers"],
)
def test_columns_without_any_value_in_new_rows(values, filled, library):
    """Libraries take them for floats, or for nothing they know."""
    table = pd.DataFrame({"number": [1.0, 2.0, 6.0], "other": values})
    imputer = MeanImputer().fit(table)
    with_nan = pd.DataFrame({"number": [5.0, np.nan], "other": [np.nan] * 2}, index=[7, 3])
    new = [with_nan, with_nan.assign(other=pd.array([None] * 2, dtype=object))]
    if library == "polars":
        schemas = [{"number": pl.Float64, "other": dtype} for dtype in (pl.Null, pl.Float64)]
        columns = {"number": [5.0, None], "other": [None, None]}
        new = [pl.DataFrame(columns, schema=schema) for schema in schemas]
    for rows in new:
        assert imputer.transform(rows).tolist() == [[5.0, filled], [3.0, filled]]
        imputed = clone(imputer).set_output(transform=library).fit(table).transform(rows)
        assert imputed["number"].to_list() == [5.0, 3.0]
        assert imputed["other"].to_list() == [filled] * 2
        assert library == "polars" or imputed.index.tolist() == [7, 3]


def test_an_enum_takes_levels_of_fit():
    imputer = MeanImputer().set_output(transform="polars")
    imputer.fit(pl.DataFrame({"text": ["v", "v", "u"], "number": [1, 2, 3]}))
    text = pl.Series(["u", None], dtype=pl.Enum(["u"]))
    filled = imputer.transform(pl.DataFrame({"text": text, "number": [1, 2]}))
    assert filled["text"].to_list() == ["u", "v"]


def test_whole_numbers_are_rounded_in_rows_that_hold_floats():
    imputer = MeanImputer().set_output(transform="pandas")
    imputer.fit(pd.DataFrame({"whole": [1, 2, 4, 7], "text": list("abab")}))
    filled = imputer.transform(pd.DataFrame({"whole": [1.0, None, 3.0], "text": list("aba")}))
    assert filled["whole"].tolist() == [1.0, 4.0, 3.0]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_pattern_of_holes(data):
    n_rows = data.draw(st.integers(1, 12))
    cells = st.one_of(st.none(), st.sampled_from(["p", "q", "r"]))
    numbers = st.one_of(st.none(), st.floats(-1e6, 1e6))
    flags = st.one_of(st.none(), st.booleans())
    columns = {
        "kind": data.draw(st.lists(cells, min_size=n_rows, max_size=n_rows)),
        "number": data.draw(st.lists(numbers, min_size=n_rows, max_size=n_rows)),
        "flag": data.draw(st.lists(flags, min_size=n_rows, max_size=n_rows)),
    }
    columns["kind"][0] = "p"
    schema = {"kind": pl.String, "number": pl.Float64, "flag": pl.Boolean}
    table = pl.DataFrame(columns, schema=schema)
    for imputer in (MeanImputer(), MICEImputer(max_iter=2), MIWAEImputer(**TINY | {"max_iter": 1})):
        fitted = clone(imputer).set_output(transform="polars")
        imputed = fitted.fit_transform(table)
        assert list(imputed.columns) == list(fitted.get_feature_names_out())
        assert imputed.null_count().sum_horizontal().item() == 0
        for name in imputed.columns:
            assert imputed.schema[name] == schema[name]
            seen = table[name].is_not_null()
            assert imputed[name].filter(seen).equals(table[name].filter(seen))


def test_categories_are_imputed_as_well_as_can_be():
    """A category decides on the mean of a number: the best guess is the nearest mean."""
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=1500)
    frame = pd.DataFrame({"kind": np.array(["a", "b", "c"])[codes]})
    frame["number"] = 2.5 * codes + rng.normal(size=len(codes))
    truth = frame["kind"].copy()
    lost = rng.uniform(size=len(frame)) < 0.3
    frame.loc[lost, "kind"] = None
    best = np.digitize(frame["number"], [1.25, 3.75])[lost]
    of_best = (best == codes[lost]).mean()
    settings = {"random_state": 0, "hidden_dims": 16, "latent_dim": 1, "learning_rate": 0.01}
    for imputer in (
        MIWAEImputer(**settings, max_iter=300),
        GNRImputer(**settings, missing_direction="neither", prior=None, max_iter=300),
        MissForestImputer(n_estimators=50, min_samples_leaf=20, random_state=0),
    ):
        imputed = imputer.set_output(transform="pandas").fit_transform(frame)
        assert (imputed["kind"][lost] == truth[lost]).mean() > of_best - 0.02


def test_true_values_that_are_kept_back_are_found():
    """Of answers that are only kept back where they are true, all that is missing is true."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=600)
    answer = z + 0.5 * rng.normal(size=600) > 0
    frame = pd.DataFrame({"answer": pd.array(answer, dtype="boolean"), "a": z, "b": z})
    frame[["a", "b"]] += 0.7 * rng.normal(size=(600, 2))
    lost = answer & (rng.uniform(size=600) < 0.6)
    frame.loc[lost, "answer"] = pd.NA
    net = {"random_state": 0, "prior": None, "max_iter": 400, "hidden_dims": 16}
    share = {}
    for direction in ("above", "neither"):
        imputer = GNRImputer(**net, missing_direction=direction).set_output(transform="pandas")
        share[direction] = imputer.fit_transform(frame)["answer"][lost].mean()
    assert share["above"] > 0.97
    assert share["above"] > share["neither"] + 0.05


def test_regressions_share_in_the_draws_of_categories():
    """A category that follows from two others by parity: trees find what z does not."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(2, size=(2, 600))
    frame = pd.DataFrame({"first": first > 0, "second": second > 0})
    frame["parity"] = pd.array(first != second, dtype="boolean")
    truth = frame["parity"].astype(bool)
    lost = rng.uniform(size=600) < 0.3
    frame.loc[lost, "parity"] = pd.NA
    net = {"random_state": 0, "missing_direction": "neither", "decoder": "linear"}
    imputer = GNRImputer(**net, max_iter=300, hidden_dims=16).fit(frame)
    draws = imputer.sample(frame, 20, random_state=0)[:, lost, 2].astype(bool)
    right = (draws == truth[lost].to_numpy()).mean()
    # Half of the draws are of the forest, which knows; the other half of z, which cannot.
    assert 0.68 < right < 0.82


@settings(max_examples=50, deadline=None)
@given(
    chances=st.lists(st.floats(0, 1), min_size=2, max_size=5),
    wanted=st.lists(st.floats(0, 1), min_size=5, max_size=5),
    seed=st.integers(0, 1000),
)
def test_levels_are_moved_to_the_wanted_probabilities_as_seldom_as_can_be(chances, wanted, seed):
    before = np.array(chances) + 1e-3
    after = np.array(wanted[: len(before)]) + 1e-3
    before, after = before / before.sum(), after / after.sum()
    rng, n_draws = np.random.default_rng(seed), 20_000
    drawn = rng.choice(len(before), size=(n_draws, 1), p=before)
    uniform = rng.uniform(size=(2, n_draws, 1))
    moved = _moved_levels(drawn, before[np.newaxis], after[np.newaxis], uniform)
    # Five standard deviations of a binomial distribution at most.
    tolerance = 5 * 0.5 / np.sqrt(n_draws)
    shares = np.bincount(moved[:, 0], minlength=len(after)) / n_draws
    np.testing.assert_allclose(shares, after, atol=tolerance)
    n_moved = (moved != drawn).mean()
    assert n_moved == pytest.approx(np.abs(after - before).sum() / 2, abs=tolerance)
    same = _moved_levels(drawn, before[np.newaxis], before[np.newaxis], uniform)
    np.testing.assert_array_equal(same, drawn)


def test_categories_that_are_missing_together_are_drawn_together():
    """They have one cause, of which no other column tells."""
    rng = np.random.default_rng(0)
    cause = rng.normal(size=800)
    frame = pd.DataFrame(rng.normal(size=(800, 2)), columns=["x", "y"])
    for name in ("a", "b"):
        frame[name] = np.where(cause + 0.2 * rng.normal(size=800) > 0, "yes", "no")
    agree = (frame["a"] == frame["b"]).mean()
    lost = rng.uniform(size=800) < 0.4
    frame.loc[lost, ["a", "b"]] = None
    imputer = GNRImputer(max_iter=800, n_imputation_samples=96, random_state=0).fit(frame)
    draws = imputer.sample(frame, 20, random_state=0)[:, lost]
    # By chance alone they agree half of the time.
    assert (draws[..., 2] == draws[..., 3]).mean() > agree - 0.15
