"""Sensitivity analysis against closed forms, and what it leaves as it was."""

import pickle
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from gnr_sklearn import (
    GAINImputer,
    GNRImputer,
    MeanImputer,
    MICEImputer,
    MIWAEImputer,
    NotMIWAEImputer,
)
from gnr_sklearn.sensitivity import Scenario, sensitivity
from tests.contract import (
    SMALL_NET,
    assert_runs_in_a_new_process,
    choose_side,
    make_data,
    state_of,
)

DELTAS = [-1.0, -0.25, 0.0, 2.0]


class DrawingImputer(BaseEstimator):
    """Imputes 0, or 1 or -1 where it is told a direction; draws are around 5, 0.5 apart or so."""

    def __init__(self, draws="two_points", missing_direction=None, random_state=None):
        self.draws = draws
        self.missing_direction = missing_direction
        self.random_state = random_state

    def fit(self, X, y=None):
        self.value_ = {None: 0.0, "above": 1.0, "below": -1.0}[self.missing_direction]
        return self

    def transform(self, X):
        return np.where(np.isnan(X), self.value_, X)

    def sample(self, X, n_draws=5, random_state=None):
        X = np.asarray(X, dtype=float)
        shape = (n_draws, *X.shape)
        if self.draws == "two_points":
            noise = np.broadcast_to((-1.0) ** np.arange(n_draws)[:, None, None], shape)
        else:
            noise = np.random.default_rng(random_state).standard_normal(shape)
        return np.where(np.isnan(X), 5.0 + 0.5 * noise, X)


class GivenImputer(BaseEstimator):
    """Returns, or draws, what it is told to."""

    def __init__(self, completed=None, draws=None):
        self.completed = completed
        self.draws = draws

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.nan_to_num(X) if self.completed is None else np.asarray(self.completed)

    def sample(self, X, n_draws=5, random_state=None):
        return self.draws


