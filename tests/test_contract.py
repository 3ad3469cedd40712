"""What every imputer does, whatever its model: scikit-learn's checks and a contract on NaN.

None of scikit-learn's checks of invariance, idempotence or pickling puts NaN into X, so
the contract of an imputer is written down here and in test_contract_state.py. A new imputer
is added to ``IMPUTERS`` in contract.py, in one line, and has to meet all of it.
"""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_get_feature_names_out_error,
    check_global_output_transform_pandas,
    check_global_set_output_transform_polars,
    check_inplace_ensure_writeable,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_set_output_transform_polars,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

from gnr_sklearn._base import MixedImputer
from tests.contract import (
    IMPUTERS,
    assert_close,
    assert_fills,
    fit_transform_once,
    imputer_id,
    make_data,
)

# scikit-learn's checks


@parametrize_with_checks(IMPUTERS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# Some of them fit on a data frame and transform an array, or the other way round.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_get_feature_names_out_error,
        check_global_output_transform_pandas,
        check_global_set_output_transform_polars,
        check_inplace_ensure_writeable,
        check_param_validation,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_set_output_transform_polars,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
    ],
    ids=lambda check: check.__name__,
)
def test_scikit_learn_checks_outside_its_list(imputer, check):
    # Its own estimators have to pass these, but ``parametrize_with_checks`` leaves them out.
    check(type(imputer).__name__, imputer)


# What comes back


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_observed_values_come_back_bit_for_bit(imputer, dtype):
    X = make_data().astype(dtype)
    X[:4, 0] = [-0.0, 1e-30, 1 / 3, np.nan]
    assert_fills(imputer.fit(X).transform(X), X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dtype_is_that_of_transform_not_of_fit(fitted, dtype):
    X = make_data(seed=1).astype(dtype)
    assert_fills(fitted.transform(X), X)


def test_complete_rows_come_back_untouched(fitted):
    X = np.nan_to_num(make_data())
    assert_fills(fitted.transform(X), X)


def test_fit_transform_equals_fit_and_transform(imputer):
    X = make_data()
    assert_array_equal(clone(imputer).fit(X).transform(X), fit_transform_once(imputer, X))


def test_fit_returns_itself_and_ignores_y(imputer):
    X = make_data()
    assert imputer.fit(X, y=["no", "target"]) is imputer


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, bool])
def test_integers_without_holes(imputer, dtype):
    X = np.random.RandomState(0).randint(2, size=(20, 3)).astype(dtype)
    X_imputed = imputer.fit_transform(X)
    assert X_imputed.dtype == np.float64
    assert_array_equal(X_imputed, X)


