"""Values that rows lack together, such as the results of a visit that was missed."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import BayesianRidge

from gnr_sklearn import GNRImputer
from gnr_sklearn._blocks import find_blocks, lost_with, predecessors, with_one_leader
from gnr_sklearn._chained import ChainedRegressions
from gnr_sklearn._mechanism import predict_masks
from gnr_sklearn.metrics import imputation_rmse
from gnr_sklearn.nn.blocks import FOLLOWS, LEADS, in_blocks, shares_of_leaders
from gnr_sklearn.nn.categories import DiscreteFeature
from gnr_sklearn.nn.models import GNR, ValueGNR
from gnr_sklearn.nn.processes import ValueProcess
from tests.small_models import make_model, terms_at

N_ROWS, BLOCK = 500, slice(3, 9)
IN_BLOCK = [0, 0, 0, *[FOLLOWS] * 6, 0]


def patients(n_rows=N_ROWS, seed=0, n_features=10):
    """Make ten correlated measurements, and whether patients missed the visit of some of them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_rows, 3))
    noise = 0.6 * rng.normal(size=(n_rows, n_features))
    return z @ rng.normal(size=(3, n_features)) + noise, rng.uniform(size=n_rows) < 0.3


def with_holes(X, missed, chance=0.6, seed=1):
    """Let large values go missing, of half of what is measured at the visit and of others."""
    holed = X.copy()
    lost = (X.mean(axis=0) < X) & (np.random.default_rng(seed).uniform(size=X.shape) < chance)
    lost[:, ::2] = False
    holed[lost] = np.nan
    holed[missed, BLOCK] = np.nan
    return holed


def who_stop_coming(n_rows=N_ROWS, seed=0, why=None):
    """Make four measurements, and then five visits of patients some of whom stop coming.

    Parameters
    ----------
    why : float or None
        The chance that a value above the mean keeps a patient from coming; None where it is chance.
    """
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(n_rows, 1))
    course = 0.5 * np.cumsum(rng.normal(size=(n_rows, 5)), axis=1)
    visits = level + course + 0.3 * rng.normal(size=(n_rows, 5))
    X = np.hstack([level + rng.normal(size=(n_rows, 4)), visits])
    chance = np.full(visits.shape, 0.1) if why is None else why * (visits > 0.5)
    stops = rng.uniform(size=visits.shape) < chance
    # All come to the first visit.
    stops[:, 0] = False
    lost = np.hstack([np.zeros((n_rows, 4), dtype=bool), np.maximum.accumulate(stops, axis=1)])
    return X, np.where(lost, np.nan, X)


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.6])
def test_the_features_of_a_block(chance):
    assert find_blocks(with_holes(*patients(), chance)).tolist() == [IN_BLOCK]


def test_two_blocks_the_one_of_more_cells_first():
    X, missed = patients()
    holed = with_holes(X, missed)
    holed[-40:, :5] = np.nan
    of_other = [*[FOLLOWS] * 5, *[0] * 5]
    assert find_blocks(holed).tolist() == [IN_BLOCK, of_other]


