"""Data frames with columns of several types: what goes in comes out, without holes."""

import pickle

import matplotlib as mpl
import matplotlib.pyplot as plt
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
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from gnr_sklearn import (
    GAINImputer,
    GNRImputer,
    MeanImputer,
    MFImputer,
    MICEImputer,
    MissForestImputer,
    MIWAEImputer,
    NotMIWAEImputer,
    PSMVAEImputer,
)
from gnr_sklearn._columns import read_columns
from gnr_sklearn.metrics import make_masked_cell_scorer
from gnr_sklearn.multiple import draw_imputations, fit_pooled
from gnr_sklearn.plotting import (
    ImputedValuesDisplay,
    MaskProbabilityDisplay,
    MissingPatternDisplay,
)
from tests.contract import TINY_NET, imputer_id

mpl.use("Agg")

NET = {name: value for name, value in TINY_NET.items() if name != "prior"}


IMPUTERS = [
    MeanImputer(),
    MICEImputer(max_iter=3),
    MissForestImputer(n_estimators=4, max_iter=2, random_state=0),
    MIWAEImputer(**NET),
    MIWAEImputer(**NET, encoder="permutation_invariant", likelihood="student_t"),
    NotMIWAEImputer(**NET),
    NotMIWAEImputer(**NET, missing_process="nonlinear"),
    PSMVAEImputer(**NET, n_components=2),
    GNRImputer(**TINY_NET, missing_direction="above"),
    GNRImputer(**NET, prior=DecisionTreeRegressor(max_depth=3), missing_direction="neither"),
    GNRImputer(**TINY_NET, mask_model="latent"),
    GNRImputer(**NET, mask_model="latent", prior="low_sparsity"),
    GNRImputer(**NET, prior=MeanImputer(), missing_direction="below"),
]
every_imputer = pytest.mark.parametrize("imputer", IMPUTERS, ids=imputer_id)


