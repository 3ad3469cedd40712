"""The auxiliary variable u: completed rows, features themselves, and side information."""

from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import Callback
from torch.nn import functional as F

from gnr_sklearn import (
    GNRImputer,
    MeanImputer,
    MICEImputer,
    MissForestImputer,
    MIWAEImputer,
    NotMIWAEImputer,
)
from gnr_sklearn._chained import ChainedRegressions
from gnr_sklearn.classical import IterativeImputer
from gnr_sklearn.metrics import imputation_rmse, make_masked_cell_scorer
from tests.contract import QUICK, paper_gnr


def table(n_rows=120, n_features=4, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 1)) + 0.5 * rng.normal(size=(n_rows, n_features))
    X[rng.uniform(size=X.shape) < np.linspace(0.5, 0.1, n_features)] = np.nan
    return X


class Recorder(TransformerMixin, BaseEstimator):
    """Fill in the mean of the other cells of the row, and remember what it was fitted to."""

    fitted_rows: ClassVar[list] = []

    def __init__(self, *, random_state=None):
        self.random_state = random_state

    def fit(self, X, y=None):
        self.rows_ = {tuple(np.nan_to_num(row)) for row in X}
        Recorder.fitted_rows.append(self.rows_)
        return self

    def transform(self, X):
        means = np.nan_to_num(np.nanmean(np.column_stack([X, np.zeros(len(X))]), axis=1))
        return np.where(np.isnan(X), means[:, None], X)


def test_what_is_known_of_a_row_is_how_the_prior_completes_it():
    X = table()
    imputer = paper_gnr(**QUICK, prior=MICEImputer()).fit(X)
    u = imputer._rows(X, np.empty((len(X), 0))).u.numpy()
    completed = imputer.prior_.transform(X)
    expected = (completed - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)
    np.testing.assert_allclose(u, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(completed, MICEImputer(random_state=0).fit_transform(X))


class Dropping(Recorder):
    def transform(self, X):
        return super().transform(X)[:, 1:]


class Leaving(Recorder):
    def transform(self, X):
        return X


@pytest.mark.parametrize("prior", [Dropping(), Leaving()])
def test_imputers_that_do_not_fill_in_what_they_are_given(prior):
    with pytest.raises(ValueError, match="prior must be an imputer that"):
        paper_gnr(**QUICK, prior=prior).fit(table())


@pytest.mark.parametrize("prior", ["high_sparsity", 3, [], MeanImputer])
def test_wrong_priors(prior):
    with pytest.raises((ValueError, TypeError), match=r"prior"):
        paper_gnr(**QUICK, prior=prior).fit(table())


# GNR with a prior


def test_the_prior_is_cloned_and_seeded_by_the_imputer():
    X = table()
    prior = Recorder()
    first = paper_gnr(**QUICK, prior=prior).fit(X)
    assert not hasattr(prior, "rows_")
    assert prior.random_state is None
    assert isinstance(first.prior_.random_state, int)
    assert paper_gnr(**QUICK, prior=Recorder(random_state=7)).fit(X).prior_.random_state == 7
    assert paper_gnr(**QUICK).fit(X).prior_ is None


def test_a_grid_search_reaches_into_the_prior():
    imputer = paper_gnr(**QUICK | {"max_iter": 5}, prior=KNNImputer())
    search = GridSearchCV(imputer, {"prior__n_neighbors": [2, 9]}, cv=2).fit(table())
    assert search.best_estimator_.prior_.n_neighbors in {2, 9}
    assert imputer.prior.n_neighbors == 5


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (MICEImputer(max_iter=-3), "'max_iter' parameter of MICEImputer must be"),
        (SimpleImputer(strategy="foo"), "'strategy' parameter of SimpleImputer must be"),
        (paper_gnr(max_iter=-5), "'max_iter' parameter of GNRImputer must be"),
    ],
)
def test_parameters_of_the_prior_are_checked(prior, message):
    with pytest.raises(ValueError, match=message):
        paper_gnr(**QUICK, prior=prior).fit(table())


