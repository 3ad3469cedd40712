"""Rows that lack a block of features at once, such as the results of a visit that was missed."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import BayesianRidge

from gnr_sklearn import GNRImputer
from gnr_sklearn._chained import ChainedRegressions
from gnr_sklearn._mechanism import find_block
from gnr_sklearn.metrics import imputation_rmse
from gnr_sklearn.nn.categories import DiscreteFeature
from gnr_sklearn.nn.models import ValueGNR
from gnr_sklearn.nn.processes import ValueProcess
from tests.small_models import make_model, terms_at

N_ROWS, BLOCK = 500, slice(3, 9)


def patients(n_rows=N_ROWS, seed=0):
    """Make ten correlated measurements, and whether patients missed the visit of some of them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_rows, 3))
    X = z @ rng.normal(size=(3, 10)) + 0.6 * rng.normal(size=(n_rows, 10))
    return X, rng.uniform(size=n_rows) < 0.3


def with_holes(X, missed, chance=0.6, seed=1):
    """Let large values go missing, of half of what is measured at the visit and of others."""
    holed = X.copy()
    lost = (X.mean(axis=0) < X) & (np.random.default_rng(seed).uniform(size=X.shape) < chance)
    lost[:, ::2] = False
    holed[lost] = np.nan
    holed[missed, BLOCK] = np.nan
    return holed


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.6])
def test_the_features_of_a_block(chance):
    found = find_block(with_holes(*patients(), chance))
    assert np.flatnonzero(found).tolist() == [3, 4, 5, 6, 7, 8]


def test_the_larger_one_of_two_blocks():
    X, missed = patients()
    holed = with_holes(X, missed)
    holed[-40:] = X[-40:]
    holed[-40:, :5] = np.nan
    assert np.flatnonzero(find_block(holed)).tolist() == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "lose",
    [
        lambda X, missed: with_holes(X, np.zeros(len(X), dtype=bool)),
        # Columns that are proxies of one another, of which all large values are missing.
        lambda X, missed: np.where(X[:, :1] + 0.1 * X[:, 1:] > 0, np.nan, X[:, 1:]),
        lambda X, missed: np.where(np.random.default_rng(2).uniform(size=X.shape) < 0.8, np.nan, X),
        lambda X, missed: np.where(missed[:, np.newaxis] & (np.arange(10) < 4), np.nan, X),
        lambda X, missed: np.where(~missed[:, np.newaxis] & (np.arange(10) < 6), np.nan, X),
        lambda X, missed: np.where((np.arange(len(X)) < 9)[:, np.newaxis], np.nan, X),
        lambda X, missed: X,
    ],
    ids=["none", "proxies", "at random", "few features", "most rows", "few rows", "complete"],
)
def test_what_is_no_block(lose):
    assert not find_block(lose(*patients())).any()


@given(st.integers(0, 2**32 - 1), st.permutations(range(10)))
def test_neither_the_order_of_columns_nor_their_units_matter(seed, order):
    X, missed = patients(200, seed)
    holed = with_holes(X, missed)
    found = find_block(holed)
    np.testing.assert_array_equal(find_block(7.0 - 3.0 * holed[:, order]), found[order])


def test_a_category_of_many_levels_is_no_block():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300), "y": rng.normal(size=300)})
    frame["kind"] = pd.Categorical(rng.choice(list("abcdef"), size=300))
    frame.loc[rng.uniform(size=300) < 0.3, "kind"] = None
    frame.loc[rng.uniform(size=300) < 0.3, "x"] = np.nan
    imputer = GNRImputer(prior=None, max_iter=5, random_state=0).fit(frame)
    assert not imputer.missing_block_.any()


def test_the_side_is_found_beside_a_block():
    X, missed = patients()
    imputer = GNRImputer(prior=None, max_iter=400, random_state=0).fit(with_holes(X, missed))
    names = imputer.missing_direction_
    assert names[1::2].tolist() == ["above"] * 5
    # What only the block lacks has no side.
    assert names[::2].tolist() == [None] * 5


def test_a_block_alone_has_no_side():
    X, missed = patients()
    imputer = GNRImputer(prior=None, max_iter=5, random_state=0).fit(with_holes(X, missed, 0.0))
    assert imputer.missing_direction_.tolist() == [None] * 10


@pytest.mark.filterwarnings("ignore:missing_direction=.* has no effect on the columns")
@pytest.mark.parametrize("direction", [None, "above", "both"])
@pytest.mark.parametrize("prior", [None, BayesianRidge()], ids=["z alone", "regressions"])
def test_patients_who_missed_a_visit_are_like_others(direction, prior):
    # Taken for values that were lost for being large, theirs are some four deviations too large.
    X, missed = patients()
    holed = with_holes(X, missed)
    imputer = GNRImputer(
        missing_direction=direction, prior=prior, max_iter=400, random_state=0
    ).fit(holed)
    assert np.flatnonzero(imputer.missing_block_).tolist() == [3, 4, 5, 6, 7, 8]
    imputed, in_block = imputer.transform(holed), np.zeros(X.shape, dtype=bool)
    in_block[missed, BLOCK] = True
    errors = (imputed - X)[in_block].reshape(-1, 6) / X[:, BLOCK].std(axis=0)
    assert (abs(errors.mean(axis=0)) < 0.3).all()
    assert imputation_rmse(X, imputed, in_block, scale=X.std(axis=0)) < 0.85


