"""What an imputer chooses that is told no direction, and when it asks for nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from gnr_sklearn import GNRImputer
from gnr_sklearn._mechanism import can_be_told, gain_by_model
from tests.contract import TINY_NET
from tests.lost_values import correlated_rows, losses, make_data, with_losses

QUICK = TINY_NET | {"decoder": "linear"}


def fail(*args, **kwargs):
    raise AssertionError("no candidate may be trained")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("above", ["above", "above", None]),
        ("below", ["below", "below", None]),
        ("neither", [None] * 3),
        (["below", "above", None], ["below", "above", None]),
        (["below", "neither", None], ["below", None, None]),
    ],
)
def test_nothing_is_weighed_where_all_is_told(told, expected, monkeypatch):
    monkeypatch.setattr("gnr_sklearn._choices.predict_masks", fail)
    imputer = GNRImputer(**QUICK, missing_direction=told).fit(make_data())
    assert imputer.missing_direction_.tolist() == expected


def test_nothing_is_weighed_where_nothing_is_missing(monkeypatch):
    monkeypatch.setattr("gnr_sklearn._choices.predict_masks", fail)
    X = np.nan_to_num(make_data())
    imputer = GNRImputer(**QUICK).fit(X)
    assert imputer.missing_direction_.tolist() == [None] * 3
    np.testing.assert_array_equal(imputer.transform(X), X)
    holes = imputer.transform(make_data())
    assert np.isfinite(holes).all()


@pytest.mark.parametrize("alpha", [0.0, 1e-9])
def test_nothing_is_weighed_where_the_mask_does_not_count(monkeypatch, alpha):
    """What is not trained must not move what is imputed."""
    monkeypatch.setattr("gnr_sklearn._choices.predict_masks", fail)
    X = make_data()
    untold = GNRImputer(**QUICK, alpha=alpha).fit(X)
    with pytest.warns(UserWarning, match=f"'above' has no effect with alpha={alpha}"):
        told = GNRImputer(**QUICK, alpha=alpha, missing_direction="above").fit(X)
    assert untold.missing_direction_.tolist() == told.missing_direction_.tolist() == [None] * 3
    np.testing.assert_array_equal(untold.transform(X), told.transform(X))


def test_nothing_is_weighed_or_described_where_the_mask_depends_on_z(monkeypatch):
    monkeypatch.setattr("gnr_sklearn._choices.predict_masks", fail)
    imputer = GNRImputer(**QUICK, mask_model="latent").fit(make_data())
    names = ("direction", "threshold", "slope", "floor", "ceiling")
    assert all(getattr(imputer, f"missing_{name}_") is None for name in names)


@pytest.fixture
def weighed(monkeypatch):
    """Candidates, and the rows they were weighed by."""
    calls = []

    def recorded(imputer, values, asked):
        calls.append((imputer, values.copy()))
        return gain_by_model(imputer, values, asked)

    monkeypatch.setattr("gnr_sklearn._choices.gain_by_model", recorded)
    return calls


def above_rows(n_rows=300):
    """Make rows of three features, of which the first two lose what is above 0.3."""
    X = correlated_rows(n_rows, n_features=3)
    X[:, :2][X[:, :2] > 0.3] = np.nan
    return X


def test_candidates_are_linear_models_of_two_kinds(weighed):
    X = above_rows()
    params = QUICK | {"prior": "forest", "decoder": "curved", "max_iter": 3}
    imputer = GNRImputer(**params, missing_direction=["below", None, None], alpha=2.0).fit(X)
    by_values, at_random = (candidate for candidate, _ in weighed)
    assert by_values.missing_direction_.tolist() == ["below", "above", None]
    assert at_random.mask_model == "latent"
    for candidate, rows in weighed:
        assert (candidate.decoder, candidate.prior, candidate.alpha_) == ("linear", None, 1.0)
        assert candidate.n_iter_ == 3
        np.testing.assert_array_equal(rows, X)
    assert imputer.missing_direction_[0] == "below"
    assert imputer.decoder == "curved"


def test_sides_are_spared_where_values_predict_nothing(weighed):
    """Whether values are lost at both ends is asked, by one model of it and one of chance."""
    X = correlated_rows(300, n_features=3)
    X[np.random.RandomState(0).uniform(size=300) < 0.4, 0] = np.nan
    imputer = GNRImputer(**QUICK).fit(X)
    assert [candidate.missing_direction for candidate, _ in weighed] == [
        ["both", "neither", "neither"], ["above"] * 3,
    ]  # fmt: skip
    assert imputer.missing_direction_.tolist() == [None] * 3


def test_candidates_see_a_part_of_many_rows(weighed, monkeypatch):
    X = np.hstack([above_rows(1000), np.arange(1000)[:, np.newaxis]])
    monkeypatch.setattr("gnr_sklearn._choices.ROWS_FOR_CHOICES", 400)
    monkeypatch.setattr("gnr_sklearn._choices.STEPS_FOR_CHOICES", 2)
    imputer = GNRImputer(**QUICK).fit(X)
    first = weighed[0][1]
    assert first.shape == (400, 4)
    numbers = first[:, 3].astype(int)
    assert (np.diff(numbers) > 0).all()
    np.testing.assert_array_equal(first, X[numbers])
    assert np.ptp(numbers) > 500
    assert np.array_equal(weighed[1][1], first, equal_nan=True)
    n_weighed = len(weighed)
    assert [candidate.n_iter_ for candidate, _ in weighed] == [2] * n_weighed
    assert imputer.n_iter_ == 5
    again, other = clone(imputer).fit(X), clone(imputer).set_params(random_state=1).fit(X)
    np.testing.assert_array_equal(weighed[n_weighed][1], first)
    assert not np.array_equal(weighed[-1][1], first, equal_nan=True)
    np.testing.assert_array_equal(again.transform(X), imputer.transform(X))
    assert not np.array_equal(other.transform(X), imputer.transform(X))


def test_rows_in_which_a_column_has_no_value(monkeypatch):
    """By chance, where rows are chosen of many."""
    seen = []

    def recorded(values, asked):
        seen.append(values)
        return can_be_told(values, asked)

    monkeypatch.setattr("gnr_sklearn._choices.can_be_told", recorded)
    X = make_data(400)
    X[:, 2] = np.nan
    X[7, 2], X[9, 2] = 1.0, 2.0
    monkeypatch.setattr("gnr_sklearn._choices.ROWS_FOR_CHOICES", 20)
    imputer = GNRImputer(**QUICK).fit(X)
    assert seen[0].shape == (20, 2)
    assert np.isfinite(imputer.transform(X)).all()
    assert len(imputer.missing_direction_) == 3


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("above", ["above", "above"]),
        ("below", ["below", "below"]),
        ("mixed", ["above", "below"]),
        ("at random", [None, None]),
        ("by chance", [None, None]),
        ("tails", ["both", "both"]),
    ],
)
def test_what_an_imputer_chooses_that_is_told_nothing(kind, expected):
    X, _ = with_losses(kind)
    settings = {"hidden_dims": 16, "n_importance_samples": 4, "n_imputation_samples": 40}
    imputer = GNRImputer(**settings, prior=None, max_iter=200, random_state=0).fit(X)
    assert imputer.missing_direction_.tolist() == [*expected, None, None, None]


@pytest.mark.parametrize(("kind", "side"), [("above", "above"), ("by chance", None)])
def test_a_direction_is_found_beside_categories(kind, side):
    """Whose ones and zeros go missing together, which a mask that depends on z explains best."""
    X = correlated_rows(500)
    rng = np.random.RandomState(2)
    frame = pd.DataFrame(X[:, :3]).add_prefix("x")
    for name, column in (("kind", X[:, 3]), ("sort", X[:, 4])):
        frame[name] = pd.Categorical(np.array(list("abcd"))[np.digitize(column, [-0.8, 0.0, 0.8])])
        frame.loc[rng.uniform(size=len(X)) < 0.2, name] = None
    frame[["x0", "x1"]] = frame[["x0", "x1"]].mask(losses(kind, X))
    imputer = GNRImputer(prior=None, max_iter=300, random_state=0).fit(frame)
    assert imputer.missing_direction_.tolist() == [side, side, None, None, None]


def test_a_feature_that_loses_values_by_chance_beside_others_that_do_not():
    X = correlated_rows(800)
    missing = losses("above", X)
    missing[:, 1] = losses("by chance", X)[:, 1]
    X[:, :2][missing] = np.nan
    imputer = GNRImputer(prior=None, max_iter=300, random_state=0).fit(X)
    assert imputer.missing_direction_.tolist() == ["above", None, None, None, None]


@pytest.mark.parametrize("shape", [(40, 1), (15, 3)], ids=["one column", "few rows"])
def test_no_model_is_fitted_where_no_mask_can_be_predicted(shape, monkeypatch):
    monkeypatch.setattr("gnr_sklearn._choices._candidate", fail)
    X = np.random.RandomState(0).normal(size=shape)
    X[::4] = np.nan
    imputer = GNRImputer(**QUICK).fit(X)
    assert list(imputer.missing_direction_) == [None] * shape[1]
