"""Displays of a net: the latent space, training, and how far draws lie apart."""

import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from gnr_sklearn import GAINImputer, GNRImputer, MeanImputer, MIWAEImputer
from gnr_sklearn.plotting import DrawSpreadDisplay, LatentSpaceDisplay, TrainingDisplay
from tests.contract import make_data

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def X():
    return make_data()


@pytest.mark.parametrize(
    "draw",
    [
        lambda X: LatentSpaceDisplay.from_estimator(MeanImputer().fit(X), X),
        lambda X: LatentSpaceDisplay.from_predictions(X, X),
        lambda X: LatentSpaceDisplay(X, X, ("a", "b")).plot(),
        lambda X: TrainingDisplay.from_estimator(MeanImputer().fit(X)),
        lambda X: TrainingDisplay({}, {}).plot(),
        lambda X: DrawSpreadDisplay.from_estimator(MeanImputer().fit(X), X),
        lambda X: DrawSpreadDisplay.from_predictions(X, X),
        lambda X: DrawSpreadDisplay([], []).plot(),
    ],
)
def test_pictures_need_matplotlib(X, draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="matplotlib"):
        draw(X)


def test_two_dimensions_are_shown_as_they_are():
    z = np.random.default_rng(0).normal(size=(40, 2))
    groups = np.where(z[:, 0] > 0, "right", "left")
    display = LatentSpaceDisplay.from_predictions(z, groups, scatter_kwargs={"s": 3})
    np.testing.assert_array_equal(display.points, z)
    points = [c for c in display.ax_.collections if len(c.get_offsets()) > 1]
    drawn = {c.get_label(): c.get_offsets() for c in points if c.get_label() in ("left", "right")}
    assert set(drawn) == {"left", "right"}
    np.testing.assert_array_equal(drawn["left"], z[groups == "left"])
    assert display.ax_.get_xlabel() == "dimension 1"
    # Lines of equal density for both.
    assert len(display.ax_.collections) == 4


def test_more_dimensions_are_shown_by_principal_components(X):
    imputer = MIWAEImputer(max_iter=5, hidden_dims=4, latent_dim=3, random_state=0).fit(X)
    display = LatentSpaceDisplay.from_estimator(imputer, X)
    z = imputer.encode(X)
    centred = z - z.mean(axis=0)
    # Distances within the plane are those of the best one.
    best = np.linalg.svd(centred, full_matrices=False)
    expected = np.abs(best[0][:, :2] * best[1][:2])
    np.testing.assert_allclose(np.abs(display.points), expected, atol=1e-6)
    n_missing = np.isnan(X).sum(axis=1)
    median = int(np.median(n_missing))
    more = display.groups == f"more than {median} missing"
    np.testing.assert_array_equal(more, n_missing > median)


def test_one_dimension_and_groups_of_few_points():
    z = np.arange(6.0)[:, np.newaxis]
    display = LatentSpaceDisplay.from_predictions(z, [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(display.points[:, 0], z[:, 0])
    assert display.ax_.get_ylabel() == "no dimension"


def test_wrong_arguments_of_a_latent_space(X):
    with pytest.raises(ValueError, match="groups must have one value for each of the 3 rows"):
        LatentSpaceDisplay.from_predictions(np.eye(3), [1, 2])
    with pytest.raises(ValueError, match="at most 10 different ones, got 11 values of which 11"):
        LatentSpaceDisplay.from_predictions(np.eye(11), np.arange(11))
    for groups in ([1.0, np.nan, 2.0], ["a", None, "b"], pd.Series(["a", pd.NA, "b"])):
        with pytest.raises(ValueError, match="groups must name the group of each row, got missing"):
            LatentSpaceDisplay.from_predictions(np.eye(3), groups)
    with pytest.raises(TypeError, match="have a method encode, got MeanImputer"):
        LatentSpaceDisplay.from_estimator(MeanImputer().fit(X), X)


def test_training_is_shown_term_by_term(X):
    net = {"hidden_dims": 4, "random_state": 0, "n_importance_samples": 3}
    imputer = GNRImputer(**net, mask_model="latent", prior=None, max_iter=250).fit(X)
    display = TrainingDisplay.from_estimator(imputer, line_kwargs={"marker": "."})
    assert list(display.losses) == ["training"]
    assert list(display.losses["training"]) == imputer.history_[:, "train_loss"]
    assert set(display.terms) == {"observed values", "mask", "latent variable"}
    assert len(display.axes_) == 2
    line = display.axes_[1].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(line.get_ydata(), display.terms["observed values"])
    # The terms are those of a bound: their sum is below that of several samples.
    held_out = MIWAEImputer(**net, max_iter=100).fit(X)
    display = TrainingDisplay.from_estimator(held_out)
    assert list(display.losses) == ["training", "held-out rows"]
    assert set(display.terms) == {"observed values", "latent variable"}
    adversarial = TrainingDisplay.from_estimator(GAINImputer(max_iter=150, random_state=0).fit(X))
    assert set(adversarial.losses) == {"training", "discriminator"}
    assert len(adversarial.axes_) == 1
    with pytest.raises(TypeError, match="imputer must have a history_, which MeanImputer does not"):
        TrainingDisplay.from_estimator(MeanImputer().fit(X))
    with pytest.raises(ValueError, match="ax must be None or 2 axes, got 1"):
        display.plot(plt.subplots()[1])


def test_terms_are_means_of_the_last_batch(X):
    """With all rows in each batch and one sample, the terms add up to minus the loss."""
    imputer = GNRImputer(
        mask_model="latent", prior=None, max_iter=1, n_importance_samples=1, batch_size=len(X),
        precision="float32", random_state=0,
    ).fit(X)  # fmt: skip
    epoch = imputer.history_[-1]
    total = epoch["log_px"] + epoch["log_pm"] + epoch["log_ratio"]
    assert total == pytest.approx(-epoch["train_loss"], rel=1e-5)


def test_spread_of_draws_is_in_parts_of_what_is_observed(X):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, *X.shape))
    missing = np.isnan(X)
    scale = np.nanstd(X, axis=0)
    draws = np.where(missing, 0.5 * scale * noise, X)
    display = DrawSpreadDisplay.from_predictions(X, draws, box_kwargs={"showfliers": False})
    shown = np.flatnonzero(missing.any(axis=0))
    assert display.feature_names == [f"x{j}" for j in shown]
    for spread, j in zip(display.spreads, shown, strict=True):
        expected = draws[:, missing[:, j], j].std(axis=0, ddof=1) / scale[j]
        np.testing.assert_allclose(spread, expected)
        assert abs(spread.mean() - 0.5) < 0.03
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == display.feature_names


