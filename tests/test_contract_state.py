"""The contract, continued: copies, seeds, state, and what every imputer refuses."""

import copy
import inspect
import pickle
import random
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from tests.contract import fit_transform_once, make_data, state_of

# Copies and seeds


COPIES = {
    "pickle": lambda imputer: pickle.loads(pickle.dumps(imputer)),
    "deepcopy": copy.deepcopy,
    "clone": clone,
    "parameters": lambda imputer: type(imputer)(**imputer.get_params(deep=False)),
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
    assert_array_equal(COPIES[how](imputer).fit_transform(X), fit_transform_once(imputer, X))


def test_threads_do_not_disturb_each_other(imputer):
    X = make_data()
    expected = fit_transform_once(imputer, X)
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
    before = pickle.dumps(imputer.get_params(deep=False))
    imputer.fit(make_data())
    assert pickle.dumps(imputer.get_params(deep=False)) == before


def fail_half_way(error):
    def fit(self, *args):
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
    params = imputer.get_params(deep=False)
    assert set(params) == set(inspect.signature(type(imputer)).parameters)
    other = type(imputer)().set_params(**params)
    assert all(getattr(other, name) is value for name, value in params.items())
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
    with pytest.raises(ValueError, match="must not hold NaN"):
        imputer.fit(X)
    imputer.fit(np.nan_to_num(X))
    with pytest.raises(ValueError, match="must not hold NaN"):
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
