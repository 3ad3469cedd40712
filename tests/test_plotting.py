"""Displays: what is drawn, where, and without what is not installed."""

import sys
from functools import partial

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer

from gnr_sklearn import GNRImputer, MeanImputer
from gnr_sklearn.plotting import (
    DrawSpreadDisplay,
    ImputedValuesDisplay,
    LatentSpaceDisplay,
    MaskProbabilityDisplay,
    MissingPatternDisplay,
    RatingDistributionDisplay,
    SensitivityDisplay,
)
from gnr_sklearn.sensitivity import sensitivity
from tests.contract import TINY_NET

mpl.use("Agg")


class ToldImputer(BaseEstimator):
    """Imputes by the direction that it is told, and draws one more or less."""

    def __init__(self, missing_direction=None):
        self.missing_direction = missing_direction

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        values = {"above": 1.0, "below": -1.0, None: 0.0}
        told = self.missing_direction
        each = told if isinstance(told, tuple) else [told] * np.shape(X)[1]
        return np.where(np.isnan(X), [values[side] for side in each], X)

    def sample(self, X, n_draws=5, random_state=None):
        signs = (-1.0) ** np.arange(n_draws)
        return np.where(np.isnan(X), signs[:, None, None], X)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(30, 3)), columns=["age", "dose", "income"])
    X.iloc[::3, 1] = np.nan
    X.iloc[1::3, 2] = np.nan
    return X


@pytest.fixture
def result(X):
    return sensitivity(
        ToldImputer(),
        X,
        strengths=[-1.0, 1.0],
        directions=["above", "below", None, ("above", "below", None)],
        one_at_a_time=True,
        estimate=lambda X: X["dose"].mean(),
    )


def labels_of(display):
    return [line.get_label() for line in display.lines_]


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_estimates_along_deltas(result):
    display = SensitivityDisplay.from_predictions(result)
    assert display.result is result
    assert labels_of(display) == ["all together", "dose", "income"]
    for line, feature in zip(display.lines_, [None, "dose", "income"], strict=True):
        values, rows = result.curve("delta", feature)
        assert_array_equal(line.get_xdata(), values)
        assert_array_equal(line.get_ydata(), result.estimates[rows])
    assert_array_equal(display.reference_line_.get_ydata(), [result.estimates[0]] * 2)
    assert legend_of(display) == ["all together", "dose", "income", "as imputed"]
    assert "delta" in display.ax_.get_xlabel()
    assert display.ax_.get_ylabel() == "Estimate"
    assert display.figure_ is display.ax_.figure
    assert display.threshold_line_ is display.tipping_points_ is display.tipping_markers_ is None


def test_thresholds_and_tipping_points(result):
    threshold = result.estimates[0] + 0.1
    display = SensitivityDisplay(result=result).plot(threshold=threshold)
    expected = [
        result.tipping_point(threshold, feature=feature) for feature in (None, "dose", "income")
    ]
    assert np.isnan(expected).tolist() == [False, False, True]
    assert_array_equal(display.tipping_points_, expected)
    assert_array_equal(display.tipping_markers_.get_xdata(), expected[:2])
    assert_array_equal(display.threshold_line_.get_ydata(), [threshold] * 2)
    assert legend_of(display)[-2:] == ["tipping points", "as imputed"]
    out_of_reach = display.plot(threshold=99.0)
    assert out_of_reach is display
    assert display.tipping_markers_ is None
    assert legend_of(display)[3:] == ["threshold (99)", "as imputed"]


def test_the_tipping_point_of_a_single_line_is_told(X):
    display = SensitivityDisplay.from_estimator(
        SimpleImputer(),
        X,
        features=["dose"],
        estimate=lambda X_completed: X_completed["dose"].mean() - np.nanmean(X["dose"]),
        threshold=0.01,
    )
    (tipping_point,) = display.tipping_points_
    assert legend_of(display)[:3] == [
        "estimate",
        "threshold (0.01)",
        f"tipping point ({tipping_point:.2f})",
    ]