@pytest.fixture
def X():
    """Three columns, the first complete."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1.0, 10.0, 0.1] + [0.0, 100.0, 5.0]
    X[::3, 1] = np.nan
    X[1::5, 2] = np.nan
    return X


def column_mean(X):
    return float(np.asarray(X)[:, 1].mean())


# Shifts


@pytest.mark.parametrize("imputer", [SimpleImputer(), KNNImputer(), MeanImputer(), MICEImputer()])
def test_a_shift_moves_means_by_delta_sd_and_the_fraction_missing(imputer, X):
    result = sensitivity(imputer, X, deltas=DELTAS, random_state=0)
    plain = imputer.fit_transform(X)
    missing, sd = np.isnan(X), np.nanstd(X, axis=0)
    kinds = [Scenario("reference"), *(Scenario("delta", delta) for delta in DELTAS)]
    assert list(result.scenarios) == kinds
    assert_allclose(result.observed_std, sd)
    assert_array_equal(result.n_missing, [0, 20, 12])
    assert_allclose(result.column_means[0], plain.mean(axis=0), rtol=1e-12)
    assert_array_equal(result.column_means[3], result.column_means[0])
    for row, delta in enumerate(DELTAS, start=1):
        expected = plain.mean(axis=0) + delta * sd * missing.mean(axis=0)
        assert_allclose(result.column_means[row], expected, rtol=1e-12)
        completed = plain + np.where(missing, delta * sd, 0.0)
        assert_allclose(result.column_stds[row], completed.std(axis=0), rtol=1e-9)
        assert_allclose(result.rms_moves[row], [np.nan, abs(delta), abs(delta)], rtol=1e-12)
    assert_allclose(result.rms_move, [0, *np.abs(DELTAS)], rtol=1e-12)
    assert result.estimates is None
    assert result.completed is None
    assert np.isnan(result.effective_n_draws).all()


def test_completed_data_on_request(X):
    result = sensitivity(SimpleImputer(), X, deltas=[0.0, 1.0], return_completed=True)
    missing = np.isnan(X)
    plain = SimpleImputer().fit_transform(X)
    assert_array_equal(result.completed[:2], [plain, plain])
    assert_array_equal(result.completed[2][~missing], X[~missing])
    assert_allclose(result.completed[2] - plain, np.where(missing, np.nanstd(X, axis=0), 0.0))


@pytest.mark.parametrize("features", [[2], ["x2"], np.array([2]), ["x0", "x2"], (0, 2)])
def test_only_the_chosen_features_move(features, X):
    result = sensitivity(SimpleImputer(), X, deltas=[1.0], features=features)
    assert_array_equal(result.rms_moves[1, :2], [np.nan, 0.0])
    assert_allclose(result.rms_moves[1, 2], 1.0)
    # 12 of 32 missing cells moved.
    assert_allclose(result.rms_move[1], np.sqrt(12 / 32))


def test_one_feature_at_a_time(X):
    result = sensitivity(SimpleImputer(), X, deltas=[-1.0, 1.0], one_at_a_time=True)
    features = [scenario.feature for scenario in result.scenarios]
    assert features == [None, None, None, "x1", "x1", "x2", "x2"]
    assert_allclose(
        result.rms_moves[1:, 1:], [[1, 1], [1, 1], [1, 0], [1, 0], [0, 1], [0, 1]], atol=1e-12
    )


def test_what_does_not_vary_is_not_moved():
    X = [[3.0, 1.0], [3.0, np.nan], [np.nan, 2.0]]
    result = sensitivity(DrawingImputer(), X, deltas=[1.0], strengths=[1.0], n_draws=20)
    assert_array_equal(result.column_means[:, 0], [2.0] * 3)
    assert np.isnan(result.rms_moves[:, 0]).all()
    assert (result.rms_moves[1:, 1] > 0).all()
    assert_array_equal(result.rms_move, result.rms_moves[:, 1])
    alone = sensitivity(SimpleImputer(), [[3.0], [np.nan]])
    assert np.isnan(alone.rms_move).all()
    tilted = sensitivity(DrawingImputer(), [[3.0], [np.nan]], deltas=None, strengths=[1.0])
    assert_array_equal(tilted.column_means, [[1.5]] * 2)
    assert np.isnan(tilted.effective_n_draws).all()


# Tilting


def test_tilting_two_points_exactly(X):
    """Weights of c + h and c - h give the mean c + h tanh(gamma h / sd)."""
    gammas = [-2.0, 0.0, 0.5]
    result = sensitivity(
        DrawingImputer(), X, deltas=None, strengths=gammas, n_draws=100, return_completed=True
    )
    assert result.scenarios[1:] == tuple(Scenario("strength", gamma) for gamma in gammas)
    missing = np.isnan(X)
    for row, gamma in enumerate(gammas, start=1):
        tanh = np.tanh(gamma * 0.5 / np.nanstd(X, axis=0))
        # Added to what is imputed, which is not the mean of the draws here.
        expected = np.where(missing, 0.5 * tanh, X)
        assert_allclose(result.completed[row], expected, rtol=1e-10, atol=1e-12)
        effective = np.broadcast_to(100 / (1 + tanh**2), X.shape)[missing].mean()
        assert result.effective_n_draws[row] == pytest.approx(effective)
    assert np.isnan(result.effective_n_draws[0])


class LevelImputer(DrawingImputer):
    """Imputes 1, and draws 0 one time and 1 three times of four."""

    def transform(self, X):
        return np.where(np.isnan(X), 1.0, X)

    def sample(self, X, n_draws=5, random_state=None):
        levels = (np.arange(n_draws)[:, None, None] % 4 > 0) * np.ones(np.shape(X))
        return np.where(np.isnan(X), levels, X)


def test_levels_are_tilted_within_their_range():
    """The tilted mean is the tilted probability, whichever level is imputed."""
    rng = np.random.RandomState(0)
    X = (rng.uniform(size=(200, 2)) < 0.5).astype(float)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    gammas = [-3.0, 0.0, 1.0]
    result = sensitivity(
        LevelImputer(), X, deltas=None, strengths=gammas, n_draws=100, return_completed=True
    )
    for row, gamma in enumerate(gammas, start=1):
        odds = 3.0 * np.exp(gamma / np.nanstd(X, axis=0))
        expected = np.where(np.isnan(X), odds / (1.0 + odds), X)
        assert_allclose(result.completed[row], expected, rtol=1e-10)


def test_the_tipping_point_of_levels_does_not_depend_on_the_strengths_asked_for():
    """What is imputed, a mode, is not what strength 0 gives: it must not stand for it."""
    X = np.repeat([0.0, 0.0, 1.0, np.nan], 10)[:, np.newaxis]
    settings = {"deltas": None, "estimate": np.mean, "n_draws": 100}
    results = [
        sensitivity(LevelImputer(), X, strengths=strengths, **settings)
        for strengths in ([-1.0, 0.0, 1.0], [-1.0, 1.0])
    ]
    for result in results:
        values, rows = result.curve("strength")
        assert_array_equal(values, [-1.0, 0.0, 1.0])
        # Three draws of four are 1, and 10 of the other 30 cells.
        assert result.estimates[rows[1]] == pytest.approx((0.75 * 10 + 10) / 40)
        assert (np.diff(result.estimates[rows]) > 0).all()
        assert result.tipping_point((0.75 * 10 + 10) / 40, kind="strength") == 0.0
    assert results[1].scenarios[-1] == Scenario("strength", 0.0)


def test_categories_without_an_order_are_not_moved():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.normal(size=80), rng.randint(3, size=80), rng.randint(3, size=80)])
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    likelihood = {1: "categorical", 2: "ordinal"}
    imputer = MIWAEImputer(**SMALL_NET, likelihood=likelihood)
    result = sensitivity(imputer, X, deltas=[0.5], strengths=[1.0], n_draws=60, random_state=0)
    assert_array_equal(result.rms_moves[1:, 1], 0.0)
    assert (result.rms_moves[1:3, [0, 2]] > 0).all()
    with pytest.raises(ValueError, match=r"^features must not have categories without an order"):
        sensitivity(imputer, X, features=[0, 1])
    with pytest.raises(ValueError, match=r"^features must have one with missing cells"):
        sensitivity(MIWAEImputer(**SMALL_NET, likelihood={0: "categorical"}), X[:, 1:2])


def test_tilting_normal_draws(X):
    """The mean moves by gamma sigma^2 / sd, and the variance of weights is known as well."""
    result = sensitivity(
        DrawingImputer("normal"),
        X,
        deltas=None,
        strengths=[-0.1, 0.1],
        features=[2],
        n_draws=20_000,
        random_state=0,
    )
    sd = np.nanstd(X[:, 2])
    moves = (result.column_means[1:, 2] - result.column_means[0, 2]) / np.isnan(X[:, 2]).mean()
    # Of the 12 cells' means of 20,000 draws with sigma = 0.5, the standard error is 0.001.
    assert_allclose(moves, np.array([-0.1, 0.1]) * 0.25 / sd, atol=0.004)
    assert_allclose(
        result.effective_n_draws[1:], 20_000 * np.exp(-((0.1 * 0.5 / sd) ** 2)), rtol=0.02
    )


def test_tilting_one_feature_at_a_time(X):
    result = sensitivity(
        DrawingImputer(), X, deltas=None, strengths=[1.0], one_at_a_time=True, random_state=0
    )
    together, first, second = result.column_means[1:]
    assert_array_equal(first, [together[0], together[1], result.column_means[0, 2]])
    assert_array_equal(second, [together[0], result.column_means[0, 1], together[2]])


def test_few_effective_draws_warn(X):
    # In units of the column x2 the draws spread by five: two of them have all the weight.
    with pytest.warns(UserWarning, match=r"strengths \[3.0\] leave fewer than 10 effective"):
        sensitivity(
            DrawingImputer("normal"), X, strengths=[0.0, 3.0], features=["x2"], random_state=0
        )


def test_gnr_is_tilted():
    X = make_data()
    gammas = [-0.5, 0.0, 0.5]
    imputer = GNRImputer(**SMALL_NET)
    result = sensitivity(imputer, X, deltas=[0.0], strengths=gammas, random_state=0)
    plain = imputer.fit_transform(X)
    for row in (0, 1, 3):
        assert_allclose(result.column_means[row], plain.mean(axis=0), rtol=1e-9)
    assert (np.diff(result.column_means[2:], axis=0) > 0).all()
    assert (result.effective_n_draws[2:] > 100).all()


# Directions


def test_directions_are_told_to_imputers_fitted_anew(X):
    directions = ["above", None, "below"]
    result = sensitivity(DrawingImputer(), X, deltas=None, directions=directions)
    assert result.scenarios[1:] == tuple(Scenario("direction", each) for each in directions)
    fraction = np.isnan(X).mean(axis=0)
    moves = result.column_means - result.column_means[0]
    assert_allclose(moves, np.outer([0.0, 1.0, 0.0, -1.0], fraction), atol=1e-12)
    assert_allclose(result.rms_moves[1, 1:], 1 / np.nanstd(X, axis=0)[1:])


def test_not_miwae_is_told_directions():
    X = make_data()
    imputer = NotMIWAEImputer(
        **{**SMALL_NET, "max_iter": 100, "random_state": None},
        missing_process="self_masking_known",
        decoder="linear",
        learning_rate=0.02,
    )
    directions = ["above", "below", ["below"] * 4]
    result = sensitivity(imputer, X, deltas=None, directions=directions, random_state=0)
    assert result.scenarios[3].value == ("below",) * 4
    # The imputer's own direction; the others have the same seeds, and differ by direction alone.
    assert_array_equal(result.column_means[1], result.column_means[0])
    assert (result.column_means[2] < result.column_means[0]).all()
    assert_array_equal(result.column_means[3], result.column_means[2])


def upper_missing():
    """One factor behind three columns, of whose larger values most are missing."""
    rng = np.random.RandomState(0)
    complete = rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 3))
    lost = (complete > 0.3) & (rng.uniform(size=complete.shape) < 0.7)
    return complete, np.where(lost, np.nan, complete)


def test_gnr_is_told_directions():
    complete, X = upper_missing()
    imputer = GNRImputer(**SMALL_NET | {"max_iter": 100, "learning_rate": 0.02}, prior=None)
    result = sensitivity(imputer, X, deltas=None, directions=["above", "below"], random_state=0)
    chance, above, below = result.column_means
    # So few rows and steps do not tell the imputer by themselves.
    assert imputer.fit(X).missing_direction_.tolist() == [None] * 3
    assert (below < chance).all()
    assert (chance < above).all()
    truth = complete.mean(axis=0)
    assert (np.abs(above - truth) < 0.5 * np.abs(chance - truth)).all()


def test_gnr_is_told_that_values_are_missing_at_random(monkeypatch):
    _, X = upper_missing()
    imputer = GNRImputer(**SMALL_NET, prior=None, missing_direction="above")
    result = sensitivity(imputer, X, deltas=None, directions=["neither", "above"], random_state=0)
    reference, neither, above = result.column_means
    assert (neither < above).all()
    assert_array_equal(reference, above)
    # Nor is there a warning where that is what was chosen.
    choose_side(monkeypatch, 0)
    imputer.set_params(missing_direction=None)
    result = sensitivity(imputer, X, deltas=None, directions=["neither"], random_state=0)
    assert_array_equal(*result.column_means)


def test_a_direction_that_gnr_has_chosen_itself_is_used(monkeypatch):
    choose_side(monkeypatch, 1)
    imputer = GNRImputer(**SMALL_NET, prior=None)
    _, X = upper_missing()
    result = sensitivity(imputer, X, deltas=None, directions=["above", "below"], random_state=0)
    chosen, above, below = result.column_means
    assert_array_equal(above, chosen)
    assert (below < above).all()


def test_a_direction_that_gnr_does_not_use_warns():
    imputer = GNRImputer(**SMALL_NET, alpha=0.0, prior=None)
    with pytest.warns(UserWarning, match="'below' in directions changes nothing"):
        sensitivity(imputer, make_data(), deltas=None, directions=["below"], random_state=0)


@pytest.mark.parametrize(
    "imputer",
    [GNRImputer(**SMALL_NET, mask_model="latent", prior=None), NotMIWAEImputer(**SMALL_NET)],
    ids=["latent", "self_masking"],
)
def test_a_direction_that_is_not_used_warns(imputer):
    with (
        pytest.warns(UserWarning, match="missing_direction='below' has no effect with m"),
        pytest.warns(UserWarning, match="'below' in directions changes nothing"),
    ):
        sensitivity(imputer, make_data(), deltas=None, directions=["below"], random_state=0)


# Estimates and tipping points


def test_an_estimate_of_each_scenario(X):
    result = sensitivity(SimpleImputer(), X, deltas=DELTAS, estimate=column_mean)
    assert_allclose(result.estimates, result.column_means[:, 1], rtol=1e-14)
    result = sensitivity(SimpleImputer(), X, estimate=lambda X: X.mean(axis=0)[None])
    assert result.estimates.shape == (6, 1, 3)
    assert_array_equal(result.estimates[:, 0], result.column_means)


def test_an_estimate_may_write_to_what_it_is_given(X):
    def estimate(X):
        X[:] = 7.0
        return 1

    for table in (X, pd.DataFrame(X)):
        result = sensitivity(SimpleImputer(), table, estimate=estimate, return_completed=True)
        assert (result.completed != 7.0).all()
        assert_array_equal(result.estimates, np.ones(6))


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_tipping_point_of_a_linear_estimate(one_at_a_time, X):
    result = sensitivity(
        SimpleImputer(), X, estimate=column_mean, one_at_a_time=one_at_a_time, deltas=[1, -1, 0.3]
    )
    slope = np.nanstd(X[:, 1]) * np.isnan(X[:, 1]).mean()
    for delta in (-0.999, -0.7, 1e-6, 0.1, 0.9):
        threshold = np.nanmean(X[:, 1]) + delta * slope
        assert result.tipping_point(threshold) == pytest.approx(delta, abs=1e-9)
        if one_at_a_time:
            alone = result.tipping_point(threshold, feature="x1")
            assert alone == pytest.approx(delta, abs=1e-9)
    assert np.isnan(result.tipping_point(np.nanmean(X[:, 1]) + 1.1 * slope))
    if one_at_a_time:
        # Moving x2 does not change the estimate.
        assert np.isnan(result.tipping_point(threshold, feature="x2"))


def test_the_tipping_point_nearest_to_the_reference(X):
    unit = np.nanstd(X[:, 1]) * np.isnan(X[:, 1]).mean()

    def squared_delta(X_completed):
        return ((column_mean(X_completed) - np.nanmean(X[:, 1])) / unit) ** 2

    result = sensitivity(SimpleImputer(), X, estimate=squared_delta, deltas=[-2, -1, 1.5, 3])
    # Broken lines through (-2, 4), (-1, 1), (0, 0), (1.5, 2.25), (3, 9).
    assert result.tipping_point(0.9) == pytest.approx(0.6)
    assert result.tipping_point(4.0) == pytest.approx(1.5 + 1.75 / 4.5)
    assert result.tipping_point(8.0) == pytest.approx(1.5 + 5.75 / 4.5)
    assert np.isnan(result.tipping_point(10.0))
    assert np.isnan(result.tipping_point(-0.5))
    # A scenario that meets the threshold is the tipping point itself.
    assert result.tipping_point(result.estimates[4]) == 3.0
    assert result.tipping_point(result.estimates[0]) == 0.0


def test_tipping_point_along_strengths(X):
    result = sensitivity(
        DrawingImputer(), X, deltas=None, strengths=[1.0, 2.0], estimate=column_mean
    )
    values, rows = result.curve("strength")
    assert_array_equal(values, [0.0, 1.0, 2.0])
    assert_array_equal(rows, [0, 1, 2])
    threshold = result.estimates[1:].mean()
    assert result.tipping_point(threshold, kind="strength") == pytest.approx(1.5)


def test_tipping_point_errors(X):
    without = sensitivity(SimpleImputer(), X)
    with pytest.raises(ValueError, match=r"estimate must have been .* got none"):
        without.tipping_point(0.0)
    array = sensitivity(SimpleImputer(), X, estimate=lambda X: X[0])
    with pytest.raises(ValueError, match=r"estimate must have been .* got shape \(3,\)"):
        array.tipping_point(0.0)
    result = sensitivity(SimpleImputer(), X, estimate=column_mean)
    with pytest.raises(TypeError, match="threshold must be a number"):
        result.tipping_point("0")
    with pytest.raises(ValueError, match="threshold must be a finite number"):
        result.tipping_point(np.nan)
    with pytest.raises(ValueError, match='kind must be "delta" or "strength", got \'direction\''):
        result.tipping_point(0.0, kind="direction")
    with pytest.raises(ValueError, match=r"kind and feature must be .* got 'strength' and None"):
        result.tipping_point(0.0, kind="strength")
    with pytest.raises(ValueError, match=r"kind and feature must be .* got 'delta' and 'x1'"):
        result.tipping_point(0.0, feature="x1")


# The table


def test_to_frame(X):
    result = sensitivity(
        DrawingImputer(),
        X,
        deltas=[1.0],
        strengths=[0.1],
        directions=["above"],
        features=[1],
        one_at_a_time=True,
        estimate=column_mean,
    )
    frame = result.to_frame()
    kinds = ["reference", "delta", "delta", "strength", "strength", "direction"]
    assert frame["kind"].tolist() == kinds
    assert frame["value"].tolist() == [None, 1.0, 1.0, 0.1, 0.1, "above"]
    assert frame["feature"].tolist() == [None, None, "x1", None, "x1", None]
    assert_array_equal(frame["estimate"], result.estimates)
    assert_array_equal(frame["rms_move"], result.rms_move)
    assert_array_equal(frame[["mean_x0", "mean_x1", "mean_x2"]], result.column_means)
    assert_array_equal(frame[["std_x0", "std_x1", "std_x2"]], result.column_stds)
    assert_array_equal(frame[["rms_move_x0", "rms_move_x1", "rms_move_x2"]], result.rms_moves)
    arrays = sensitivity(SimpleImputer(), X, estimate=lambda X: X[:2, :2]).to_frame()
    assert [f"estimate_{k}" in arrays for k in range(5)] == [True] * 4 + [False]
    assert "estimate" not in sensitivity(SimpleImputer(), X).to_frame()


def test_to_frame_needs_pandas(X, monkeypatch):
    result = sensitivity(SimpleImputer(), X)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame requires pandas"):
        result.to_frame()


def test_importing_does_not_import_torch_or_matplotlib():
    code = (
        "import sys, gnr_sklearn.sensitivity, gnr_sklearn.plotting\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
    )
    assert_runs_in_a_new_process(code)


# Data of all kinds


@pytest.mark.parametrize("imputer", [SimpleImputer(), MICEImputer()])
@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_frames_keep_names(imputer, output, X):
    frame = pd.DataFrame(X, columns=["age", "income", "dose"], index=range(100, 160))
    seen = []

    def estimate(X_completed):
        seen.append(X_completed)
        return X_completed["income"].mean()

    imputer = clone(imputer).set_output(transform=output)
    result = sensitivity(imputer, frame, features=["income"], estimate=estimate, random_state=0)
    assert result.feature_names.tolist() == ["age", "income", "dose"]
    assert_allclose(result.estimates, result.column_means[:, 1])
    assert all(isinstance(each, pd.DataFrame) for each in seen)
    assert seen[1].index.equals(frame.index)
    assert seen[1].columns.equals(frame.columns)
    expected = sensitivity(imputer, X, features=[1], random_state=0)
    assert_allclose(result.column_means, expected.column_means, rtol=1e-12)


def test_other_tables(X):
    expected = sensitivity(MICEImputer(), X, random_state=0)
    integers = pd.DataFrame(X).convert_dtypes()
    marked = np.where(np.isnan(X), -1.0, X)
    for imputer, table in (
        (MICEImputer(), pl.DataFrame(X, schema=["a", "b", "c"])),
        (MICEImputer(), X.tolist()),
        (MICEImputer(), integers),
        (MICEImputer(missing_values=pd.NA), integers.astype(object)),
        (MICEImputer(missing_values=-1), marked),
        (FrozenEstimator(MICEImputer(missing_values=-1).fit(marked)), marked),
        (MICEImputer(add_indicator=True), X),
    ):
        result = sensitivity(imputer, table, estimate=column_mean, random_state=0)
        assert_allclose(result.column_means, expected.column_means, rtol=1e-12)
        assert_array_equal(result.n_missing, expected.n_missing)
    single = sensitivity(MICEImputer(), X.astype(np.float32), random_state=0)
    assert_allclose(single.column_means, expected.column_means, rtol=1e-4)
    assert single.column_means.dtype == np.float64


def test_empty_columns(X):
    X[:, 0] = np.nan
    result = sensitivity(MeanImputer(), X, estimate=lambda X: X.mean(axis=0), features=[0, 1])
    assert result.feature_names.tolist() == ["x1", "x2"]
    assert result.estimates.shape == (6, 2)
    assert_allclose(result.rms_moves[1], [1.0, 0.0])
    kept = sensitivity(MeanImputer(keep_empty_features=True), pd.DataFrame(X))
    assert_array_equal(kept.column_means[:, 0], np.zeros(6))
    assert np.isnan(kept.observed_std[0])
    assert_allclose(kept.rms_move, [0.0, 1.0, 0.5, 0.0, 0.5, 1.0])
    with pytest.raises(ValueError, match="features must have one with missing cells that imputer"):
        sensitivity(MeanImputer(), X, features=[0])
    tilted = sensitivity(
        GNRImputer(**SMALL_NET, add_indicator=True), X, strengths=[0.1], random_state=0
    )
    assert tilted.feature_names.tolist() == ["x1", "x2"]
    assert (tilted.column_means[-1] > tilted.column_means[0]).all()


# What stays as it was


@pytest.mark.parametrize("as_frame", [False, True])
def test_nothing_of_the_user_is_changed(as_frame, X):
    table = pd.DataFrame(X) if as_frame else X
    before = pickle.dumps(table)
    for imputer in (SimpleImputer(copy=False), KNNImputer(copy=False)):
        sensitivity(imputer, table)
        assert pickle.dumps(table) == before
        assert not hasattr(imputer, "n_features_in_")
    fitted = GNRImputer(**SMALL_NET).fit(X[:50])
    state = state_of(fitted)
    sensitivity(fitted, table, strengths=[0.1], random_state=0)
    sensitivity(FrozenEstimator(fitted), table, strengths=[0.1], random_state=0)
    assert state_of(fitted) == state
    assert pickle.dumps(table) == before
    read_only = X.copy()
    read_only.setflags(write=False)
    sensitivity(SimpleImputer(), read_only)


def test_a_frozen_imputer_is_used_as_it_was_fitted(X):
    fitted = SimpleImputer().fit(X[:30])
    result = sensitivity(FrozenEstimator(fitted), X)
    assert_array_equal(result.column_means[0], fitted.transform(X).mean(axis=0))
    refitted = sensitivity(fitted, X)
    assert_array_equal(refitted.column_means[0], SimpleImputer().fit_transform(X).mean(axis=0))


def test_random_state(X):
    imputer = GNRImputer(**{**SMALL_NET, "random_state": None})
    state = pickle.dumps(np.random.get_state())  # noqa: NPY002
    runs = [sensitivity(imputer, X, strengths=[0.1], random_state=seed) for seed in (0, 0, 1, None)]
    assert_array_equal(runs[0].column_means, runs[1].column_means)
    for other in runs[2:]:
        assert (runs[0].column_means[:, 1:] != other.column_means[:, 1:]).all()
    assert pickle.dumps(np.random.get_state()) == state  # noqa: NPY002


# Wrong input


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"deltas": "1"}, TypeError, "deltas must be None or a sequence of numbers, got '1'"),
        ({"deltas": 1.0}, TypeError, "deltas must be None or a sequence"),
        ({"deltas": ["1"]}, TypeError, "deltas must be a number, got '1'"),
        ({"deltas": [np.nan]}, ValueError, "deltas must be a finite number"),
        ({"deltas": None}, ValueError, "deltas, strengths or directions must hold a scenario"),
        ({"deltas": []}, ValueError, "deltas, strengths or directions must hold a scenario"),
        ({"strengths": 1.0}, TypeError, "strengths must be None or a sequence"),
        ({"strengths": [np.inf]}, ValueError, "strengths must be a finite number"),
        ({"directions": "above"}, TypeError, "directions must be None or a sequence"),
        ({"directions": ["up"]}, ValueError, "directions must be None or a sequence"),
        ({"directions": [["above"]]}, ValueError, "with one for each of the 3 features"),
        ({"directions": [3]}, ValueError, "directions must be None or a sequence"),
        ({"features": "x1"}, ValueError, "features must be None"),
        ({"features": ["age"]}, ValueError, r"features must be among .* got \['age'\]"),
        ({"features": [3]}, ValueError, "features must be column numbers from 0 to 2, got 3"),
        ({"features": [1, 1]}, ValueError, "features must be None"),
        ({"features": 1.5}, TypeError, "features must be None"),
        ({"features": []}, TypeError, "features must be None"),
        ({"features": [0]}, ValueError, "features must have a missing cell in X"),
        ({"one_at_a_time": 1}, TypeError, "one_at_a_time must be True or False, got 1"),
        ({"return_completed": "no"}, TypeError, "return_completed must be True or False"),
        ({"estimate": 3}, TypeError, "estimate must be None or a function of X, got 3"),
        ({"estimate": lambda X: np.nan}, ValueError, "the result of estimate must be finite"),
        ({"estimate": lambda X: "a"}, ValueError, "the result of estimate must be an array"),
        ({"n_draws": 1}, ValueError, "n_draws must be at least 2, got 1"),
        ({"n_draws": 2.0}, TypeError, "n_draws must be an int, got 2.0"),
        ({"random_state": -1}, ValueError, "random_state must not be negative"),
        ({"random_state": "a"}, TypeError, "random_state must be None"),
        ({"imputer": SimpleImputer}, TypeError, "imputer must be an imputer with the methods"),
        ({"imputer": None}, TypeError, "imputer must be an imputer with the methods"),
        ({"X": [[1.0, 2.0, 3.0]]}, ValueError, "features must have a missing cell in X"),
        ({"X": [1.0, np.nan]}, ValueError, "X must be a matrix"),
        ({"X": [["a", "b", "c"]]}, ValueError, "X must be a dense numeric"),
        ({"X": [[np.inf, np.nan, 1.0]]}, ValueError, "X must hold finite numbers or NaN"),
    ],
)
def test_wrong_arguments(params, error, message, X):
    with pytest.raises(error, match=message):
        sensitivity(**{"imputer": DrawingImputer(), "X": X, **params})


@pytest.mark.parametrize("imputer", [SimpleImputer(), MICEImputer(), GAINImputer()])
def test_scenarios_that_an_imputer_cannot_do(imputer, X):
    if not hasattr(imputer, "sample"):
        with pytest.raises(ValueError, match="strengths must be None for an imputer that cannot"):
            sensitivity(imputer, X, strengths=[1.0])
    for each in (imputer, FrozenEstimator(imputer)):
        with pytest.raises(ValueError, match="directions must be None for an imputer without"):
            sensitivity(each, X, directions=["above"])


def test_estimates_of_changing_shape(X):
    shapes = iter(range(1, 9))
    with pytest.raises(ValueError, match=r"estimate must give as many .* \(1,\) and \(2,\)"):
        sensitivity(SimpleImputer(), X, estimate=lambda X: np.zeros(next(shapes)))


def test_imputers_that_do_something_else(X):
    scaled = make_pipeline(StandardScaler(), SimpleImputer())
    with pytest.raises(ValueError, match="imputer must return observed values as they are"):
        sensitivity(scaled, X)
    with pytest.raises(ValueError, match="imputer must impute finite numbers"):
        sensitivity(FunctionTransformer(lambda X: X, feature_names_out="one-to-one"), X)
    with pytest.raises(ValueError, match=r"imputer must return columns of X.*of shape \(60, 2\)"):
        sensitivity(GivenImputer(np.zeros((60, 2))), X)
    with pytest.raises(ValueError, match=r"imputer must return columns of X.*'pca0', 'pca1'"):
        sensitivity(make_pipeline(SimpleImputer(), PCA(2)), X)
    draws = np.zeros((10, 60, 2))
    with pytest.raises(ValueError, match=r"imputer\.sample must give the columns that transform"):
        sensitivity(GivenImputer(draws=draws), X, strengths=[1.0], n_draws=10)
    with pytest.raises(ValueError, match=r"imputer\.sample must give floats of shape"):
        sensitivity(GivenImputer(draws=draws), X, strengths=[1.0], n_draws=11)


def test_units_inside_a_pipeline_may_differ(X):
    """Rounding on the way there and back is none of the user's business."""
    root = FunctionTransformer(np.cbrt, feature_names_out="one-to-one")
    cube = FunctionTransformer(lambda X: X**3, feature_names_out="one-to-one")
    result = sensitivity(make_pipeline(root, SimpleImputer(), cube), X, return_completed=True)
    assert_array_equal(result.completed[0][~np.isnan(X)], X[~np.isnan(X)])


def test_columns_in_another_order_are_refused(X):
    """They would be left out of the result, as an indicator's columns are."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    parts = [
        ("median", SimpleImputer(strategy="median"), ["b"]),
        ("mean", SimpleImputer(), ["a", "c"]),
    ]
    swapping = ColumnTransformer(parts, verbose_feature_names_out=False)
    with pytest.raises(ValueError, match="imputer must return the columns of X in their order"):
        sensitivity(swapping, frame, deltas=[1.0])
