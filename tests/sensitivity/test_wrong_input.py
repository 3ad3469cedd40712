"""Arguments and imputers of which no sensitivity can be told."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from gnr_sklearn import GAINImputer, MICEImputer
from gnr_sklearn.sensitivity import sensitivity
from tests.sensitivity.drawing_imputers import DrawingImputer, GivenImputer


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"deltas": "1"}, TypeError, "deltas must be None or a sequence of numbers, got '1'"),
        ({"deltas": 1.0}, TypeError, "deltas must be None or a sequence"),
        ({"deltas": ["1"]}, TypeError, "deltas must be a number, got '1'"),
        ({"deltas": [np.nan]}, ValueError, "deltas must be a finite number"),
        ({"deltas": None}, ValueError, "deltas, strengths or directions must hold a scenario"),
        ({"deltas": []}, ValueError, "deltas, strengths or directions must hold a scenario"),
        ({"strengths": 1.0}, TypeError, "strengths must be None or a sequence"),
        ({"strengths": [np.inf]}, ValueError, "strengths must be a finite number"),
        ({"directions": "above"}, TypeError, "directions must be None or a sequence"),
        ({"directions": ["up"]}, ValueError, "directions must be None or a sequence"),
        ({"directions": [["above"]]}, ValueError, "with one for each of the 3 features"),
        ({"directions": [3]}, ValueError, "directions must be None or a sequence"),
        ({"features": "x1"}, ValueError, "features must be None"),
        ({"features": ["age"]}, ValueError, r"features must be among .* got \['age'\]"),
        ({"features": [3]}, ValueError, "features must be column numbers from 0 to 2, got 3"),
        ({"features": [1, 1]}, ValueError, "features must be None"),
        ({"features": 1.5}, TypeError, "features must be None"),
        ({"features": []}, TypeError, "features must be None"),
        ({"features": [0]}, ValueError, "features must have a missing cell in X"),
        ({"one_at_a_time": 1}, TypeError, "one_at_a_time must be True or False, got 1"),
        ({"return_completed": "no"}, TypeError, "return_completed must be True or False"),
        ({"estimate": 3}, TypeError, "estimate must be None or a function of X, got 3"),
        ({"estimate": lambda X: np.nan}, ValueError, "the result of estimate must be finite"),
        ({"estimate": lambda X: "a"}, ValueError, "the result of estimate must be an array"),
        ({"n_draws": 1}, ValueError, "n_draws must be at least 2, got 1"),
        ({"n_draws": 2.0}, TypeError, "n_draws must be an int, got 2.0"),
        ({"random_state": -1}, ValueError, "random_state must not be negative"),
        ({"random_state": "a"}, TypeError, "random_state must be None"),
        ({"imputer": SimpleImputer}, TypeError, "imputer must be an imputer with the methods"),
        ({"imputer": None}, TypeError, "imputer must be an imputer with the methods"),
        ({"X": [[1.0, 2.0, 3.0]]}, ValueError, "features must have a missing cell in X"),
        ({"X": [1.0, np.nan]}, ValueError, "X must be a matrix"),
        ({"X": [["a", "b", "c"]]}, ValueError, "X must be a dense numeric"),
        ({"X": [[np.inf, np.nan, 1.0]]}, ValueError, "X must hold finite numbers or NaN"),
    ],
)
def test_wrong_arguments(params, error, message, X):
    with pytest.raises(error, match=message):
        sensitivity(**{"imputer": DrawingImputer(), "X": X, **params})


@pytest.mark.parametrize("imputer", [SimpleImputer(), MICEImputer(), GAINImputer()])
def test_scenarios_that_an_imputer_cannot_do(imputer, X):
    if not hasattr(imputer, "sample"):
        with pytest.raises(ValueError, match="strengths must be None for an imputer that cannot"):
            sensitivity(imputer, X, strengths=[1.0])
    for each in (imputer, FrozenEstimator(imputer)):
        with pytest.raises(ValueError, match="directions must be None for an imputer without"):
            sensitivity(each, X, directions=["above"])


def test_estimates_of_changing_shape(X):
    shapes = iter(range(1, 9))
    with pytest.raises(ValueError, match=r"estimate must give as many .* \(1,\) and \(2,\)"):
        sensitivity(SimpleImputer(), X, estimate=lambda X: np.zeros(next(shapes)))


def test_imputers_that_do_something_else(X):
    scaled = make_pipeline(StandardScaler(), SimpleImputer())
    with pytest.raises(ValueError, match="imputer must return observed values as they are"):
        sensitivity(scaled, X)
    with pytest.raises(ValueError, match="imputer must impute finite numbers"):
        sensitivity(FunctionTransformer(lambda X: X, feature_names_out="one-to-one"), X)
    with pytest.raises(ValueError, match=r"imputer must return columns of X.*of shape \(60, 2\)"):
        sensitivity(GivenImputer(np.zeros((60, 2))), X)
    with pytest.raises(ValueError, match=r"imputer must return columns of X.*'pca0', 'pca1'"):
        sensitivity(make_pipeline(SimpleImputer(), PCA(2)), X)
    draws = np.zeros((10, 60, 2))
    with pytest.raises(ValueError, match=r"imputer\.sample must give the columns that transform"):
        sensitivity(GivenImputer(draws=draws), X, strengths=[1.0], n_draws=10)
    with pytest.raises(ValueError, match=r"imputer\.sample must give floats of shape"):
        sensitivity(GivenImputer(draws=draws), X, strengths=[1.0], n_draws=11)


def test_units_inside_a_pipeline_may_differ(X):
    """Rounding on the way there and back is none of the user's business."""
    root = FunctionTransformer(np.cbrt, feature_names_out="one-to-one")
    cube = FunctionTransformer(lambda X: X**3, feature_names_out="one-to-one")
    result = sensitivity(make_pipeline(root, SimpleImputer(), cube), X, return_completed=True)
    assert_array_equal(result.completed[0][~np.isnan(X)], X[~np.isnan(X)])


def test_columns_in_another_order_are_refused(X):
    """They would be left out of the result, as an indicator's columns are."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    parts = [
        ("median", SimpleImputer(strategy="median"), ["b"]),
        ("mean", SimpleImputer(), ["a", "c"]),
    ]
    swapping = ColumnTransformer(parts, verbose_feature_names_out=False)
    with pytest.raises(ValueError, match="imputer must return the columns of X in their order"):
        sensitivity(swapping, frame, deltas=[1.0])