def test_features_along_strengths(result):
    display = SensitivityDisplay.from_predictions(result, kind="strength", quantity="mean")
    assert labels_of(display) == ["dose", "income"]
    values, rows = result.curve("strength")
    changes = (result.column_means[rows] - result.column_means[0]) / result.observed_std
    for line, change in zip(display.lines_, changes.T[1:], strict=True):
        assert_array_equal(line.get_xdata(), values)
        assert_allclose(line.get_ydata(), change, atol=1e-12)
    assert_array_equal(display.reference_line_.get_ydata(), [0.0, 0.0])
    assert "gamma" in display.ax_.get_xlabel()


def test_directions(result):
    display = SensitivityDisplay.from_predictions(result, kind="direction", quantity="move")
    ticks = [tick.get_text() for tick in display.ax_.get_xticklabels()]
    assert ticks == ["above", "below", "not told", "↑↓-"]
    rows = [row for row, each in enumerate(result.scenarios) if each.kind == "direction"]
    assert_array_equal(display.lines_[0].get_ydata(), result.rms_moves[rows, 1])
    assert display.lines_[0].get_linestyle() == "None"
    # Beside each other, so that none hides another.
    assert_allclose(display.lines_[0].get_xdata(), np.arange(4) - 0.1)
    assert_allclose(display.lines_[1].get_xdata(), np.arange(4) + 0.1)
    display = SensitivityDisplay.from_predictions(result, kind="direction", threshold=0.2)
    assert_array_equal(display.lines_[0].get_ydata(), result.estimates[rows])
    assert display.threshold_line_ is not None
    assert display.tipping_points_ is None


def test_what_is_drawn_by_default(X):
    told = sensitivity(ToldImputer(), X, deltas=None, strengths=[0.5], directions=["above"])
    display = SensitivityDisplay.from_predictions(told)
    assert "odds" in display.ax_.get_xlabel()
    assert "column mean" in display.ax_.get_ylabel()
    still = sensitivity(ToldImputer(), X, deltas=[0.0])
    assert labels_of(SensitivityDisplay.from_predictions(still)) == ["dose", "income"]


def test_arrays_of_estimates(X):
    result = sensitivity(SimpleImputer(), X, estimate=lambda X: X.mean(), features=["dose"])
    display = SensitivityDisplay.from_predictions(result, threshold=0.0)
    assert labels_of(display) == ["estimate 0", "estimate 1", "estimate 2"]
    assert_array_equal(display.lines_[1].get_ydata(), result.estimates[1:, 1])
    # They have no reference in common.
    assert not display.reference_line_.get_visible()
    assert "as imputed" not in legend_of(display)
    assert display.tipping_points_.shape == (3,)


def test_many_lines_can_be_told_apart():
    X = np.random.default_rng(0).normal(size=(20, 12))
    X[0] = np.nan
    display = SensitivityDisplay.from_estimator(SimpleImputer(), X)
    looks = {(line.get_color(), line.get_linestyle()) for line in display.lines_}
    assert len(looks) == len(display.lines_) == 12
    display.figure_.canvas.draw()
    beside = display.ax_.get_legend().get_window_extent()
    assert beside.x0 > display.ax_.get_window_extent().x1
    assert beside.x1 <= display.figure_.bbox.x1


def test_axes_and_styles_of_the_user(result):
    _, ax = plt.subplots()
    display = SensitivityDisplay.from_predictions(result, ax=ax, line_kwargs={"lw": 7, "c": "red"})
    assert display.ax_ is ax
    assert len(plt.get_fignums()) == 1
    assert {(line.get_linewidth(), line.get_color()) for line in display.lines_} == {(7, "red")}


