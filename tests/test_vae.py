"""MIWAE, not-MIWAE and PSMVAE as their users meet them; see test_contract.py for what all share."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from scipy.stats import kstest, multivariate_normal

from gnr_sklearn import MIWAEImputer, NotMIWAEImputer, PSMVAEImputer
from gnr_sklearn.metrics import imputation_rmse
from gnr_sklearn.nn.likelihoods import StudentT
from tests.contract import QUICK, paper_gnr


def selected_data(n_rows, seed=0, slope=3.0):
    """One factor behind two columns; large values of the first are more likely missing."""
    rng = np.random.RandomState(seed)
    loading, mean, noise = np.array([1.0, 0.8]), np.array([2.0, -1.0]), 0.6
    z = rng.normal(size=(n_rows, 1))
    complete = z * loading + mean + noise * rng.normal(size=(n_rows, 2))
    X = complete.copy()
    X[rng.uniform(size=n_rows) < expit(slope * (complete[:, 0] - mean[0])), 0] = np.nan
    return complete, X, {"loading": loading, "mean": mean, "noise": noise}


def linear_parameters(imputer):
    """Loading, mean and noise of p(x | z), by the sign convention that loadings are positive."""
    decoder = imputer.net_.module_.data_decoder
    layer = decoder.network[0]
    loading = layer.weight.detach().numpy()[:, 0]
    with torch.no_grad():
        noise = decoder(torch.zeros(1, 1)).scale.item()
    return {
        "loading": loading * np.sign(loading[0]),
        "mean": layer.bias.detach().numpy(),
        "noise": noise,
    }


LINEAR = {
    "decoder": "linear",
    "latent_dim": 1,
    "hidden_dims": 32,
    "scaling": None,
    "max_iter": 3000,
    "batch_size": 512,
    "learning_rate": 0.02,
    "early_stopping": False,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def selected():
    return selected_data(20_000)


def test_not_miwae_recovers_what_selection_hides(selected):
    complete, X, truth = selected
    imputer = NotMIWAEImputer(**LINEAR, missing_process="self_masking_known").fit(X)
    found = linear_parameters(imputer)
    for name, value in truth.items():
        np.testing.assert_allclose(found[name], value, rtol=0.05, err_msg=name)
    process = imputer.net_.module_.missing_process
    with torch.no_grad():
        log_odds = process(torch.tensor([[1.0, -1.0], [2.0, -1.0], [3.0, -1.0]]))[:, 0]
    np.testing.assert_allclose(log_odds, [3.0, 0.0, -3.0], atol=0.4)
    draws = imputer.sample(X[:2000], 5, random_state=0)[:, :, 0]
    assert draws.mean() == pytest.approx(complete[:2000, 0].mean(), abs=0.04)


def test_miwae_stays_biased_by_selection(selected):
    _, X, truth = selected
    found = linear_parameters(MIWAEImputer(**LINEAR).fit(X))
    # What is always observed is not biased.
    assert found["mean"][1] == pytest.approx(truth["mean"][1], rel=0.05)
    assert found["mean"][0] < 0.85 * truth["mean"][0]
    assert found["loading"][0] < 0.85 * truth["loading"][0]


def test_miwae_is_factor_analysis_where_values_are_missing_at_random():
    """The score is the exact likelihood, and imputations are conditional means."""
    rng = np.random.RandomState(0)
    complete, _, _ = selected_data(500)
    X = complete.copy()
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    imputer = MIWAEImputer(**LINEAR | {"max_iter": 400, "scaling": "observed"}).fit(X)
    found = linear_parameters(imputer)
    center, scale = imputer._units.center, imputer._units.scale
    loading = (found["loading"] * scale)[:, None]
    mean = found["mean"] * scale + center
    covariance = loading @ loading.T + np.diag((found["noise"] * scale) ** 2)
    bounds, imputed = np.zeros(50), X[:50].copy()
    for i, row in enumerate(X[:50]):
        observed = ~np.isnan(row)
        if observed.any():
            inner = covariance[np.ix_(observed, observed)]
            bounds[i] = multivariate_normal.logpdf(row[observed], mean[observed], inner)
        gain = covariance[np.ix_(~observed, observed)] @ np.linalg.pinv(
            covariance[np.ix_(observed, observed)]
        )
        imputed[i, ~observed] = mean[~observed] + gain @ (row - mean)[observed]
    np.testing.assert_allclose(imputer.transform(X[:50]), imputed, atol=0.02)
    np.testing.assert_allclose(imputer.score_samples(X[:50]), bounds, atol=0.05)


@pytest.mark.parametrize("decoder", ["mlp", "linear"])
@pytest.mark.parametrize("encoder", ["zero", "permutation_invariant"])
def test_gnr_without_weight_on_the_mask_is_miwae(decoder, encoder):
    """The paper's claim at the limit of alpha."""
    _, X, _ = selected_data(200)
    params = QUICK | {"decoder": decoder, "encoder": encoder}
    miwae = MIWAEImputer(**params).fit(X)
    limit, close, far = (paper_gnr(**params, alpha=a).fit(X) for a in (0.0, 1e-6, 1.0))
    np.testing.assert_array_equal(limit.transform(X), miwae.transform(X))
    np.testing.assert_array_equal(
        limit.sample(X, 3, random_state=1), miwae.sample(X, 3, random_state=1)
    )
    np.testing.assert_allclose(close.transform(X), miwae.transform(X), atol=1e-3)
    assert np.abs(far.transform(X) - miwae.transform(X)).max() > 0.01


