"""Side information in what is done with an imputer: draws, pooled fits, scenarios and pictures."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression

from gnr_sklearn import GNRImputer, MICEImputer
from gnr_sklearn.multiple import draw_imputations, fit_pooled
from gnr_sklearn.plotting import (
    DrawSpreadDisplay,
    ImputedValuesDisplay,
    LatentSpaceDisplay,
    MaskProbabilityDisplay,
    RatingDistributionDisplay,
    SensitivityDisplay,
)
from gnr_sklearn.sensitivity import sensitivity
from tests.contract import TINY_NET

mpl.use("Agg")


class CopyingImputer(BaseEstimator):
    """Puts the side information of a row into its gaps; in fit, rows must belong to theirs."""

    def fit(self, X, y=None, side_info=None):
        values, known = np.asarray(X), np.asarray(side_info)
        assert_array_equal(values[:, 0], known[:, 0])
        self.n_different_rows_ = len(np.unique(values[:, 0]))
        return self

    def transform(self, X, side_info=None):
        return np.where(np.isnan(X), np.asarray(side_info), X)

    def sample(self, X, n_draws=5, random_state=None, side_info=None):
        return np.repeat(self.transform(X, side_info)[None], n_draws, axis=0)


class WithoutSideInfo(CopyingImputer):
    def fit(self, X, y=None):
        raise AssertionError("side information is refused before any work is done")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def table():
    """Rows with their number in the first column, and in the side information."""
    X = np.column_stack([np.arange(40.0), np.random.default_rng(0).normal(size=40)])
    X[::4, 1] = np.nan
    return X, np.arange(40.0)[:, np.newaxis]


@pytest.mark.parametrize("as_known", [np.asarray, pd.DataFrame, np.ndarray.tolist])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_draws_are_given_side_information(table, bootstrap, as_known):
    X, known = table
    options = {"bootstrap": bootstrap, "side_info": as_known(known), "random_state": 0}
    draws = draw_imputations(CopyingImputer(), X, 3, **options)
    expected = np.where(np.isnan(X), known, X)
    assert_array_equal(draws, [expected] * 3)
    y = expected @ [1.0, 2.0] + 3.0
    fit = fit_pooled(LinearRegression(), CopyingImputer(), X, y, 3, impute_with_y=False, **options)
    assert_allclose(fit.coef_.estimate, [1.0, 2.0])
    n_different = {imputer.n_different_rows_ for imputer in fit.imputers_}
    assert (n_different == {40}) != bootstrap


@pytest.mark.parametrize("as_imputer", [lambda imputer: imputer, FrozenEstimator])
def test_scenarios_are_given_side_information(table, as_imputer):
    X, known = table
    imputer = as_imputer(CopyingImputer().fit(X, side_info=known))
    result = sensitivity(
        imputer, X, deltas=[0.0], strengths=[0.0], side_info=known, return_completed=True
    )
    for completed in result.completed:
        assert_array_equal(completed, np.where(np.isnan(X), known, X))
    display = SensitivityDisplay.from_estimator(imputer, X, side_info=known)
    assert_array_equal(display.result.column_means[0], result.column_means[0])


@pytest.mark.parametrize("of_given", [draw_imputations, sensitivity], ids=["draws", "scenarios"])
def test_wrong_side_information(table, of_given):
    X, known = table
    with pytest.raises(ValueError, match=r"^side_info must be None for an imputer that does not"):
        of_given(WithoutSideInfo(), X, side_info=known)
    with pytest.raises(ValueError, match=r"^side_info must have 40 rows, one for each row of X"):
        of_given(CopyingImputer(), X, side_info=known[:7])
    with pytest.raises(ValueError, match=r"^side_info must be a complete numeric"):
        of_given(CopyingImputer(), X, side_info=np.full_like(known, np.nan))


@pytest.mark.parametrize(
    "display",
    [
        DrawSpreadDisplay,
        ImputedValuesDisplay,
        LatentSpaceDisplay,
        MaskProbabilityDisplay,
        RatingDistributionDisplay,
    ],
)
def test_pictures_are_given_side_information(table, display):
    X, known = table
    X = X.round()
    imputer = GNRImputer(**TINY_NET).fit(X, side_info=known)
    display.from_estimator(imputer, X, side_info=known)
    with pytest.raises(ValueError, match="side_info must be given to all methods"):
        display.from_estimator(imputer, X)
    with pytest.raises(ValueError, match="side_info must have 40 rows"):
        display.from_estimator(imputer, X, side_info=known[:7])


def test_pictures_of_imputers_without_side_information(table):
    X, known = table
    with pytest.raises(ValueError, match="side_info must be None for an imputer that does not"):
        ImputedValuesDisplay.from_estimator(MICEImputer().fit(X), X, side_info=known)
