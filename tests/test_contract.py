"""What every imputer does, whatever its model: scikit-learn's checks and a contract on NaN.

None of scikit-learn's checks of invariance, idempotence or pickling puts NaN into X, so
the contract of an imputer is written down here. A new imputer is added to ``IMPUTERS``,
in one line, and has to meet all of it.
"""

import copy
import inspect
import pickle
import random
import re

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
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

from gnr_sklearn import GNRImputer, MeanImputer, MICEImputer, MissForestImputer
from gnr_sklearn.vae import VAEImputer

SMALL_NET = {
    "max_iter": 20,
    "hidden_dims": 16,
    "n_importance_samples": 5,
    "n_imputation_samples": 64,
    "random_state": 0,
}

IMPUTERS = [
    MeanImputer(),
    MICEImputer(),
    MissForestImputer(n_estimators=5, max_iter=3, random_state=0),
    GNRImputer(**SMALL_NET),
    GNRImputer(**SMALL_NET, decoder="linear", early_stopping=False, alpha="auto"),
]


def imputer_id(imputer):
    return type(imputer).__name__


@pytest.fixture(params=IMPUTERS, ids=imputer_id)
def imputer(request):
    """Each imputer, not fitted."""
    return clone(request.param)


@pytest.fixture(params=IMPUTERS, ids=imputer_id, scope="module")
def fitted(request):
    """Each imputer, fitted on ``make_data()``. Tests share it: do no more than transform."""
    return clone(request.param).fit(make_data())


def make_data(n_rows=40, n_features=4, seed=0):
    """Correlated columns in different units, whose large values are missing more often."""
    rng = np.random.RandomState(seed)
    standard = rng.randn(n_rows, 1) + 0.5 * rng.randn(n_rows, n_features)
    X = standard * 10.0 ** np.arange(n_features) - 3.0
    X[rng.uniform(size=X.shape) < np.where(standard > 0, 0.4, 0.1)] = np.nan
    assert not np.isnan(X).all(axis=0).any()
    return X


