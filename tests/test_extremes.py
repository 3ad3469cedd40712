"""Tables that are numbers, and hardly more: what every imputer gets through, or refuses plainly."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal
from sklearn.base import clone

from gnr_sklearn import GAINImputer, MeanImputer, MFImputer, MissForestImputer
from gnr_sklearn._vae import VAEImputer
from tests.contract import IMPUTERS, assert_fills, imputer_id, make_data

TINIEST = np.finfo(np.float64).smallest_subnormal


def with_holes(table, seed=0):
    """Remove a fifth of the values, but none of the first row."""
    holes = np.random.RandomState(seed).uniform(size=table.shape) < 0.2
    holes[0] = False
    return np.where(holes, np.nan, table)


def extremes():
    rng = np.random.RandomState(0)
    plain = rng.randn(30, 1) + 0.5 * rng.randn(30, 4)
    return {
        "scales that differ by 1e300": plain * np.array([1e-151, 1.0, 1e75, 1e149]),
        "subnormal": plain * np.array([1.0, 50 * TINIEST, 1e-310, 2.0]),
        "far from zero": 1e12 + plain,
        "outlier": np.where(np.arange(120).reshape(30, 4) == 17, 1e150, plain),
        "perfectly correlated": plain[:, :1] * np.array([1.0, -2.0, 3.0, 1e5]),
        "more columns than rows": rng.randn(4, 12),
        "one value for each column": np.where(np.eye(4, dtype=bool), plain[:4], np.nan),
        "zeros and ones": (plain > 0).astype(float),
    }


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", extremes())
def test_extreme_tables(imputer, name):
    table = extremes()[name]
    holes = table if np.isnan(table).any() else with_holes(table)
    imputed = imputer.fit_transform(holes)
    assert_fills(imputed, holes)
    # A new row with nothing to go by.
    assert np.isfinite(imputer.transform(np.full((1, table.shape[1]), np.nan))).all()


@pytest.mark.parametrize("number", [1.1e150, -1e200, np.finfo(float).max])
def test_numbers_without_squares_are_not_learned_from(imputer, number):
    table = make_data()
    imputer.fit(table)
    expected = imputer.transform(table)
    large = table.copy()
    large[3, 2] = number
    with pytest.raises(
        ValueError, match=r"X must hold numbers of at most 1e\+150 in size to learn"
    ):
        imputer.fit(large)
    assert_array_equal(imputer.transform(table), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint16, np.float64])
def test_other_numbers(imputer, dtype):
    table = make_data()[:, :2].clip(-100, 100)
    if np.issubdtype(dtype, np.integer):
        table = np.abs(np.nan_to_num(table)).astype(dtype)
        assert_array_equal(imputer.fit(table).transform(table), table)
        return
    table = table.astype(dtype)
    imputed = imputer.fit_transform(table)
    assert imputed.dtype == np.float64
    assert np.isfinite(imputed).all()
    observed = ~np.isnan(table)
    assert_array_equal(imputed[observed].astype(dtype), table[observed])


def is_equivariant(imputer):
    # Where there is a penalty, units matter; and trees round what they split by.
    has_trees = isinstance(imputer, MissForestImputer) or hasattr(
        getattr(imputer, "prior", None), "max_depth"
    )
    return not (isinstance(imputer, MFImputer) or has_trees)


@pytest.mark.parametrize(
    "imputer", [each for each in IMPUTERS if is_equivariant(each)], ids=imputer_id
)
@settings(max_examples=3, derandomize=True, database=None, phases=[Phase.generate])
@given(
    exponents=arrays(np.int64, 4, elements=st.integers(-30, 30)),
    shifts=arrays(np.float64, 4, elements=st.floats(-100, 100, allow_subnormal=False)),
)
def test_units_of_columns_do_not_matter(imputer, exponents, shifts):
    table = make_data(60)
    table /= np.nanstd(table, axis=0)
    scale = 2.0**exponents
    expected = clone(imputer).fit_transform(table)
    imputed = clone(imputer).fit_transform((table + shifts) * scale) / scale - shifts
    # Shifted, values have fewer digits, which a few steps of training and trees make more of.
    difference = np.abs(imputed - expected)[np.isnan(table)]
    assert np.median(difference) < 1e-3
    assert difference.max() < (0.3 if not isinstance(imputer, MeanImputer) else 1e-10)


@pytest.mark.parametrize("imputer", IMPUTERS, ids=imputer_id)
def test_the_order_of_columns_hardly_matters(imputer):
    rng = np.random.RandomState(0)
    complete = rng.randn(200, 1) + 0.5 * rng.randn(200, 4)
    table = with_holes(complete)
    order = [2, 0, 3, 1]
    holes = np.isnan(table)
    rmse = []
    for columns in (slice(None), order):
        each = clone(imputer)
        if isinstance(each, VAEImputer | GAINImputer):
            each.set_params(max_iter=200)
        imputed = each.fit_transform(table[:, columns])
        rmse.append(np.sqrt(np.mean((imputed - complete[:, columns])[holes[:, columns]] ** 2)))
    assert abs(rmse[1] / rmse[0] - 1) < 0.1


def test_constant_columns_are_imputed_by_the_constant(imputer):
    if isinstance(imputer, MFImputer):
        pytest.skip("its columns are ratings in the same units")
    table = make_data()
    table[:, 1] = np.where(np.arange(len(table)) % 3, 7.0, np.nan)
    assert_array_equal(clone(imputer).fit_transform(table)[:, 1], 7.0)
    if not isinstance(imputer, VAEImputer):
        return
    fitted = clone(imputer).fit(table)
    assert_array_equal(fitted.sample(table, 2, random_state=0)[..., 1], 7.0)
    bounded = clone(imputer).set_params(max_value=6.0).fit_transform(table)
    assert (bounded[np.isnan(table[:, 1]), 1] == 6.0).all()
    # Further rows may have other values.
    assert len(np.unique(fitted.partial_fit(np.nan_to_num(table)).transform(table)[:, 1])) > 2