@pytest.mark.parametrize(
    "prior",
    [
        IterativeImputer(RandomForestRegressor(2), max_iter=1, tol=1.0),
        make_pipeline(FunctionTransformer(), MissForestImputer(n_estimators=2, max_iter=1)),
    ],
)
def test_randomness_within_the_prior_comes_from_the_seed(prior):
    X = table(40)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (paper_gnr(**QUICK, prior=prior).fit(X) for _ in range(2))
    assert_array_equal(first.transform(X), second.transform(X))
    assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_the_prior_is_given_nan_whatever_marks_missing_values():
    X = table()
    marked = np.where(np.isnan(X), -1.0, X)
    params = QUICK | {"missing_values": -1}
    imputed = paper_gnr(**params, prior=MeanImputer(missing_values=-1)).fit_transform(marked)
    assert_array_equal(imputed, paper_gnr(**QUICK, prior=MeanImputer()).fit_transform(X))


def test_draws_of_complete_rows():
    X = table()
    imputer = paper_gnr(**QUICK, prior=MeanImputer()).fit(X)
    complete = np.nan_to_num(X)
    assert_array_equal(imputer.sample(complete, 2), [complete, complete])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"net_params": {"lr": 3}}, "net_params must not hold 'lr'"),
        ({"net_params": {"foo": 3}}, "net_params must hold parameters of a skorch net"),
        ({"callbacks": [3]}, "callbacks must be"),
    ],
)
def test_wrong_parameters_are_found_before_the_prior_is_fitted(params, message):
    Recorder.fitted_rows.clear()
    with pytest.raises(ValueError, match=message):
        paper_gnr(**QUICK | params, prior=Recorder()).fit(table())
    assert not Recorder.fitted_rows


def test_a_mask_that_depends_on_nothing_cannot_be_predicted():
    """Where u has holes it must not give them away to the decoder of the mask."""
    rng = np.random.RandomState(0)
    complete = np.sign(rng.normal(size=(1500, 4)))  # never 0
    X = np.where(rng.uniform(size=complete.shape) < [0.5, 0.5, 0.25, 0.25], np.nan, complete)
    imputer = paper_gnr(
        **QUICK | {"max_iter": 400, "learning_rate": 0.01}, prior="low_sparsity"
    ).fit(X[:1000])
    module = imputer.net_.module_
    assert module.auxiliary_features.tolist() == [2, 3]
    rows = imputer._rows(X[1000:], np.empty((500, 0)))
    # From the prior of z, so that no weight holds the mask.
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        noise = torch.randn((50, 500, 3), generator=generator)
        logits = module(rows.x, rows.mask, noise).mask_logits
        log_p = -F.binary_cross_entropy_with_logits(
            logits, rows.mask.expand_as(logits), reduction="none"
        )
    entropy = 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    found = log_p.mean((0, 1))[2:].numpy()
    assert (found < entropy + 0.05).all()


def test_a_good_prior_helps_where_there_is_little_time_to_train():
    rng = np.random.RandomState(0)
    complete = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(600, 6))
    X = complete.copy()
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    errors = {
        prior: imputation_rmse(
            complete,
            paper_gnr(**QUICK | {"max_iter": 150}, prior=prior).fit_transform(X),
            np.isnan(X),
        )
        for prior in (None, MICEImputer())
    }
    without, with_prior = errors.values()
    assert with_prior < 0.8 * without


def test_low_sparsity_takes_the_features_with_the_fewest_missing_values():
    X = table(n_features=5)
    counts = np.isnan(X).sum(axis=0)
    assert sorted(counts, reverse=True) == counts.tolist()
    imputer = paper_gnr(**QUICK, prior="low_sparsity").fit(X)
    assert imputer.net_.module_.auxiliary_features.tolist() == [3, 4]
    order = [4, 0, 3, 1, 2]
    permuted = paper_gnr(**QUICK, prior="low_sparsity").fit(X[:, order])
    assert permuted.net_.module_.auxiliary_features.tolist() == [0, 2]
    # The mask and the score are those of the whole row, and u alone is no row of one feature.
    assert imputer.predict_mask_proba(X).shape == X.shape
    assert np.isfinite(imputer.score(X))
    alone = paper_gnr(**QUICK, prior="low_sparsity").fit(X[:, :1])
    assert_array_equal(alone.transform(X[:, :1]), paper_gnr(**QUICK).fit_transform(X[:, :1]))


# Side information


