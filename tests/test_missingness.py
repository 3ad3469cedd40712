"""Missingness mechanisms: closed forms, properties that hold for any data, and bad input."""

# Wrong types are passed on purpose, and parametrised arguments are objects.
# mypy: disable-error-code="arg-type, call-overload, list-item, return-value, attr-defined"

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.datasets import load_wine

from gnr_sklearn.missingness import (
    MAR,
    MCAR,
    Compose,
    Logistic,
    Mechanism,
    SelfMasking,
    TailMasking,
    ampute,
)

MECHANISMS = [
    MCAR(),
    MCAR(0.5, features=[1]),
    SelfMasking(),
    SelfMasking(0.5, features="all", direction="below", threshold="median"),
    SelfMasking(features=[1, 0], direction=["above", "below"], threshold=[0.0, 1.0]),
    SelfMasking(threshold=0.5),
    TailMasking(0.7),
    TailMasking(features="all", lower=0.1, upper=1.0),
    Logistic(),
    Logistic(0.7, features=[1, 0], slope=-20.0, depends_on="next"),
    MAR(0.3),
    MAR(0.3, features=[1], slope=-3.0),
    Compose(SelfMasking(0.8), MCAR(0.2)),
]

finite = st.floats(-1e6, 1e6, width=32)
matrices = hnp.arrays(
    st.sampled_from([np.float64, np.float32]),
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=8),
    elements=st.one_of(finite, st.just(np.nan)),
)
any_data = settings(max_examples=40, deadline=None)


@pytest.fixture
def normals() -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal((20_000, 4))


# Closed forms


def test_self_masking_removes_what_lies_above_the_mean_in_the_first_half() -> None:
    X = load_wine().data
    expected = X - X.mean(axis=0) > 0
    expected[:, X.shape[1] // 2 :] = False
    np.testing.assert_array_equal(np.isnan(ampute(X, SelfMasking())), expected)


def test_self_masking_takes_one_direction_per_chosen_column() -> None:
    X = load_wine().data
    star = SelfMasking(features=[2, 0], direction=["above", "below"])
    expected = np.zeros(X.shape, dtype=bool)
    expected[:, 2] = X[:, 2] > X[:, 2].mean()
    expected[:, 0] = X[:, 0] < X[:, 0].mean()
    np.testing.assert_array_equal(np.isnan(ampute(X, star)), expected)


@pytest.mark.parametrize(
    ("threshold", "removed"),
    [
        ("mean", [[False, False], [False, False], [True, True]]),
        ("median", [[False, False], [False, False], [True, True]]),
        (1.5, [[False, True], [True, True], [True, True]]),
        ([2, 35.5], [[False, False], [False, False], [True, True]]),
        (np.array([0.0, 15.0]), [[True, False], [True, True], [True, True]]),
    ],
)
def test_thresholds_are_strict(threshold: object, removed: list[list[bool]]) -> None:
    X = np.array([[1.0, 10.0], [2.0, 20.0], [9.0, 36.0]])
    amputed = ampute(X, SelfMasking(features="all", threshold=threshold))
    np.testing.assert_array_equal(np.isnan(amputed), removed)


@pytest.mark.parametrize(("threshold", "cut"), [("mean", 4.0), ("median", 2.0)])
def test_thresholds_ignore_missing_cells(threshold: str, cut: float) -> None:
    column = np.array([[1.0], [np.nan], [2.0], [9.0]])
    probability = SelfMasking(threshold=threshold).missing_probability(column)
    np.testing.assert_array_equal(probability, (column > cut).astype(float))


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.7, 1e-300])
@pytest.mark.parametrize("direction", ["above", "below"])
@pytest.mark.parametrize("threshold", ["mean", "median"])
def test_constant_columns_lose_nothing(value: float, direction: str, threshold: str) -> None:
    # np.mean of such a column is often off by one rounding, which puts all of it on one side.
    mechanism = SelfMasking(features="all", direction=direction, threshold=threshold)
    for n in (3, 7, 100):
        assert not mechanism.missing_probability(np.full((n, 2), value)).any()


