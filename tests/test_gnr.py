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
from sklearn.ensemble import RandomForestRegressor

from gnr_sklearn import GNRImputer
from gnr_sklearn.metrics import imputation_rmse
from tests.contract import QUICK, paper_gnr
from tests.small_models import factor_data


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
    rows = X[:16]
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
    with pytest.raises((TypeError, ValueError), match="n_draws must be"):
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


def test_hardly_any_of_many_rows_has_a_value():
    X = np.full((5000, 3), np.nan)
    X[0, 1], X[1, 0] = 2.5, 1.0
    X_imputed = GNRImputer(**QUICK).fit_transform(X)
    assert X_imputed.shape == (5000, 2)
    assert np.isfinite(X_imputed).all()


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


def test_many_dimensions_take_little_memory():
    X = np.random.RandomState(0).normal(size=(25, 400))
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.3] = np.nan
    imputer = paper_gnr(
        **QUICK | {"max_iter": 2, "n_imputation_samples": 160, "latent_dim": 399}
    ).fit(X)
    rounds = imputer._shared_noise()(1)
    assert [len(noise) for noise in rounds] == [160]
    assert np.isfinite(imputer.transform(X)).all()


@pytest.mark.parametrize(
    ("n_samples", "latent_dim", "sizes"),
    [
        (1, 2, [1]),
        (47, 2, [47]),
        (48, 2, [24, 24]),
        (97, 2, [33, 33, 31]),
        (160, 2, [40, 40, 40, 40]),
        (1000, 2, [250, 250, 250, 250]),
        (160, 45, [80, 80]),  # 58 are needed to tell what is affine in so many dimensions
    ],
)
def test_samples_come_in_rounds_of_much_the_same_size(fitted, n_samples, latent_dim, sizes):
    _, _, X = fitted
    params = {"n_imputation_samples": n_samples, "latent_dim": latent_dim, "max_iter": 1}
    rounds = paper_gnr(**QUICK | params).fit(X)._shared_noise()(1)
    assert [len(noise) for noise in rounds] == sizes


def test_forests_see_a_part_of_wide_tables(monkeypatch):
    monkeypatch.setattr("gnr_sklearn.gnr.MAX_PREDICTORS", 2)
    monkeypatch.setattr("gnr_sklearn.gnr.ROWS_FOR_REGRESSIONS", 100)
    monkeypatch.setattr("gnr_sklearn.gnr.MIN_ROWS_FOR_FORESTS", 30)
    _, X = factor_data(150)
    seen = []
    for prior, n_features in (
        ("forest", 5),
        ("forest", 2),
        (RandomForestRegressor(30, oob_score=True), 5),
    ):
        imputer = GNRImputer(**QUICK, prior=prior, missing_direction="above")
        imputer.fit(X[:, :n_features])
        regressor = imputer.prior_.rounds_[0][0].regressor
        seen.append((len(regressor.oob_prediction_), regressor.n_features_in_))
    # Of five columns, 100 * 2 / 5 rows.
    assert seen == [(40, 2), (100, 1), (100, 4)]