def informed(n_rows=800, seed=0):
    """Columns that nothing tells anything of but two more columns that are not to be imputed."""
    rng = np.random.RandomState(seed)
    side = rng.normal(size=(n_rows, 2)) * [10.0, 0.1] + [100.0, 0.0]
    complete = (side - [100.0, 0.0]) / [10.0, 0.1] @ rng.normal(size=(2, 3))
    complete += 0.1 * rng.normal(size=(n_rows, 3))
    X = complete.copy()
    X[rng.uniform(size=(n_rows, 3)) < [0.6, 0.6, 0.6]] = np.nan
    return complete, X, side


@pytest.mark.parametrize("imputer_class", [GNRImputer, MIWAEImputer, NotMIWAEImputer])
def test_side_information_is_used(imputer_class):
    complete, X, side = informed()
    imputer = imputer_class(**QUICK | {"max_iter": 400, "learning_rate": 0.01})
    with_side = imputation_rmse(complete, imputer.fit_transform(X, side_info=side), np.isnan(X))
    without = imputation_rmse(complete, clone(imputer).fit_transform(X), np.isnan(X))
    assert with_side < 0.5 * without


@pytest.mark.parametrize("make", [paper_gnr, partial(GNRImputer, missing_direction="above")])
def test_every_method_takes_side_information(make):
    _, X, side = informed(60)
    imputer = make(**QUICK).fit(X, side_info=side)
    other = side + 5.0
    calls = {
        "transform": lambda **k: imputer.transform(X, **k),
        "score_samples": lambda **k: imputer.score_samples(X, **k),
        "score": lambda **k: np.array(imputer.score(X, **k)),
        "predict_mask_proba": lambda **k: imputer.predict_mask_proba(X, **k),
        "effective_sample_size": lambda **k: imputer.effective_sample_size(X, **k),
        "sample": lambda **k: imputer.sample(X, 2, random_state=0, **k),
    }
    for name, call in calls.items():
        assert (call(side_info=side) != call(side_info=other)).any(), name
        assert_array_equal(call(side_info=side.tolist()), call(side_info=pd.DataFrame(side)))
        with pytest.raises(ValueError, match="side_info must be given to all methods"):
            call()
    assert imputer.encode(X, side_info=side).shape == (60, 2)
    plain = make(**QUICK).fit(X)
    with pytest.raises(ValueError, match="it was not given to fit"):
        plain.transform(X, side_info=side)


def test_a_row_does_not_depend_on_its_neighbours():
    _, X, side = informed(60)
    imputer = paper_gnr(**QUICK, prior=MICEImputer()).fit(X, side_info=side)
    whole = imputer.transform(X, side_info=side)
    order = np.random.RandomState(1).permutation(60)[:17]
    np.testing.assert_allclose(imputer.transform(X[order], side_info=side[order]), whole[order])


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (np.zeros((59, 2)), "side_info must have 60 rows"),
        (np.full((60, 2), np.nan), "side_info must be a complete .*NaN"),
        (np.full((60, 2), np.inf), "side_info must be a complete .*infinity"),
        (np.zeros(60), "side_info must be a complete numeric"),
        (np.full((60, 1), "a"), "side_info must be a complete numeric"),
        (5, "side_info must be a complete numeric"),
        ([[1.0, 2.0], [3.0]], "side_info must be a complete numeric"),
        (np.zeros((60, 2, 1)), "side_info must be a complete numeric"),
    ],
)
def test_wrong_side_information(side, message):
    _, X, _ = informed(60)
    imputer = paper_gnr(**QUICK)
    with pytest.raises(ValueError, match=message):
        imputer.fit(X, side_info=side)
    assert not hasattr(imputer, "net_")
    fitted = imputer.fit(X, side_info=np.zeros((60, 2)))
    with pytest.raises(ValueError, match=message):
        fitted.transform(X, side_info=side)


def test_side_information_reaches_an_imputer_in_a_pipeline():
    complete, X, side = informed(80)
    y = complete.sum(axis=1)
    with sklearn.config_context(enable_metadata_routing=True):
        imputer = paper_gnr(**QUICK)
        imputer.set_fit_request(side_info=True).set_transform_request(side_info=True)
        pipeline = Pipeline([("impute", imputer), ("model", LinearRegression())])
        pipeline.fit(X, y, side_info=side)
        predicted = pipeline.predict(X, side_info=side)
    imputed = paper_gnr(**QUICK).fit(X, side_info=side).transform(X, side_info=side)
    expected = LinearRegression().fit(imputed, y).predict(imputed)
    np.testing.assert_allclose(predicted, expected)