@pytest.mark.parametrize("p", [0.0, 0.2, 0.8, 1.0])
def test_rates(normals: NDArray[np.float64], p: float) -> None:
    missing = np.isnan(ampute(normals, MCAR(p), random_state=1))
    np.testing.assert_allclose(missing.mean(axis=0), p, atol=0.015)
    missing = np.isnan(ampute(normals, SelfMasking(p), random_state=1))
    np.testing.assert_allclose(missing.mean(), p / 4, atol=0.01)  # the paper's sparsity


def test_tail_masking_removes_what_lies_beyond_the_quantiles() -> None:
    values = load_wine().data[:, :2]
    low, high = np.quantile(values, 0.1, axis=0), np.quantile(values, 0.8, axis=0)
    amputed = ampute(values, TailMasking(features="all", lower=0.1, upper=0.8))
    np.testing.assert_array_equal(np.isnan(amputed), (values < low) | (values > high))
    assert not TailMasking(lower=0.0, upper=1.0).missing_probability(values).any()


def test_tail_masking_removes_half_by_default(normals: NDArray[np.float64]) -> None:
    missing = np.isnan(ampute(normals, TailMasking(0.8), random_state=0))
    np.testing.assert_allclose(missing.mean(axis=0), [0.4, 0.4, 0.0, 0.0], atol=0.015)
    assert TailMasking().missing_probability(normals)[:, 0].sum() == len(normals) / 2


def test_tail_masking_ignores_missing_cells_and_spares_constant_columns() -> None:
    X = np.full((9, 3), 0.1)
    X[:, 0] = [np.nan, 1, 2, 3, 4, 5, np.nan, np.nan, np.nan]
    X[:, 2] = np.nan
    probability = TailMasking(0.5, features="all").missing_probability(X)
    np.testing.assert_array_equal(probability[:, 0], [0, 0.5, 0, 0, 0, 0.5, 0, 0, 0])
    assert not probability[:, 1:].any()


@pytest.mark.parametrize("slope", [0.0, 1.0, -2.0, 50.0])
@pytest.mark.parametrize("p", [0.0, 1e-12, 0.2, 0.97, 1.0])
@pytest.mark.parametrize(("depends_on", "deciding"), [("self", [3, 0, 5]), ("next", [0, 5, 3])])
def test_logistic_averages_p_and_is_logistic_in_the_deciding_column(
    p: float, slope: float, depends_on: str, deciding: list[int]
) -> None:
    X = load_wine().data
    columns = [3, 0, 5]
    mechanism = Logistic(p, features=columns, slope=slope, depends_on=depends_on)
    probability = mechanism.missing_probability(X)
    np.testing.assert_allclose(probability.mean(axis=0)[columns], p, rtol=1e-6)
    assert not np.delete(probability, columns, axis=1).any()
    if slope == 1.0 and p == 0.2:
        scores = (X[:, deciding] - X[:, deciding].mean(axis=0)) / X[:, deciding].std(axis=0)
        logits = logit(probability[:, columns])
        np.testing.assert_allclose(logits - logits[0], scores - scores[0], atol=1e-9)


def test_logistic_takes_0_for_missing_conditions() -> None:
    X = np.array([[7.0, -1.0], [7.0, np.nan], [7.0, 1.0]])
    probability = Logistic(0.5, features="all", depends_on="next").missing_probability(X)
    np.testing.assert_allclose(probability[:, 0], expit([-2.0, 0.0, 2.0]))
    np.testing.assert_allclose(probability[:, 1], 0.5)  # its next column is constant


@pytest.mark.parametrize("slope", [0.0, 1.0, -2.0, 50.0])
@pytest.mark.parametrize("p", [0.0, 1e-12, 0.2, 0.97, 1.0])
def test_mar_averages_p_and_is_logistic_in_the_kept_columns(p: float, slope: float) -> None:
    X = load_wine().data
    probability = MAR(p, features=[0, 3], slope=slope).missing_probability(X)
    np.testing.assert_allclose(probability.mean(axis=0)[[0, 3]], p, rtol=1e-6)
    assert not np.delete(probability, [0, 3], axis=1).any()
    if slope == 1.0 and p == 0.2:
        kept = np.delete(X, [0, 3], axis=1)
        score = ((kept - kept.mean(axis=0)) / kept.std(axis=0)).mean(axis=1)
        score /= score.std()
        logits = np.log(probability[:, 0] / (1 - probability[:, 0]))
        np.testing.assert_allclose(logits - logits[0], score - score[0], atol=1e-9)


