"""What is private in scikit-learn and skorch and used here."""

import inspect
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import RandomForestRegressor
from skorch import NeuralNet
from torch import nn

from gnr_sklearn._sklearn import Interval, fit_context
from tests.toy_imputers import ToyImputer


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("fraction", [0.1, np.float32(0.9)], [0, 1, 0.0, -0.5, np.nan, "0.5", None]),
        ("n_rounds", [1, 10, np.int64(3)], [0, 1.0, np.inf, None]),
        ("mode", ["a", "b"], ["c", 1, None]),
        ("names", [[1, 2], np.ones(2), {"a": 1}, None], [1, "a"]),
        ("missing_values", [np.nan, -1, 0.5, np.float32(-1), pd.NA], ["NaN", None, [0]]),
        ("add_indicator", [True, np.True_], [1, 0, None, "True"]),
        ("keep_empty_features", [True, np.True_], [1, 0, None, "True"]),
        ("random_state", [None, 0, 2**32 - 1, np.random.RandomState(0)], [-1, 0.5, "a"]),
        ("verbose", [0, 1, 5, True], [-1, 0.5, "a", None]),
    ],
)
def test_constraints(name, accepted, refused):
    X = [[1.0, 2.0], [3.0, 4.0]]
    for value in accepted:
        ToyImputer(**{name: value}).fit(X)
    for value in refused:
        imputer = ToyImputer(**{name: value})
        with pytest.raises(ValueError, match=f"The '{name}' parameter of ToyImputer must be"):
            imputer.fit(X)
        # Refused before anything was done.
        assert not hasattr(imputer, "n_features_in_")


@pytest.mark.parametrize(
    ("closed", "inside"),
    [
        ("left", [True, False]),
        ("right", [False, True]),
        ("both", [True, True]),
        ("neither", [False, False]),
    ],
)
def test_interval_ends(closed, inside):
    interval = Interval(Real, 0, 1, closed=closed)
    assert [interval.is_satisfied_by(end) for end in (0, 1)] == inside


def test_interval_without_ends_takes_infinity_but_not_nan():
    # Bounds of imputed values are declared so.
    interval = Interval(Real, None, None, closed="both")
    assert all(interval.is_satisfied_by(value) for value in (-np.inf, 0, np.inf))
    assert not interval.is_satisfied_by(np.nan)


def test_fit_context_skips_nested_validation_and_keeps_the_signature():
    imputer = ToyImputer().fit([[1.0]])
    assert imputer.validation_skipped_
    assert not sklearn.get_config()["skip_parameter_validation"]
    assert list(inspect.signature(ToyImputer.fit).parameters) == ["self", "X", "y"]
    assert ToyImputer.fit.__doc__.startswith("Learn from")


def test_fit_context_returns_what_fit_returns_and_lets_errors_through():
    class Fits(sklearn.base.BaseEstimator):
        _parameter_constraints: ClassVar[dict[str, Any]] = {}

        @fit_context(prefer_skip_nested_validation=True)
        def fit(self, X, y=None):
            return {"yes": self, "no": 1 / X}["yes"]

    estimator = Fits()
    assert estimator.fit(1) is estimator
    with pytest.raises(ZeroDivisionError):
        estimator.fit(0)


def test_validation_can_be_switched_off_for_all_of_scikit_learn():
    with sklearn.config_context(skip_parameter_validation=True):
        ToyImputer(mode="c").fit([[1.0]])


def test_what_a_net_is_made_of_has_these_names_in_skorch():
    net = NeuralNet(nn.Linear, nn.MSELoss, module__in_features=2, module__out_features=1)
    net.initialize()
    assert (net._modules, net._criteria, net._optimizers) == (
        ["module"], ["criterion"], ["optimizer"]
    )  # fmt: skip
    for method in ("_set_training", "_zero_grad_optimizer", "_check_device", "get_params_for"):
        assert callable(getattr(net, method))


def test_what_estimators_say_of_their_parameters_has_these_names():
    assert "max_leaf_nodes" in RandomForestRegressor._parameter_constraints
    RandomForestRegressor()._validate_params()
    with pytest.raises(ValueError, match="'n_estimators' parameter"):
        RandomForestRegressor(n_estimators=0)._validate_params()
