"""GNRImputer as its users meet it; what all imputers share is in test_contract.py."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit
from scipy.stats import norm
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, LRScheduler

from gnr_sklearn import GNRImputer
from gnr_sklearn.metrics import imputation_rmse, make_masked_cell_scorer
from gnr_sklearn.missingness import SelfMasking, ampute
from gnr_sklearn.nn.models import GNR
from tests.contract import SMALL_NET, make_data, paper_gnr

QUICK = SMALL_NET | {"max_iter": 40}


def factor_data(n_rows=600, noise=0.5, seed=0):
    """One factor behind five columns, and behind whether the first two are missing."""
    rng = np.random.RandomState(seed)
    z = rng.normal(size=(n_rows, 1))
    complete = z + noise * rng.normal(size=(n_rows, 5)) + np.array([10.0, -3.0, 0.0, 1.0, 5.0])
    X = complete.copy()
    X[:, :2][rng.uniform(size=(n_rows, 2)) < norm.cdf(4 * z)] = np.nan
    return complete, X


@pytest.fixture(scope="module")
def fitted():
    complete, X = factor_data()
    imputer = paper_gnr(
        latent_dim=1,
        decoder="linear",
        hidden_dims=32,
        max_iter=1500,
        learning_rate=5e-3,
        random_state=0,
    ).fit(X)
    return imputer, complete, X


def exact_posterior(imputer, row):
    """Moments under the fitted model, by numerical integration over its one latent."""
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float32)[:, None]
    module = imputer.net_.module_
    with torch.no_grad():
        mean, scale = (t.double().numpy() for t in module.data_decoder(grid))
        logits = module.mask_decoder(grid).double().numpy()
    observed = ~np.isnan(row)
    scaled = (row - imputer._units.center) / imputer._units.scale
    log_density = (
        norm.logpdf(scaled, mean, scale)[:, observed].sum(1)
        + log_expit(np.where(observed, logits, -logits)).sum(1)
        + norm.logpdf(grid.ravel().numpy())
    )
    weights = np.exp(log_density - log_density.max())
    evidence = log_density.max() + np.log(weights.sum() * 16 / 4000)
    weights /= weights.sum()
    return {
        "mean": weights @ mean * imputer._units.scale + imputer._units.center,
        "observed_proba": weights @ expit(logits),
        "log_likelihood": evidence - np.log(imputer._units.scale[observed]).sum(),
    }


def test_results_are_those_of_the_fitted_model_integrated_exactly(fitted):
    imputer, _, X = fitted
    rows = X[:40]
    imputed = imputer.transform(rows)
    proba = imputer.predict_mask_proba(rows)
    log_likelihood = imputer.score_samples(rows)
    for i, row in enumerate(rows):
        exact = exact_posterior(imputer, row)
        missing = np.isnan(row)
        np.testing.assert_allclose(imputed[i, missing], exact["mean"][missing], atol=0.02)
        np.testing.assert_allclose(proba[i], exact["observed_proba"], atol=0.01)
        assert log_likelihood[i] == pytest.approx(exact["log_likelihood"], abs=0.02)


def test_modelling_the_mask_pays_where_the_mask_tells_something(fitted):
    imputer, complete, X = fitted
    missing = np.isnan(X)
    ignoring = clone(imputer).set_params(alpha=0.0).fit(X)
    error = imputation_rmse(complete, imputer.transform(X), missing)
    error_ignoring = imputation_rmse(complete, ignoring.transform(X), missing)
    assert error < 0.95 * error_ignoring


def test_score_does_not_favour_a_small_alpha_by_construction(fitted):
    imputer, _, X = fitted
    score = imputer.score(X)
    other = clone(imputer).set_params(alpha=0.01, max_iter=1).fit(X)
    other.net_ = imputer.net_
    other._units = imputer._units
    other._noise_seed = imputer._noise_seed
    # The same model scores the same, whatever alpha it is said to have been trained with.
    assert other.score(X) == pytest.approx(score, rel=1e-6)
    # The objective of training does favour it.
    objectives = [
        clone(imputer).set_params(alpha=alpha, max_iter=200).fit(X).lower_bound_
        for alpha in (0.01, 1.0, 100.0)
    ]
    assert objectives[0] > objectives[1] > objectives[2]


def test_score_is_a_density_in_the_units_of_the_data(fitted):
    imputer, _, X = fitted
    factors = np.array([1.0, 10.0, 100.0, 0.1, 1e3])
    rescaled = clone(imputer).fit(X * factors)
    expected = imputer.score_samples(X) - (~np.isnan(X) * np.log(factors)).sum(1)
    np.testing.assert_allclose(rescaled.score_samples(X * factors), expected, atol=0.05)


def test_draws_have_the_moments_of_the_posterior(fitted):
    imputer, _, X = fitted
    rows = X[np.isnan(X).any(axis=1)][:20]
    draws = imputer.sample(rows, n_draws=400, random_state=0)
    assert draws.shape == (400, 20, 5)
    missing = np.isnan(rows)
    assert (draws[:, ~missing] == rows[~missing]).all()
    spread = draws[:, missing].std(axis=0)
    assert (spread > 0.1).all()
    z_scores = (draws[:, missing].mean(axis=0) - imputer.transform(rows)[missing]) / (
        spread / np.sqrt(400)
    )
    # Means of draws deviate from the imputation by Monte Carlo error only.
    assert np.abs(z_scores).max() < 4.5
    assert np.sqrt((z_scores**2).mean()) < 1.5


def test_draws_are_reproducible_and_differ_between_rows(fitted):
    imputer, _, _ = fitted
    rows = np.full((2, 5), np.nan)
    first = imputer.sample(rows, n_draws=3, random_state=1)
    np.testing.assert_array_equal(first, imputer.sample(rows, n_draws=3, random_state=1))
    assert not np.array_equal(first, imputer.sample(rows, n_draws=3, random_state=2))
    assert not np.array_equal(imputer.sample(rows, n_draws=3), imputer.sample(rows, n_draws=3))
    # Rows that are alike have the same imputation, but draws of their own.
    np.testing.assert_array_equal(*imputer.transform(rows))
    assert (first[:, 0] != first[:, 1]).all()


@pytest.mark.parametrize("n_draws", [0, -1, 2.5, "3"])
def test_wrong_number_of_draws(fitted, n_draws):
    imputer, _, X = fitted
    with pytest.raises(ValueError, match="n_draws must be an int of at least 1"):
        imputer.sample(X, n_draws=n_draws)


def test_a_row_has_the_same_bits_in_any_company(fitted):
    imputer, _, X = fitted
    rows = X[:50]
    order = np.random.RandomState(0).permutation(50)
    for method in (imputer.transform, imputer.score_samples, imputer.predict_mask_proba):
        together = method(rows)
        np.testing.assert_array_equal(method(rows[order]), together[order])
        np.testing.assert_array_equal(method(rows[7:8]), together[7:8])


@pytest.mark.parametrize("n_threads", [3, 5, 6])
def test_a_row_has_the_same_values_in_any_company_with_several_threads(fitted, n_threads):
    imputer, _, X = fitted
    rows = X[:50]
    order = np.random.RandomState(0).permutation(50)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        together = imputer.transform(rows)
        np.testing.assert_allclose(imputer.transform(rows[order]), together[order], atol=1e-5)
        np.testing.assert_allclose(imputer.transform(rows[7:8]), together[7:8], atol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_mask_probabilities_do_not_exceed_1_by_rounding(fitted):
    certain = copy.deepcopy(fitted[0])
    with torch.no_grad():
        certain.net_.module_.mask_decoder[-1].bias += 100.0
    assert (certain.predict_mask_proba(fitted[2]) == 1).any()
    assert (certain.predict_mask_proba(fitted[2]) <= 1).all()


def test_encode_gives_the_posterior_mean_of_q(fitted):
    imputer, complete, X = fitted
    z = imputer.encode(X)
    assert z.shape == (600, 1)
    # The factor is found, up to its sign.
    assert abs(np.corrcoef(z[:, 0], complete.mean(axis=1))[0, 1]) > 0.9


def test_attributes_after_fit(fitted):
    imputer, _, _ = fitted
    assert imputer.latent_dim_ == 1
    assert imputer.alpha_ == 1.0
    assert imputer.n_iter_ == sum(len(epoch["batches"]) for epoch in imputer.history_[:]) - len(
        imputer.history_
    )
    excess = -imputer.lower_bound_ - min(imputer.history_[:, "valid_loss"])
    assert 0 <= excess <= imputer.tol
    assert imputer.net_.history is imputer.history_


@pytest.mark.parametrize(("n_features", "expected"), [(1, 1), (2, 1), (5, 4)])
def test_default_latent_size(n_features, expected):
    X = np.random.RandomState(0).normal(size=(30, n_features))
    assert paper_gnr(**QUICK).fit(X).latent_dim_ == expected


@pytest.mark.parametrize("observation_scale", ["shared", "feature", "heteroscedastic"])
@pytest.mark.parametrize("decoder", ["mlp", "linear"])
@pytest.mark.parametrize("scaling", ["observed", None])
def test_every_configuration_imputes_and_draws(observation_scale, decoder, scaling):
    _, X = factor_data(60)
    imputer = paper_gnr(
        observation_scale=observation_scale, decoder=decoder, scaling=scaling, **QUICK
    ).fit(X)
    assert np.isfinite(imputer.transform(X)).all()
    assert np.isfinite(imputer.sample(X, 2, random_state=0)).all()
    assert np.isfinite(imputer.score(X))


def test_without_scaling_the_data_are_taken_as_they_are():
    _, X = factor_data(60)
    imputer = paper_gnr(scaling=None, **QUICK).fit(X)
    assert (imputer._units.center == 0).all()
    assert (imputer._units.scale == 1).all()


def test_bounds_hold_for_imputed_values_only():
    _, X = factor_data(60)
    lowest, highest = np.array([10.5, -np.inf, -1, -1, -1]), 11.0
    imputer = paper_gnr(min_value=lowest, max_value=highest, **QUICK).fit(X)
    missing = np.isnan(X)
    for imputed in [imputer.transform(X), *imputer.sample(X, 2, random_state=0)]:
        assert (imputed[:, 0][missing[:, 0]] >= 10.5).all()
        assert (imputed[missing] <= 11.0).all()
        np.testing.assert_array_equal(imputed[~missing], X[~missing])
    assert (X[~missing[:, 0], 0] < 10.5).any()


def test_early_stopping_takes_fewer_steps():
    _, X = factor_data(200)
    quick = QUICK | {"max_iter": 3000, "learning_rate": 0.02}
    stopped = paper_gnr(n_iter_no_change=100, **quick).fit(X)
    assert stopped.n_iter_ < 3000
    assert stopped.n_iter_ % 100 == 0


@pytest.mark.parametrize(("n_rows", "early_stopping"), [(19, True), (60, False)])
def test_training_without_held_out_rows(n_rows, early_stopping):
    _, X = factor_data(n_rows)
    imputer = paper_gnr(early_stopping=early_stopping, **QUICK).fit(X)
    assert imputer.n_iter_ == 40
    assert "valid_loss" not in imputer.history_[-1]
    assert imputer.lower_bound_ == -imputer.history_[-1, "train_loss"]


@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_callback_may_end_training_at_once(early_stopping):
    class Stop(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    _, X = factor_data(60)
    imputer = paper_gnr(callbacks=[Stop()], early_stopping=early_stopping, **QUICK).fit(X)
    assert imputer.n_iter_ == 1
    assert np.isnan(imputer.lower_bound_)
    assert np.isfinite(imputer.transform(X)).all()


def test_lower_bound_is_that_of_the_parameters_kept():
    _, X = factor_data(300)
    quick = QUICK | {"max_iter": 1500, "learning_rate": 0.01}
    imputer = paper_gnr(tol=1.0, **quick).fit(X)
    losses = imputer.history_[:, "valid_loss"]
    assert -imputer.lower_bound_ in losses
    assert -imputer.lower_bound_ > min(losses)


def test_nearly_all_rows_may_be_held_out():
    _, X = factor_data(60)
    assert paper_gnr(validation_fraction=0.999, **QUICK).fit(X).n_iter_ == 40


def test_large_values_need_scaling():
    _, X = factor_data(60)
    with pytest.raises(ValueError, match="scaling must be 'observed' for data as large as these"):
        paper_gnr(scaling=None, **QUICK).fit(X * 1e7)


def test_skorch_callbacks_and_net_params_reach_the_net():
    class Count(Callback):
        epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    counter = Count()
    _, X = factor_data(60)
    imputer = paper_gnr(
        callbacks=[counter],
        net_params={"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.3},
        **QUICK | {"max_iter": 250},
    ).fit(X)
    assert counter.epochs == 3
    assert isinstance(imputer.net_.optimizer_, torch.optim.AdamW)
    assert imputer.net_.optimizer_.defaults["weight_decay"] == 0.3


def test_progress_bar_under_verbose(capsys):
    _, X = factor_data(60)
    paper_gnr(**QUICK).fit(X)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    paper_gnr(verbose=1, **QUICK).fit(X)
    captured = capsys.readouterr()
    assert "GNRImputer" in captured.err
    assert "40/40" in captured.err
    assert captured.out == ""
    paper_gnr(verbose=2, **QUICK).fit(X)
    assert "train_loss" in capsys.readouterr().out


def test_ctrl_c_leaves_an_earlier_fit_as_it_was():
    class Interrupt(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            # Outside of skorch's hooks, where a callback might mean to end training.
            net.criterion_.forward = interrupt

    def interrupt(terms):
        raise KeyboardInterrupt

    _, X = factor_data(60)
    imputer = paper_gnr(**QUICK).fit(X)
    before = imputer.transform(X)
    imputer.set_params(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        imputer.fit(X[:30, :4])
    assert imputer.n_features_in_ == 5
    np.testing.assert_array_equal(imputer.transform(X), before)


def test_a_loss_that_is_not_finite_says_what_to_change():
    _, X = factor_data(60)
    imputer = paper_gnr(**QUICK | {"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"loss became .* Lower learning_rate"):
        imputer.fit(X)
    assert not hasattr(imputer, "net_")


@pytest.mark.parametrize("make", [paper_gnr, GNRImputer])
def test_observed_values_far_out_do_not_lead_to_nan(make):
    _, X = factor_data(60)
    imputer = make(**QUICK).fit(X)
    far = np.array([[np.nan, 1e300, -1e300, 0.0, np.nan], [np.nan, np.nan, 1e20, 1e9, -1e30]])
    for result in (
        imputer.transform(far),
        imputer.sample(far, 2, random_state=0),
        imputer.score_samples(far),
        imputer.predict_mask_proba(far),
        imputer.encode(far),
    ):
        assert np.isfinite(result).all()


def test_columns_without_observed_values():
    _, X = factor_data(60)
    X[:, 1] = np.nan
    imputer = paper_gnr(keep_empty_features=True, **QUICK).fit(X)
    assert imputer.latent_dim_ == 3
    assert imputer.predict_mask_proba(X).shape == (60, 5)
    assert (imputer.predict_mask_proba(X)[:, 1] == 0).all()
    assert imputer.sample(X, 2, random_state=0).shape == (2, 60, 5)
    assert (imputer.transform(X)[:, 1] == 0).all()
    dropping = paper_gnr(add_indicator=True, **QUICK).fit(X)
    # Four columns kept, and indicators of the two that had missing values.
    assert dropping.sample(X, 2, random_state=0).shape == (2, 60, 6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": -1}, "'alpha' parameter of GNRImputer must be"),
        ({"alpha": "other"}, "'alpha' parameter of GNRImputer must be"),
        ({"alpha": np.nan}, "'alpha' parameter of GNRImputer must be"),
        ({"latent_dim": 0}, "'latent_dim' parameter of GNRImputer must be"),
        ({"decoder": "quadratic"}, "'decoder' parameter of GNRImputer must be"),
        ({"observation_scale": "none"}, "'observation_scale' parameter of GNRImputer must be"),
        ({"scaling": "complete"}, "'scaling' parameter of GNRImputer must be"),
        ({"learning_rate": 0}, "'learning_rate' parameter of GNRImputer must be"),
        ({"hidden_dims": (16, 0)}, "hidden_dims must be an int or a non-empty sequence"),
        ({"hidden_dims": (16, 2.5)}, "hidden_dims must be an int or a non-empty sequence"),
        ({"hidden_dims": ()}, "hidden_dims must be an int or a non-empty sequence"),
        ({"min_value": [1, 2]}, "min_value must be None, a number, or an array of 5"),
        ({"max_value": [1, 2, 3, 4, np.nan]}, "max_value must be None, a number, or an array"),
        ({"min_value": 2, "max_value": 1}, "min_value must not exceed max_value"),
        ({"net_params": {"no_such_option": 1}}, "net_params must hold .*no_such_option"),
        ({"net_params": {"optimizer__other": 1}}, "net_params must hold .*optimizer__other"),
        ({"net_params": {"criterion__alpha": 2.0}}, "must not hold 'criterion__alpha'"),
        ({"net_params": {"module__latent_dim": 2}}, "must not hold 'module__latent_dim'"),
        ({"net_params": {"train_split": None}}, "must not hold 'train_split'"),
        ({"net_params": {"lr": 0.1}}, "must not hold 'lr'"),
        ({"latent_dim": 30_000}, "latent_dim must be at most"),
        ({"callbacks": [3]}, "callbacks must be a list of skorch callbacks"),
    ],
)
def test_wrong_parameters_are_named_before_training(params, message):
    class Fail(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError("training has begun")

    _, X = factor_data(60)
    imputer = paper_gnr(**QUICK | {"callbacks": [Fail()]} | params)
    with pytest.raises(ValueError, match=message):
        imputer.fit(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_dims": ()}, "hidden_dims must be an int"),
        ({"min_value": 2, "max_value": 1}, "min_value must not exceed max_value"),
        ({"net_params": {"lr": 0.1}}, "must not hold 'lr'"),
        ({"latent_dim": 30_000}, "latent_dim must be at most"),
        ({"callbacks": [3]}, "callbacks must be a list of skorch callbacks"),
        ({"device": "gpu"}, "'device' parameter of GNRImputer must be"),
        ({"side_info": [3.0]}, "side_info must be a complete numeric"),
    ],
)
def test_wrong_parameters_are_named_before_a_direction_is_chosen(params, message, monkeypatch):
    def train(self, *args):
        raise AssertionError("training has begun")

    monkeypatch.setattr(GNRImputer, "_train", train)
    _, X = factor_data(60)
    side_info = params.get("side_info")
    imputer = GNRImputer(**QUICK | {k: v for k, v in params.items() if k != "side_info"})
    with pytest.raises(ValueError, match=message):
        imputer.fit(X, side_info=side_info)


def test_callbacks_are_for_the_model_itself_not_for_those_a_direction_is_chosen_by():
    class Watch(Callback):
        def __init__(self, imputer):
            self.imputer = imputer
            self.steps = []

        def on_epoch_end(self, net, **kwargs):
            self.steps.append(net.n_steps)

    _, X = factor_data(60)
    imputer = GNRImputer(
        **QUICK | {"max_iter": 150},
        prior=None,
        early_stopping=True,
        net_params={"callbacks__early_stopping__patience": 7},
    )
    # It refers to the imputer, which must be copied neither by it nor with it.
    watch = Watch(imputer)
    imputer.set_params(callbacks=[("watch", watch)]).fit(X)
    assert watch.steps == [100, 150]
    assert dict(imputer.net_.callbacks_)["early_stopping"].patience == 7


def test_hardly_any_of_many_rows_has_a_value():
    X = np.full((5000, 3), np.nan)
    X[0, 1], X[1, 0] = 2.5, 1.0
    X_imputed = GNRImputer(**QUICK).fit_transform(X)
    assert X_imputed.shape == (5000, 2)
    assert np.isfinite(X_imputed).all()


def test_what_an_earlier_fit_found_of_the_process_is_forgotten():
    _, X = factor_data(60)
    imputer = GNRImputer(**QUICK, prior=None, missing_direction="above").fit(X)
    assert (imputer.missing_slope_[:2] > 0).all()
    imputer.set_params(mask_model="latent").fit(X)
    assert imputer.missing_direction_ is None
    assert imputer.missing_slope_ is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_without_a_gpu():
    _, X = factor_data(60)
    with pytest.raises(ValueError, match="device must be 'cpu' or 'auto'"):
        paper_gnr(device="cuda", **QUICK).fit(X)
    auto = paper_gnr(device="auto", **QUICK).fit(X)
    np.testing.assert_array_equal(auto.transform(X), paper_gnr(**QUICK).fit_transform(X))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree():
    complete, X = factor_data()
    params = QUICK | {"max_iter": 300}
    on_gpu = paper_gnr(device="cuda", **params).fit(X)
    on_cpu = paper_gnr(**params).fit(X)
    missing = np.isnan(X)
    errors = [imputation_rmse(complete, m.transform(X), missing) for m in (on_gpu, on_cpu)]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
    assert on_gpu.sample(X, 2, random_state=0).shape == (2, *X.shape)


@pytest.fixture(scope="module")
def wine():
    complete, target = load_wine(return_X_y=True)
    return complete, ampute(complete, SelfMasking(0.8), random_state=0), target


def test_grid_search_over_a_pipeline(wine):
    _, X, target = wine
    pipeline = Pipeline(
        [
            ("impute", paper_gnr(**QUICK)),
            ("scale", StandardScaler()),
            ("model", LogisticRegression()),
        ]
    )
    grid = {"impute__alpha": [0.01, 1, 100], "impute__latent_dim": [2, 5]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, target)
    assert search.best_params_ in list(search.cv_results_["params"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # Guessing the largest class would be right for 40%.
    assert search.best_score_ > 0.8
    assert (
        search.best_estimator_.named_steps["impute"].alpha_
        == (search.best_params_["impute__alpha"])
    )


def test_grid_search_over_a_regression_pipeline():
    complete, target = load_diabetes(return_X_y=True)
    X = ampute(complete, SelfMasking(1.0), random_state=0)
    pipeline = Pipeline([("impute", paper_gnr(**QUICK)), ("model", Ridge(alpha=0.1))])
    grid = {"impute__alpha": [0.01, 1, 100], "impute__latent_dim": [2, 5]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, target)
    assert search.best_score_ > 0.2


def test_grid_search_by_masked_cells(wine):
    _, X, _ = wine
    scorer = make_masked_cell_scorer(fraction=0.2, random_state=0)
    imputer = paper_gnr(**QUICK | {"learning_rate": 0.01, "max_iter": 200})
    search = GridSearchCV(imputer, {"alpha": [1.0, 1e6], "latent_dim": [2, 5]}, scoring=scorer)
    search.fit(X)
    # With a mask term that drowns the data term nothing is learned of the data.
    assert search.best_params_["alpha"] == 1.0


def test_grid_search_by_the_bound():
    _, X = factor_data()
    imputer = paper_gnr(**QUICK | {"learning_rate": 0.01, "max_iter": 400, "latent_dim": 1})
    search = GridSearchCV(imputer, {"alpha": [1e-3, 1.0]}, cv=2).fit(X)
    assert search.best_params_["alpha"] == 1.0


MEMORY_SCRIPT = """
import resource, sys
import numpy as np
from gnr_sklearn import GNRImputer

