"""Numbers with a long tail to the right whose small values are lost: by their logarithm."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from gnr_sklearn import GNRImputer, MIWAEImputer
from gnr_sklearn._curves import Curves, curve_of_skewed
from tests.contract import SMALL_NET

NET = {"random_state": 0, "max_iter": 500, "prior": None}
BELOW = NET | {"missing_direction": "below"}


def make_incomes(n_rows=600, seed=0):
    """Incomes and what goes with them, and the half of the incomes below 3 that is lost."""
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal([1.0, 0.0], [[1.0, 0.8], [0.8, 1.0]], size=n_rows)
    full = np.column_stack([np.exp(z[:, 0]), z[:, 1]])
    X = full.copy()
    X[(full[:, 0] < 3) & (rng.uniform(size=n_rows) < 0.8), 0] = np.nan
    return X, full, np.isnan(X[:, 0])


def with_holes(values):
    return np.append(values, [np.nan, np.nan])


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e290])
def test_long_tails_of_positive_numbers_have_logarithms(scale):
    values = scale * np.exp(np.random.default_rng(0).normal(size=200))
    kind, floor = curve_of_skewed(with_holes(values))
    assert kind == "log_normal"
    assert 0 < floor < values.min()


def test_long_tails_of_whole_numbers_have_logarithms_of_one_more():
    counts = np.floor(np.exp(np.random.default_rng(0).normal(1.0, 1.3, size=400)))
    assert counts.min() == 0
    assert curve_of_skewed(with_holes(counts)) == ("count", 0.0)
    # Where none is 0, the logarithm itself.
    assert curve_of_skewed(counts + 1)[0] == "log_normal"


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(10.0, 1.0, size=400),
        np.sort(np.random.default_rng(0).normal(10.0, 1.0, size=2000))[1000:],
        -np.exp(np.random.default_rng(0).normal(size=400)),
        np.exp(np.random.default_rng(0).normal(size=400)) - 1.0,
        np.append(np.exp(np.random.default_rng(0).normal(size=400)), 0.0),
        np.exp(np.random.default_rng(0).normal(size=20)),
        np.repeat([1.0, 2.0, 4.0, 16.0, 64.0], [200, 100, 50, 10, 5]),
        np.append(np.full(99, 1e6), 1e6 + 1.0),
        np.append(np.random.default_rng(0).exponential(size=400), 1e-12),
    ],
    ids=["normal", "half of them", "negative", "of both signs", "zeros", "few", "levels",
         "nearly the same", "next to nothing"],
)  # fmt: skip
def test_other_numbers_are_what_they_are(values):
    assert curve_of_skewed(values) is None


@settings(deadline=None)
@given(st.integers(-200, 200), st.integers(0, 2**32 - 1))
def test_the_unit_of_measurement_does_not_matter(exponent, seed):
    values = np.exp(np.random.default_rng(seed).normal(size=60))
    there, here = (curve_of_skewed(scale * values) for scale in (2.0**exponent, 1.0))
    assert (there is None) == (here is None)
    if here is not None:
        assert there == (here[0], 2.0**exponent * here[1])


def test_small_incomes_are_imputed_as_such():
    X, full, lost = make_incomes()
    chosen = GNRImputer(**BELOW).fit(X)
    assert chosen.likelihood_.tolist() == ["log_normal", "gaussian"]
    plain = GNRImputer(**BELOW, likelihood="gaussian").fit(X)
    assert plain.likelihood_.tolist() == ["gaussian", "gaussian"]
    by_log, by_value = (each.transform(X)[lost, 0] for each in (chosen, plain))
    assert by_log.min() > 0 > by_value.min()
    errors = [np.sqrt(np.mean((by - full[lost, 0]) ** 2)) for by in (by_log, by_value)]
    assert errors[0] < 0.5 * errors[1]
    bounded = GNRImputer(**BELOW | {"max_iter": 2}, min_value=0.0).fit(X)
    assert bounded.likelihood_.tolist() == ["log_normal", "gaussian"]
    # As if the user had said so, up to the floor.
    told = GNRImputer(**BELOW, likelihood={0: "log_normal", 1: "gaussian"}).fit(X)
    assert_array_equal(told.transform(X)[lost, 0], by_log)
    assert 2 < chosen.missing_threshold_[0] < 4


def test_the_side_may_be_chosen():
    X, *_ = make_incomes()
    imputer = GNRImputer(**NET).fit(X)
    assert imputer.missing_direction_.tolist() == ["below", None]
    assert imputer.likelihood_.tolist() == ["log_normal", "gaussian"]


@pytest.mark.parametrize(
    "settings",
    [
        {"missing_direction": "above"},
        {"missing_direction": "neither"},
        {"missing_direction": "below", "likelihood": {"income": "gaussian"}},
        {"missing_direction": "below", "min_value": -10.0},
        {"missing_direction": "below", "scaling": None},
        {"missing_direction": "below", "scaling": "shared"},
        {"missing_direction": "below", "alpha": 0.0},
        {"mask_model": "latent"},
    ],
    ids=lambda settings: ", ".join(map(str, settings.values())),
)
@pytest.mark.filterwarnings("ignore:missing_direction=.* has no effect")
def test_where_nothing_is_chosen(settings):
    frame = pd.DataFrame(make_incomes(200)[0], columns=["income", "other"])
    imputer = GNRImputer(**NET | {"max_iter": 2} | settings).fit(frame)
    assert imputer.likelihood_.tolist() == ["gaussian", "gaussian"]


def test_likelihoods_are_named_beside_categories_and_empty_columns():
    X, *_ = make_incomes(200)
    income = X[:, 0]
    frame = pd.DataFrame(
        {
            "empty": np.nan,
            "region": np.where(np.arange(200) % 3 == 0, "north", "south"),
            "works": np.arange(200) % 2 == 0,
            "income": income,
            "visits": np.where(np.isnan(income), np.nan, np.floor(income) - np.nanmin(income) // 1),
            "rent": np.exp(X[:, 1]),
        }
    )
    imputer = GNRImputer(**BELOW | {"max_iter": 2}, keep_empty_features=True).fit(frame)
    expected = [None, "categorical", "bernoulli", "log_normal", "count", "log_normal"]
    assert imputer.likelihood_.tolist() == expected
    # What is never missing follows others, and does not lead.
    beside = imputer.set_params(missing_direction={"income": "above", "visits": "neither"})
    assert beside.fit(frame).likelihood_.tolist() == [*expected[:3], *3 * ["gaussian"]]


def test_later_rows_need_not_be_positive():
    X, *_ = make_incomes()
    imputer = GNRImputer(**BELOW | {"max_iter": 50}).fit(X)
    later = np.array([[0.0, np.nan], [-5.0, 1.0], [np.nan, 0.0]])
    completed = imputer.transform(later)
    assert np.isfinite(completed).all()
    assert_array_equal(completed[[0, 1], 0], [0.0, -5.0])
    # Both are as far down as the model knows values to be.
    assert_array_equal(*imputer.encode([[0.0, 0.0], [-5.0, 0.0]]))
    assert np.isfinite(imputer.score(later))
    assert np.isfinite(imputer.sample(later, 2, random_state=0)).all()
    assert np.isfinite(imputer.partial_fit(later).transform(later)).all()
    assert imputer.likelihood_.tolist() == ["log_normal", "gaussian"]


def test_what_was_not_asked_for_is_not_rounded():
    X, *_ = make_incomes()
    X[:, 0] = np.floor(X[:, 0])
    assert np.nanmin(X[:, 0]) == 0
    frame = pd.DataFrame({"visits": X[:, 0], "other": X[:, 1]})
    lost = frame["visits"].isna().to_numpy()
    imputer = GNRImputer(**BELOW | {"max_iter": 50}).fit(frame)
    assert imputer.likelihood_.tolist() == ["count", "gaussian"]
    imputed = imputer.transform(frame)[lost, 0]
    assert (imputed > 0).all()
    assert (imputed % 1 > 0).any()
    # As with numbers of any other kind, it is the type of the column that says so.
    whole = frame.astype({"visits": "Int64"})
    completed = imputer.set_output(transform="pandas").fit_transform(whole)
    assert completed["visits"].dtype == "Int64"


def test_selected_curves_keep_their_floors():
    curves = Curves({1: "log_normal"}, np.full(3, -np.inf), np.full(3, np.inf), {1: 0.5})
    row = np.array([[1.0, -2.0, 3.0]])
    assert curves.transform(row)[0, 1] == np.log(0.5)
    assert curves.log_derivative(row)[0, 1] == -np.log(0.5)
    selected = curves.select(np.array([2, 1]))
    assert_array_equal(selected.transform(row[:, [2, 1]]), curves.transform(row)[:, [2, 1]])
    # Nobody has said that they are positive.
    curves.check(row, np.array(["a", "b", "c"], dtype=object))


@pytest.mark.parametrize("unit", [1.0, 1e60])
def test_a_row_is_imputed_alike_among_others(unit):
    """To the last bit, though sums are rounded in another way; units may be beyond float32."""
    rng = np.random.RandomState(0)
    X = unit * np.exp(rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 4)))
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    likelihood = dict.fromkeys(range(3), "log_normal")
    imputer = MIWAEImputer(**SMALL_NET, likelihood=likelihood).fit(X)
    imputed = imputer.transform(X)
    order = rng.permutation(len(X))
    np.testing.assert_array_equal(imputer.transform(X[order]), imputed[order])
    alone = np.vstack([imputer.transform(row) for row in X[:50, np.newaxis]])
    np.testing.assert_array_equal(alone, imputed[:50])