def test_from_estimator_passes_all_on(X):
    params = {
        "deltas": [-2.0, 2.0],
        "strengths": [0.3],
        "directions": ["below"],
        "features": ["income"],
        "one_at_a_time": True,
        "estimate": lambda X: X["income"].mean(),
        "n_draws": 30,
        "random_state": 0,
    }
    display = SensitivityDisplay.from_estimator(ToldImputer(), X, **params, kind="strength")
    expected = sensitivity(ToldImputer(), X, **params)
    assert display.result.scenarios == expected.scenarios
    assert_array_equal(display.result.estimates, expected.estimates)
    assert_array_equal(display.result.effective_n_draws, expected.effective_n_draws)
    assert labels_of(display) == ["all together", "income"]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"kind": "gamma"}, ValueError, r"kind must be None or of a scenario .*, got 'gamma'"),
        ({"quantity": "sd"}, ValueError, r"quantity must be None or one of .*, got 'sd'"),
        ({"threshold": "0"}, TypeError, "threshold must be a number"),
        ({"threshold": 0.0, "quantity": "mean"}, ValueError, "threshold must be None for"),
    ],
)
def test_wrong_arguments(params, error, message, result):
    with pytest.raises(error, match=message):
        SensitivityDisplay.from_predictions(result, **params)
    assert not plt.get_fignums()


def test_results_that_do_not_hold_what_is_asked_for(X):
    with pytest.raises(TypeError, match="result must be a SensitivityResult"):
        SensitivityDisplay.from_predictions(X)
    result = sensitivity(SimpleImputer(), X)
    with pytest.raises(ValueError, match='quantity must not be "estimate" where result has none'):
        SensitivityDisplay.from_predictions(result, quantity="estimate")
    with pytest.raises(ValueError, match="kind must be None or of a scenario"):
        SensitivityDisplay.from_predictions(result, kind="strength")
    constant = sensitivity(SimpleImputer(), [[1.0], [np.nan]])
    with pytest.raises(ValueError, match='quantity must be "estimate" where no feature'):
        SensitivityDisplay.from_predictions(constant)


def test_matplotlib_is_asked_for_when_it_is_needed(X, result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    display = SensitivityDisplay(result=result)
    for draw in (
        display.plot,
        lambda: SensitivityDisplay.from_predictions(result),
        lambda: SensitivityDisplay.from_estimator(SimpleImputer(), X),
    ):
        with pytest.raises(ImportError, match="requires matplotlib"):
            draw()


CHOSEN = np.array([[5.0, 4.0, np.nan], [np.nan, 5.0, 2.0], [4.0, np.nan, 5.0]])
AT_RANDOM = np.array([[np.nan, 1.0, 2.0], [4.0, 1.0, np.nan], [np.nan] * 3])


def test_bars_are_shares_of_ratings():
    display = RatingDistributionDisplay.from_predictions(CHOSEN, AT_RANDOM)
    assert_array_equal(display.levels, [1, 2, 4, 5])
    assert_allclose(display.shares, [[0, 1 / 6, 2 / 6, 3 / 6], [2 / 4, 1 / 4, 1 / 4, 0]])
    for bars, share in zip(display.bars_, display.shares, strict=True):
        assert_allclose([bar.get_height() for bar in bars], share)
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["1", "2", "4", "5"]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        "chosen by users",
        "chosen at random",
    ]
    left, right = (
        {round(bar.get_x() + bar.get_width() / 2, 6) for bar in bars} for bars in display.bars_
    )
    assert not left & right


def test_ratings_observed_and_imputed():
    X = pd.DataFrame(CHOSEN, columns=["a", "b", "c"])
    display = RatingDistributionDisplay.from_estimator(MeanImputer().fit(X), X)
    # Means of 4.5, 4.5 and 3.5; of 2, 4 and 5 the nearest is 4, and in the middle the lower one.
    assert_array_equal(display.levels, [2, 4, 5])
    assert_allclose(display.shares[1], [0, 1, 0])