@pytest.mark.parametrize(("n_visits", "n_at_each"), [(5, 3), (4, 4), (3, 8)])
def test_visits_that_patients_do_not_come_to(n_visits, n_at_each):
    X, _ = patients(n_features=3 + n_visits * n_at_each)
    visit = np.maximum((np.arange(X.shape[1]) - 3) // n_at_each, 0)
    last = np.random.default_rng(1).geometric(0.15, size=len(X))
    missed = visit >= last[:, np.newaxis]
    blocks = find_blocks(np.where(missed, np.nan, X))
    # However they are put together, no other value is taken to belong to one, and none is left out.
    of_any = np.where(blocks > 0, np.int8(FOLLOWS), np.int8(0))
    np.testing.assert_array_equal(in_blocks(of_any, missed), missed)


def test_two_columns_that_are_only_missing_together_are_a_block():
    X, missed = patients()
    X[missed, :2] = np.nan
    assert find_blocks(X).tolist() == [[LEADS, LEADS, *[0] * 8]]
    # One row in a hundred, and no more, may have one of them.
    rows = np.flatnonzero(missed)
    X[rows[0], 0] = 0.0
    assert len(find_blocks(X)) == 1
    X[rows[1], 0] = 0.0
    assert len(find_blocks(X)) == 0


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        # Of a large block nothing leads that is not told; 3 and 5 are missing without it, too.
        ({}, [2, 2, 2, 2, 2, 2]),
        ({3: 1, 5: -1}, [2, 2, 2, 2, 2, 2]),
        ({4: 1, 3: 1, 8: 2, 6: 0}, [2, 1, 2, 2, 2, 1]),
    ],
)
def test_what_leads_a_large_block(told, expected):
    holed = with_holes(*patients())
    directions = np.full(10, np.nan)
    directions[list(told)] = list(told.values())
    assert find_blocks(holed, directions)[:, BLOCK].tolist() == [expected]


@pytest.mark.parametrize(
    ("told", "expected"),
    [([np.nan] * 3, [1, 1, 1]), ([0, np.nan, np.nan], [2, 1, 1]), ([np.nan, -1, 0], [2, 1, 2])],
)
def test_what_leads_a_small_block(told, expected):
    X, missed = patients()
    X[missed, :3] = np.nan
    directions = np.array([*told, *[np.nan] * 7])
    blocks = find_blocks(X, directions)
    assert blocks[:, :3].tolist() == [expected]
    # What leads still says something of itself, once in all.
    missing = np.isnan(X)
    follows = missing & (np.array([*expected, *[0] * 7]) == FOLLOWS)
    np.testing.assert_array_equal(in_blocks(blocks, missing), follows)
    shares = shares_of_leaders(torch.tensor(blocks), torch.tensor(missing)).numpy()
    np.testing.assert_allclose((shares * (missing & ~follows)).sum(axis=1), missed)
    one = with_one_leader(blocks)
    assert (one == LEADS).sum(axis=1).tolist() == [1]
    np.testing.assert_array_equal(one > 0, blocks > 0)


def test_the_first_visit_that_is_missing_leads_the_others():
    _, holed = who_stop_coming()
    blocks = find_blocks(holed[:, [0, 1, 2, 3, 8, 6, 4, 7, 5]])
    # In the order of visits, which columns need not be in: 5 (8), 6 (5), 7 (7), 8 (4).
    assert (blocks == LEADS).sum(axis=1).tolist() == [1, 1, 1]
    assert predecessors(blocks).tolist() == [-1, -1, -1, -1, 7, 8, -1, 5, -1]
    later = {4: [], 5: [4, 7], 7: [4], 8: [4, 5, 7]}
    found = lost_with(blocks)
    assert {j: np.flatnonzero(found[j]).tolist() for j in later} == later
    assert not found[[0, 1, 2, 3, 6]].any()
    missing = np.isnan(holed)
    certain = in_blocks(find_blocks(holed), missing)
    first = missing & ~certain
    np.testing.assert_array_equal(first.sum(axis=1), missing.any(axis=1))
    np.testing.assert_array_equal(first.argmax(axis=1), missing.argmax(axis=1))


