"""The choice of the weight of the mask by values that are removed as values go missing."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit, ndtr
from scipy.stats import norm

from gnr_sklearn import GNRImputer
from gnr_sklearn._choices import ALPHAS
from gnr_sklearn._mechanism import MAX_ODDS, MIN_ODDS, mask_odds, removal_error
from gnr_sklearn._units import Units
from tests.contract import TINY_NET, paper_gnr


class Known:
    """What imputes by a known rule, and says by another one what is seen."""

    def __init__(self, rule, chance=None, scale=1.0):
        self.rule, self.chance = rule, chance
        self._units = Units(np.zeros(2), np.broadcast_to(scale, 2))

    def transform(self, X, side_info=None):
        return np.where(np.isnan(X), self.rule(X, side_info), X)

    def _expected_of_mask(self, X, side_info, of_logits):
        return of_logits(-torch.from_numpy(logit(self.chance(X)))).numpy()


def test_removal_error_of_few_values():
    """Complete columns do not count, nor does what is missing, and each cell is removed alone."""
    values = np.array([[1.0, 10.0], [3.0, 20.0], [np.nan, 40.0]])
    side = np.array([[0.0], [1.0], [2.0]])
    seen = []

    def rule(X, side_info):
        seen.append((X.copy(), side_info))
        return np.full(X.shape, 5.0)

    odds = np.array([[2.0, 100.0], [6.0, 100.0], [100.0, 100.0]])
    error = removal_error(Known(rule), values, side, odds)
    # The standard deviation of what is observed is 1.
    assert error == pytest.approx((2.0 * 4.0**2 + 6.0 * 2.0**2) / 8.0)
    ((removed, of_rows),) = seen
    np.testing.assert_array_equal(removed, [[np.nan, 10.0], [np.nan, 20.0]])
    np.testing.assert_array_equal(of_rows, side[:2])
    assert values[0, 0] == 1.0


@pytest.mark.parametrize("holes", ["nowhere", "everywhere"])
def test_removal_error_where_there_is_nothing_to_remove(holes):
    values = np.full((3, 2), 1.0 if holes == "nowhere" else np.nan)
    assert removal_error(Known(None), values, None, np.ones((3, 2))) == 0.0


def test_removal_error_is_that_of_the_missing_values():
    """By the chance that is true, though what is missing looks like nothing that is seen."""
    rng = np.random.RandomState(0)
    complete = rng.normal(size=(200_000, 1)) + np.array([0.6, 0.8]) * rng.normal(size=(200_000, 2))
    chance = 0.1 + 0.8 * ndtr(2.0 * complete[:, 0] - 1.0)
    lost = rng.uniform(size=len(complete)) < chance
    X = complete.copy()
    X[lost, 0] = np.nan
    imputer = Known(
        lambda X, side_info: np.stack([0.3 * X[:, 1], X[:, 1]], axis=1),
        lambda X: np.stack([0.1 + 0.8 * ndtr(2.0 * X[:, 0] - 1.0), np.zeros(len(X))], axis=1),
    )
    found = removal_error(imputer, X, None, mask_odds(imputer, X, None))
    true = ((0.3 * complete[lost, 1] - complete[lost, 0]) ** 2).mean() / complete[~lost, 0].var()
    assert found == pytest.approx(true, rel=0.02)
    # Without the odds it is that of the values that are seen.
    as_seen = removal_error(imputer, X, None, np.ones_like(X))
    assert abs(as_seen - true) > 0.2 * true


def test_odds_are_bounded_and_those_of_the_process():
    imputer = Known(None, lambda X: X)
    odds = mask_odds(imputer, np.array([[0.0, 0.25], [0.5, 1.0]]), None)
    np.testing.assert_allclose(odds, [[MIN_ODDS, 1 / 3], [1.0, MAX_ODDS]])
    rng = np.random.RandomState(1)
    X = rng.normal(size=(300, 2)) * [1.0, 20.0]
    X[X[:, 0] > rng.normal(0.5, 0.5, size=300), 0] = np.nan
    fitted = GNRImputer(**TINY_NET | {"max_iter": 200}, missing_direction="above").fit(X)
    with torch.no_grad():
        scaled = torch.from_numpy((X - fitted._units.center) / fitted._units.scale).float()
        log_odds = -fitted._module.process(scaled).double().numpy()
    seen = ~np.isnan(X)
    odds = mask_odds(fitted, X, None)[seen]
    np.testing.assert_allclose(odds, np.exp(log_odds[seen]).clip(1e-3, 20.0), rtol=1e-3)


def test_odds_of_a_latent_mask_are_those_without_the_cell_itself():
    """What they add up to over observed cells is how many are missing."""
    rng = np.random.RandomState(0)
    z = rng.normal(size=(2000, 1))
    X = z + 0.7 * rng.normal(size=(2000, 3))
    X[rng.uniform(size=X.shape) < 1 / (1 + np.exp(1 - 2 * z))] = np.nan
    net = {"latent_dim": 1, "max_iter": 600, "learning_rate": 0.01, "random_state": 0}
    fitted = GNRImputer(**net, mask_model="latent", prior=None).fit(X)
    seen = ~np.isnan(X)
    assert mask_odds(fitted, X, None)[seen].sum() == pytest.approx((~seen).sum(), rel=0.04)


def make_data(n_rows=80):
    X = np.random.RandomState(0).normal(size=(n_rows, 3)) * [1.0, 10.0, 0.1] + [5.0, 0.0, 1.0]
    X[::3, 0] = np.nan
    X[1::3, 1] = np.nan
    return X


@pytest.fixture
def judged(monkeypatch):
    """Errors that candidates are told to have, by their alpha, and what they were judged by."""
    errors, calls = {}, []

    def judge(imputer, values, side, odds):
        calls.append((imputer, values, side, odds))
        return errors[imputer.alpha]

    monkeypatch.setattr("gnr_sklearn._choices.removal_error", judge)
    return errors, calls


@pytest.mark.filterwarnings("ignore:missing_direction=")  # of the latent mask
@pytest.mark.parametrize("mask_model", ["latent", "value"])
@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_candidate_with_the_lowest_error_is_chosen(mask_model, best, judged, monkeypatch):
    errors, calls = judged
    alphas = ALPHAS[mask_model]
    errors |= {alpha: 2.0 for alpha in alphas} | {alphas[best]: 1.0}
    X = make_data()
    imputer = GNRImputer(
        **TINY_NET,
        alpha="auto",
        mask_model=mask_model,
        missing_direction=["above", "neither", None],
    )
    signs = np.array([1.0, 0.0, 0.0])
    monkeypatch.setattr("gnr_sklearn.gnr.choose_directions", lambda *args: signs.copy())
    imputer.fit(X)
    assert imputer.alpha_ == alphas[best]
    assert imputer.alpha == "auto"
    plain = GNRImputer(**imputer.get_params() | {"alpha": alphas[best]})
    np.testing.assert_array_equal(plain.fit(X).transform(X), imputer.transform(X))
    assert [call[0].alpha for call in calls] == list(alphas)
    expected_odds = mask_odds(calls[0][0], *calls[0][1:3])
    for candidate, held_out, side, odds in calls:
        assert (candidate.prior, candidate.mask_model) == (None, mask_model)
        np.testing.assert_array_equal(odds, expected_odds)
        assert held_out.shape == (20, 3)
        assert side is None
        # None of the rows it was fitted to.
        assert not np.isin(held_out[:, 2], X[np.isin(X[:, 2], held_out[:, 2]) ^ True, 2]).any()
        if mask_model == "value":
            assert candidate.missing_direction_.tolist() == ["above", None, None]


def test_candidates_are_fitted_to_other_rows_and_to_side_information(judged, monkeypatch):
    errors, calls = judged
    errors |= {1.0: 0.0, 0.01: 1.0, 100.0: 1.0}
    fitted = []
    fit = GNRImputer.fit

    def recorded(self, X, y=None, side_info=None):
        fitted.append((self, np.array(X), side_info))
        return fit(self, X, y, side_info)

    monkeypatch.setattr(GNRImputer, "fit", recorded)
    X = make_data()
    side = np.arange(80.0)[:, np.newaxis]
    paper_gnr(**TINY_NET, alpha="auto").fit(X, side_info=side)
    assert len(fitted) == 4
    held_out = calls[0][2][:, 0]
    for candidate, rows, its_side in fitted[1:]:
        assert candidate.alpha in ALPHAS["latent"]
        assert sorted([*its_side[:, 0], *held_out]) == side[:, 0].tolist()
        np.testing.assert_array_equal(rows, X[its_side[:, 0].astype(int)])


def fail(*args, **kwargs):
    raise AssertionError("no candidate may be trained")


@pytest.mark.parametrize("case", ["complete", "few rows", "no direction"])
def test_nothing_is_compared_where_nothing_can_be_told(case, monkeypatch):
    monkeypatch.setattr("gnr_sklearn._choices._candidate", fail)
    X = make_data()
    if case == "complete":
        X = np.nan_to_num(X)
    elif case == "few rows":
        X = X[:19]
    model = {"mask_model": "value", "missing_direction": "neither"}
    params = TINY_NET | (model if case == "no direction" else {"mask_model": "latent"})
    assert GNRImputer(**params, alpha="auto").fit(X).alpha_ == 1.0


def test_a_column_that_only_held_out_rows_have_values_of():
    X = make_data()
    X[:, 2] = np.nan
    order = np.random.RandomState(0)
    for seed in range(4):
        values = X.copy()
        values[order.randint(80), 2] = 1.0
        imputer = paper_gnr(**TINY_NET | {"random_state": seed}, alpha="auto").fit(values)
        assert imputer.alpha_ in ALPHAS["latent"]
        assert np.isfinite(imputer.transform(values)).all()


def test_values_that_decide_have_full_weight():
    """Where the model is the true one: with little weight, what is lost is not seen as such."""
    rng = np.random.RandomState(0)
    factor = rng.normal(size=(3000, 1))
    complete = factor * 0.9 + 0.436 * rng.normal(size=(3000, 3))
    X = complete.copy()
    X[rng.uniform(size=3000) < norm.cdf(3.0 * complete[:, 0]), 0] = np.nan
    params = {"prior": None, "decoder": "linear", "latent_dim": 1, "random_state": 0}
    params |= {"max_iter": 600, "hidden_dims": 32, "learning_rate": 0.03}
    imputer = GNRImputer(**params, alpha="auto", missing_direction="above").fit(X)
    assert imputer.alpha_ == 1.0
    lost = np.isnan(X[:, 0])
    error, without = (
        np.sqrt(((each.transform(X) - complete)[lost, 0] ** 2).mean())
        for each in (imputer, GNRImputer(**params, missing_direction="neither").fit(X))
    )
    assert error < 0.9 * without


def test_candidates_have_the_levels_of_ratings(monkeypatch):
    levels = []
    fit = GNRImputer.fit

    def recorded(self, X, y=None, side_info=None):
        fitted = fit(self, X, y, side_info)
        levels.append(fitted._units.rating_range)
        return fitted

    monkeypatch.setattr(GNRImputer, "fit", recorded)
    rng = np.random.RandomState(0)
    X = rng.randint(2, 5, size=(80, 3)).astype(float)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    bounds = {"min_value": [1.0] * 3, "max_value": [5.0] * 3}
    GNRImputer(**TINY_NET, alpha="auto", mask_model="latent", scaling="ratings", **bounds).fit(X)
    assert levels == [(1.0, 5.0)] * 4


def test_removal_error_of_wide_tables_is_that_of_some_columns(monkeypatch):
    """All candidates are asked about the same ones."""
    monkeypatch.setattr("gnr_sklearn._mechanism.MAX_FEATURES", 3)
    values = np.random.RandomState(0).normal(size=(6, 8))
    values[np.arange(6), np.arange(6)] = np.nan
    removed = []

    def rule(X, side_info):
        removed.append(int(np.flatnonzero(np.isnan(X).all(axis=0))[0]))
        return np.zeros(X.shape)

    removal_error(Known(rule), values, None, np.ones(values.shape))
    assert removed == [0, 2, 4]


@pytest.mark.filterwarnings("ignore:missing_direction=")
def test_directions_that_a_latent_mask_does_not_use_are_not_handed_on():
    """Candidates see columns without names, and not all of them."""
    X = make_data()
    frame = pd.DataFrame(X, columns=list("abc")).assign(d=np.nan)
    settings = TINY_NET | {"alpha": "auto", "mask_model": "latent", "max_iter": 3}
    alphas = set()
    for direction in ({"a": "above"}, ["above"] * 4, None):
        imputer = GNRImputer(**settings, missing_direction=direction)
        alphas.add(imputer.fit(frame).alpha_)
    assert len(alphas) == 1
