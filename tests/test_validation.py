"""Seeds, limits of features and side information, as they are checked for all imputers."""

import pickle
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.preprocessing import StandardScaler

from gnr_sklearn import GNRImputer, MeanImputer, MICEImputer, MIWAEImputer
from gnr_sklearn._validation import (
    check_side_info,
    draw_seed,
    feature_directions,
    feature_limits,
    fitted_scaler,
)
from tests.contract import SMALL_NET

# draw_seed


def test_draw_seed_from_an_integer_is_reproducible():
    seeds = {draw_seed(random_state) for random_state in range(100)}
    assert len(seeds) == 100
    assert seeds == {draw_seed(np.int64(random_state)) for random_state in range(100)}
    assert all(type(seed) is int and 0 <= seed < 2**31 - 1 for seed in seeds)


def test_draw_seed_advances_an_instance():
    random_state = np.random.RandomState(0)
    assert draw_seed(random_state) != draw_seed(random_state)
    other = np.random.RandomState(0)
    draw_seed(other), draw_seed(other)
    assert random_state.randint(10**6) == other.randint(10**6)


def test_draw_seed_from_none_varies_and_leaves_the_global_state_alone():
    def state():
        return pickle.dumps(np.random.get_state())  # noqa: NPY002

    before = state()
    first = draw_seed(None)
    assert state() == before
    np.random.seed(0)  # noqa: NPY002
    second = draw_seed(None)
    np.random.seed(0)  # noqa: NPY002
    assert len({first, second, draw_seed(None)}) == 3


@pytest.mark.parametrize(
    ("random_state", "error"),
    [(-1, ValueError), (2**32, ValueError), ("a", TypeError), (True, TypeError)],
)
def test_seeds_that_are_none(random_state, error):
    with pytest.raises(error, match=r"^random_state must"):
        draw_seed(random_state)
    assert 0 <= draw_seed(np.random.default_rng(0)) < 2**31


# feature_limits


@pytest.mark.parametrize(
    ("min_value", "max_value", "lowest", "highest"),
    [
        (None, None, [-np.inf] * 3, [np.inf] * 3),
        (0, 1.5, [0.0] * 3, [1.5] * 3),
        ([0, 1, 2], None, [0.0, 1.0, 2.0], [np.inf] * 3),
        (-np.inf, np.array([3, 4, np.inf]), [-np.inf] * 3, [3.0, 4.0, np.inf]),
        (2.0, (2, 3, 4), [2.0] * 3, [2.0, 3.0, 4.0]),
        ({"b": 1}, {2: 3, "a": 2}, [-np.inf, 1.0, -np.inf], [2.0, np.inf, 3.0]),
        ({}, {}, [-np.inf] * 3, [np.inf] * 3),
    ],
)
def test_feature_limits(min_value, max_value, lowest, highest):
    limits = feature_limits(min_value, max_value, ["a", "b", "c"])
    for limit, expected in zip(limits, (lowest, highest), strict=True):
        assert limit.dtype == np.float64
        assert_array_equal(limit, expected)


@pytest.mark.parametrize(
    ("min_value", "max_value", "message"),
    [
        ([0, 1], None, "min_value must be .*, a sequence of 3 numbers"),
        (None, np.zeros((3, 1)), "max_value must be .*, a sequence of 3 numbers"),
        (None, [], "max_value must be .*, a sequence of 3 numbers"),
        (np.nan, None, "min_value must be .* NaN and inf are not allowed; got nan"),
        (None, [1, np.nan, 2], "max_value must be .* NaN and -inf are not allowed"),
        ({"d": 0}, None, "min_value must name columns of X or their places, got 'd'"),
        ({True: 0}, None, "min_value must name columns of X or their places, got True"),
        ({3: 0}, None, "min_value must name columns of X or their places, got 3"),
        (None, {"a": 0, 0: 1}, "max_value must name each column of X once, got 0 again"),
        (None, {"a": "b"}, "max_value must be"),
        (1, 0, "min_value must not exceed max_value, got 1 and 0"),
        ([0, 5, 0], 4, "min_value must not exceed max_value"),
        # Nothing finite is left to impute.
        (np.inf, None, "min_value"),
        (None, [0, -np.inf, 0], "max_value"),
        (["a", "b", "c"], None, "min_value must be"),
    ],
)
def test_feature_limits_errors(min_value, max_value, message):
    with pytest.raises(ValueError, match=message):
        feature_limits(min_value, max_value, ["a", "b", "c"])


# Side information


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_dates_are_no_side_information(library):
    """Also beside numbers."""
    dates = [date(2026, 1, day) for day in (1, 2, 3)]
    when = pd.DataFrame({"when": pd.to_datetime(dates), "number": [1.0, 2.0, 3.0]})
    if library is pl:
        when = pl.DataFrame({"when": dates, "number": [1.0, 2.0, 3.0]})
    with pytest.raises(TypeError, match="side_info must hold numbers, not dates or durations"):
        check_side_info(when, 3)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [date(2026, 1, 1)] * 3], ids=["x", "date"])