def test_miwae_has_no_model_of_the_mask():
    assert not hasattr(MIWAEImputer(), "predict_mask_proba")
    assert hasattr(NotMIWAEImputer(), "predict_mask_proba")


def test_student_t_likelihood_resists_outliers():
    rng = np.random.RandomState(0)
    complete, _, truth = selected_data(1500)
    complete[rng.uniform(size=complete.shape) < 0.03] += 30.0
    X = complete.copy()
    X[rng.uniform(size=1500) < 0.3, 0] = np.nan
    found = {}
    for likelihood in ("gaussian", "student_t"):
        params = LINEAR | {"max_iter": 800, "batch_size": 128}
        imputer = MIWAEImputer(**params, likelihood=likelihood).fit(X)
        found[likelihood] = linear_parameters(imputer)
        assert np.isfinite(imputer.transform(X[:100])).all()
    errors = {name: np.abs(each["mean"] - truth["mean"]).max() for name, each in found.items()}
    assert errors["student_t"] < 0.1 < 0.2 < errors["gaussian"]
    assert found["student_t"]["noise"] < 0.8 < 1.2 < found["gaussian"]["noise"]


def test_student_t_draws_come_from_its_distribution():
    X = np.random.RandomState(0).normal(size=(3000, 2))
    X[::2, 0] = np.nan
    imputer = MIWAEImputer(**QUICK | {"max_iter": 5}, likelihood="student_t", scaling=None)
    imputer.fit(X)
    # A decoder that does not depend on z.
    with torch.no_grad():
        for parameter in imputer.net_.module_.data_decoder.network.parameters():
            parameter.zero_()
        of = imputer.net_.module_.data_decoder(torch.zeros(1, 1))
    assert isinstance(of, StudentT)
    draws = imputer.sample(X, 1, random_state=0)[0][::2, 0] / of.scale.item()
    assert kstest(draws, "t", args=(of.degrees_of_freedom.item(),)).pvalue > 1e-3