def test_ratings_are_drawn_where_and_as_asked():
    _, ax = plt.subplots()
    display = RatingDistributionDisplay.from_predictions(
        CHOSEN, AT_RANDOM, labels=("train", "test"), ax=ax, bar_kwargs={"edgecolor": "red"}
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.labels == ("train", "test")
    assert display.bars_[0][0].get_edgecolor() == (1, 0, 0, 1)
    other = RatingDistributionDisplay(display.levels, display.shares, ("a", "b")).plot()
    assert other.ax_ is not ax


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.full((2, 2), np.nan), AT_RANDOM), "chosen must hold one rating"),
        ((CHOSEN, np.full((2, 2), np.nan)), "other must hold one rating"),
        (([1.0, 2.0], AT_RANDOM), "chosen must be a matrix"),
        ((np.arange(60.0).reshape(6, 10), AT_RANDOM), "of 50 levels at most, got 60"),
    ],
)
def test_wrong_ratings(arguments, message):
    with pytest.raises(ValueError, match=message):
        RatingDistributionDisplay.from_predictions(*arguments)


def test_rounding_makes_no_other_ratings():
    tenths = CHOSEN / 10
    for pair in ((np.float32(tenths), tenths), (tenths, np.float32(tenths))):
        display = RatingDistributionDisplay.from_predictions(*pair)
        assert_allclose(display.levels, [0.2, 0.4, 0.5], rtol=1e-6)
        assert_array_equal(*display.shares)


def test_wrong_labels_and_imputers():
    with pytest.raises(ValueError, match="labels must be two names, got 'ab'"):
        RatingDistributionDisplay.from_predictions(CHOSEN, AT_RANDOM, labels="ab")
    for X in (np.ones((2, 3)), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="X must have ratings and missing cells"):
            RatingDistributionDisplay.from_estimator(MeanImputer().fit(CHOSEN), X)
    many = np.append(np.arange(60.0), np.nan)[:, np.newaxis]
    with pytest.raises(ValueError, match="X must hold ratings of 50 levels at most, got 60"):
        RatingDistributionDisplay.from_estimator(MeanImputer().fit(many), many)
    empty = np.column_stack([CHOSEN, np.full(3, np.nan)])
    with pytest.raises(ValueError, match=r"every column of X back, \(3, 4\), got \(3, 3\)"):
        RatingDistributionDisplay.from_estimator(MeanImputer().fit(empty), empty)


def test_ratings_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    display = RatingDistributionDisplay(np.ones(1), np.ones((1, 1)), ["all"])
    for draw in (
        display.plot,
        lambda: RatingDistributionDisplay.from_predictions(CHOSEN, AT_RANDOM),
        lambda: RatingDistributionDisplay.from_estimator(MeanImputer().fit(CHOSEN), CHOSEN),
    ):
        with pytest.raises(ImportError, match="requires matplotlib"):
            draw()


def test_patterns_are_those_of_the_rows(X):
    X.iloc[2, [0, 1]] = np.nan
    display = MissingPatternDisplay.from_data(X)
    assert display.counts.sum() == display.n_rows == 30
    missing = X.isna().to_numpy()
    for pattern, count in zip(display.patterns, display.counts, strict=True):
        assert (missing == pattern).all(axis=1).sum() == count
    assert (np.diff(display.counts) <= 0).all()
    assert_allclose(display.missing_fraction, missing.mean(axis=0))
    assert_array_equal(display.image_.get_array(), display.patterns)
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == ["age (3%)", "dose (37%)", "income (33%)"]
    assert display.ax_.get_yticklabels()[0].get_text() == "10 (33%)"
    # The most common ones only, which then are not all rows.
    few = MissingPatternDisplay.from_data(X, max_patterns=1)
    assert few.patterns.shape == (1, 3)
    assert few.counts.sum() < few.n_rows
    ax = plt.subplots()[1]
    assert few.plot(ax, image_kwargs={"cmap": "Blues"}).ax_ is ax
    assert few.image_.get_cmap().name == "Blues"
    with pytest.raises(ValueError, match="max_patterns must be at least 1"):
        MissingPatternDisplay.from_data(X, max_patterns=0)
    # A table without holes has one pattern.
    complete = MissingPatternDisplay.from_data(np.zeros((4, 2)))
    assert_array_equal(complete.patterns, [[False, False]])