def assert_close(actual, expected, X, imputer):
    """Compare imputations of X up to rounding, relative to how much each column varies."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    tolerance = 1e-4 if isinstance(imputer, VAEImputer) else 1e-10
    assert (np.abs(actual - expected) <= tolerance * np.nanstd(X, axis=0)).all()


def assert_fills(X_imputed, X):
    """Check that X_imputed has numbers in place of NaN and is X elsewhere, bit for bit."""
    assert type(X_imputed) is np.ndarray
    assert X_imputed.shape == X.shape
    assert X_imputed.dtype == X.dtype
    assert np.isfinite(X_imputed).all()
    observed = ~np.isnan(X)
    bits = f"u{X.itemsize}"
    assert_array_equal(X_imputed[observed].view(bits), X[observed].view(bits))


def state_of(imputer):
    """Everything an imputer holds, to be compared before and after."""
    return pickle.dumps(vars(imputer))


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
    assert_array_equal(imputer.fit_transform(X), clone(imputer).fit(X).transform(X))


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
    assert_close(X_imputed, clone(imputer).fit_transform(X), X, imputer)
    X_imputed[:] = 0.0  # what is returned is the caller's to change
    assert_array_equal(X_same, X)


def test_complete_input_is_not_returned_itself(fitted):
    X = np.nan_to_num(make_data())
    assert not np.shares_memory(fitted.transform(X), X)


def test_lists_are_tables(imputer):
    X = make_data()
    assert_array_equal(imputer.fit_transform(X.tolist()), clone(imputer).fit_transform(X))


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
    expected = clone(imputer).fit_transform(X)
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
    expected = clone(imputer).fit_transform(X_marked)

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
    expected = clone(imputer).fit_transform(X.astype(np.float32 if dtype is np.float32 else float))
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
    expected = clone(imputer).fit_transform(X)

    imputer.set_params(missing_values=marker)
    X_imputed = imputer.fit_transform(frame)
    assert X_imputed.dtype == np.float64
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
    expected = clone(imputer).fit_transform(X)
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
    assert_close(imputer.fit_transform(frame), clone(imputer).fit_transform(X), X, imputer)


# Copies and seeds


COPIES = {
    "pickle": lambda imputer: pickle.loads(pickle.dumps(imputer)),
    "deepcopy": copy.deepcopy,
    "clone": clone,
    "parameters": lambda imputer: type(imputer)(**imputer.get_params()),
}


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
def test_copies_of_a_fitted_imputer_are_identical(fitted, how):
    X = make_data(seed=1)
    copied = COPIES[how](fitted)
    assert_array_equal(copied.transform(X), fitted.transform(X))
    assert_array_equal(copied.get_feature_names_out(), fitted.get_feature_names_out())


@pytest.mark.parametrize("how", COPIES)
def test_copies_learn_the_same(imputer, how):
    X = make_data()
    assert_array_equal(COPIES[how](imputer).fit_transform(X), imputer.fit_transform(X))


def test_threads_do_not_disturb_each_other(imputer):
    X = make_data()
    expected = clone(imputer).fit_transform(X)
    parallel = joblib.Parallel(n_jobs=2, backend="threading")
    for X_imputed in parallel(joblib.delayed(clone(imputer).fit_transform)(X) for _ in range(4)):
        assert_array_equal(X_imputed, expected)


def test_the_same_seed_gives_the_same_bits(imputer):
    X = make_data()
    first = imputer.fit(X).transform(X)
    assert_array_equal(imputer.transform(X), first)
    # What an earlier fit learned has no influence on the next.
    imputer.fit(make_data(seed=1)).fit(X)
    assert_array_equal(imputer.transform(X), first)


def test_random_state_instance(imputer):
    X = make_data()
    first, second = (
        clone(imputer).set_params(random_state=np.random.RandomState(7)).fit_transform(X)
        for _ in range(2)
    )
    assert_array_equal(first, second)


def test_random_state_none_differs_each_time_where_seeds_matter(imputer):
    X = make_data()

    def differ(*random_states):
        first, second = (
            clone(imputer).set_params(random_state=random_state).fit_transform(X)
            for random_state in random_states
        )
        assert np.isfinite(first).all()
        return (first != second).any()

    assert differ(None, None) == differ(0, 1)


@pytest.mark.parametrize("random_state", [0, None])
def test_global_random_states_are_left_alone(imputer, random_state):
    def states():
        return pickle.dumps(
            (np.random.get_state(), torch.get_rng_state().numpy(), random.getstate())  # noqa: NPY002
        )

    X = make_data()
    before = states()
    imputer.set_params(random_state=random_state).fit(X).transform(X)
    if hasattr(imputer, "sample"):
        imputer.sample(X, n_draws=2, random_state=random_state)
    assert states() == before


# State


def test_transform_changes_no_attribute(fitted):
    before = state_of(fitted)
    fitted.transform(make_data(seed=1))
    fitted.transform(make_data(seed=1).astype(np.float32)[:3])
    fitted.get_feature_names_out()
    assert state_of(fitted) == before


def test_fit_changes_no_parameter(imputer):
    before = pickle.dumps(imputer.get_params())
    imputer.fit(make_data())
    assert pickle.dumps(imputer.get_params()) == before


def fail_half_way(error):
    def fit(self, values):
        self.half_trained_ = True
        self.n_iter_ = -1
        self.imputer_ = self.net_ = None
        raise error("half way")

    return fit


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fit_that_fails_half_way_changes_nothing(imputer, error, monkeypatch):
    X = make_data()
    new = clone(imputer)
    expected = imputer.fit(X).transform(X)
    before = state_of(imputer)
    monkeypatch.setattr(type(imputer), "_fit", fail_half_way(error))
    X_wider = pd.DataFrame(make_data(n_features=6)).add_prefix("column")
    for each in (imputer, new):
        with pytest.raises(error, match="half way"):
            each.fit(X_wider)
    assert state_of(imputer) == before
    assert_array_equal(imputer.transform(X), expected)
    with pytest.raises(NotFittedError):
        new.transform(X)
    assert not hasattr(new, "n_features_in_")


def test_a_fit_on_wrong_input_changes_nothing(imputer):
    X = make_data()
    new = clone(imputer)
    imputer.fit(X)
    before = state_of(imputer)
    for each in (imputer, new):
        with pytest.raises(ValueError, match="infinity"):
            each.fit(np.full((5, 2), np.inf))
    assert state_of(imputer) == before
    with pytest.raises(NotFittedError):
        new.transform(X)


def test_parameters_round_trip(imputer):
    params = imputer.get_params()
    assert set(params) == set(inspect.signature(type(imputer)).parameters)
    other = type(imputer)().set_params(**params)
    assert all(other.get_params()[name] is value for name, value in params.items())
    assert repr(other) == repr(imputer)
    with pytest.raises(ValueError, match="Invalid parameter 'no_such'"):
        imputer.set_params(no_such=1)
    with pytest.raises(TypeError, match="positional"):
        type(imputer)(1)


def test_fitted_attributes_are_documented(imputer):
    section = re.search(r"Attributes\n-+\n(.*?)\n\n", imputer.__doc__, re.DOTALL)[1]
    documented = set(re.findall(r"^(\w+) : ", section, re.MULTILINE))
    imputer.fit(pd.DataFrame(make_data(), columns=list("abcd")))
    public = {name for name in vars(imputer) if name.endswith("_") and not name.startswith("_")}
    assert documented == public


def test_tags(imputer):
    tags = imputer.__sklearn_tags__()
    assert tags.input_tags.allow_nan
    assert not tags.input_tags.sparse
    assert not tags.non_deterministic
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert not imputer.set_params(missing_values=-1).__sklearn_tags__().input_tags.allow_nan


# Wrong input


def with_value(value):
    def put_in(X):
        X = X.copy()
        X[3, 1] = value
        return X

    return put_in


def with_object(value):
    def put_in(X):
        X = X.astype(object)
        X[3, 1] = value
        return X

    return put_in


WRONG_TABLES = {
    "infinity": (with_value(np.inf), ValueError, "contains infinity"),
    "minus infinity": (with_value(-np.inf), ValueError, "contains infinity"),
    "strings": (lambda X: X.astype(str)[:, ::-1] + "a", ValueError, "could not convert string"),
    "one string": (with_object("red"), ValueError, "could not convert string to float: 'red'"),
    "no numbers": (with_object({}), TypeError, "must be a string or a real number, not 'dict'"),
    "complex": (lambda X: X + 1j, ValueError, "Complex data not supported"),
    "sparse": (lambda X: csr_array(np.nan_to_num(X)), TypeError, "Sparse data was passed"),
    "scalar": (lambda X: 3.0, ValueError, "Expected 2D array, got scalar"),
    "1-d": (lambda X: X[0], ValueError, "Expected 2D array, got 1D array"),
    "3-d": (lambda X: X[np.newaxis], ValueError, "array with dim 3"),
    "ragged": (lambda X: [[1.0, 2.0], [3.0]], ValueError, "inhomogeneous shape"),
    "no rows": (lambda X: X[:0], ValueError, r"0 sample\(s\)"),
    "no columns": (lambda X: X[:, :0], ValueError, r"0 feature\(s\)"),
}


def must_not_be_reached(self, values):
    pytest.fail("Wrong input should have been refused earlier.")


@pytest.mark.parametrize("wrong", WRONG_TABLES)
def test_wrong_tables_in_fit(imputer, wrong, monkeypatch):
    make_wrong, error, message = WRONG_TABLES[wrong]
    monkeypatch.setattr(type(imputer), "_fit", must_not_be_reached)
    with pytest.raises(error, match=message):
        imputer.fit(make_wrong(make_data()))


@pytest.mark.parametrize("wrong", WRONG_TABLES)
def test_wrong_tables_in_transform(fitted, wrong, monkeypatch):
    make_wrong, error, message = WRONG_TABLES[wrong]
    monkeypatch.setattr(type(fitted), "_impute", must_not_be_reached)
    with pytest.raises(error, match=message):
        fitted.transform(make_wrong(make_data()))


def test_all_values_missing(imputer, monkeypatch):
    monkeypatch.setattr(type(imputer), "_fit", must_not_be_reached)
    with pytest.raises(ValueError, match=r"at least one observed value.*all of its 12 values"):
        imputer.fit(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match=r"at least one observed value.*all of its 2 values"):
        imputer.set_params(missing_values=-1).fit([[-1], [-1]])


def test_nan_beside_another_marker(imputer):
    X = make_data()
    imputer.set_params(missing_values=-1)
    with pytest.raises(ValueError, match="contains NaN"):
        imputer.fit(X)
    imputer.fit(np.nan_to_num(X))
    with pytest.raises(ValueError, match="contains NaN"):
        imputer.transform(X)


@pytest.mark.parametrize("n_features", [3, 5])
def test_wrong_number_of_features(fitted, n_features):
    message = f"X has {n_features} features, but {type(fitted).__name__} is expecting 4 features"
    with pytest.raises(ValueError, match=message):
        fitted.transform(make_data(n_features=n_features))


def test_wrong_feature_names(imputer):
    frame = pd.DataFrame(make_data(), columns=list("abcd"))
    imputer.fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        imputer.transform(frame.rename(columns={"a": "z"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        imputer.transform(frame[list("dcba")])


@pytest.mark.parametrize("marker", [None, "missing", [np.nan]])
def test_wrong_marker(imputer, marker, monkeypatch):
    monkeypatch.setattr(type(imputer), "_fit", must_not_be_reached)
    with pytest.raises(ValueError, match="'missing_values' parameter"):
        imputer.set_params(missing_values=marker).fit(make_data())