def make_frames(n_rows=60, seed=0):
    """A complete frame whose columns depend on one another, and the same with holes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_rows)

    def near(scale=0.3):
        return z + scale * rng.normal(size=n_rows)

    levels = np.digitize(near(), [-0.5, 0.5])
    full = pd.DataFrame(
        {
            "number": near(),
            "whole": pd.array((10 * near()).round().astype(int), dtype="Int64"),
            "kind": pd.Categorical.from_codes(levels, ["x", "y", "z"]),
            "grade": pd.Categorical.from_codes(
                np.digitize(near(), [-0.5, 0.5]), ["low", "mid", "high"], ordered=True
            ),
            "flag": pd.array(near() > 0, dtype="boolean"),
            "text": np.where(near() > 0, "u", "v").astype(object),
            "single": near().astype(np.float32),
            "seen": near() > 0,
        },
        index=pd.Index(3 * np.arange(n_rows) + 7, name="key"),
    )
    holes = rng.uniform(size=full.shape) < 0.25
    holes[:, -1] = False
    with_holes = full.copy()
    for place, name in enumerate(full.columns[:-1]):
        marker = None if name == "text" else pd.NA if name in ("whole", "flag") else np.nan
        with_holes.loc[holes[:, place], name] = marker
    return full, with_holes


FULL, HOLES = make_frames()
MISSING = HOLES.isna()


@pytest.fixture
def frame():
    return HOLES.copy()


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


def test_numbers_true_and_false_are_a_matrix_of_floats(frame):
    imputed = MeanImputer().fit_transform(frame[["number", "whole", "flag", "seen"]])
    assert imputed.dtype == np.float64
    assert set(imputed[:, 2]) == {0.0, 1.0}
    # Unrounded: what is a matrix of numbers has no types to keep.
    whole = frame["whole"].astype(float)
    assert_array_equal(imputed[:, 1], whole.fillna(whole.mean()))


@pytest.mark.parametrize("imputer", [GAINImputer(max_iter=5, random_state=0), MFImputer()])
def test_imputers_of_numbers_say_what_they_do_not_take(imputer, frame):
    with pytest.raises(ValueError, match=r"X must hold numbers .* such as 'kind'"):
        imputer.fit(frame)
    numbers = frame[["number", "whole", "flag", "single"]]
    imputed = imputer.set_output(transform="pandas").fit_transform(numbers)
    assert (imputed.dtypes == numbers.dtypes).all()


def test_dates_and_lists_are_refused(frame):
    frame["date"] = pd.Timestamp("2026-01-01")
    with pytest.raises(TypeError, match=r"X must hold numbers.*'date'; encode it or leave it out"):
        MeanImputer().fit(frame)
    frame["date"] = pd.Series([[1]] * len(frame), index=frame.index)
    with pytest.raises(TypeError, match=r"X must hold numbers.*'date'"):
        MeanImputer().fit(frame)


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


def test_a_marker_of_ones_own():
    frame = pd.DataFrame({"a": [1, -1, 3], "b": ["u", "u", "v"], "c": [True, False, True]})
    imputer = MeanImputer(missing_values=-1).set_output(transform="pandas")
    imputed = imputer.fit_transform(frame)
    assert imputed["a"].tolist() == [1, 2, 3]
    assert (imputed.dtypes == frame.dtypes).all()
    with pytest.raises(ValueError, match="X must not hold NaN"):
        imputer.fit(frame.assign(b=["u", None, "v"]))


def test_infinity_is_refused(frame):
    frame.iloc[0, 0] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        MeanImputer().fit(frame)


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


def test_columns_whose_names_are_not_strings():
    frame = pd.DataFrame({0: ["u", None, "u"], 1: [1.0, np.nan, 3.0]})
    imputed = MeanImputer().fit_transform(frame)
    assert imputed.tolist() == [["u", 1.0], ["u", 2.0], ["u", 3.0]]


def test_with_a_global_container(frame):
    with config_context(transform_output="pandas"):
        imputed = GNRImputer(**TINY_NET).fit_transform(frame)
    assert (imputed.dtypes == frame.dtypes).all()


def test_in_a_pipeline(frame):
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )
    imputer = MIWAEImputer(**NET).set_output(transform="pandas")
    target = FULL["number"] > 0
    model = make_pipeline(imputer, encode, LogisticRegression()).fit(frame, target)
    assert model.score(frame, target) > 0.7


# Of categories by a dict, where arrays and frames have none of their own.


def make_codes(dtype=float, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [rng.normal(size=50), rng.choice([2.0, 5.0, 7.5], 50), rng.choice([3.0, 4.0], 50)]
    ).astype(dtype)
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_categories_in_arrays(dtype):
    X = make_codes(dtype)
    kinds = {1: "categorical", 2: "bernoulli"}
    imputer = MIWAEImputer(**NET, likelihood=kinds)
    imputed = imputer.fit_transform(X)
    assert imputed.dtype == dtype
    assert set(imputed[:, 1]) == {2.0, 5.0, 7.5}
    assert set(imputed[:, 2]) == {3.0, 4.0}
    assert_array_equal(imputed[~np.isnan(X)], X[~np.isnan(X)])
    draws = imputer.sample(X, 2, random_state=0)
    assert set(draws[0][:, 1]) == {2.0, 5.0, 7.5}
    # By name, in a frame of floats.
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    by_name = MIWAEImputer(**NET, likelihood={"b": "categorical", "c": "bernoulli"})
    assert_array_equal(by_name.fit_transform(frame), imputed)


def test_a_dict_overrules_the_type(frame):
    names = ["whole", "grade", "number"]
    likelihood = {"grade": "categorical", "whole": "ordinal"}
    imputer = MIWAEImputer(**NET, likelihood=likelihood).set_output(transform="pandas")
    imputed = imputer.fit_transform(frame[names])
    assert set(imputed["whole"]) <= set(frame["whole"].dropna())
    assert imputer._discrete.unordered == [1]


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ({"other": "ordinal"}, "likelihood must name columns of X or their places, got 'other'"),
        ({7: "ordinal"}, "likelihood must name columns of X or their places, got 7"),
        ({1: "poisson"}, "likelihood must be one of 'gaussian'.* for column 1, got 'poisson'"),
        ({1: "bernoulli"}, "likelihood must not be 'bernoulli' for column 1, which has 3 values"),
        ("poisson", "'likelihood' parameter of MIWAEImputer must be"),
    ],
)
def test_wrong_likelihoods(likelihood, message):
    with pytest.raises(ValueError, match=message):
        MIWAEImputer(likelihood=likelihood).fit(make_codes())


def test_settings_that_have_no_meaning_for_categories(frame):
    with pytest.raises(ValueError, match="scaling must be 'observed' or None for data with cat"):
        MIWAEImputer(scaling="shared").fit(frame)


# What is imputed.


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
        MIWAEImputer(**settings, max_iter=600),
        GNRImputer(**settings, missing_direction="neither", prior=None, max_iter=600),
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
    for imputer in (MeanImputer(), MICEImputer(max_iter=2), MIWAEImputer(**NET | {"max_iter": 1})):
        fitted = clone(imputer).set_output(transform="polars")
        imputed = fitted.fit_transform(table)
        assert list(imputed.columns) == list(fitted.get_feature_names_out())
        assert imputed.null_count().sum_horizontal().item() == 0
        for name in imputed.columns:
            assert imputed.schema[name] == schema[name]
            seen = table[name].is_not_null()
            assert imputed[name].filter(seen).equals(table[name].filter(seen))


# What else takes frames.


def test_draws_of_a_frame(frame):
    draws = draw_imputations(MIWAEImputer(**NET), frame, 3, bootstrap=True, random_state=0)
    assert draws.shape == (3, *frame.shape)
    for draw in draws:
        assert_array_equal(draw[~MISSING.to_numpy()], HOLES.to_numpy(object)[~MISSING.to_numpy()])
        assert set(draw[:, 2]) <= {"x", "y", "z"}


@pytest.mark.parametrize("as_container", [lambda frame: frame, pl.from_pandas])
def test_pooled_fits_see_frames(frame, as_container):
    target = FULL["number"].to_numpy()
    seen = []

    class Regression(LinearRegression):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(np.column_stack([X["flag"], X["single"]]).astype(float), y)

        def predict(self, X):
            return super().predict(np.column_stack([X["flag"], X["single"]]).astype(float))

    table = as_container(frame.drop(columns="number"))
    settings = {"coefficient_variance": lambda model, X, y: (np.ones(2), 1.0), "random_state": 0}
    fit = fit_pooled(Regression(), MIWAEImputer(**NET), table, target, 2, **settings)
    assert fit.coef_.estimate.shape == (2,)
    assert type(seen[0]) is type(table)
    assert list(seen[0].columns) == list(table.columns)
    if isinstance(table, pd.DataFrame):
        assert (seen[0].dtypes == table.dtypes).all()
        assert not seen[0].isna().any().any()
    else:
        assert seen[0].schema == table.schema
        assert seen[0].null_count().sum_horizontal().item() == 0
    # Numbers and flags alone make a least-squares fit as they are.
    plain = frame[["flag", "single", "seen"]]
    fit = fit_pooled(LinearRegression(), MIWAEImputer(**NET), plain, target, 3, random_state=0)
    assert (fit.coef_.standard_error > 0).all()
    with pytest.raises(ValueError, match="imputer must return the columns of a data frame with ca"):
        fit_pooled(
            Regression(), MIWAEImputer(**NET, add_indicator=True), table, target, 2, **settings
        )


def test_pictures_of_frames(frame):
    imputer = GNRImputer(**TINY_NET, missing_direction="above").fit(frame)
    display = ImputedValuesDisplay.from_estimator(imputer, frame)
    assert display.feature_names == list(HOLES.columns[:-1])
    kind = display.feature_names.index("kind")
    assert [tick.get_text() for tick in display.axes_[kind].get_xticklabels()] == ["x", "y", "z"]
    assert sum(len(values) for values in display.imputed) == MISSING.to_numpy().sum()
    named = imputer.set_output(transform="pandas").transform(frame)
    strip = ImputedValuesDisplay.from_predictions(frame, named, kind="strip")
    assert_array_equal(strip.imputed[kind], display.imputed[kind])
    assert MissingPatternDisplay.from_data(frame).missing_fraction[0] == MISSING["number"].mean()
    MaskProbabilityDisplay.from_estimator(imputer, frame)
    plt.close("all")


def test_a_search_over_frames(frame):
    scorer = make_masked_cell_scorer(0.3, random_state=0)
    imputer = MeanImputer().fit(frame)
    errors, n_removed = 0.0, 0
    removed = scorer._removed(read_columns(frame)[1], ~MISSING.to_numpy())
    for place, name in enumerate(frame.columns):
        gone, seen = frame[name][removed[:, place]], frame[name].dropna()
        left = frame[name][~removed[:, place]].dropna()
        assert len(left) > 0
        n_removed += len(gone)
        filled = imputer.transform(frame)[0, place]
        if name in ("number", "whole", "single"):
            mean = seen.astype(float).mean()
            filled = round(mean) if name == "whole" else mean
            errors += (((gone.astype(float) - filled) / seen.astype(float).std(ddof=0)) ** 2).sum()
        else:
            errors += (gone.astype(object) != seen.mode()[0]).sum()
    # The columns' types hardly matter: MeanImputer fills in what it learned in fit.
    assert scorer(imputer, frame) == pytest.approx(-np.sqrt(errors / n_removed), rel=1e-6)
    table = pl.from_pandas(frame)
    assert scorer(clone(imputer).fit(table), table) == pytest.approx(scorer(imputer, frame))
    search = GridSearchCV(MIWAEImputer(**NET), {"latent_dim": [1, 2]}, scoring=scorer, cv=2)
    search.fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(ValueError, match="must have the columns of X, and none of its values miss"):
        scorer(MeanImputer(add_indicator=True).fit(frame), frame)


def test_a_part_of_the_rows_may_lack_a_category():
    """The imputer knows it, and is right to impute it, where what is looked at has none of it."""
    frame = pd.DataFrame({"kind": ["a"] * 30 + ["b"] * 3, "x": np.arange(33.0)})
    part = frame[:10].copy()
    part.loc[3:4, "kind"] = None

    class SaysB(MeanImputer):
        def _impute(self, values):
            imputed = super()._impute(values)
            return np.where(np.isnan(values) & (np.arange(2) == 0), 1.0, imputed)

    imputer = SaysB().fit(frame)
    scorer = make_masked_cell_scorer(0.5, metric="mae", random_state=0)
    removed = scorer._removed(read_columns(part)[1], part.notna().to_numpy())
    values = part["x"].to_numpy()
    errors = np.abs(values - frame["x"].mean())[removed[:, 1]] / values.std()
    # Each removed category counts as an error of 1.
    expected = (errors.sum() + removed[:, 0].sum()) / removed.sum()
    assert scorer(imputer, part) == pytest.approx(-expected)
    for container in ("default", "pandas"):
        imputer.set_output(transform=container)
        display = ImputedValuesDisplay.from_estimator(imputer, part)
        assert display.categories["kind"] == ("a", "b")
        assert_array_equal(display.imputed[0], [1.0, 1.0])
    plt.close("all")
    with pytest.raises(ValueError, match="missing_values must be NaN for a data frame with categ"):
        scorer(imputer.set_params(missing_values=-1), part)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_frames_without_rows(frame, container):
    imputer = MeanImputer().fit(frame)
    table = frame[:0] if container == "pandas" else pl.from_pandas(frame)[:0]
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        imputer.transform(table)
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        clone(imputer).fit(table)


@pytest.mark.parametrize("column", ["number", "whole"])
def test_numbers_do_not_become_dates(frame, column):
    imputer = MeanImputer().fit(frame)
    frame[column] = pd.date_range("2020", periods=len(frame))
    with pytest.raises(TypeError, match=f"X must hold in column '{column}' what it held in fit"):
        imputer.transform(frame)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_integers_beyond_a_narrow_type(container):
    z = np.linspace(-2, 2, 41)
    frame = pl.DataFrame({"z": z, "u": [None if v < 0 else round(40 * v) for v in z]})
    frame = frame.with_columns(pl.col("u").cast(pl.UInt8))
    if container == "pandas":
        frame = frame.to_pandas().astype({"u": "UInt8"})
    imputed = MICEImputer().set_output(transform=container).fit_transform(frame)
    assert_array_equal(np.asarray(imputed["u"]), np.round(40 * z))
    # Bounds hold for what is rounded.
    imputer = MICEImputer(min_value=[-np.inf, -39.5], max_value=[np.inf, -3.7])
    for name in ("default", container):
        values = imputer.set_output(transform=name).fit_transform(frame)
        u = np.asarray(values)[z < 0, 1].astype(float)
        assert u.min() == -39
        assert u.max() == -4


def test_sparse_columns_are_filled():
    sparse = pd.DataFrame(
        {"a": pd.arrays.SparseArray([0.0, np.nan, 2.0, 0.0]), "k": ["x", "y", None, "x"]}
    )
    imputed = MeanImputer().set_output(transform="pandas").fit_transform(sparse)
    assert_array_equal(imputed["a"], [0.0, 2 / 3, 2.0, 0.0])
    assert list(imputed["k"]) == ["x", "y", "x", "x"]


def test_numbers_that_are_said_to_be_levels(frame):
    """An all-float frame is a matrix, whatever is said of its columns."""
    table = pd.DataFrame({"r": [1.0, 2.0, 5.0, np.nan] * 10, "x": np.arange(40.0)})
    imputer = MIWAEImputer(**NET, likelihood={"r": "ordinal"})
    imputed = imputer.fit_transform(table)
    assert imputed.dtype == np.float64
    assert_array_equal(imputed, imputer.set_params(likelihood={0: "ordinal"}).fit_transform(table))
    with pytest.raises(ValueError, match="in column 'r', whose categories are"):
        imputer.transform(table + 0.5)
    with pytest.raises(ValueError, match="not be 'bernoulli' for column 'r', which has 3 values"):
        MIWAEImputer(**NET, likelihood={"r": "bernoulli"}).fit(table)


def test_columns_without_values_are_no_categories():
    table = pd.DataFrame({"q": pd.Series([None] * 30, dtype=object), "x": np.arange(30.0)})
    table["y"] = table["x"].where(table["x"] % 3 > 0)
    assert GAINImputer(max_iter=5, hidden_dims=4).fit_transform(table).shape == (30, 2)


@pytest.mark.parametrize("imputer", [MIWAEImputer(), MeanImputer()], ids=imputer_id)
def test_tags_tell_of_categories(imputer):
    assert imputer.__sklearn_tags__().input_tags.categorical
    assert not GAINImputer().__sklearn_tags__().input_tags.categorical


def test_pooled_fits_with_a_marker_that_is_a_number():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"k": rng.uniform(size=60) < 0.5, "a": rng.normal(size=60)})
    target = table["a"] + rng.normal(size=60)
    table.loc[::4, "a"] = -999.0
    seen = []

    class Spy(LinearRegression):
        def fit(self, X, y):
            seen.append(np.asarray(X, dtype=float))
            return super().fit(X, y)

    settings = {"n_draws": 2, "random_state": 0}
    fit_pooled(Spy(), MIWAEImputer(**NET, missing_values=-999.0), table, target, **settings)
    assert min(map(np.min, seen)) > -10


def test_pooled_fits_know_the_names_of_columns():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(np.exp(rng.normal(size=(60, 2))), columns=["a", "y0"])
    table.loc[::4, "a"] = np.nan
    imputer = MIWAEImputer(**NET, likelihood={"a": "log_normal"})
    pooled = fit_pooled(LinearRegression(), imputer, table, table["y0"], 2, random_state=0)
    assert list(pooled.feature_names_) == ["a", "y0"]


def test_resamples_keep_rare_categories():
    table = pd.DataFrame({"k": ["a", "b"] * 20, "x": np.arange(40.0)})
    table.loc[0, "k"] = "rare"
    table.loc[::5, "x"] = np.nan
    draws = draw_imputations(MIWAEImputer(**NET), table, 6, bootstrap=True, random_state=0)
    assert all(each[0, 0] == "rare" for each in draws)


def test_a_marker_in_a_column_of_single_precision():
    numbers = np.array([10.0, -99.9, 12.0], dtype=np.float32)
    mixed = pd.DataFrame({"number": numbers, "text": ["x", "y", "x"]})
    imputer = MeanImputer(missing_values=-99.9).set_output(transform="pandas")
    assert imputer.fit_transform(mixed)["number"].tolist() == [10.0, 11.0, 12.0]


def test_false_is_no_marker_of_zero():
    mixed = pd.DataFrame({"number": [3.0, 0.0, 5.0], "smokes": [True, False, False]})
    imputer = MeanImputer(missing_values=0).set_output(transform="pandas")
    filled = imputer.fit_transform(mixed)
    assert filled["smokes"].tolist() == [True, False, False]
    assert filled["number"].tolist() == [3.0, 4.0, 5.0]


@pytest.mark.parametrize("mixed", [False, True])
def test_names_that_are_numbers_come_before_places(mixed):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(np.exp(rng.normal(size=(40, 3))), columns=[1, 0, 2])
    if mixed:
        table[2] = rng.choice(list("ab"), 40)
    imputer = MIWAEImputer(**NET, likelihood={0: "log_normal"}).fit(table)
    assert imputer._units.curves.kinds == {1: "log_normal"}


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ({"number": "log_normal", 0: "gaussian"}, r"^likelihood must name each column of X once"),
        ({"number": ["log_normal"]}, r"^likelihood must be one of .* for column 'number'"),
    ],
)
def test_likelihoods_that_say_nothing_clear(likelihood, message, frame):
    with pytest.raises(ValueError, match=message):
        MIWAEImputer(**NET, likelihood=likelihood).fit(frame)


def test_pooled_fits_of_frames_whose_names_are_numbers():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({0: rng.normal(size=60), 1: rng.choice(list("ab"), 60)})
    table.loc[::5, 0] = np.nan
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough"),
        LinearRegression(),
    )
    fit = fit_pooled(model, MIWAEImputer(**NET), table, rng.normal(size=60), n_draws=2)
    assert np.isfinite(fit.coef_.estimate).all()


def test_pooled_fits_find_a_free_name_for_y():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["y0", "y0_", "x"])
    table.iloc[::5, 0] = np.nan
    fit = fit_pooled(LinearRegression(), MIWAEImputer(**NET), table, rng.normal(size=60), n_draws=2)
    assert fit.feature_names_.tolist() == ["y0", "y0_", "x"]


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


@pytest.mark.parametrize("library", [pd, pl])
def test_text_is_no_number(library):
    imputer = MeanImputer().fit(library.DataFrame({"number": [1, 2], "text": ["a", "b"]}))
    with pytest.raises(ValueError, match=r"^X must hold numbers in column 'number', as it did"):
        imputer.transform(library.DataFrame({"number": ["1", None], "text": ["a", "b"]}))


def test_indicators_do_not_take_the_place_of_columns():
    table = pd.DataFrame({"a": [1, np.nan], "missingindicator_a": [1.0, 2.0], "text": ["a", "b"]})
    with pytest.raises(ValueError, match=r"^X must not have columns with the names of those"):
        MeanImputer(add_indicator=True).fit(table)


def test_half_precision_and_large_whole_numbers():
    half = pd.DataFrame(
        {"half": np.array([1.1, np.nan, 3.2], dtype=np.float16), "text": list("aba")}
    )
    filled = MeanImputer().set_output(transform="pandas").fit_transform(half)
    assert filled["half"].dtype == np.float32
    whole = pd.array([2**60, 2**61, 2**62, None], dtype="Int64")
    table = pd.DataFrame({"whole": whole, "number": [1.0, 2.0, 4.0, 100.0], "text": list("abab")})
    filled = MICEImputer().set_output(transform="pandas").fit_transform(table)
    assert filled["whole"].notna().all()


def test_lazy_frames_are_refused():
    with pytest.raises(TypeError, match=r"^X must be a data frame in memory, got a LazyFrame"):
        MeanImputer().fit(pl.LazyFrame({"a": [1.0]}))