@pytest.mark.parametrize("kind", ["density", "strip"])
def test_imputed_values_stand_beside_observed_ones(X, kind):
    imputer = MeanImputer().fit(X)
    display = ImputedValuesDisplay.from_estimator(imputer, X, kind=kind)
    assert display.feature_names == ["dose", "income"]
    missing = X.isna().to_numpy()
    for j, observed, imputed in zip([1, 2], display.observed, display.imputed, strict=True):
        assert_array_equal(observed, X.to_numpy()[~missing[:, j], j])
        assert_allclose(imputed, np.nanmean(X.to_numpy()[:, j]))
    assert [ax.get_xlabel() for ax in display.axes_] == ["dose", "income"]
    legend = [text.get_text() for text in display.axes_[0].get_legend().get_texts()]
    assert legend == ["observed", "imputed"]
    if kind == "strip":
        points = display.axes_[0].collections
        assert_array_equal(points[0].get_offsets()[:, 0], display.observed[0])
        assert_array_equal(points[1].get_offsets()[:, 0], display.imputed[0])
    else:
        # Histograms whose areas are 1.
        for bars in display.axes_[0].containers:
            assert sum(p.get_height() * p.get_width() for p in bars) == pytest.approx(1)
    axes = plt.subplots(1, 2)[1]
    again = display.plot(axes, kind=kind, artist_kwargs={"alpha": 0.1})
    assert_array_equal(again.axes_, axes)
    drawn = axes[0].collections or axes[0].patches
    assert drawn[0].get_alpha() == 0.1


def test_imputed_values_of_many_features_are_on_a_grid():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 6))
    X[0, :5] = np.nan
    display = ImputedValuesDisplay.from_estimator(MeanImputer().fit(X), X)
    assert len(display.axes_) == 5
    assert len(display.figure_.axes) == 8
    assert sum(ax.axison for ax in display.figure_.axes) == 5


def test_wrong_arguments_of_imputed_values(X):
    imputer = MeanImputer().fit(X)
    with pytest.raises(ValueError, match="kind must be one of"):
        ImputedValuesDisplay.from_estimator(imputer, X, kind="violin")
    with pytest.raises(ValueError, match="ax must be None or 2 axes"):
        ImputedValuesDisplay.from_estimator(imputer, X, ax=plt.subplots()[1])
    with pytest.raises(ValueError, match="X must have a missing value"):
        ImputedValuesDisplay.from_estimator(imputer, X.dropna())
    with pytest.raises(ValueError, match="X_imputed must be complete and of the shape of X"):
        ImputedValuesDisplay.from_predictions(X, X)
    with pytest.raises(ValueError, match="X_imputed must have the columns of X, in that order"):
        ImputedValuesDisplay.from_predictions(X, X.fillna(0.0)[X.columns[::-1]])
    X["empty"] = np.nan
    with pytest.raises(ValueError, match="imputer must give every column of X back"):
        ImputedValuesDisplay.from_estimator(MeanImputer().fit(X), X)