@pytest.mark.filterwarnings("ignore:missing_direction=.* has no effect on the columns")
def test_a_block_is_kept_by_pickles_and_further_parts():
    X, missed = patients()
    holed = with_holes(X, missed)
    imputer = GNRImputer(
        missing_direction="above", prior=BayesianRidge(), max_iter=8, random_state=0
    ).partial_fit(holed)
    again = pickle.loads(pickle.dumps(imputer))
    np.testing.assert_array_equal(again.transform(holed), imputer.transform(holed))
    complete = np.where(np.isnan(holed), X, holed)
    for each in (imputer, again):
        each.partial_fit(complete)
    np.testing.assert_array_equal(again.transform(holed), imputer.transform(holed))
    assert np.flatnonzero(again.missing_block_).tolist() == [3, 4, 5, 6, 7, 8]


def test_a_direction_of_what_is_missing_with_the_block_alone_has_no_effect():
    X, missed = patients()
    frame = pd.DataFrame(with_holes(X, missed), columns=list("abcdefghij"))
    imputer = GNRImputer(prior=None, max_iter=5, random_state=0)
    told = [{"a": "above", "b": "above", "d": "above"}, None, "neither"]
    for direction in told:
        imputer.set_params(missing_direction=direction).fit(frame)
    for direction in ("above", {"e": "below", "d": "above"}):
        with pytest.warns(UserWarning, match=r"has no effect on the columns \['e'.* 6 columns"):
            imputer.set_params(missing_direction=direction).fit(frame)


@pytest.mark.parametrize("directions", [(1, -1, 1), (1, 2, -1)])
def test_what_a_row_lacks_with_a_block_says_nothing(directions):
    """Rows of three features, the first two of which are a block, which the last two rows lack."""
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]]).double()
    x = mask * torch.linspace(-1.0, 1.0, 15).double().view(5, 3)
    params = {"missing_fraction": [0.4, 0.3, 0.2], "missing_direction": directions}
    plain, model = (
        make_model(3, 2, ValueGNR, **params, block=block) for block in (None, [True, True, False])
    )
    terms, expected = (terms_at(each, (x, mask), 50) for each in (model, plain))
    np.testing.assert_array_equal(terms.log_px, expected.log_px)
    for part in ("log_pm", "x_given_z"):
        found, known = (getattr(each, part) for each in (terms, expected))
        if part == "x_given_z":
            found, known = found.mean, known.mean
        torch.testing.assert_close(found[:, :3], known[:, :3])
    # Of these rows, only the last feature tells, and what is missing is as the decoder says.
    lost = expected.x_given_z.log_missing
    torch.testing.assert_close(
        terms.log_pm[:, 3:], (expected.log_pm - lost[..., :2].sum(-1))[:, 3:]
    )
    means = terms.x_given_z.mean[:, 3:]
    torch.testing.assert_close(means[..., :2], expected.x_given_z.mean_of_all[:, 3:, :2])
    torch.testing.assert_close(means[..., 2], expected.x_given_z.mean[:, 3:, 2])
    # As if the block had not been missed.
    odds = (
        each.mask_logits(x, mask, of.x_given_z) for each, of in ((model, terms), (plain, expected))
    )
    torch.testing.assert_close(*odds)


def test_levels_of_a_block_have_their_own_distribution():
    levels = DiscreteFeature(1, (-1.0, 0.0, 1.0), (0.3, 0.3, 0.4), True)
    params = {"missing_fraction": [0.4, 0.3], "missing_direction": (1, 1), "discrete": [levels]}
    mask = torch.tensor([[1, 0], [0, 0]]).double()
    x = mask * 0.5
    plain, model = (
        make_model(2, 1, ValueGNR, **params, block=block) for block in (None, [True, True])
    )
    terms, expected = (terms_at(each, (x, mask), 50) for each in (model, plain))
    torch.testing.assert_close(terms.log_pm[:, 0], expected.log_pm[:, 0])
    torch.testing.assert_close(terms.log_pm[:, 1], torch.zeros(50).double())
    noise = torch.zeros(1, 2, 1).double()
    with torch.no_grad():
        before = model.decode_data(x, mask, noise)[1].x_given_z
        after, of_plain = (each(x, mask, noise).x_given_z for each in (model, plain))
        odds, as_plain = (
            each.mask_logits(x, mask, of) for each, of in ((model, after), (plain, of_plain))
        )
    torch.testing.assert_close(after.log_probs[:, 1], before.log_probs[:, 1])
    torch.testing.assert_close(after.log_probs[:, 0], of_plain.log_probs[:, 0])
    torch.testing.assert_close(odds, as_plain)


def test_regressions_learn_nothing_from_a_block():
    """Rows that lack it are imputed by what is predicted, and change no regression of others."""
    X, _ = patients(300)
    process = ValueProcess([0.3] * 10, [1] * 10)
    observed = np.random.default_rng(2).uniform(size=X.shape) < 0.7
    observed[:60, BLOCK] = False
    observed[60:, 3] = True
    chained = ChainedRegressions(BayesianRidge(), process, 0, n_rounds=1, block=range(3, 9))
    _, lost = chained.fit(X, observed).impute(X, observed)
    rows = np.flatnonzero(~observed[:, 4])
    of_block = np.isin(rows, np.arange(60)[~observed[:60, BLOCK].any(axis=1)])
    plain = lost[4].mean_of_all.numpy()[:, 0]
    mean = lost[4].mean.numpy()[:, 0]
    assert of_block.sum() == 60
    np.testing.assert_allclose(mean[of_block], plain[of_block], atol=1e-12)
    assert (mean[~of_block] > plain[~of_block]).all()