@pytest.mark.parametrize("imputer_class", [NotMIWAEImputer, PSMVAEImputer])
def test_draws_of_a_cell_are_all_different(imputer_class):
    """Though the weights of samples that hold missing values gather on few of them."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(40, 1)) + 0.3 * rng.normal(size=(40, 12))
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    imputer = imputer_class(**QUICK).fit(X)
    draws = imputer.sample(X, 20, random_state=0)[:, np.isnan(X)]
    assert all(len(np.unique(cell)) == 20 for cell in draws.T)


def test_a_default_device_of_torch_does_not_matter():
    _, X, _ = selected_data(40)
    expected = NotMIWAEImputer(**QUICK).fit_transform(X)
    torch.set_default_device("meta")
    try:
        imputed = NotMIWAEImputer(**QUICK).fit_transform(X)
    finally:
        torch.set_default_device("cpu")
    np.testing.assert_array_equal(imputed, expected)


def test_many_columns():
    """More than there are dimensions of quasi-random numbers for z and missing values."""
    X = np.zeros((4, 10_700))
    X[0, 0] = np.nan
    params = QUICK | {"max_iter": 1, "latent_dim": 10_699, "hidden_dims": 2}
    assert MIWAEImputer(**params | {"n_imputation_samples": 2}).fit(X).latent_dim_ == 10_699
    with pytest.raises(ValueError, match="latent_dim must be at most 10501, got 10699"):
        NotMIWAEImputer(**params).fit(X)


def test_encoding_in_chunks(monkeypatch):
    _, X, _ = selected_data(60)
    imputer = MIWAEImputer(**QUICK, encoder="permutation_invariant").fit(X)
    whole = imputer.encode(X)
    monkeypatch.setattr("gnr_sklearn._sampling.ENCODED_ROWS", 7)
    np.testing.assert_allclose(imputer.encode(X), whole, atol=1e-5)


def test_directions_of_each_feature():
    """What is said to be missing below is imputed low, whatever the data's order of columns."""
    rng = np.random.RandomState(0)
    complete = rng.normal(size=(800, 1)) + 0.5 * rng.normal(size=(800, 4))
    X = complete.copy()
    X[X[:, 0] > 0, 0] = np.nan
    X[X[:, 1] < 0, 1] = np.nan
    X = np.column_stack([np.full(800, np.nan), X])  # dropped, and its direction with it
    params = {"decoder": "linear", "learning_rate": 0.02, "random_state": 0}
    errors = {}
    for directions in (["below", "above", "below", "above", "above"], "above"):
        imputer = NotMIWAEImputer(
            **params, missing_process="self_masking_known", missing_direction=directions
        )
        imputed = imputer.fit_transform(X)
        errors[str(directions)] = imputation_rmse(complete, imputed, np.isnan(X[:, 1:]))
    right, wrong = errors.values()
    assert right < 0.75 * wrong


@pytest.mark.parametrize(
    "direction",
    [
        "up",
        ["above"],
        ["above", "down", "below"],
        [1, -1, 1],
        1.0,
        [["above"] * 3],
        [["above"], []],
    ],
)
def test_wrong_directions(direction):
    X = np.random.RandomState(0).normal(size=(30, 3))
    X[::3, 0] = np.nan
    imputer = NotMIWAEImputer(**QUICK, missing_direction=direction)
    with pytest.raises(ValueError, match="missing_direction"):
        imputer.fit(X)
    assert not hasattr(imputer, "net_")


@pytest.mark.parametrize("process", ["self_masking", "linear", "nonlinear"])
@pytest.mark.parametrize("encoder", ["zero", "permutation_invariant"])
@pytest.mark.parametrize("observation_scale", ["feature", "heteroscedastic"])
def test_every_configuration_imputes_and_draws(process, encoder, observation_scale):
    _, X, _ = selected_data(60)
    params = QUICK | {"encoder": encoder, "observation_scale": observation_scale}
    for imputer_class in (NotMIWAEImputer, PSMVAEImputer):
        imputer = imputer_class(**params, missing_process=process).fit(X)
        assert np.isfinite(imputer.transform(X)).all()
        draws = imputer.sample(X, 3, random_state=0)
        observed = ~np.isnan(X)
        assert all(np.array_equal(draw[observed], X[observed]) for draw in draws)
        assert np.isfinite(draws).all()
        assert np.isfinite(imputer.score(X))
        proba = imputer.predict_mask_proba(X)
        assert ((proba >= 0) & (proba <= 1)).all()
        assert (imputer.effective_sample_size(X) >= 1 - 1e-6).all()