@pytest.mark.parametrize("constant", [0.1, 0.3, 1234567.1, 1e17, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_differ_by_rounding_are_one_bar(constant, dtype):
    X = np.c_[np.full(4, constant), np.arange(4.0)].astype(dtype)
    imputed = X.copy()
    imputed[-1, 0] *= 1 + np.finfo(dtype).eps
    X[-1, 0] = np.nan
    (ax,) = ImputedValuesDisplay.from_predictions(X, imputed).axes_
    if dtype is np.float64 or constant == 0:
        assert len(ax.patches) == 2
    bars = [patch.get_x() for patch in ax.patches]
    ends = [patch.get_x() + patch.get_width() for patch in ax.patches]
    assert min(bars) <= imputed[:, 0].min() <= imputed[:, 0].max() <= max(ends)


def test_mask_and_its_probabilities_stand_side_by_side(X):
    imputer = GNRImputer(**TINY_NET, missing_direction="above").fit(X)
    display = MaskProbabilityDisplay.from_estimator(imputer, X, max_rows=12)
    assert display.labels == ["GNRImputer", "mask"]
    assert display.feature_names == ["age", "dose", "income"]
    assert_array_equal(display.images_[0].get_array(), imputer.predict_mask_proba(X)[:12])
    assert_array_equal(display.images_[1].get_array(), X.notna()[:12])
    assert [ax.get_title() for ax in display.axes_] == display.labels
    mask, proba = X.notna(), imputer.predict_mask_proba(X)
    several = MaskProbabilityDisplay.from_predictions(mask, proba, 1 - proba)
    assert several.labels == ["probability 1", "probability 2", "mask"]
    assert several.feature_names == ["age", "dose", "income"]
    axes = plt.subplots(1, 3)[1]
    again = several.plot(axes, image_kwargs={"cmap": "viridis"})
    assert_array_equal(again.axes_, axes)
    assert again.images_[0].get_cmap().name == "viridis"


def test_wrong_arguments_of_a_mask(X):
    mask = X.notna().to_numpy()
    proba = np.full(mask.shape, 0.5)
    for wrong, words in (
        ((mask * 2, proba), "mask must hold nothing but True and False"),
        ((mask,), "probas must be one matrix"),
        ((mask, proba[:5]), "probas must be probabilities of the shape of mask"),
        ((mask, proba * 3), "probas must be probabilities of the shape of mask"),
        ((mask, proba * np.nan), "probas must be probabilities of the shape of mask"),
    ):
        with pytest.raises(ValueError, match=words):
            MaskProbabilityDisplay.from_predictions(*wrong)
    with pytest.raises(ValueError, match="probas must have the columns of mask, in that order"):
        MaskProbabilityDisplay.from_predictions(X.notna(), 0.5 * X.notna()[X.columns[::-1]])
    for labels in ("one", ["one", "two"]):
        with pytest.raises(ValueError, match="labels must be 1 names"):
            MaskProbabilityDisplay.from_predictions(mask, proba, labels=labels)
    with pytest.raises(ValueError, match="ax must be None or 2 axes"):
        MaskProbabilityDisplay.from_predictions(mask, proba, ax=plt.subplots()[1])
    with pytest.raises(TypeError, match="have a method predict_mask_proba"):
        MaskProbabilityDisplay.from_estimator(MeanImputer().fit(X), X)


@pytest.mark.parametrize(
    "draw",
    [
        lambda X: MissingPatternDisplay.from_data(X),
        lambda X: ImputedValuesDisplay.from_estimator(MeanImputer().fit(X), X),
        lambda X: ImputedValuesDisplay.from_predictions(X, X.fillna(0)),
        lambda X: MaskProbabilityDisplay.from_predictions(X.notna(), X.notna()),
        lambda X: MaskProbabilityDisplay.from_estimator(MeanImputer().fit(X), X),
        lambda X: ImputedValuesDisplay([], [], []).plot(),
        lambda X: MissingPatternDisplay(*5 * [np.zeros((1, 1))]).plot(),
        lambda X: MaskProbabilityDisplay([], [], []).plot(),
    ],
)
def test_pictures_of_tables_need_matplotlib(X, draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="matplotlib"):
        draw(X)


def test_imputers_that_write_into_what_they_are_given():
    """Neither the picture nor the user's table takes imputed values for observed ones."""
    ratings = np.array([[1.0, np.nan], [2.0, 1.0], [np.nan, 1.0], [2.0, np.nan]])
    shares = []
    for copy in (True, False):
        given = ratings.copy()
        imputer = SimpleImputer(copy=copy).fit(ratings)
        shares.append(RatingDistributionDisplay.from_estimator(imputer, given).shares)
        assert_array_equal(given, ratings)
        ImputedValuesDisplay.from_estimator(imputer, given)
    assert_array_equal(*shares)


def test_there_is_no_spread_of_features_without_values():
    X = np.array([[1.0, np.nan], [2.0, np.nan]])
    with pytest.raises(ValueError, match="X must have a feature with both observed and missing"):
        DrawSpreadDisplay.from_predictions(X, np.zeros((3, 2, 2)))


def test_draws_of_a_feature_that_does_not_vary_are_in_its_units():
    X = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0], [np.nan, np.nan]])
    draws = np.stack([np.nan_to_num(X, nan=value) for value in (0.1, 0.2)])
    # The sd of three times 0.1 is not quite 0.
    assert np.std(X[:3, 0]) > 0
    of_constant, other = DrawSpreadDisplay.from_predictions(X, draws).spreads
    spread = np.std([0.1, 0.2], ddof=1)
    assert_allclose([of_constant, other], [[spread], [spread / np.std([1.0, 2.0, 3.0])]])
    with pytest.raises(ValueError, match=r"shape \(2, 4, 2\) with 4 values that are NaN or infin"):
        DrawSpreadDisplay.from_predictions(X, [X, X])