X = np.random.RandomState(0).normal(size=(3_000, 20))
X[np.random.RandomState(1).uniform(size=X.shape) < 0.3] = np.nan
params = {"hidden_dims": 8, "latent_dim": 2, "max_iter": 2, "n_imputation_samples": 1000}
told = {"prior": None, "missing_direction": "above"}
imputer = GNRImputer(decoder="linear", **told, **params, random_state=0)
imputer.fit(X).transform(X[:50])
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
imputer.transform(X)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)
"""


def test_transform_streams_in_chunks():
    """Without chunks, one array of 1000 x 3000 x 20 samples would take 240 MB."""
    pytest.importorskip("resource")
    result = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT], check=True, capture_output=True, text=True
    )
    assert int(result.stdout) < 50e6


def test_effective_sample_size(fitted):
    imputer, _, X = fitted
    size = imputer.effective_sample_size(X[:50])
    assert size.shape == (50,)
    assert (size >= 1).all()
    assert (size <= imputer.n_imputation_samples * (1 + 1e-9)).all()
    # With one feature more known, the posterior is narrower than what the encoder proposes; but
    # the rounds adapt to it, and no row is left with a handful of samples.
    assert size.min() > 20
    one = copy.copy(imputer).set_params(n_imputation_samples=1)
    np.testing.assert_array_equal(one.effective_sample_size(X[:5]), 1.0)


def test_samples_suffice_with_a_large_alpha(fitted):
    imputer, _, X = fitted
    strong = clone(imputer).set_params(alpha=100.0, max_iter=200).fit(X)
    assert np.median(strong.effective_sample_size(X[:50])) > 20


def test_precision():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(100, 1)) + 0.3 * rng.normal(size=(100, 4))
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    # Wide enough for bfloat16 to make a difference, and trained to the end.
    params = {
        "hidden_dims": 32,
        "latent_dim": 1,
        "max_iter": 200,
        "n_importance_samples": 5,
        "early_stopping": False,
    }
    results = {
        precision: paper_gnr(precision=precision, random_state=0, **params).fit(X)
        for precision in ("float32", "bfloat16")
    }
    low, full = results["bfloat16"], results["float32"]
    assert not np.array_equal(low.transform(X), full.transform(X))
    # Parameters, bound and imputation are in float32.
    assert {p.dtype for p in low.net_.module_.parameters()} == {torch.float32}

    def of_samples(samples, part):
        tensors = [samples.log_w, samples.mask_logits, *samples.x_given_z]
        assert {tensor.dtype for tensor in tensors} == {torch.float32}
        return samples.log_w.sum(0)

    low._map_samples(of_samples, low._rows(X[:3], np.empty((3, 0))))
    assert low.score(X) == pytest.approx(full.score(X), abs=0.1)
    difference = low.transform(X) - full.transform(X)
    assert np.sqrt(np.mean(difference[np.isnan(X)] ** 2)) < 0.1
    again = clone(low).fit(X)
    np.testing.assert_array_equal(again.transform(X), low.transform(X))


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_automatic_precision_follows_the_processor(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    imputer = paper_gnr(**QUICK | {"max_iter": 1, "hidden_dims": 128, "n_importance_samples": 200})
    X = make_data(130)
    assert imputer.fit(X).net_.precision == expected
    assert imputer.set_params(precision="float32").fit(X).net_.precision == "float32"
    # Where there is little to compute it does not pay.
    imputer.set_params(precision="auto")
    assert imputer.fit(X[:20]).net_.precision == "float32"
    assert imputer.set_params(n_importance_samples=5).fit(X).net_.precision == "float32"


def test_automatic_precision_without_knowing_the_processor(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    X = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, 1.0]])
    imputer = paper_gnr(**QUICK | {"max_iter": 1}).fit(X)
    assert imputer.net_.precision == "float32"


@pytest.mark.parametrize("pair", [True, False])
def test_schedule_of_ones_own(pair):
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    schedule = LRScheduler("StepLR", step_size=1, gamma=0.5)
    callbacks = [("learning_rate_schedule", schedule) if pair else schedule]
    params = QUICK | {"max_iter": 300, "learning_rate": 0.01, "early_stopping": False}
    imputer = paper_gnr(**params, callbacks=callbacks).fit(X)
    assert imputer.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.01 * 0.5**3)


@pytest.mark.parametrize("how", ["foreach", "fused"])
def test_another_form_of_adam(how):
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    net_params = {f"optimizer__{how}": how != "fused"}
    imputer = paper_gnr(**QUICK, net_params=net_params).fit(X)
    assert not imputer.net_.optimizer_.param_groups[0]["fused"]


def test_many_dimensions_take_little_memory():
    X = np.random.RandomState(0).normal(size=(25, 400))
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.3] = np.nan
    imputer = paper_gnr(**QUICK | {"max_iter": 2, "n_imputation_samples": 160}).fit(X)
    rounds = imputer._shared_noise()(1)
    assert [len(noise) for noise in rounds] == [160]
    assert np.isfinite(imputer.transform(X)).all()


def test_learning_rate_schedule():
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    params = QUICK | {"max_iter": 150, "learning_rate": 0.01, "early_stopping": False}
    falling = paper_gnr(**params).fit(X)
    rates = [batch["event_lr"] for epoch in falling.history_ for batch in epoch["batches"]]
    steps = np.arange(150)
    np.testing.assert_allclose(rates, 0.005 * (1 + np.cos(np.pi * steps / 150)), rtol=1e-6)
    constant = paper_gnr(**params, learning_rate_schedule="constant").fit(X)
    assert constant.net_.optimizer_.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize(
    ("name", "value"), [("precision", "float16"), ("learning_rate_schedule", "linear")]
)
def test_wrong_names(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of GNRImputer must be a str among"):
        paper_gnr(**{name: value}).fit(np.array([[1.0, np.nan], [2.0, 3.0]]))


def test_another_optimizer():
    """Adam's fused form is for Adam alone."""
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    imputer = paper_gnr(**QUICK, net_params={"optimizer": torch.optim.RMSprop})
    assert isinstance(imputer.fit(X).net_.optimizer_, torch.optim.RMSprop)
    assert paper_gnr(**QUICK).fit(X).net_.optimizer_.param_groups[0]["fused"]
    decaying = paper_gnr(**QUICK, net_params={"optimizer": torch.optim.AdamW}).fit(X)
    assert decaying.net_.optimizer_.param_groups[0]["fused"]


def test_compiled_net_imputes_uncompiled(monkeypatch):
    """What ``torch.compile`` returns is called in training, and not for the shapes of imputing."""
    calls = []

    class Compiled(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self._orig_mod = module
            self.noise_dim = getattr(module, "noise_dim", None)  # the criterion has none

        def forward(self, *args, **kwargs):
            calls.append(type(self._orig_mod))
            return self._orig_mod(*args, **kwargs)

    monkeypatch.setattr(torch, "compile", lambda module, **params: Compiled(module))
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[::3, 0] = np.nan
    compiled = paper_gnr(**QUICK | {"max_iter": 3}, net_params={"compile": True}).fit(X)
    assert GNR in calls
    calls.clear()
    plain = paper_gnr(**QUICK | {"max_iter": 3}).fit(X)
    np.testing.assert_array_equal(compiled.transform(X), plain.transform(X))
    np.testing.assert_array_equal(compiled.encode(X), plain.encode(X))
    assert not calls
