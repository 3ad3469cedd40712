"""Columns of frames: their names, types, markers and levels, and what is refused."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from gnr_sklearn import GAINImputer, MeanImputer, MFImputer, MICEImputer, MIWAEImputer
from tests.contract import TINY


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


def test_columns_whose_names_are_not_strings():
    frame = pd.DataFrame({0: ["u", None, "u"], 1: [1.0, np.nan, 3.0]})
    imputed = MeanImputer().fit_transform(frame)
    assert imputed.tolist() == [["u", 1.0], ["u", 2.0], ["u", 3.0]]


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
    imputer = MIWAEImputer(**TINY, likelihood=kinds)
    imputed = imputer.fit_transform(X)
    assert imputed.dtype == dtype
    assert set(imputed[:, 1]) == {2.0, 5.0, 7.5}
    assert set(imputed[:, 2]) == {3.0, 4.0}
    assert_array_equal(imputed[~np.isnan(X)], X[~np.isnan(X)])
    draws = imputer.sample(X, 2, random_state=0)
    assert set(draws[0][:, 1]) == {2.0, 5.0, 7.5}
    # By name, in a frame of floats.
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    by_name = MIWAEImputer(**TINY, likelihood={"b": "categorical", "c": "bernoulli"})
    assert_array_equal(by_name.fit_transform(frame), imputed)


def test_a_dict_overrules_the_type(frame):
    names = ["whole", "grade", "number"]
    likelihood = {"grade": "categorical", "whole": "ordinal"}
    imputer = MIWAEImputer(**TINY, likelihood=likelihood).set_output(transform="pandas")
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
    with pytest.raises(TypeError, match=f"got .* in column '{column}'; encode it or leave it out"):
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
    imputer = MIWAEImputer(**TINY, likelihood={"r": "ordinal"})
    imputed = imputer.fit_transform(table)
    assert imputed.dtype == np.float64
    assert_array_equal(imputed, imputer.set_params(likelihood={0: "ordinal"}).fit_transform(table))
    with pytest.raises(ValueError, match="in column 'r', whose categories are"):
        imputer.transform(table + 0.5)
    with pytest.raises(ValueError, match="not be 'bernoulli' for column 'r', which has 3 values"):
        MIWAEImputer(**TINY, likelihood={"r": "bernoulli"}).fit(table)


@pytest.mark.parametrize("dtype", ["object", "category"])
def test_text_has_no_order_that_nobody_has_said(dtype):
    """Sorted by letters, high would come before low."""
    levels = ["low", "medium", "high"]
    table = pd.DataFrame({"level": pd.Series(levels * 20, dtype=dtype), "x": np.arange(60.0)})
    table.loc[::7, "level"] = None
    imputer = MIWAEImputer(**TINY, likelihood={"level": "ordinal"})
    with pytest.raises(ValueError, match=r"not be 'ordinal' for column 'level', which holds .* or"):
        imputer.fit(table)
    table["level"] = pd.Categorical(table["level"], levels, ordered=True)
    assert imputer.fit(table)._columns.columns[0].categories == tuple(levels)
    # Numbers have one, whatever their type.
    numbers = table.assign(level=pd.Categorical(table["level"].cat.codes.where(lambda c: c >= 0)))
    assert imputer.fit(numbers)._columns.columns[0].categories == (0, 1, 2)


def test_levels_are_the_same_in_another_precision():
    table = np.column_stack([np.tile([0.1, 0.2, 2.0], 20), np.arange(60.0)])
    table[::7, 0] = np.nan
    for dtype, other in [("float64", "float32"), ("float32", "float64")]:
        imputer = MIWAEImputer(**TINY, likelihood={0: "categorical"}).fit(table.astype(dtype))
        imputed = imputer.transform(table.astype(other)).astype("float32")
        assert_array_equal(np.unique(imputed[:, 0]), np.array([0.1, 0.2, 2.0], dtype="float32"))
        new = table.astype(other) + np.array([0.05, 0.0], dtype=other)
        with pytest.raises(ValueError, match="X must hold categories of fit only"):
            imputer.transform(new)


def test_a_third_level_of_true_and_false_is_returned_as_it_is():
    table = pd.DataFrame({"b": [True, False, None, True], "x": [1.0, 2.0, 3.0, np.nan]})
    imputer = MeanImputer(unseen_categories="missing").fit(table.astype({"b": "boolean"}))
    new = pd.DataFrame({"b": ["unknown"], "x": [np.nan]})
    assert imputer.transform(new).tolist() == [["unknown", 2.0]]
    assert imputer.transform(table).dtype == np.float64


def test_what_cannot_be_a_level():
    table = pd.DataFrame({"d": [[1], [2]] * 20, "x": np.arange(40.0)})
    with pytest.raises(TypeError, match="X must hold plain values in column 'd'"):
        MIWAEImputer(**TINY, likelihood={"d": "categorical"}).fit(table)
    dates = table.assign(d=pd.NaT)
    with pytest.raises(TypeError, match=r"got Datetime.* in column 'd'; encode it or leave it out"):
        MeanImputer(keep_empty_features=True).fit(dates)


def test_half_precision_of_arrow():
    pa = pytest.importorskip("pyarrow")
    half = pd.array([1.5, None, 2.5], dtype=pd.ArrowDtype(pa.float16()))
    table = pd.DataFrame({"h": half, "i": [1, 2, 3]})
    assert_array_equal(MeanImputer().fit_transform(table)[:, 0], [1.5, 2.0, 2.5])


def test_columns_without_values_are_no_categories():
    table = pd.DataFrame({"q": pd.Series([None] * 30, dtype=object), "x": np.arange(30.0)})
    table["y"] = table["x"].where(table["x"] % 3 > 0)
    assert GAINImputer(max_iter=5, hidden_dims=4).fit_transform(table).shape == (30, 2)


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
    imputer = MIWAEImputer(**TINY, likelihood={0: "log_normal"}).fit(table)
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
        MIWAEImputer(**TINY, likelihood=likelihood).fit(frame)


@pytest.mark.parametrize("library", [pd, pl])
def test_text_is_no_number(library):
    imputer = MeanImputer().fit(library.DataFrame({"number": [1, 2], "text": ["a", "b"]}))
    with pytest.raises(ValueError, match=r"^X must hold numbers in column 'number', got"):
        imputer.transform(library.DataFrame({"number": ["1", None], "text": ["a", "b"]}))


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


def test_true_and_false_as_numbers_are_the_nearer_one():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": pd.array(rng.uniform(size=60) < 0.2, dtype="boolean")})
    frame["b"] = rng.normal(size=60)
    holes = frame.mask(pd.DataFrame({"a": np.arange(60) % 5 == 0, "b": False}, index=frame.index))
    imputer = MIWAEImputer(**TINY, likelihood={"a": "gaussian"})
    imputed = imputer.fit_transform(holes)[:, 0]
    assert ((imputed[::5] > 0) & (imputed[::5] < 0.5)).any()
    in_frame = imputer.set_output(transform="pandas").transform(holes)["a"]
    assert_array_equal(in_frame.astype(float), imputed >= 0.5)


@pytest.mark.parametrize(
    "imputer", [GAINImputer(max_iter=5, random_state=0), MFImputer(random_state=0)], ids=str
)
def test_true_and_false_are_imputed_in_arrays_as_in_frames(imputer):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(size=(40, 3)) < 0.6, columns=list("abc")).astype("boolean")
    frame = frame.mask(rng.uniform(size=frame.shape) < 0.2)
    imputed = clone(imputer).fit_transform(frame)
    assert np.isin(imputed, (0.0, 1.0)).all()
    in_frame = clone(imputer).set_output(transform="pandas").fit_transform(frame)
    assert_array_equal(in_frame.astype(float), imputed)


@pytest.mark.parametrize("later", [[1.0, 2.0, 3.0], ["u", "v", "w"], [True, False, True]], ids=str)
def test_a_column_that_had_no_values_may_hold_any(later):
    given = pd.DataFrame({"a": [None] * 3, "b": [1.0, 2.0, np.nan]})
    imputer = MeanImputer()
    with pytest.warns(UserWarning, match=r"without any observed value are left out: \['a'\]"):
        imputer.fit(given)
    assert_array_equal(imputer.transform(given.assign(a=later)), [[1.0], [2.0], [1.5]])


@pytest.mark.parametrize("library", [pd, pl])
def test_columns_of_nothing_are_kept_as_zeros(library):
    imputer = MeanImputer(keep_empty_features=True)
    frame = library.DataFrame({"a": [None, None], "b": [1.0, 2.0]})
    assert_array_equal(imputer.fit_transform(frame).astype(float), [[0.0, 1.0], [0.0, 2.0]])


def test_integers_wider_than_those_of_numpy():
    wide = pl.Series([1, 2**80, None], dtype=pl.Int128)
    frame = pl.DataFrame({"a": wide, "b": [1.0, 2.0, 3.0]})
    imputed = MeanImputer().set_output(transform="polars").fit_transform(frame)
    assert imputed["a"].dtype == pl.Int128
    assert imputed["a"].to_list()[:2] == [1, 2**80]


def test_bounds_of_whole_numbers_that_are_said_to_be_normal():
    """Rounded as they are, they stay within them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": pd.array(rng.integers(1, 6, 60), dtype="Int64")})
    frame["b"] = rng.normal(size=60)
    frame.loc[frame["a"] > 2, "a"] = pd.NA
    imputer = MIWAEImputer(
        **TINY, likelihood={"a": "gaussian"}, min_value={"a": 2.3}, max_value={"a": 3.4}
    )
    imputed = imputer.set_output(transform="pandas").fit_transform(frame)["a"]
    assert (imputed[frame["a"].isna()] == 3).all()
    # Where nothing is imputed, no whole number is asked for.
    whole = frame.assign(b=np.arange(60), c=rng.normal(size=60))
    whole.loc[::3, "c"] = np.nan
    assert MICEImputer(min_value={"b": 0.2}, max_value={"b": 0.8}).fit(whole[["b", "c"]])


def test_of_many_categories_an_error_names_some():
    names = [f"P{number:03d}" for number in range(60)]
    frame = pd.DataFrame({"a": names, "b": np.arange(60.0)})
    imputer = MeanImputer().fit(frame)
    with pytest.raises(
        ValueError, match=r"got 'new' in column 'a', .*'P019'. and 40 others"
    ) as error:
        imputer.transform(frame.assign(a="new"))
    assert "P020" not in str(error.value)


@pytest.mark.parametrize("output", ["pandas", "default"])
def test_indicators_have_no_name_that_is_taken(output):
    """In frames of floats as well, which are matrices."""
    frame = pd.DataFrame({"a": [1.0, np.nan, 2.0], "missingindicator_a": [1.0, 2.0, 3.0]})
    imputer = MeanImputer(add_indicator=True).set_output(transform=output)
    with pytest.raises(ValueError, match="X must not have columns with the names of those that"):
        imputer.fit(frame)