@pytest.mark.parametrize("as_frame", [True, False])
@pytest.mark.parametrize(
    ("draw", "attribute"),
    [
        (ImputedValuesDisplay.from_estimator, "imputed"),
        (partial(DrawSpreadDisplay.from_estimator, random_state=0), "spreads"),
        (MaskProbabilityDisplay.from_estimator, "matrices"),
        (LatentSpaceDisplay.from_estimator, "groups"),
        (RatingDistributionDisplay.from_estimator, "shares"),
    ],
)
def test_another_marker_shows_the_same(X, draw, attribute, as_frame):
    """What a number marks as missing is missing in the picture, as it is to the imputer."""
    X = X.round().astype("Int64" if as_frame else float)
    marked = X.fillna(-99).astype(int) if as_frame else X.fillna(-99.0).to_numpy()
    shown = []
    for marker, table in ((np.nan, X), (-99, marked)):
        imputer = GNRImputer(missing_values=marker, **TINY_NET).fit(table)
        shown.append(getattr(draw(imputer, table), attribute))
    for of_nan, of_number in zip(*shown, strict=True):
        assert_array_equal(of_nan, of_number)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "strength"}, "kind must be None or of a scenario"),
        ({"kind": "delta", "deltas": None, "strengths": [1.0]}, "kind must be None or of"),
        ({"quantity": "median"}, "quantity must be None or one of"),
        ({"quantity": "estimate"}, "quantity must not be .estimate. where result has none"),
        ({"threshold": 1.0}, "threshold must be None for a quantity other than"),
        ({"threshold": "a", "estimate": np.mean}, "threshold must be a number"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_fitted(arguments, message, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("fitted")

    monkeypatch.setattr("gnr_sklearn.plotting._sensitivity.sensitivity", fail)
    with pytest.raises((ValueError, TypeError), match=message):
        SensitivityDisplay.from_estimator(MeanImputer(), [[0.0, 1.0]], **arguments)


def test_a_user_may_say_anything_of_bars_and_images(X):
    imputer = MeanImputer().fit(X)
    display = ImputedValuesDisplay.from_estimator(
        imputer, X, artist_kwargs={"bins": 3, "density": False}
    )
    assert sum(bar.get_height() for bar in display.axes_[0].patches) == len(X)
    strip = ImputedValuesDisplay.from_estimator(imputer, X, kind="strip", artist_kwargs={"c": "k"})
    np.testing.assert_array_equal(strip.axes_[0].collections[0].get_facecolor()[0, :3], 0.0)
    image = MissingPatternDisplay.from_data(X, image_kwargs={"interpolation": "none"}).image_
    assert image.get_interpolation() == "none"
    proba = np.full(X.shape, 0.5)
    display = MaskProbabilityDisplay.from_predictions(
        ~np.isnan(X), proba, image_kwargs={"interpolation": "none"}
    )
    assert display.images_[0].get_interpolation() == "none"
