"""Training on a table that comes in parts."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from gnr_sklearn import (
    GAINImputer,
    GNRImputer,
    MeanImputer,
    MIWAEImputer,
    NotMIWAEImputer,
    PSMVAEImputer,
)
from gnr_sklearn._reservoir import Reservoir
from tests.contract import assert_fills, imputer_id, make_data
from tests.test_frames import HOLES

X = make_data(90)
PARTS = np.array_split(X, 3)

NET = {"hidden_dims": 8, "n_importance_samples": 2, "n_imputation_samples": 48, "random_state": 0}
IMPUTERS = [
    GNRImputer(**NET, batch_size=16, prior=BayesianRidge(), missing_direction="above"),
    GNRImputer(**NET, batch_size=16, prior=MeanImputer(), mask_model="latent"),
    MIWAEImputer(**NET, batch_size=16, encoder="permutation_invariant"),
    NotMIWAEImputer(**NET, batch_size=16),
    PSMVAEImputer(**NET, batch_size=16, n_components=2),
    GAINImputer(batch_size=16, random_state=0),
]
every_imputer = pytest.mark.parametrize("imputer", IMPUTERS, ids=imputer_id)


def in_parts(imputer, parts=PARTS):
    for part in parts:
        imputer.partial_fit(part)
    return imputer


@pytest.mark.filterwarnings("ignore:Stopping")
@every_imputer
def test_parts_are_learned_from_reproducibly(imputer):
    given = [part.copy() for part in PARTS]
    imputed = in_parts(clone(imputer)).transform(X)
    assert_fills(imputed, X)
    assert_array_equal(in_parts(clone(imputer)).transform(X), imputed)
    for part, before in zip(PARTS, given, strict=True):
        assert_array_equal(part, before)
    # It does not matter whether an imputer was on disk in between.
    for part in PARTS:
        imputer = pickle.loads(pickle.dumps(imputer.partial_fit(part)))
    assert_array_equal(imputer.transform(X), imputed)


@every_imputer
def test_a_call_is_one_pass(imputer):
    imputer = clone(imputer).partial_fit(X[:40])
    assert imputer.n_iter_ == 3
    assert len(imputer.history_) == 1
    imputer.partial_fit(X[:33]).partial_fit(X[:2])
    assert imputer.n_iter_ == 3 + 3 + 1
    # Epochs of all calls, and steps of the last one, which would else be ever more.
    assert [len(epoch["batches"]) for epoch in imputer.history_] == [0, 0, 1]


@every_imputer
def test_fit_begins_anew(imputer):
    expected = clone(imputer).set_params(max_iter=4).fit(X).transform(X)
    again = in_parts(clone(imputer).set_params(max_iter=4))
    assert_array_equal(again.fit(X).transform(X), expected)
    # And training goes on from it.
    assert (again.partial_fit(PARTS[0]).transform(X) != expected).any()
    assert again.n_iter_ == 4 + 2


class Fail(Callback):
    """Fails in the second call, in the middle of training."""

    def __init__(self):
        self.n_steps = 0

    def on_batch_end(self, net, training=False, **kwargs):
        self.n_steps += training
        if self.n_steps == 4:
            raise KeyboardInterrupt if self.quietly else RuntimeError("no more")

    quietly = False


@every_imputer
def test_a_call_that_fails_changes_nothing(imputer):
    fail = Fail()
    imputer = clone(imputer).set_params(callbacks=[fail])
    # Cloned with the imputer, it would count for itself.
    fail = imputer.callbacks[0]
    imputer.partial_fit(PARTS[0])
    before, state = imputer.transform(X), set(vars(imputer))
    n_iter, history = imputer.n_iter_, len(imputer.history_)
    with pytest.raises(RuntimeError, match="no more"):
        imputer.partial_fit(PARTS[1])
    assert fail.n_steps == 4
    assert set(vars(imputer)) == state
    assert (imputer.n_iter_, len(imputer.history_)) == (n_iter, history)
    assert_array_equal(imputer.transform(X), before)
    assert imputer.partial_fit(PARTS[1]).n_iter_ == n_iter + 2


@pytest.mark.parametrize("early_stopping", [True, False])
def test_passes_over_parts_reach_the_bound_of_fit(early_stopping):
    rng = np.random.RandomState(0)
    table = rng.randn(1200, 1) + 0.5 * rng.randn(1200, 4)
    table[rng.uniform(size=table.shape) < 0.2] = np.nan
    imputer = MIWAEImputer(
        decoder="linear", max_iter=400, early_stopping=early_stopping, random_state=0
    )
    whole = clone(imputer).fit(table).score(table)
    for _ in range(10):
        for part in np.array_split(table, 4):
            imputer.partial_fit(part)
    assert imputer.n_iter_ == 10 * 4 * 3
    begun = clone(imputer).partial_fit(table[:128]).score(table)
    assert begun < whole - 1.0
    for _ in range(23):
        for part in np.array_split(table, 4):
            imputer.partial_fit(part)
    assert imputer.n_iter_ == 396
    assert abs(imputer.score(table) - whole) < 0.02


class Rates(Callback):
    """Writes down the step size of each step."""

    def __init__(self):
        self.rates = []

    def on_batch_end(self, net, training=False, **kwargs):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])


def test_the_step_size_falls_over_all_calls_and_stays():
    imputer = MIWAEImputer(**NET, batch_size=10, max_iter=20, callbacks=[Rates()])
    for _ in range(3):
        in_parts(imputer)
    rates = np.array(imputer.callbacks[0].rates)
    expected = 0.5 * (1 + np.cos(np.pi * np.minimum(np.arange(27) / 20, 1)))
    assert_allclose(rates, 3e-3 * np.maximum(expected, 0.01), rtol=1e-6)
    constant = MIWAEImputer(
        **NET, batch_size=10, learning_rate_schedule="constant", callbacks=[Rates()]
    )
    assert set(in_parts(constant).callbacks[0].rates) == {3e-3}


def test_steps_differ_between_calls():
    imputer = MIWAEImputer(**NET, learning_rate=1e-12, batch_size=30)
    losses = [imputer.partial_fit(PARTS[0]).history_[-1]["train_loss"] for _ in range(3)]
    assert len(set(losses)) == 3


def test_regressions_learn_from_rows_of_all_calls(monkeypatch):
    imputer = IMPUTERS[0]
    monkeypatch.setattr("gnr_sklearn.gnr.ROWS_FOR_REGRESSIONS", 40)
    table = X.copy()
    table[:, 0] = np.arange(90)
    fitted = in_parts(clone(imputer), np.array_split(table, 3))
    rows = fitted._reservoir.tables[0]
    places = rows[:, 0].astype(int)
    assert_array_equal(rows, table[places])
    assert len(set(places)) == 40
    assert (np.histogram(places, bins=[0, 30, 60, 90])[0] >= 5).all()
    # Without them no rows are kept.
    assert in_parts(clone(imputer).set_params(prior=None))._reservoir is None


def test_regressions_of_a_fit_are_not_forgotten():
    fitted = clone(IMPUTERS[0]).set_params(max_iter=10).fit(X[:80])
    assert_array_equal(fitted._reservoir.tables[0], X[:80])
    fitted.partial_fit(X[80:])
    assert_array_equal(fitted._reservoir.tables[0], X)
    # Those of a fit before are.
    assert len(fitted.fit(X[:30])._reservoir.tables[0]) == 30


def test_random_rows_are_all_as_likely():
    counts = np.zeros(40)
    n_draws = 1000
    for seed in range(n_draws):
        rows = Reservoir(10)
        for number, part in enumerate(np.split(np.arange(40.0), [3, 25])):
            rows = rows.updated_with((part[:, np.newaxis], -part[:, np.newaxis]), 3 * seed + number)
        kept, negative = (table[:, 0] for table in rows.tables)
        assert_array_equal(negative, -kept)
        assert len(set(kept)) == 10
        counts[kept.astype(int)] += 1
    # Four standard deviations of a binomial distribution.
    assert np.abs(counts / n_draws - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / n_draws)


@pytest.mark.parametrize("most", [40, 1000])
def test_rows_of_a_further_pass_are_not_kept_again(most):
    table = np.random.RandomState(0).normal(size=(300, 2))
    side = np.arange(300.0)[:, np.newaxis]
    rows = Reservoir(most)
    for part in np.split(np.arange(300), 3):
        rows = rows.updated_with((table[part], side[part]), int(part[0]))
    # In other parts, too.
    for seed, part in enumerate(np.split(np.random.RandomState(1).permutation(300), 2)):
        assert rows.updated_with((table[part], side[part]), seed) is rows
    # New rows are, though their values in one table are known.
    assert rows.updated_with((table[:100], side[:100] + 1e-9), 0) is not rows
    assert rows.updated_with((table[:100] + 1e-9, side[:100]), 0).n_seen == 400


def test_rows_of_a_table_that_grows_come_once():
    table = np.random.RandomState(0).normal(size=(900, 2))
    rows = Reservoir(1000)
    for seed, n_rows in enumerate([300, 310, 310, 900]):
        rows = rows.updated_with((table[:n_rows],), seed)
        assert rows.n_seen == n_rows
        assert_array_equal(rows.tables[0], table[:n_rows])


def test_new_rows_of_few_levels_are_kept():
    rng = np.random.RandomState(0)
    rows = Reservoir(1000)
    for seed in range(5):
        rows = rows.updated_with((rng.randint(3, size=(100, 2)).astype(float),), seed)
    assert len(rows.tables[0]) == 500


def test_further_passes_leave_regressions_out_of_sample():
    """A row is not predicted by the copy of it that came in a pass before."""
    table = make_data(200)
    forest = RandomForestRegressor(60, oob_score=True)
    imputer = GNRImputer(**NET, prior=forest, missing_direction="neither", max_iter=20)
    scales = [
        [each.scale for each in imputer.partial_fit(table).prior_.rounds_[-1]] for _ in range(3)
    ]
    assert_allclose(scales[1:], [scales[0]] * 2, rtol=0.2)


def test_a_callback_may_end_a_part_within_an_epoch():
    class Stop(Callback):
        n_batches = 0

        def __init__(self, stops_at):
            self.stops_at = stops_at

        def on_batch_end(self, net, training=False, **kwargs):
            self.n_batches += training
            if self.n_batches == self.stops_at:
                raise KeyboardInterrupt

    imputer = MIWAEImputer(**NET, batch_size=16)
    early = clone(imputer).set_params(callbacks=[Stop(1)]).partial_fit(X)
    assert np.isnan(early.lower_bound_)
    assert_fills(early.transform(X), X)
    # A call takes six steps.
    imputer.set_params(callbacks=[Stop(9)]).partial_fit(X)
    bound = imputer.lower_bound_
    assert "train_loss" not in imputer.partial_fit(X).history_[-1]
    assert imputer.lower_bound_ == bound


def test_the_model_of_the_mask_is_that_of_the_first_call():
    """Parameters of the net that are set later have no effect, nor does this one."""
    for first, later in (("value", "latent"), ("latent", "value")):
        given = {"missing_direction": "above"} if first == "value" else {}
        imputer = GNRImputer(**NET, **given, mask_model=first, prior=BayesianRidge(), max_iter=20)
        directions = imputer.partial_fit(PARTS[0]).missing_direction_
        imputer.set_params(mask_model=later).partial_fit(PARTS[1])
        if first == "latent":
            assert imputer.missing_direction_ is None
            assert directions is None
        else:
            assert_array_equal(imputer.missing_direction_, directions)
            assert imputer.prior_._process is not None


def test_indicators_mark_what_was_missing_in_any_call():
    table = make_data(20)
    first, second = table[:10].copy(), table[10:].copy()
    first[:, :2] = np.nan_to_num(first[:, :2])
    second[:, 1] = np.nan_to_num(second[:, 1])
    first[0, 3] = second[0, 0] = np.nan
    second[:, 3] = 1.0
    imputer = MIWAEImputer(**NET, add_indicator=True)
    names = imputer.partial_fit(first).get_feature_names_out()
    assert "missingindicator_x0" not in names
    assert "missingindicator_x3" in names
    names = imputer.partial_fit(second).get_feature_names_out()
    assert [name[-1] for name in names if name.startswith("m")] == ["0", "2", "3"]
    assert imputer.transform(second).shape == (10, 7)


def test_a_feature_that_is_empty_at_first():
    first = PARTS[0].copy()
    first[:, 1] = np.nan
    imputer = MIWAEImputer(**NET).partial_fit(first)
    with pytest.raises(ValueError, match="X must not have observed values in a feature"):
        imputer.partial_fit(X)
    # It may stay empty.
    assert imputer.partial_fit(first).transform(first).shape == (30, 3)


def test_categories_of_frames():
    imputer = MIWAEImputer(**NET).set_output(transform="pandas")
    for part in (HOLES.iloc[:30], HOLES.iloc[30:]):
        imputer.partial_fit(part)
    imputed = imputer.transform(HOLES)
    assert not imputed.isna().any().any()
    assert_array_equal(imputed.dtypes, HOLES.dtypes)
    unseen = HOLES.copy()
    unseen.loc[unseen.index[0], "text"] = "never seen"
    with pytest.raises(ValueError, match="never seen"):
        imputer.partial_fit(unseen)


def test_side_information():
    side = np.arange(90.0)[:, np.newaxis]
    imputer = MIWAEImputer(**NET)
    for part, of_part in zip(PARTS, np.array_split(side, 3), strict=True):
        imputer.partial_fit(part, side_info=of_part)
    assert_fills(imputer.transform(X, side_info=side), X)
    with pytest.raises(ValueError, match="side_info must be given to all methods"):
        imputer.partial_fit(X)


@pytest.mark.parametrize(
    ("params", "table", "words"),
    [
        ({"checkpoint": "fit.npz"}, X, "checkpoint must be None in partial_fit"),
        ({}, X[:, :3], "3 features"),
        ({}, np.where(np.isnan(X), np.inf, X), "infinity"),
    ],
)
@pytest.mark.parametrize("imputer", [IMPUTERS[0], IMPUTERS[-1]], ids=imputer_id)
def test_wrong_input(imputer, params, table, words):
    imputer = clone(imputer).partial_fit(PARTS[0])
    expected = imputer.transform(X)
    with pytest.raises(ValueError, match=words):
        imputer.set_params(**params).partial_fit(table)
    assert_array_equal(imputer.set_params(checkpoint=None).transform(X), expected)


@pytest.mark.parametrize("is_named", [True, False])
def test_callbacks_of_the_user_stay_the_same_objects(is_named):
    """Those of skorch too, also by the name of the imputer's own early stopping."""
    stopping, schedule = (
        EarlyStopping("train_loss", patience=1000),
        LRScheduler("StepLR", step_size=5),
    )
    callbacks = [stopping, schedule]
    if is_named:
        callbacks = [("early_stopping", stopping), ("schedule", schedule)]
    imputer = MIWAEImputer(callbacks=callbacks, max_iter=20, hidden_dims=4, random_state=0)
    X = make_data()
    for _ in range(3):
        imputer.partial_fit(X)
        used = [callback for _, callback in imputer.net_.callbacks_]
        assert sum(callback is stopping for callback in used) == 1
        assert sum(callback is schedule for callback in used) == 1
        assert sum(isinstance(callback, EarlyStopping) for callback in used) == 1


def test_a_mask_model_that_is_set_after_fit_has_no_effect_on_the_net_there_is():
    X = make_data()
    imputer = GNRImputer(mask_model="latent", max_iter=20, hidden_dims=4, random_state=0).fit(X)
    imputer.set_params(mask_model="value").partial_fit(X)
    assert not hasattr(imputer.net_.module_, "process")
    assert_fills(imputer.transform(X), X)
