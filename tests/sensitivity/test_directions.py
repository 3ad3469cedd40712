"""Imputers that are told other directions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gnr_sklearn import GNRImputer, NotMIWAEImputer
from gnr_sklearn.sensitivity import Scenario, sensitivity
from tests.contract import SMALL_NET, choose_side, make_data
from tests.sensitivity.drawing_imputers import DrawingImputer


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


@pytest.mark.parametrize(
    ("imputer", "setting"),
    [
        (GNRImputer(**SMALL_NET, alpha=0.0, prior=None), "alpha=0.0"),
        (GNRImputer(**SMALL_NET, mask_model="latent", prior=None), 'mask_model="latent"'),
        (NotMIWAEImputer(**SMALL_NET), "missing_process='self_masking'"),
    ],
    ids=["alpha", "latent", "self_masking"],
)
def test_a_direction_that_is_not_used_warns(imputer, setting):
    with (
        pytest.warns(UserWarning, match=f"missing_direction='below' has no effect with {setting}"),
        pytest.warns(UserWarning, match="'below' in directions changes nothing"),
    ):
        sensitivity(imputer, make_data(), deltas=None, directions=["below"], random_state=0)