@pytest.mark.parametrize("mechanism", [MAR(0.3), MAR(0.3, features=[1, 2])])
def test_mar_depends_on_kept_columns_only(mechanism: MAR) -> None:
    X = load_wine().data
    columns = list(range(6)) if mechanism.features == "first_half" else [1, 2]
    changed = X.copy()
    changed[:, columns] = -3 * X[:, columns] + np.arange(len(X))[:, None]
    probability = mechanism.missing_probability(X)
    np.testing.assert_array_equal(probability, mechanism.missing_probability(changed))


def test_mar_takes_0_for_missing_conditions() -> None:
    X = np.array([[5.0, -1.0], [5.0, np.nan], [5.0, 1.0]])
    logit_gap = np.sqrt(1.5)  # the z-scores -1, 0, 1, standardised over the three rows
    probability = MAR(0.5, features=[0]).missing_probability(X)
    np.testing.assert_allclose(probability[:, 0], expit([-logit_gap, 0, logit_gap]))


def test_mar_without_variation_is_mcar() -> None:
    np.testing.assert_allclose(MAR(0.3).missing_probability(np.full((5, 2), 0.1)), [[0.3, 0.0]] * 5)


def test_compose_is_80_percent_plus_20_percent_mcar() -> None:
    X = load_wine().data
    both = Compose(SelfMasking(0.8), MCAR(0.2)).missing_probability(X)
    above = X - X.mean(axis=0) > 0
    above[:, X.shape[1] // 2 :] = False
    np.testing.assert_allclose(both, np.where(above, 1 - 0.2 * 0.8, 0.2))


# Properties


def probability_or_reject(mechanism: Mechanism, X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return probabilities, but no example in which columns that MAR depends on cancel."""
    try:
        return mechanism.missing_probability(X)
    except ValueError as error:
        if "do not cancel" not in str(error):
            raise
        reject()


@any_data
@given(X=matrices, mechanism=st.sampled_from(MECHANISMS), seed=st.integers(0, 2**32))
def test_ampute_only_removes(X: NDArray[np.floating], mechanism: Mechanism, seed: int) -> None:
    probability_or_reject(mechanism, X)
    before = X.copy()
    amputed = ampute(X, mechanism, seed)
    np.testing.assert_array_equal(X, before)
    assert amputed.shape == X.shape
    assert amputed.dtype == X.dtype
    assert not np.shares_memory(amputed, X)
    np.testing.assert_array_equal(amputed, np.where(np.isnan(amputed), np.nan, X))
    np.testing.assert_array_equal(amputed, ampute(X, mechanism, seed))
    assert np.isnan(amputed[np.isnan(X)]).all()


@any_data
@given(X=matrices, mechanism=st.sampled_from(MECHANISMS))
def test_probabilities(X: NDArray[np.floating], mechanism: Mechanism) -> None:
    X = X.astype(np.float64)
    X.flags.writeable = False
    probability = probability_or_reject(mechanism, X)
    assert probability.shape == X.shape
    assert ((probability >= 0) & (probability <= 1)).all()
    chosen = getattr(mechanism, "features", "all")
    if chosen != "all" and chosen is not None:
        columns = range(X.shape[1] // 2) if chosen == "first_half" else chosen
        assert not np.delete(probability, list(columns), axis=1).any()


@any_data
@given(X=matrices, parts=st.lists(st.sampled_from(MECHANISMS), min_size=1, max_size=3))
def test_compose_formula(X: NDArray[np.floating], parts: list[Mechanism]) -> None:
    X = X.astype(np.float64)
    stays = np.ones(X.shape)
    for part in parts:
        stays *= 1 - probability_or_reject(part, X)
    np.testing.assert_allclose(Compose(parts).missing_probability(X), 1 - stays, atol=1e-12)


def test_cells_are_independent(normals: NDArray[np.float64]) -> None:
    missing = np.isnan(ampute(normals, MCAR(0.5), random_state=2)).astype(float)
    correlation = np.corrcoef(missing, rowvar=False) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(normals))


def test_larger_p_removes_more_of_the_same() -> None:
    X = load_wine().data
    few, many = (np.isnan(ampute(X, MCAR(p), random_state=3)) for p in (0.1, 0.3))
    assert (many | ~few).all()
    assert many.sum() > few.sum()


# Random states


@pytest.mark.parametrize(
    "make", [lambda: 7, lambda: np.random.default_rng(7), lambda: np.random.RandomState(7)]
)
def test_equal_random_states_give_equal_cells(make: Callable[[], object]) -> None:
    X = load_wine().data
    np.testing.assert_array_equal(ampute(X, MCAR(), make()), ampute(X, MCAR(), make()))
    np.testing.assert_array_equal(ampute(X, MCAR(), np.int64(7)), ampute(X, MCAR(), 7))


@pytest.mark.parametrize("state", [np.random.default_rng(7), np.random.RandomState(7), None])
def test_generators_advance_and_none_is_fresh(state: object) -> None:
    X = load_wine().data
    first, second = np.isnan(ampute(X, MCAR(), state)), np.isnan(ampute(X, MCAR(), state))
    assert (first != second).any()


@pytest.mark.parametrize("state", [None, 0, np.random.default_rng(0), np.random.RandomState(0)])
def test_global_state_is_neither_read_nor_changed(state: object) -> None:
    X = load_wine().data
    before = str(np.random.get_bit_generator().state)
    ampute(X, MCAR(0.5), state)
    assert str(np.random.get_bit_generator().state) == before


# Containers and dtypes


@pytest.mark.parametrize(
    ("dtype", "result"),
    [("float32", "float32"), ("float64", "float64"), ("int64", "float64"), ("float16", "float64")],
)
def test_dtypes(dtype: str, result: str) -> None:
    X = load_wine().data.astype(dtype)
    assert ampute(X, MCAR(), 0).dtype == result
    assert ampute(X.tolist(), MCAR(), 0).dtype == "float64"


def test_a_row_or_a_column_alone() -> None:
    np.testing.assert_array_equal(ampute([[1], [2], [4]], SelfMasking()), [[1], [2], [np.nan]])
    assert np.isnan(ampute([[1.0, 2.0]], MCAR(1.0))).all()


def test_pandas_stays_pandas() -> None:
    X = load_wine(as_frame=True).data.iloc[::-1]
    X["proline"] = X["proline"].astype("Int64")
    X.iloc[0, -1] = pd.NA
    before = X.copy(deep=True)
    amputed = ampute(X, MCAR(), 0)
    pd.testing.assert_frame_equal(X, before)
    assert amputed.index.equals(X.index)
    assert amputed.columns.equals(X.columns)
    assert (amputed.dtypes == "float64").all()
    values = X.to_numpy(dtype=float, na_value=np.nan)
    np.testing.assert_array_equal(amputed.to_numpy(), ampute(values, MCAR(), 0))
    small = load_wine(as_frame=True).data.astype("float32")
    assert (ampute(small, MCAR(), 0).dtypes == "float32").all()


def test_polars_gives_an_array() -> None:
    X = pl.DataFrame({"a": [1, 2, 9], "b": [1.0, None, 3.0]})
    np.testing.assert_array_equal(ampute(X, SelfMasking()), [[1, 1], [2, np.nan], [np.nan, 3]])


# Mechanisms as values


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=repr)
def test_mechanisms_are_values(mechanism: Mechanism) -> None:
    copy = pickle.loads(pickle.dumps(mechanism))
    assert copy == mechanism
    assert hash(copy) == hash(mechanism)
    assert clone(mechanism, safe=False) == mechanism
    assert eval(repr(mechanism)) == mechanism
    with pytest.raises(AttributeError):
        mechanism.p = 0.5


def test_equality_is_by_value() -> None:
    assert MCAR(1) == MCAR(1.0) != MCAR(0.5)
    assert SelfMasking(features=[0, 1]) == SelfMasking(features=np.array([0, 1]))
    assert Compose(MCAR(), MAR()) == Compose([MCAR(), MAR()]) != Compose(MAR(), MCAR())
    assert repr(Compose(MCAR(0.5))) == "Compose(MCAR(p=0.5, features=None))"


class Stubborn(Mechanism):
    """A mechanism of a user's own, that writes to X and returns what it is told."""

    def __init__(self, probability: object) -> None:
        self.probability = probability

    def missing_probability(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        X[:] = 0
        return self.probability


def test_own_mechanism_cannot_change_the_data() -> None:
    X = np.ones((2, 2))
    amputed = ampute(X, Stubborn([[0, 1], [0, 0]]))
    np.testing.assert_array_equal(amputed, [[1, np.nan], [1, 1]])
    assert (X == 1).all()


@pytest.mark.parametrize("probability", [[0.5, 0.5], np.full((2, 2), 1.1), np.full((2, 2), np.nan)])
def test_own_mechanism_must_give_probabilities(probability: object) -> None:
    with pytest.raises(ValueError, match=r"^mechanism must give probabilities between 0 and 1"):
        ampute(np.ones((2, 2)), Stubborn(probability))


@pytest.mark.parametrize("probability", [[0.5, 0.5], np.full((2, 2), 1.1)])
def test_own_mechanism_among_others_is_checked_as_well(probability: object) -> None:
    mechanism = Compose(Stubborn(probability), MCAR(0.1))
    with pytest.raises(ValueError, match=r"^mechanism must give probabilities between 0 and 1"):
        ampute(np.ones((2, 2)), mechanism)


def test_all_mechanisms_see_the_data_as_given() -> None:
    X = np.array([[1.0, 5.0], [2.0, 6.0], [9.0, 7.0]])
    none = Stubborn(np.zeros((3, 2)))
    for mechanism in (Compose(none, SelfMasking(1.0)), Compose(SelfMasking(1.0), none)):
        np.testing.assert_array_equal(ampute(X, mechanism), ampute(X, SelfMasking(1.0)))


def test_columns_that_cancel_decide_nothing() -> None:
    """The mean of shares that add up to 1 varies by rounding errors alone."""
    share = np.random.default_rng(0).uniform(size=200)
    X = np.column_stack([np.arange(200.0), share, 1.0 - share])
    with pytest.raises(ValueError, match=r"^features must leave columns of X whose z-scores do"):
        ampute(X, MAR(0.5, features=[0]))
    assert np.isnan(ampute(X, MAR(0.5, features=[0], slope=0.0), 0)).any()
    assert np.isnan(ampute(X, MAR(0.5, features=[0, 1]), 0)).any()


# Bad input

# Bad input


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MCAR(1.5), ValueError, "p must be a finite number between 0 and 1, got 1.5"),
        (lambda: MCAR(-0.1), ValueError, "p must be a finite number between 0 and 1"),
        (lambda: SelfMasking(np.nan), ValueError, "p must be a finite number between 0 and 1"),
        (lambda: MAR("0.2"), TypeError, "p must be a number, got '0.2'"),
        (lambda: MCAR(True), TypeError, "p must be a number"),
        (lambda: MAR(slope=np.inf), ValueError, "slope must be a finite number, got inf"),
        (lambda: MAR(slope=None), TypeError, "slope must be a number"),
        (lambda: MCAR(features="half"), ValueError, "features must be None, .*, got 'half'"),
        (lambda: MCAR(features=np.array([], dtype=int)), ValueError, "features must be None, "),
        (lambda: MCAR(features=0), TypeError, "features must be"),
        (lambda: MCAR(features=[]), TypeError, "features must be"),
        (lambda: MCAR(features=[0.5]), TypeError, "features must be"),
        (lambda: MCAR(features=[True, False]), TypeError, "features must be"),
        (lambda: MCAR(features=["a"]), TypeError, "features must be"),
        (lambda: MAR(features=[1, 1]), ValueError, "features must be .* distinct"),
        (lambda: SelfMasking(features=[-1]), ValueError, "features must be .* from 0 on"),
        (lambda: SelfMasking(direction="up"), ValueError, "direction must be .*, got 'up'"),
        (lambda: SelfMasking(direction=["above", 1]), ValueError, "direction must be"),
        (lambda: SelfMasking(direction=None), TypeError, "direction must be"),
        (lambda: SelfMasking(threshold="mode"), ValueError, "threshold must be .*, got 'mode'"),
        (lambda: SelfMasking(threshold=[0, np.nan]), ValueError, "threshold must be"),
        (lambda: SelfMasking(threshold=None), TypeError, "threshold must be"),
        (lambda: SelfMasking(threshold=[[0.0]]), ValueError, "threshold must be"),
        (lambda: TailMasking(2), ValueError, "p must be a finite number between 0 and 1, got 2"),
        (lambda: TailMasking(lower=-0.1), ValueError, "lower must be .* between 0 and 1"),
        (lambda: TailMasking(upper="1"), TypeError, "upper must be a number"),
        (lambda: TailMasking(lower=0.6, upper=0.4), ValueError, "lower must not be more than"),
        (lambda: Logistic(-1), ValueError, "p must be a finite number between 0 and 1"),
        (lambda: Logistic(slope=np.nan), ValueError, "slope must be a finite number"),
        (lambda: Logistic(depends_on="last"), ValueError, "depends_on must be .*, got 'last'"),
        (lambda: Logistic(depends_on=1), TypeError, "depends_on must be"),
        (lambda: Compose(), ValueError, "mechanisms must hold at least one"),
        (lambda: Compose([]), ValueError, "mechanisms must hold at least one"),
        (lambda: Compose(MCAR(), 0.2), TypeError, "mechanisms must be a Mechanism .*, got 0.2"),
        (lambda: Compose(0.2), TypeError, "mechanisms must be a Mechanism"),
    ],
)
def test_bad_parameters(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        (MCAR(features=[3]), "features must be column numbers from 0 to 2, got 3"),
        (MAR(features="all"), r"features must leave at least one of the 3 column"),
        (MAR(features=[2, 0, 1]), "features must leave at least one"),
        (SelfMasking(features=[0, 1], direction=["above"]), r"direction must have .* \(2\), got 1"),
        (Logistic(features=[3]), "features must be column numbers from 0 to 2, got 3"),
        (Logistic(depends_on="next"), "features must choose two columns or more"),
        (SelfMasking(threshold=[1.0, 2.0]), r"threshold must have .* \(1\), got 2"),
    ],
)
def test_parameters_that_do_not_fit_the_data(mechanism: Mechanism, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        ampute(np.ones((4, 3)), mechanism)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": [1.0, 2.0]}, ValueError, r"X must be a matrix .* got shape \(2,\)"),
        ({"X": np.ones((1, 2, 3))}, ValueError, "X must be a matrix"),
        ({"X": np.ones((0, 3))}, ValueError, "X must be a matrix"),
        ({"X": [[1.0, np.inf]]}, ValueError, "X must hold finite numbers or NaN"),
        ({"X": [["a", "b"]]}, ValueError, "X must be a dense numeric"),
        ({"X": np.array([[1j]])}, ValueError, "X must be a dense numeric"),
        ({"X": [[object()]]}, TypeError, "X must be a dense numeric"),
        ({"X": [[1.0], [1.0, 2.0]]}, ValueError, "X must be a dense numeric"),
        ({"mechanism": 0.2}, TypeError, "mechanism must be a Mechanism instance"),
        ({"mechanism": MCAR}, TypeError, "mechanism must be a Mechanism instance"),
        ({"random_state": -1}, ValueError, "random_state must not be negative, got -1"),
        ({"random_state": 0.5}, TypeError, "random_state must be None, an int"),
        ({"random_state": True}, TypeError, "random_state must be None, an int"),
        ({"random_state": np.random}, TypeError, "random_state must be None, an int"),
    ],
)
def test_bad_arguments(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        ampute(**{"X": np.ones((2, 2)), "mechanism": MCAR(), **arguments})


def test_sparse_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^X must be a dense numeric"):
        ampute(sparse.csr_array(np.eye(3)), MCAR())


@pytest.mark.parametrize("already_missing", [0.5, 0.8])
@pytest.mark.parametrize("mechanism", [Logistic(0.1, "all", 3.0), MAR(0.3, [0], -5.0)])
def test_the_average_probability_is_that_of_cells_which_are_there(mechanism, already_missing):
    X = ampute(np.random.default_rng(0).normal(size=(5000, 2)), MCAR(already_missing), 1)
    probability = mechanism.missing_probability(X)
    chosen = np.flatnonzero(probability.any(axis=0))
    assert chosen.size
    for j in chosen:
        assert probability[~np.isnan(X[:, j]), j].mean() == pytest.approx(mechanism.p)