def test_a_visit_is_told_by_values_that_are_not_missing_without_it():
    X, missed = patients()
    holed = with_holes(X, np.zeros(len(X), dtype=bool), 0.5)
    # Of the second one, 3 and 5 have holes of their own, so that rows may lack two of three.
    holed[np.ix_(missed, [3, 4, 5])] = np.nan
    assert find_blocks(holed).tolist() == [[0, 0, 0, FOLLOWS, LEADS, FOLLOWS, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    "lose",
    [
        lambda X, missed: with_holes(X, np.zeros(len(X), dtype=bool)),
        # Columns that are proxies of one another, of which all large values are missing.
        lambda X, missed: np.where(X[:, :1] + 0.1 * X[:, 1:] > 0, np.nan, X[:, 1:]),
        lambda X, missed: np.where(np.random.default_rng(2).uniform(size=X.shape) < 0.8, np.nan, X),
        # The same of which what is beyond a limit is missing, another one of each.
        lambda X, missed: np.where(
            X[:, :1] + 0.1 * X[:, 1:] > np.linspace(1.0, -1.0, 9), np.nan, X[:, :1] + 0.1 * X[:, 1:]
        ),
        # Rates that differ, so that where one is missing a later one mostly is, too.
        lambda X, missed: np.where(
            np.random.default_rng(2).uniform(size=X.shape) < np.linspace(0.05, 0.95, 10), np.nan, X
        ),
        # The same of many rows that lack nearly all.
        lambda X, missed: np.where(
            np.random.default_rng(3).uniform(size=(3000, 40)) < np.linspace(0.9, 0.995, 40),
            np.nan,
            np.random.default_rng(4).normal(size=(3000, 40)),
        ),
        lambda X, missed: np.where(np.arange(len(X))[:, np.newaxis] < 0.95 * len(X), np.nan, X),
        lambda X, missed: np.where((np.arange(len(X)) < 9)[:, np.newaxis], np.nan, X),
        lambda X, missed: X,
    ],
    ids=[
        "none",
        "proxies",
        "limits",
        "at random",
        "rates",
        "sparse",
        "most rows",
        "few rows",
        "complete",
    ],
)
def test_what_is_no_block(lose):
    assert not len(find_blocks(lose(*patients())))


@given(st.integers(0, 2**32 - 1), st.permutations(range(10)))
def test_neither_the_order_of_columns_nor_their_units_matter(seed, order):
    X, missed = patients(200, seed)
    holed = with_holes(X, missed)
    found = find_blocks(holed)
    np.testing.assert_array_equal(find_blocks(7.0 - 3.0 * holed[:, order]), found[:, order])


def test_a_category_of_many_levels_is_no_block():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300), "y": rng.normal(size=300)})
    frame["kind"] = pd.Categorical(rng.choice(list("abcdef"), size=300))
    frame.loc[rng.uniform(size=300) < 0.3, "kind"] = None
    frame.loc[rng.uniform(size=300) < 0.3, "x"] = np.nan
    imputer = GNRImputer(prior=None, max_iter=5, random_state=0).fit(frame)
    assert imputer.missing_blocks_.shape == (0, 3)


def test_the_side_is_found_beside_blocks():
    X, missed = patients()
    holed = with_holes(X, missed)
    holed[::5, [0, 9]] = np.nan
    imputer = GNRImputer(prior=None, max_iter=400, random_state=0).fit(holed)
    # Where the first column is missing the last one is, too.
    assert (imputer.missing_blocks_ > 0).sum(axis=1).tolist() == [6, 2]
    names = imputer.missing_direction_
    assert names[1::2].tolist() == ["above"] * 5
    # What only the block lacks has no side.
    assert names[2::2].tolist() == [None] * 4


def test_a_block_alone_has_no_side():
    X, missed = patients()
    imputer = GNRImputer(prior=None, max_iter=5, random_state=0).fit(with_holes(X, missed, 0.0))
    assert imputer.missing_direction_.tolist() == [None] * 10