def to_memmap(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def to_read_only(X, folder):
    X.setflags(write=False)
    return X


def to_strided(X, folder):
    wider = np.full((2 * X.shape[0], 3 * X.shape[1]), 7.0)
    wider[::2, ::3] = X
    return wider[::2, ::3]


LAYOUTS = {
    "C order": lambda X, folder: X,
    "Fortran order": lambda X, folder: np.asfortranarray(X),
    "strided view": to_strided,
    "reversed view": lambda X, folder: X[::-1].copy()[::-1],
    "transposed view": lambda X, folder: X.T.copy().T,
    "big-endian": lambda X, folder: X.astype(">f8"),
    "read-only": to_read_only,
    "read-only memmap": to_memmap,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_does_not_matter_and_input_is_not_changed(imputer, layout, tmp_path):
    X = make_data()
    X_same = LAYOUTS[layout](X.copy(), tmp_path)
    X_imputed = imputer.fit_transform(X_same)
    assert_array_equal(X_same, X)
    assert type(X_imputed) is np.ndarray
    assert_close(X_imputed, fit_transform_once(imputer, X), X, imputer)
    X_imputed[:] = 0.0  # what is returned is the caller's to change
    assert_array_equal(X_same, X)


def test_complete_input_is_not_returned_itself(fitted):
    X = np.nan_to_num(make_data())
    assert not np.shares_memory(fitted.transform(X), X)


def test_lists_are_tables(imputer):
    X = make_data()
    assert_array_equal(imputer.fit_transform(X.tolist()), fit_transform_once(imputer, X))


# One row and its neighbours


def test_a_row_does_not_depend_on_its_neighbours(fitted):
    X = make_data(seed=1)
    X_imputed = fitted.transform(X)
    alone = np.vstack([fitted.transform(X[[row]]) for row in range(len(X))])
    assert_close(alone, X_imputed, X, fitted)
    some = np.arange(3, 30, 4)
    assert_close(fitted.transform(X[some]), X_imputed[some], X, fitted)


def test_a_row_does_not_depend_on_the_order(fitted):
    X = make_data(seed=1)
    order = np.random.RandomState(0).permutation(len(X))
    assert_close(fitted.transform(X[order]), fitted.transform(X)[order], X, fitted)


def test_a_row_does_not_depend_on_how_often_it_occurs(fitted):
    X = make_data(seed=1)
    X_imputed = fitted.transform(np.repeat(X, 3, axis=0))
    assert_close(X_imputed, np.repeat(fitted.transform(X), 3, axis=0), X, fitted)


def test_a_row_without_observed_values_alone_and_in_company(fitted):
    X = make_data(seed=1)
    nothing = np.full((1, X.shape[1]), np.nan)
    alone = fitted.transform(nothing)
    assert np.isfinite(alone).all()
    assert_close(fitted.transform(np.vstack([X, nothing, X]))[[len(X)]], alone, X, fitted)
    assert_close(fitted.transform(np.repeat(nothing, 3, axis=0)), alone.repeat(3, 0), X, fitted)


def test_a_row_without_observed_values_in_fit(imputer):
    X = make_data()
    X[5] = np.nan
    assert_fills(imputer.fit_transform(X), X)


# Columns


@pytest.mark.parametrize("keep_empty_features", [False, True])
@pytest.mark.parametrize("add_indicator", [False, True])
def test_column_without_observed_values_in_fit(imputer, keep_empty_features, add_indicator):
    X = make_data()
    X[:, [0, 2]] = np.nan
    X[:, 3] = np.arange(len(X))
    imputer.set_params(keep_empty_features=keep_empty_features, add_indicator=add_indicator)
    imputer.fit(pd.DataFrame(X, columns=list("abcd")))

    X_new = pd.DataFrame(make_data(seed=1), columns=list("abcd"))
    X_imputed = imputer.set_output(transform="pandas").transform(X_new)
    values = list("abcd") if keep_empty_features else list("bd")
    indicators = [f"missingindicator_{name}" for name in "abc"] if add_indicator else []
    assert list(X_imputed.columns) == values + indicators
    assert_array_equal(imputer.get_feature_names_out(), values + indicators)
    assert np.isfinite(X_imputed.to_numpy()).all()
    if keep_empty_features:
        # Values observed there later are kept, and the others are 0.
        assert_array_equal(X_imputed[["a", "c"]], X_new[["a", "c"]].fillna(0.0))


@pytest.mark.parametrize("keep_empty_features", [False, True])
def test_an_empty_column_does_not_change_the_others(imputer, keep_empty_features):
    X = make_data()
    expected = fit_transform_once(imputer, X)
    X_wider = np.insert(X, 1, np.nan, axis=1)
    X_imputed = imputer.set_params(keep_empty_features=keep_empty_features).fit_transform(X_wider)
    if keep_empty_features:
        assert_array_equal(X_imputed[:, 1], np.zeros(len(X)))
        X_imputed = np.delete(X_imputed, 1, axis=1)
    assert_close(X_imputed, expected, X, imputer)


def test_column_missing_only_at_transform(imputer):
    X = make_data()
    X[:, 1] = np.linspace(-1.0, 1.0, len(X))
    imputer.fit(X)
    X_new = make_data(seed=1)
    X_new[:, 1] = np.nan
    assert_fills(imputer.transform(X_new), X_new)


def test_nothing_missing_in_fit(imputer):
    X = make_data()
    imputer.fit(np.nan_to_num(X))
    assert_fills(imputer.transform(X), X)


def test_constant_and_duplicated_columns(imputer):
    X = make_data()
    X[:, 1] = np.where(np.isnan(X[:, 1]), np.nan, 5.0)
    X[:, 2] = X[:, 0]
    X_imputed = imputer.fit_transform(X)
    assert_fills(X_imputed, X)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 1), (7, 1), (2, 2), (3, 9)])
def test_small_tables(imputer, shape):
    X = np.random.RandomState(0).randn(*shape)
    holes = X.copy()
    holes[0] = np.nan
    imputer.fit(X)
    assert_fills(imputer.transform(X), X)
    assert_fills(imputer.transform(holes), holes)
    if len(X) > 1:
        assert_fills(imputer.fit_transform(holes), holes)


@pytest.mark.parametrize("shape", [(1, 3), (4, 2)])
def test_a_single_observed_value(imputer, shape):
    X = np.full(shape, np.nan)
    X[0, 1] = 2.5
    assert_fills(imputer.fit_transform(X), X[:, [1]])
    X_kept = imputer.set_params(keep_empty_features=True).fit_transform(X)
    assert_array_equal(X_kept[:, 0], np.zeros(len(X)))


@st.composite
def tables(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 5)))
    X = draw(arrays(np.float64, shape, elements=st.floats(-1e6, 1e6, allow_subnormal=False)))
    observed = draw(arrays(bool, shape).filter(np.any))
    return np.where(observed, X, np.nan)