def test_psmvae_tells_kinds_of_rows_apart():
    """Half of the rows miss large values, the others small ones: one process cannot say so."""
    rng = np.random.RandomState(0)
    kind = rng.uniform(size=2000) < 0.5
    first = rng.normal(size=2000)
    marker = np.where(kind, 2.0, -2.0) + 0.3 * rng.normal(size=2000)
    complete = np.column_stack([first, first + 0.3 * rng.normal(size=2000), marker])
    X = complete.copy()
    X[np.where(kind, first > 0, first < 0), 0] = np.nan
    params = {
        "missing_process": "self_masking",
        "decoder": "linear",
        "max_iter": 1200,
        "learning_rate": 0.01,
        "n_importance_samples": 10,
        "random_state": 0,
    }
    scores = {n: PSMVAEImputer(**params, n_components=n).fit(X).score(X) for n in (1, 2)}
    assert scores[2] > scores[1] + 0.2


def test_psmvae_of_one_component_is_not_miwae():
    _, X, _ = selected_data(100)
    mixture = PSMVAEImputer(**QUICK, n_components=1, missing_process="linear").fit(X)
    selection = NotMIWAEImputer(**QUICK, missing_process="linear").fit(X)
    np.testing.assert_allclose(mixture.transform(X), selection.transform(X), atol=1e-5)
    assert mixture.score(X) == pytest.approx(selection.score(X), abs=1e-5)


def test_a_number_of_samples_that_was_changed_after_fit():
    _, X, _ = selected_data(60)
    imputer = MIWAEImputer(**QUICK).fit(X).set_params(n_imputation_samples=0)
    for method in (imputer.transform, imputer.sample, imputer.score):
        with pytest.raises(ValueError, match=r"^n_imputation_samples must be at least 1, got 0"):
            method(X)


@pytest.mark.parametrize("process", ["self_masking", "self_masking_known"])
def test_complete_features_say_nothing_of_how_they_would_be_lost(process):
    """Imputed in new rows, they are not moved by a mechanism that was never seen at work."""
    X = np.random.RandomState(0).normal(size=(60, 3))
    X[::3, 0] = np.nan
    imputer = NotMIWAEImputer(**QUICK, missing_process=process).fit(X)
    selection = imputer.net_.module_.missing_process
    assert selection.direction.tolist() == [1.0, 0.0, 0.0]
    with torch.no_grad():
        log_odds = selection(torch.tensor([[0.0, -9.0, -9.0], [0.0, 9.0, 9.0]]))
    assert torch.equal(log_odds[0], log_odds[1])


def test_directions_by_name_and_of_neither_side():
    frame = pd.DataFrame(np.random.RandomState(0).normal(size=(60, 3)), columns=list("abc"))
    frame[::3] = np.nan
    params = QUICK | {"missing_process": "self_masking_known"}
    signs = []
    for direction in ({"b": "below", 2: "neither"}, ["above", "below", "neither"]):
        imputer = NotMIWAEImputer(**params, missing_direction=direction).fit(frame)
        signs.append(imputer.net_.module_.missing_process.direction.tolist())
        assert list(imputer.missing_direction_) == ["above", "below", None]
    assert signs == [[1.0, -1.0, 0.0]] * 2
    with pytest.raises(ValueError, match=r"missing_direction must name columns of X .* got 'd'"):
        NotMIWAEImputer(**params, missing_direction={"d": "above"}).fit(frame)


def test_a_direction_that_no_process_uses_gives_a_warning():
    _, X, _ = selected_data(60)
    with pytest.warns(UserWarning, match="'above' has no effect with missing_process='linear'"):
        NotMIWAEImputer(**QUICK, missing_process="linear", missing_direction="above").fit(X)
