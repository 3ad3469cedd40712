"""Pooled fits of tables that imputers of the package complete."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gnr_sklearn import MIWAEImputer
from gnr_sklearn.multiple import draw_imputations, fit_pooled
from tests.contract import SMALL_NET, paper_gnr
from tests.multiple.normal_draws import make_regression


@pytest.fixture(scope="module")
def frame():
    """An empty column, dropped, and one whose gaps get an indicator; float32."""
    X, y = make_regression(60, missing=0.3)
    table = pd.DataFrame({"gaps": X[:, 0], "empty": np.nan, "whole": X[:, 1]})
    return table.astype(np.float32), pd.Series(y, index=range(100, 160))


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("impute_with_y", [False, True])
def test_gnr(frame, bootstrap, impute_with_y):
    X, y = frame
    imputer = paper_gnr(**SMALL_NET, add_indicator=True)
    options = {"bootstrap": bootstrap, "impute_with_y": impute_with_y, "random_state": 0}
    before = X.copy()
    fit = fit_pooled(LinearRegression(), imputer, X, y, 3, **options)
    names = ["gaps", "whole", "missingindicator_gaps", "missingindicator_empty"]
    assert fit.feature_names_.tolist() == names
    assert fit.estimators_[0].coef_.dtype == np.float64
    # The indicator of the empty column is constant.
    assert (fit.coef_.standard_error[:3] > 0).all()
    assert fit.coef_.between_variance[0] > 0
    assert 1.5 < fit.coef_.estimate[1] < 3.0
    assert len(fit.imputers_) == (3 if bootstrap else 1)
    assert fit.imputers_[0].n_features_in_ == 3 + impute_with_y
    again = fit_pooled(LinearRegression(), imputer, X, y, 3, **options)
    assert_array_equal(again.coef_.estimate, fit.coef_.estimate)
    assert not hasattr(imputer, "net_")
    assert X.equals(before)


def test_gnr_of_a_classifier(frame):
    X, y = frame
    labels = np.where(y > 3, "high", "low")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    fit = fit_pooled(model, paper_gnr(**SMALL_NET), X, labels, 2, n_bootstrap=10, random_state=0)
    assert fit.feature_names_.tolist() == ["gaps", "whole"]
    assert fit.coef_.estimate.shape == (1, 2)
    assert fit.coef_.estimate[0, 1] < 0  # "low" comes last
    assert fit.coef_.within_variance.min() > 0


def test_pandas_na_as_a_marker():
    X, y = make_regression(60)
    imputer = MIWAEImputer(**SMALL_NET, missing_values=pd.NA)
    fit = fit_pooled(LinearRegression(), imputer, X, y, n_draws=2, random_state=0)
    plain = MIWAEImputer(**SMALL_NET)
    expected = fit_pooled(LinearRegression(), plain, X, y, n_draws=2, random_state=0)
    assert_array_equal(fit.coef_.estimate, expected.coef_.estimate)


@pytest.mark.parametrize("columns", [[1.0, 2.0, 3.0], list(np.arange(1, 4)), [0, 1, 2]])
def test_y_takes_the_place_of_no_column(columns):
    X, y = make_regression(60, missing=0.3)
    table = pd.DataFrame(X[:, :2]).assign(k=list("uv") * 30).set_axis(columns, axis=1)
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), [2]), remainder="passthrough"), LinearRegression()
    )
    fit = fit_pooled(model, MIWAEImputer(**SMALL_NET), table, y, 2, n_bootstrap=2, random_state=0)
    assert fit.coef_.estimate.shape == (4,)


def test_what_is_frozen_is_not_fitted_to_resamples():
    X, _ = make_regression(60, missing=0.3)
    frozen = FrozenEstimator(MIWAEImputer(**SMALL_NET).fit(X))
    with pytest.raises(ValueError, match="bootstrap must be False for an imputer that is not fit"):
        draw_imputations(frozen, X, 2, bootstrap=True)