def test_spread_of_an_imputers_draws(X):
    imputer = MIWAEImputer(max_iter=50, hidden_dims=4, random_state=0).fit(X)
    display = DrawSpreadDisplay.from_estimator(imputer, X, 5, random_state=0)
    draws = imputer.sample(X, 5, random_state=0)
    again = DrawSpreadDisplay.from_predictions(X, draws)
    for one, other in zip(display.spreads, again.spreads, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(TypeError, match="have a method sample, got MeanImputer"):
        DrawSpreadDisplay.from_estimator(MeanImputer().fit(X), X)
    with pytest.raises(ValueError, match="n_draws must be at least 2, got 1"):
        DrawSpreadDisplay.from_estimator(imputer, X, 1)
    with pytest.raises(ValueError, match="draws must be at least two completed tables"):
        DrawSpreadDisplay.from_predictions(X, draws[0])
    with pytest.raises(ValueError, match="X must have a missing value, NaN, got none"):
        DrawSpreadDisplay.from_estimator(imputer, draws[0])


def test_many_dimensions_are_reduced_in_the_same_way_each_time():
    """Not by a solver that draws numbers, as PCA takes by itself for so many."""
    z = np.random.RandomState(0).normal(size=(600, 100))
    first, second = (LatentSpaceDisplay.from_predictions(z, np.zeros(600)) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)


def test_a_single_epoch_and_parts_are_shown(X):
    net = {"hidden_dims": 4, "random_state": 0, "n_importance_samples": 3}
    imputer = MIWAEImputer(**net, max_iter=50).fit(X)
    display = TrainingDisplay.from_estimator(imputer)
    assert [line.get_marker() for line in display.axes_[0].lines] == [".", "."]
    held_out = display.losses["held-out rows"]
    display = TrainingDisplay.from_estimator(imputer.partial_fit(X))
    # Of a part nothing is held out.
    np.testing.assert_array_equal(display.losses["held-out rows"], [*held_out, np.nan])
    assert len(display.losses["training"]) == 2


def test_a_user_may_say_anything_of_points_and_boxes():
    points = np.random.default_rng(0).normal(size=(30, 2))
    display = LatentSpaceDisplay.from_predictions(points, np.zeros(30), scatter_kwargs={"c": "k"})
    np.testing.assert_array_equal(display.ax_.collections[0].get_facecolor()[0, :3], 0.0)
    X = np.where(points > 1, np.nan, points)
    draws = np.stack([np.nan_to_num(X), np.nan_to_num(X, nan=1.0)])
    is_new = mpl.__version_info__ >= (3, 10)
    lying = {"orientation": "horizontal"} if is_new else {"vert": False}
    ax = DrawSpreadDisplay.from_predictions(X, draws, box_kwargs=lying).ax_
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["x0", "x1"]
    assert (ax.get_xlabel()[:6], ax.get_ylabel()) == ("Spread", "")
