"""Chained regressions against closed forms, and against scikit-learn's."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.optimize import nnls
from scipy.special import ndtr
from scipy.stats import norm
from sklearn import config_context
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

from gnr_sklearn._chained import ChainedRegressions, default_forest
from gnr_sklearn._discrete import DiscreteFeatures
from gnr_sklearn.nn.processes import ValueProcess

SLOPE, INTERCEPT, NOISE = 0.9, 0.2, 0.4


def make_process(slopes, thresholds, ceiling=1.0 - 1e-9):
    """Make a process without a floor."""
    process = ValueProcess([0.5] * len(slopes), np.sign(slopes).tolist())
    with torch.no_grad():
        process.log_slope.copy_(torch.tensor(np.abs(slopes)).log())
        process.threshold.copy_(torch.tensor(np.sign(slopes) * thresholds))
        process.shared_ceiling.fill_(np.log(ceiling / (1.0 - ceiling)))
        process.ceiling_deviation.zero_()
        process.floor_share.fill_(-30.0)
    return process


def linear_data(n_rows, seed=0):
    """Two columns, the first a linear function of the second and noise."""
    rng = np.random.RandomState(seed)
    second = rng.normal(size=n_rows)
    return np.column_stack([INTERCEPT + SLOPE * second + NOISE * rng.normal(size=n_rows), second])


def lose(complete, slope, threshold, seed=1):
    """Tell which rows keep their first value, by a probit step."""
    rng = np.random.RandomState(seed)
    observed = np.ones(complete.shape, dtype=bool)
    observed[:, 0] = rng.uniform(size=len(complete)) >= ndtr(slope * (complete[:, 0] - threshold))
    return observed


def filled(complete, observed):
    """Put means of what is observed for what is not."""
    means = np.nanmean(np.where(observed, complete, np.nan), axis=0)
    return np.where(observed, complete, means)


def correlated_data(n_rows, n_features=3, rate=0.25, seed=0):
    """Rows, and at random which of their values are observed; the last column has no holes."""
    rng = np.random.RandomState(seed)
    complete = rng.normal(size=(n_rows, 1)) + 0.5 * rng.normal(size=(n_rows, n_features))
    observed = rng.uniform(size=complete.shape) > rate * np.arange(n_features)[::-1] / n_features
    return complete, observed


def test_linear_regressions_converge_to_those_of_iterative_imputer():
    complete, observed = correlated_data(2000)
    X = np.where(observed, complete, np.nan)
    expected = IterativeImputer(LinearRegression(), max_iter=50, tol=1e-9).fit_transform(X)
    start = filled(complete, observed)
    regressions = ChainedRegressions(LinearRegression(), None, seed=0, n_rounds=25)
    imputed = regressions.fit(start, observed).impute(start, observed)[0]
    assert_array_equal(imputed[observed], complete[observed])
    difference = (imputed - expected)[~observed]
    # Regressions of completed rows have the fixed point of regressions of observed ones, but for
    # what predictions of five folds are off.
    assert np.sqrt((difference**2).mean()) < 2e-3
    assert np.abs(difference).max() < 0.01
    assert np.sqrt(((start - expected)[~observed] ** 2).mean()) > 0.5
    assert [[each.feature for each in a_round] for a_round in regressions.rounds_] == [[1, 0]] * 25


@pytest.mark.parametrize(("slope", "threshold"), [(2.0, 0.1), (-3.0, 0.5)])
def test_a_known_process_gives_back_what_selection_hides(slope, threshold):
    complete = linear_data(20_000)
    observed = lose(complete, slope, threshold)
    start = filled(complete, observed)
    process = make_process([slope, 1.0], [threshold, 0.0])
    regressions = ChainedRegressions(LinearRegression(), process, seed=0)
    imputed = regressions.fit(start, observed).impute(start, observed)[0]
    ((found,),) = regressions.rounds_[-1:]
    # The regression and its calibration, both affine, as one.
    assert found.slope * found.regressor.coef_[0] == pytest.approx(SLOPE, abs=0.02)
    intercept = found.offset + found.slope * found.regressor.intercept_
    assert intercept == pytest.approx(INTERCEPT, abs=0.02)
    assert found.scale == pytest.approx(NOISE, rel=0.04)
    missing = ~observed[:, 0]
    mean = INTERCEPT + SLOPE * complete[missing, 1]
    r = np.sqrt(1.0 + (slope * NOISE) ** 2)
    t = slope * (mean - threshold) / r
    beyond = slope * NOISE**2 / r * np.exp(norm.logpdf(t) - norm.logcdf(t))
    difference = imputed[missing, 0] - (mean + beyond)
    assert np.sqrt((difference**2).mean()) < 0.02 * complete[:, 0].std()
    # Not so without the process.
    at_random = ChainedRegressions(LinearRegression(), None, seed=0)
    at_random = at_random.fit(start, observed).impute(start, observed)[0][missing, 0]
    assert np.sqrt(((at_random - mean - beyond) ** 2).mean()) > 0.2
    assert_array_equal(imputed[observed], complete[observed])


def test_a_process_of_no_direction_moves_nothing():
    complete = linear_data(500)
    observed = lose(complete, 0.0, 0.0)
    start = filled(complete, observed)
    no_direction = make_process([1.0, 1.0], [0.0, 0.0])
    no_direction.direction.zero_()
    results = [
        ChainedRegressions(LinearRegression(), process, seed=0).fit(start, observed)
        for process in (no_direction, None)
    ]
    imputed, expected = (each.impute(start, observed)[0] for each in results)
    np.testing.assert_allclose(imputed, expected, atol=1e-4)


def test_what_is_given_stays_as_it_is():
    complete, observed = correlated_data(300)
    start, regressor = filled(complete, observed), RandomForestRegressor(5)
    process = make_process([1.0, -1.0, 2.0], [0.0, 0.0, 0.0])
    given = start.copy(), observed.copy(), dict(vars(regressor)), process.state_dict()
    state = {name: tensor.clone() for name, tensor in process.state_dict().items()}
    regressions = ChainedRegressions(regressor, process, seed=0).fit(start, observed)
    imputed = regressions.impute(start, observed)[0]
    assert not np.shares_memory(imputed, start)
    assert_array_equal(start, given[0])
    assert_array_equal(observed, given[1])
    assert vars(regressor) == given[2]
    assert all(torch.equal(state[name], tensor) for name, tensor in process.state_dict().items())
    # Nor does what is done with the process later change what was fitted.
    with torch.no_grad():
        process.log_slope += 1.0
    assert_array_equal(regressions.impute(start, observed)[0], imputed)


@pytest.mark.parametrize(
    "regressor",
    [
        KNeighborsRegressor(1),
        RandomForestRegressor(20),
        RandomForestRegressor(100, oob_score=True),
        default_forest(),
    ],
    ids=str,
)
def test_calibration_is_least_squares_on_predictions_out_of_sample(regressor, monkeypatch):
    """In sample, the nearest neighbour does not err, and a forest by half as much."""
    complete = linear_data(1000)
    observed = lose(complete, 2.0, 0.5)
    folds = []

    def recorded(*args, cv, **kwargs):
        folds.append((len(cv), cross_val_predict(*args, cv=cv, **kwargs)))
        return folds[-1][1]

    monkeypatch.setattr("gnr_sklearn._chained.cross_val_predict", recorded)
    regressions = ChainedRegressions(regressor, None, seed=0, n_rounds=1)
    ((found,),) = regressions.fit(filled(complete, observed), observed).rounds_
    if getattr(regressor, "oob_score", False):
        prediction = found.regressor.oob_prediction_
        assert not folds
    else:
        ((n_folds, prediction),) = folds
        assert n_folds == 5
    seen, values = prediction[observed[:, 0]], complete[observed[:, 0], 0]
    slope, offset = np.polyfit(seen, values, 1)
    scale = np.std(values - offset - slope * seen)
    actual = found.offset, found.slope, found.scale
    np.testing.assert_allclose(actual, (offset, slope, scale), atol=2e-3)
    assert scale > 0.8 * NOISE


@pytest.mark.parametrize("discrete", [{}, {0: 3}], ids=["number", "levels"])
def test_predictors_are_those_that_correlate_most(discrete):
    rng = np.random.RandomState(0)
    columns = rng.normal(size=(300, 6))
    target = columns[:, 1] + 0.5 * columns[:, 3] - 2.0 * columns[:, 4] + rng.normal(size=300)
    observed = np.ones((300, 7), dtype=bool)
    observed[::3, 0] = False
    layout = DiscreteFeatures(7, discrete)
    values = np.column_stack([np.digitize(target, [-1.0, 1.0]) if discrete else target, columns])
    start = layout.widen(values)
    # What stands for missing values must not count: here, a copy of another column.
    own = layout.columns_of(0)
    start[np.ix_(~observed[:, 0], own)] = 9.0 * columns[~observed[:, 0], :1]
    regressions = ChainedRegressions(
        LinearRegression(), None, seed=0, discrete=layout, n_rounds=1, most_predictors=3
    )
    ((found,),) = regressions.fit(start, observed).rounds_
    # Of levels, the wide form has their columns last.
    place = 0 if discrete else 1
    assert_array_equal(found.columns, np.array([1, 3, 4]) + place)
    assert found.regressor.n_features_in_ == 3
    completed = regressions.impute(start, observed)[0]
    predicted = found.regressor.predict(start[:, found.columns])
    if not discrete:
        expected = found.offset + found.slope * predicted
        np.testing.assert_allclose(completed[::3, 0], expected[::3])
    assert_array_equal(completed[1::3], start[1::3])


def test_a_wide_table_of_features_that_are_never_observed():
    complete, observed = correlated_data(50, n_features=6)
    observed[:, 0] = False
    regressions = ChainedRegressions(LinearRegression(), None, seed=0, most_predictors=2)
    imputed = regressions.fit(complete, observed).impute(complete, observed)[0]
    assert np.isfinite(imputed).all()


def test_one_column_has_nothing_to_be_predicted_from():
    column, observed = np.arange(10.0)[:, None], np.arange(10)[:, None] % 3 > 0
    regressions = ChainedRegressions(LinearRegression(), make_process([1.0], [0.0]), seed=0)
    assert_array_equal(regressions.fit(column, observed).impute(column, observed)[0], column)


@pytest.mark.parametrize(("n_rows", "n_rounds"), [(1, 0), (4, 0), (5, 3)])
def test_few_rows(n_rows, n_rounds):
    complete, _ = correlated_data(n_rows)
    observed = np.ones(complete.shape, dtype=bool)
    observed[0, 0] = False
    regressions = ChainedRegressions(LinearRegression(), None, seed=0).fit(complete, observed)
    assert len(regressions.rounds_) == n_rounds
    imputed = regressions.impute(complete, observed)[0]
    assert (imputed[0, 0] == complete[0, 0]) == (n_rounds == 0)
    assert_array_equal(imputed[observed], complete[observed])


def test_a_feature_that_is_never_observed():
    complete, observed = correlated_data(50)
    observed[:, 0] = False
    process = make_process([1.0, -1.0, 1.0], [0.0, 0.0, 0.0])
    for known in (process, None):
        regressions = ChainedRegressions(LinearRegression(), known, seed=0).fit(complete, observed)
        assert np.isfinite(regressions.impute(complete, observed)[0]).all()


@pytest.mark.parametrize("regressor", [default_forest(), LinearRegression()], ids=str)
def test_the_seed_decides(regressor):
    complete, observed = correlated_data(120)
    start = filled(complete, observed)
    process = make_process([1.0, -1.0, 2.0], [0.0, 0.0, 0.0])
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (
        ChainedRegressions(regressor, process, seed).fit(start, observed).impute(start, observed)[0]
        for seed in (1, 1, 2)
    )
    assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("regressor", "tolerance"), [(default_forest(), 0.0), (LinearRegression(), 1e-13)], ids=str
)
def test_a_row_has_the_same_bits_in_any_company(regressor, tolerance):
    """As far as what predicts is the same: products of matrices depend on their shapes."""
    complete, observed = correlated_data(200, n_features=4)
    start = filled(complete, observed)
    process = make_process([1.0, -1.0, 2.0, 1.0], [0.0, 0.3, 0.0, 0.0])
    regressions = ChainedRegressions(regressor, process, seed=0).fit(start, observed)
    together = regressions.impute(start, observed)[0]
    assert (together != start)[~observed].all()
    order = np.random.RandomState(0).permutation(200)
    parts = [slice(i, i + size) for size in (1, 3, 17) for i in range(0, 51, size)]
    for rows in [order, *parts]:
        imputed = regressions.impute(start[rows], observed[rows])[0]
        np.testing.assert_allclose(imputed, together[rows], rtol=0, atol=tolerance)


class Overflowing(LinearRegression):
    """Leaves the range of numbers where it extrapolates."""

    def predict(self, X):
        with np.errstate(over="ignore", invalid="ignore"):
            prediction = np.exp(-1e4 * super().predict(X))
            return np.where(X[:, 0] > 0, prediction, prediction * 0.0)


@pytest.mark.parametrize("process", [None, make_process([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])])
def test_regressions_that_leave_all_bounds_leave_finite_values(process):
    complete, observed = correlated_data(60)
    observed[:, :2] &= complete[:, :2] < 0.5
    rows = filled(complete, observed)
    others = np.delete(rows, 0, axis=1)
    assert not np.isfinite(Overflowing().fit(others, rows[:, 0]).predict(others)).all()
    regressions = ChainedRegressions(Overflowing(), process, seed=0)
    imputed = regressions.fit(rows, observed).impute(rows, observed)[0]
    assert np.isfinite(imputed).all()
    assert np.abs(imputed).max() <= 1e6
    assert_array_equal(imputed[observed], rows[observed])


@pytest.mark.parametrize("regressor", [default_forest(), LinearRegression()])
def test_repeated_rows_are_not_predicted_by_their_copies(regressor):
    """On a bootstrap sample the scale is that of the residuals, as on the rows as they are."""
    complete, observed = correlated_data(400)
    completed = filled(complete, observed)
    rows = np.random.RandomState(0).randint(len(completed), size=len(completed))
    scales = []
    for chosen in (np.arange(len(completed)), rows):
        regressions = ChainedRegressions(regressor, None, 0)
        regressions.fit(completed[chosen], observed[chosen])
        scales.append([each.scale for each in regressions.rounds_[0]])
    np.testing.assert_allclose(scales[1], scales[0], rtol=0.15)


def test_copies_say_what_the_rows_say():
    """The predictions are those of the same forest, of which each row has one more copy."""
    complete, observed = correlated_data(200)
    completed = filled(complete, observed)
    twice = np.repeat(np.arange(len(completed)), 2)
    plain = ChainedRegressions(default_forest(), None, 0).fit(completed, observed)
    doubled = ChainedRegressions(default_forest(), None, 0)
    doubled.fit(completed[twice], observed[twice])
    once, again = plain.rounds_[0][0], doubled.rounds_[0][0]
    assert again.scale == pytest.approx(once.scale, rel=1e-4)
    assert again.slope == pytest.approx(once.slope, rel=1e-4)


def test_rows_of_few_levels_are_not_taken_for_copies():
    """Jitter that no forest can see, which makes rows different, changes nothing."""
    rng = np.random.RandomState(0)
    factor = rng.normal(size=(600, 1))
    answers = np.clip(np.round(3.0 + 1.2 * factor + 0.5 * rng.normal(size=(600, 3))), 1, 5) - 3.0
    observed = rng.uniform(size=answers.shape) < 0.7
    start = np.where(observed, answers, 0.0)
    scales = [
        [
            each.scale
            for each in ChainedRegressions(regressor, None, 0, n_rounds=1)
            .fit(rows, observed)
            .rounds_[0]
        ]
        for regressor in (default_forest(), LinearRegression())
        for rows in (start, start + 1e-7 * rng.normal(size=start.shape))
    ]
    np.testing.assert_allclose(scales[::2], scales[1::2], rtol=0.06)


@pytest.mark.parametrize("times", [3, 20])
def test_rows_that_all_come_several_times_are_copies(times):
    """As measurements tell: one of few levels may be the same by chance."""
    complete, observed = correlated_data(200)
    rows = filled(complete, observed)
    plain = ChainedRegressions(default_forest(), None, 0, n_rounds=1).fit(rows, observed)
    tiled = ChainedRegressions(default_forest(), None, 0, n_rounds=1)
    tiled.fit(np.tile(rows, (times, 1)), np.tile(observed, (times, 1)))
    scales = [[each.scale for each in regressions.rounds_[0]] for regressions in (plain, tiled)]
    np.testing.assert_allclose(scales[1], scales[0], rtol=0.2)


@pytest.mark.parametrize("n_seen", [0, 1, 2, 9])
def test_few_observed_values_do_not_move_what_is_predicted(n_seen):
    """A line through two points says nothing of values in general."""
    complete, observed = correlated_data(100)
    observed[:, 1] = np.arange(100) < n_seen
    rows = filled(complete, observed) if n_seen else np.where(observed, complete, 0.0)
    regressions = ChainedRegressions(LinearRegression(), None, 0, n_rounds=1)
    last = regressions.fit(rows, observed).rounds_[0][-1]
    assert (last.feature, last.offset, last.slope) == (1, 0.0, 1.0)
    assert last.scale > 0.1
    if not n_seen:
        assert last.scale == 1.0


def test_regressions_stay_on_the_processor():
    complete, observed = correlated_data(60)
    rows = filled(complete, observed)
    regressions = ChainedRegressions(LinearRegression(), make_process([2.0] * 3, [0.0] * 3), 0)
    expected = regressions.fit(rows, observed).impute(rows, observed)[0]
    torch.set_default_device("meta")
    try:
        found = regressions.impute(rows, observed)[0]
    finally:
        torch.set_default_device(None)
    assert_array_equal(found, expected)


def test_copies_are_kept_together_where_metadata_are_routed():
    complete, observed = correlated_data(60)
    rows = filled(complete, observed)
    twice = np.repeat(np.arange(len(rows)), 2)
    scales = []
    for is_routed in (False, True):
        with config_context(enable_metadata_routing=is_routed):
            regressions = ChainedRegressions(LinearRegression(), None, 0)
            regressions.fit(rows[twice], observed[twice])
        scales.append([each.scale for each in regressions.rounds_[-1]])
    assert scales[0] == scales[1]


@pytest.mark.parametrize("n_levels", [2, 300])
def test_levels_that_are_excluded_keep_little_of_the_probability(n_levels):
    discrete = DiscreteFeatures(1, {0: n_levels})
    regressions = ChainedRegressions(default_forest(), None, 0, discrete)
    (chances,) = regressions._chances(0, np.eye(n_levels)[:1], np.zeros(1, dtype=bool))
    assert chances.sum() == pytest.approx(1.0)
    assert (chances > 0).all()
    assert chances[0] == pytest.approx(0.999, abs=1e-3)


def test_the_share_of_a_regression_is_that_of_least_squares():
    """Where nothing decides, by the weights of two estimates that are not below 0."""
    complete, observed = correlated_data(800)
    rng = np.random.RandomState(1)
    estimate = complete[:, 0] + rng.normal(size=800)
    regressions = ChainedRegressions(LinearRegression(), None, seed=0, n_rounds=1)
    regressions.fit(filled(complete, observed), observed)
    table = np.column_stack([estimate, complete[:, 1:]])
    share = regressions.share_beside(0, table, complete, observed)
    seen = observed[:, 0]
    folds = KFold(5, shuffle=True, random_state=0)
    by_others = cross_val_predict(LinearRegression(), complete[:, 1:], complete[:, 0], cv=folds)
    inputs = np.column_stack([by_others, estimate])[seen]
    weights, _ = nnls(inputs - inputs.mean(axis=0), complete[seen, 0] - complete[seen, 0].mean())
    assert 0.5 < share < 0.95
    assert share == pytest.approx(weights[0] / weights.sum(), abs=0.02)


@pytest.mark.parametrize(("noise", "share"), [(0.0, 0.0), (None, 1.0)])
def test_the_share_of_a_regression_beside_what_is_right_or_says_nothing(noise, share):
    complete, observed = correlated_data(600)
    regressions = ChainedRegressions(default_forest(), None, seed=0, n_rounds=1)
    regressions.fit(filled(complete, observed), observed)
    unrelated = np.random.RandomState(1).normal(size=600)
    estimate = unrelated if noise is None else complete[:, 0] + noise
    table = np.column_stack([estimate, complete[:, 1:]])
    assert regressions.share_beside(0, table, complete, observed) == pytest.approx(share, abs=0.05)