def test_a_series_is_no_table(values):
    series = pd.Series(values)
    kind, message = (
        ValueError,
        r"side_info must be .* \(got one dimension; make a table of one column",
    )
    if not isinstance(values[0], float):
        series = pd.to_datetime(series)
        kind, message = TypeError, "side_info must hold numbers, not dates"
    with pytest.raises(kind, match=message):
        check_side_info(series, 3)


def test_side_information_must_not_be_masked():
    masked = np.ma.array([[1.0], [2.0]], mask=[[False], [True]])
    with pytest.raises(ValueError, match=r"side_info must be a complete numeric .* contains NaN"):
        check_side_info(masked, 2)


# fitted_scaler


def test_scales_are_those_of_scikit_learn():
    X = np.random.RandomState(0).normal([0.0, 1.0, 5.0, 1e6], [1.0, 1e-9, 1e12, 3.0], size=(50, 4))
    X[::3, 1] = np.nan
    expected = StandardScaler().fit(X)
    with config_context(transform_output="pandas"):
        found = fitted_scaler(X)
        assert_array_equal(found.transform(X), expected.transform(X))
    assert_array_equal(found.mean_, expected.mean_)
    assert_array_equal(found.scale_, expected.scale_)


@pytest.mark.parametrize(("first", "step"), [(2e15, 1), (1.7e18, 1000), (-3e16, 20)])
def test_long_numbers_vary(first, step):
    """Up to rounding errors of sums over rows they could be the same."""
    numbers = first + step * np.arange(1000.0)
    assert StandardScaler().fit(numbers[:, np.newaxis]).scale_ == 1
    scaled = fitted_scaler(numbers[:, np.newaxis]).transform(numbers[:, np.newaxis])
    # Rounding of the numbers themselves is a thousandth of their standard deviation.
    assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=0.01)


@pytest.mark.parametrize("values", [[3.7] * 9, [0.3, 0.1 * 3] * 5, [0.0] * 3, [5.0]])
def test_what_differs_by_rounding_is_constant(values):
    assert fitted_scaler(np.array(values)[:, np.newaxis]).scale_ == 1


@pytest.mark.parametrize(
    "imputer",
    [
        MICEImputer(),
        MIWAEImputer(**SMALL_NET | {"max_iter": 300}),
        GNRImputer(**SMALL_NET | {"max_iter": 300}, missing_direction="neither"),
    ],
    ids=lambda imputer: type(imputer).__name__,
)
@pytest.mark.parametrize("as_side_info", [False, True])
def test_identifiers_do_not_spoil_what_other_columns_say(imputer, as_side_info):
    if as_side_info and isinstance(imputer, MICEImputer):
        pytest.skip("takes no side information")
    rng = np.random.RandomState(0)
    complete = rng.normal(size=(500, 1)) + 0.3 * rng.normal(size=(500, 3))
    missing = rng.uniform(size=complete.shape) < 0.2
    X = np.where(missing, np.nan, complete)
    identifiers = (2e15 + np.arange(500.0))[:, np.newaxis]
    if as_side_info:
        imputed = imputer.fit_transform(X, side_info=identifiers)
    else:
        imputed = imputer.fit_transform(np.hstack([X, identifiers]))[:, :3]
    # Each column is predicted up to a standard deviation of 0.37; their own is 1.04.
    assert np.sqrt(((imputed - complete)[missing] ** 2).mean()) < 0.6


def test_a_series_says_by_name_what_it_says():
    names = ["a", "b", "c"]
    bounds = pd.Series({"c": 4.0, "a": -1.0})
    for of_each in (bounds, bounds.to_dict()):
        lowest, _ = feature_limits(of_each, None, names)
        assert lowest.tolist() == [-1.0, -np.inf, 4.0]
    with pytest.raises(ValueError, match=r"min_value must name columns of X .* got 'd'"):
        feature_limits(pd.Series({"d": 0.0}), None, names)
    # By position, where either has no names.
    by_position = pd.Series([-1.0, 0.0, 4.0])
    assert feature_limits(by_position, None, names)[0].tolist() == by_position.tolist()
    named = by_position.set_axis(list("xyz"))
    assert feature_limits(named, None, [0, 1, 2])[0].tolist() == by_position.tolist()
    directions = pd.Series({"c": "above", "a": "neither"})
    assert feature_directions(directions, names, np.nan)[[0, 2]].tolist() == [0.0, 1.0]


def test_tables_of_arrow_and_narwhals():
    pa, nw = pytest.importorskip("pyarrow"), pytest.importorskip("narwhals")
    table = pd.DataFrame({"a": [1.0, np.nan, 2.0], "b": [1.0, 2.0, 3.0]})
    expected = MeanImputer().fit_transform(table)
    for given in (pa.table({"a": [1.0, None, 2.0], "b": [1.0, 2.0, 3.0]}), nw.from_native(table)):
        np.testing.assert_array_equal(MeanImputer().fit_transform(given), expected)