@pytest.mark.parametrize("direction", [None, "above", "both"])
@pytest.mark.parametrize("prior", [None, BayesianRidge()], ids=["z alone", "regressions"])
def test_patients_who_missed_a_visit_are_like_others(direction, prior):
    # Taken for values that were lost for being large, theirs are some four deviations too large.
    X, missed = patients()
    holed = with_holes(X, missed)
    imputer = GNRImputer(
        missing_direction=direction, prior=prior, max_iter=400, random_state=0
    ).fit(holed)
    expected = np.array([IN_BLOCK])
    # These are missing with the block alone, so that it is of it that something is told.
    expected[0, 4:9:2] = FOLLOWS if direction is None else LEADS
    np.testing.assert_array_equal(imputer.missing_blocks_, expected)
    imputed, in_block = imputer.transform(holed), np.zeros(X.shape, dtype=bool)
    in_block[missed, BLOCK] = True
    errors = (imputed - X)[in_block].reshape(-1, 6) / X[:, BLOCK].std(axis=0)
    assert (abs(errors.mean(axis=0)) < 0.3).all()
    assert imputation_rmse(X, imputed, in_block, scale=X.std(axis=0)) < 0.85


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_two_values_decide_together_counts_once(seed):
    """Two answers that are refused together, where their mean is large, by who knows nothing."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(N_ROWS, 2))
    X = z @ rng.normal(size=(2, 6)) + 0.5 * rng.normal(size=(N_ROWS, 6))
    X[:, :2] = z[:, :1] + 0.5 * rng.normal(size=(N_ROWS, 2))
    refused = X[:, :2].mean(axis=1) > 0.3
    holed = X.copy()
    holed[refused, :2] = np.nan
    imputer = GNRImputer(prior=None, max_iter=400, random_state=0).fit(holed)
    assert imputer.missing_direction_[:2].tolist() == ["above", "above"]
    assert imputer.missing_blocks_.tolist() == [[LEADS, LEADS, 0, 0, 0, 0]]
    # Counted twice, they are 0.2 to 0.6 too large on average; not at all, 0.7 to 1.1 too small.
    errors = (imputer.transform(holed) - X)[refused, :2]
    assert (abs(errors.mean(axis=0)) < 0.25).all()


@pytest.mark.parametrize("why", [None, 0.3])
def test_the_values_of_those_who_stop_coming(why):
    """Whether they stop because of a value or by chance, what would have followed is no larger."""
    X, holed = who_stop_coming(why=why)
    missing = np.isnan(holed)
    imputer = GNRImputer(missing_direction="above", prior=None, max_iter=400, random_state=0).fit(
        holed
    )
    errors = (imputer.transform(holed) - X)[missing] / X[:, 4:].std()
    # Were each missing value one that is lost for being large, they would be 1 or more too large.
    assert abs(errors.mean()) < 0.2
    assert np.sqrt(np.mean(errors**2)) < 0.75


def test_a_side_is_found_where_a_value_keeps_patients_from_coming():
    _, holed = who_stop_coming(why=0.4)
    imputer = GNRImputer(prior=None, max_iter=400, random_state=0).fit(holed)
    assert imputer.missing_direction_[5:].tolist() == ["above"] * 4
    _, by_chance = who_stop_coming()
    assert not any(imputer.fit(by_chance).missing_direction_)


def test_what_comes_after_a_value_tells_nothing_of_its_mask():
    """Completed values of those who stopped show that they did."""
    X, holed = who_stop_coming()
    blocks = find_blocks(holed)
    asked = ~in_blocks(blocks, np.isnan(holed))
    # Such as would tell those who are gone from all others.
    completed = np.where(np.isnan(holed), 100.0, X)
    features = np.arange(5, 9)
    gain = predict_masks(holed, completed, features, 0, asked, blocks).gain
    assert (gain.by_all.sum(axis=0)[features] < 20).all()
    gain = predict_masks(holed, completed, features, 0, asked).gain
    assert (gain.by_all.sum(axis=0)[features[:-1]] > 50).all()


def test_only_visits_that_some_do_not_come_to():
    """Nothing comes before the first one that could tell of it."""
    _, holed = who_stop_coming()
    imputer = GNRImputer(prior=None, max_iter=5, random_state=0).fit(holed[:, 5:])
    assert imputer.missing_blocks_.tolist() == [[1, 2, 2, 2], [0, 1, 2, 2], [0, 0, 1, 2]]
    assert np.isfinite(imputer.transform(holed[:, 5:])).all()


def test_blocks_are_kept_by_pickles_and_further_parts():
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
    assert (again.missing_blocks_ > 0).tolist() == [[bool(part) for part in IN_BLOCK]]


def test_columns_without_values_have_their_place_among_blocks():
    X, missed = patients()
    holed = np.insert(with_holes(X, missed), 1, np.nan, axis=1)
    imputer = GNRImputer(prior=None, max_iter=5, random_state=0).fit(holed)
    assert imputer.missing_blocks_.tolist() == [[0, *IN_BLOCK]]


@pytest.mark.parametrize("directions", [(1, -1, 1), (1, 2, -1)])
def test_what_a_row_lacks_with_a_block_says_nothing(directions):
    """Rows of three features, the first two of which are a block, which the last two rows lack."""
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]]).double()
    x = mask * torch.linspace(-1.0, 1.0, 15).double().view(5, 3)
    params = {"missing_fraction": [0.4, 0.3, 0.2], "missing_direction": directions}
    plain, model = (
        make_model(3, 2, ValueGNR, **params, blocks=blocks) for blocks in ((), [[2, 2, 0]])
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
    # If the first one leads, only the second one says nothing; if both do, they say half as much.
    led, led_by_both = (
        terms_at(make_model(3, 2, ValueGNR, **params, blocks=blocks), (x, mask), 50)
        for blocks in ([[1, 2, 0]], [[1, 1, 0]])
    )
    of_block = lost[:, 3:, :2]
    torch.testing.assert_close(led.log_pm[:, 3:], expected.log_pm[:, 3:] - of_block[..., 1])
    torch.testing.assert_close(
        led_by_both.log_pm[:, 3:], expected.log_pm[:, 3:] - of_block.sum(-1) / 2
    )
    torch.testing.assert_close(led_by_both.x_given_z.mean, expected.x_given_z.mean)


def test_a_mask_that_depends_on_z_leaves_out_what_a_row_lacks_with_a_block():
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 1]]).double()
    x = mask * torch.linspace(-1.0, 1.0, 9).double().view(3, 3)
    plain, model = (make_model(3, 2, GNR, blocks=blocks) for blocks in ((), [[2, 2, 0]]))
    terms, expected = (terms_at(each, (x, mask), 50) for each in (model, plain))
    torch.testing.assert_close(terms.log_pm[:, :2], expected.log_pm[:, :2])
    of_last = torch.nn.functional.logsigmoid(expected.mask_logits[:, 2, 2])
    torch.testing.assert_close(terms.log_pm[:, 2], of_last)


def test_levels_of_a_block_have_their_own_distribution():
    levels = DiscreteFeature(1, (-1.0, 0.0, 1.0), (0.3, 0.3, 0.4), True)
    params = {"missing_fraction": [0.4, 0.3], "missing_direction": (1, 1), "discrete": [levels]}
    mask = torch.tensor([[1, 0], [0, 0]]).double()
    x = mask * 0.5
    plain, model = (
        make_model(2, 1, ValueGNR, **params, blocks=blocks) for blocks in ((), [[2, 2]])
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
    blocks = np.array([IN_BLOCK], dtype=np.int8)
    chained = ChainedRegressions(BayesianRidge(), process, 0, n_rounds=1, blocks=blocks)
    _, lost = chained.fit(X, observed).impute(X, observed)
    rows = np.flatnonzero(~observed[:, 4])
    of_block = np.isin(rows, np.arange(60)[~observed[:60, BLOCK].any(axis=1)])
    plain = lost[4].mean_of_all.numpy()[:, 0]
    mean = lost[4].mean.numpy()[:, 0]
    assert of_block.sum() == 60
    np.testing.assert_allclose(mean[of_block], plain[of_block], atol=1e-12)
    assert (mean[~of_block] > plain[~of_block]).all()