@pytest.mark.parametrize("imputer", IMPUTERS, ids=imputer_id)
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(X=tables())
def test_any_small_table(imputer, X):
    not_empty = ~np.isnan(X).all(axis=0)
    assert_fills(clone(imputer).fit_transform(X), X[:, not_empty])


# The indicator


@pytest.mark.parametrize("marker", [np.nan, -1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_indicator(imputer, marker, dtype):
    X = np.abs(make_data()).astype(dtype)
    X[:, 2] = 3.0
    missing = np.isnan(X)
    imputer.set_params(missing_values=marker)
    X_marked = np.where(missing, dtype(marker), X)
    expected = fit_transform_once(imputer, X_marked)

    X_imputed = imputer.set_params(add_indicator=True).fit_transform(X_marked)
    assert X_imputed.dtype == dtype
    assert_array_equal(X_imputed[:, :4], expected)
    assert_array_equal(X_imputed[:, 4:], missing[:, [0, 1, 3]])
    names = ["x0", "x1", "x2", "x3"]
    names += ["missingindicator_x0", "missingindicator_x1", "missingindicator_x3"]
    assert_array_equal(imputer.get_feature_names_out(), names)

    # Its columns are those of fit, whatever is missing in transform.
    X_new = np.full((1, 4), marker, dtype=dtype)
    X_new[0, 0] = 1.0
    assert_array_equal(imputer.transform(X_new)[:, 4:], [[0.0, 1.0, 1.0]])


def test_indicator_without_missing_values_in_fit(imputer):
    X = make_data()
    imputer.set_params(add_indicator=True).fit(np.nan_to_num(X))
    assert_fills(imputer.transform(X), X)
    assert_array_equal(imputer.get_feature_names_out(), ["x0", "x1", "x2", "x3"])


# Bounds, where an imputer has them


BOUNDED = [imputer for imputer in IMPUTERS if "min_value" in imputer.get_params()]


@pytest.mark.parametrize("imputer", BOUNDED, ids=imputer_id)
@pytest.mark.parametrize("seed", range(5))
def test_bounds_hold_exactly(imputer, seed):
    # Not up to rounding: who asks for at least 0 may go on to take the square root.
    rng = np.random.RandomState(seed)
    X = rng.gamma(1.0, size=(60, 3)) * rng.uniform(0.1, 100.0, size=3)
    missing = rng.uniform(size=X.shape) < 0.3
    X[missing] = np.nan
    lowest, highest = np.nanpercentile(X, [45, 50], axis=0)
    X_imputed = clone(imputer).set_params(min_value=lowest, max_value=highest).fit_transform(X)
    assert ((X_imputed >= lowest) & (X_imputed <= highest))[missing].all()
    assert ((X_imputed == lowest) | (X_imputed == highest))[missing].any()
    assert_fills(X_imputed, X)


@pytest.mark.parametrize("imputer", BOUNDED, ids=imputer_id)
@pytest.mark.parametrize(
    "X",
    [
        pytest.param([[1.0], [np.nan], [3.0]], id="one feature"),
        pytest.param([[1.0, 2.0], [np.nan, np.nan], [3.0, 5.0]], id="nothing observed"),
        pytest.param([[1.0, 2.0], [2.0, np.nan]], id="one observed value"),
        pytest.param([[np.nan, 2.0], [np.nan, np.nan]], id="empty feature"),
    ],
)
@pytest.mark.parametrize("limits", [(7.0, 9.0), (8.0, 8.0), (-np.inf, -1.0), (6.0, np.inf)])
def test_bounds_hold_where_there_is_little_to_learn_from(imputer, X, limits):
    X = np.array(X)
    imputer = clone(imputer).set_params(min_value=limits[0], max_value=limits[1])
    X_imputed = imputer.fit(X).transform(X)
    X = X[:, ~np.isnan(X).all(axis=0)]
    assert_fills(X_imputed, X)
    imputed = X_imputed[np.isnan(X)]
    assert ((limits[0] <= imputed) & (imputed <= limits[1])).all()


@pytest.mark.parametrize("imputer", BOUNDED, ids=imputer_id)
@pytest.mark.parametrize("bounds", [[0.0], np.zeros((4, 4)), [0.0, 0.0, 0.0, np.nan], np.inf])
def test_wrong_bounds(imputer, bounds):
    X = make_data()
    with pytest.raises(ValueError, match="min_value"):
        clone(imputer).set_params(min_value=bounds).fit(X)
    with pytest.raises(ValueError, match="min_value must not exceed max_value"):
        clone(imputer).set_params(min_value=1.0, max_value=[2.0, 2.0, 0.0, 2.0]).fit(X)


# Markers and data frames


@pytest.mark.parametrize(
    ("marker", "dtype"),
    [
        (-1, np.float64),
        (-1, np.int64),
        (0, np.int32),
        (-1.0, np.float32),
        (np.int64(-1), np.int64),
        (0.1, np.float32),
        # NumPy compares its own scalars at full precision, where 0.1 is no float32.
        (np.float64(0.1), np.float32),
    ],
)
def test_another_marker_is_the_same_as_nan(imputer, marker, dtype):
    X = np.round(np.abs(make_data())) + 1.0
    expected = fit_transform_once(imputer, X.astype(np.float32 if dtype is np.float32 else float))
    X_marked = np.where(np.isnan(X), marker, X).astype(dtype)
    imputer.set_params(missing_values=marker)
    X_imputed = imputer.fit_transform(X_marked)
    assert_array_equal(X_imputed, expected)
    assert X_imputed.dtype == expected.dtype


FRAMES = {
    "float64": {"a": "float64", "b": "float64", "c": "float64"},
    "Int64": {"a": "Int64", "b": "Int64", "c": "Int64"},
    "Float64": {"a": "Float64", "b": "Float64", "c": "Float64"},
    "boolean": {"a": "boolean", "b": "boolean", "c": "boolean"},
    "object": {"a": "object", "b": "object", "c": "object"},
    "mixed": {"a": "Int8", "b": "boolean", "c": "float64"},
}


@pytest.mark.parametrize("marker", [np.nan, pd.NA], ids=["NaN", "pandas.NA"])
@pytest.mark.parametrize("dtypes", FRAMES)
def test_pandas_frames(imputer, dtypes, marker):
    X = np.random.RandomState(0).randint(2, size=(20, 3)).astype(float)
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.3] = np.nan
    # From numbers to booleans pandas goes by way of objects.
    frame = pd.DataFrame(X, columns=list("abc")).convert_dtypes().astype(FRAMES[dtypes])
    expected = fit_transform_once(imputer, X)

    imputer.set_params(missing_values=marker)
    X_imputed = imputer.fit_transform(frame)
    assert X_imputed.dtype == np.float64
    flags = [place for place, dtype in enumerate(FRAMES[dtypes].values()) if dtype == "boolean"]
    if isinstance(imputer, MixedImputer) and flags:
        # True and false are no numbers to these; see tests/test_frame_columns.py.
        assert_array_equal(X_imputed[~np.isnan(X)], X[~np.isnan(X)])
        assert set(X_imputed[:, flags].ravel()) == {0, 1}
    else:
        expected = expected.copy()
        expected[:, flags] = expected[:, flags].round().clip(0, 1)
        assert_close(X_imputed, expected, X, imputer)
    assert_array_equal(imputer.feature_names_in_, ["a", "b", "c"])
    assert_array_equal(imputer.get_feature_names_out(), ["a", "b", "c"])
    assert clone(imputer).get_params()["missing_values"] is marker


def test_pandas_frame_keeps_float32(imputer):
    X = make_data().astype(np.float32)
    assert_fills(imputer.fit_transform(pd.DataFrame(X)), X)


@pytest.mark.parametrize("how", ["set_output", "set_config"])
@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("add_indicator", [False, True])
def test_frames_out_with_nan_in(imputer, container, how, add_indicator):
    X = make_data()
    imputer.set_params(add_indicator=add_indicator)
    expected = fit_transform_once(imputer, X)
    names = ["a", "b", "c", "d"]
    if container == "pandas":
        frame = pd.DataFrame(X, columns=names, index=np.arange(len(X)) + 100)
    else:
        frame = pl.DataFrame(X, schema=names)

    if how == "set_output":
        X_imputed = imputer.set_output(transform=container).fit(frame).transform(frame)
    else:
        # It reaches the transformers inside the imputer as well.
        with sklearn.config_context(transform_output=container):
            X_imputed = imputer.fit(frame).transform(frame)
    assert type(X_imputed) is type(frame)
    assert list(X_imputed.columns) == list(imputer.get_feature_names_out())
    assert list(X_imputed.columns)[:4] == names
    values = X_imputed.to_numpy()
    assert_close(values[:, :4], expected[:, :4], X, imputer)
    assert_array_equal(values[:, 4:], expected[:, 4:])
    if container == "pandas":
        assert_array_equal(X_imputed.index, frame.index)


def test_polars_nulls_are_missing(imputer):
    X = make_data()
    frame = pl.DataFrame(X, schema=["a", "b", "c", "d"]).fill_nan(None)
    assert frame.null_count().to_numpy().sum() == np.isnan(X).sum()
    assert_close(imputer.fit_transform(frame), fit_transform_once(imputer, X), X, imputer)