@pytest.mark.parametrize(
    "prior", [RandomForestRegressor, MICEImputer, LogisticRegression(), KMeans(2)]
)
def test_priors_that_are_none_are_refused_before_training(prior):
    class Fail(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError("training has begun")

    with pytest.raises(TypeError, match="prior must be "):
        paper_gnr(**QUICK | {"callbacks": [Fail()]}, prior=prior).fit(table())


class RoundingImputer(MeanImputer):
    """Imputes in other units."""

    def transform(self, X):
        return super().transform(X) + 1e-15


def test_a_regressor_that_transforms_is_a_regressor():
    imputer = paper_gnr(**QUICK, prior=PLSRegression(1)).fit(table())
    assert isinstance(imputer.prior_, ChainedRegressions)


def test_a_prior_in_other_units_is_refused():
    prior = make_pipeline(StandardScaler(), SimpleImputer())
    with pytest.raises(ValueError, match=r"^prior must be an imputer that returns observed"):
        paper_gnr(**QUICK, prior=prior).fit(100.0 * table() + 1000.0)


def test_a_prior_may_err_by_rounding_whichever_rows_it_is_given():
    """Alone, a row has no standard deviation to measure rounding by."""
    X = table()
    X[0] = [0.0, np.nan, *X[0, 2:]]
    imputer = paper_gnr(**QUICK, prior=RoundingImputer()).fit(X)
    imputed = imputer.transform(X)
    np.testing.assert_allclose(imputer.transform(X[:1]), imputed[:1], rtol=1e-5)


@pytest.mark.parametrize("prior", [KNNImputer, SimpleImputer])
def test_priors_that_write_into_what_they_are_given(prior):
    """What was missing stays missing to the net."""
    X = table()
    params = QUICK | {"mask_model": "latent", "max_iter": 20}
    imputed, scores = [], []
    for copy in (True, False):
        imputer = GNRImputer(**params, prior=prior(copy=copy)).fit(X)
        imputed.append(imputer.transform(X))
        scores.append(imputer.score(X))
    assert_array_equal(*imputed)
    assert scores[0] == scores[1]


def test_parameters_of_a_regressor_are_checked_before_training(monkeypatch):
    monkeypatch.setattr(
        "gnr_sklearn._deep.DeepImputer._train", lambda *args: pytest.fail("trained")
    )
    with pytest.raises(ValueError, match="'alpha' parameter of Ridge must be"):
        GNRImputer(prior=Ridge(alpha=-1.0)).fit(table())


def test_side_information_reaches_the_scorer_of_a_search():
    X, side = table(90), np.random.RandomState(1).normal(size=(90, 1))
    with sklearn.config_context(enable_metadata_routing=True):
        imputer = MIWAEImputer(**QUICK | {"max_iter": 10})
        imputer.set_fit_request(side_info=True).set_transform_request(side_info=True)
        search = GridSearchCV(
            imputer,
            {"latent_dim": [1, 2]},
            scoring=make_masked_cell_scorer(),
            cv=2,
            error_score="raise",
        )
        search.fit(X, side_info=side)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    scorer = make_masked_cell_scorer()
    best = search.best_estimator_
    assert scorer(best, X, side_info=side) != scorer(best, X, side_info=side + 1.0)
    with pytest.raises(ValueError, match="side_info must be given to all methods"):
        scorer(best, X)


class Means(RegressorMixin, BaseEstimator):
    """A regressor of a user's own, which declares nothing of its parameters."""

    def fit(self, X, y):
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_a_regressor_of_ones_own():
    X = table(40)
    imputed = GNRImputer(**QUICK | {"max_iter": 5}, prior=Means()).fit_transform(X)
    assert np.isfinite(imputed).all()


def test_a_prior_that_is_frozen():
    X = table()
    settings = QUICK | {"random_state": 0, "mask_model": "latent", "decoder": "mlp"}
    of_mean = SimpleImputer(keep_empty_features=True).fit(X)
    frozen = GNRImputer(**settings, prior=FrozenEstimator(of_mean)).fit(X)
    assert_array_equal(frozen.prior_.transform(X), of_mean.transform(X))
    anew = GNRImputer(**settings, prior=SimpleImputer()).fit(X)
    assert_array_equal(frozen.transform(X), anew.transform(X))
