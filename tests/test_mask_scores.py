"""Scores of told masks, against closed forms, by hand and against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from gnr_sklearn.metrics import mask_accuracy, mask_auc
from gnr_sklearn.missingness import SelfMasking, ampute


@pytest.mark.parametrize(("k", "lower_bound"), [(0.2, 0.82), (0.8, 0.52), (1.0, 0.5)])
def test_random_masks_reach_the_bound_of_table_3(
    normals: NDArray[np.float64], k: float, lower_bound: float
) -> None:
    observed = ~np.isnan(ampute(normals, SelfMasking(k), random_state=1))
    guess = np.random.default_rng(2).random(observed.shape) >= k / 2
    assert mask_accuracy(observed, guess) == pytest.approx(lower_bound, abs=0.005)
    assert mask_auc(observed, guess) == pytest.approx(0.5, abs=0.01)


OBSERVED = np.array([[1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 1, 0]], dtype=bool)
PROBA = np.array([[0.5, 0.2, 0, 0], [0.4, 0.9, 0, 0], [0.6, 0.3, 0, 1], [0.7, 0.1, 0, 0]])


def test_mask_accuracy_by_hand() -> None:
    # Right: 3 of 4, 3 of 4, (0 of 4, fully observed: not counted), 3 of 4.
    assert mask_accuracy(OBSERVED, PROBA) == 9 / 12
    assert mask_accuracy(OBSERVED, PROBA, features="all") == 9 / 16
    assert mask_accuracy(OBSERVED, PROBA, features=[2]) == 0
    assert mask_accuracy(OBSERVED, PROBA, features=[0], threshold=0.55) == 2 / 4
    assert mask_accuracy(OBSERVED.astype(int), PROBA, features="first_half") == 6 / 8


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_mask_auc_is_that_of_sklearn_on_mixed_columns(average: str) -> None:
    expected = roc_auc_score(OBSERVED[:, :2], PROBA[:, :2], average=average)
    assert mask_auc(OBSERVED, PROBA, average=average) == pytest.approx(expected)
    assert mask_auc(OBSERVED, PROBA, features=[1, 2], average=average) == roc_auc_score(
        OBSERVED[:, 1], PROBA[:, 1]
    )


@pytest.mark.parametrize("metric", [mask_accuracy, mask_auc])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"proba": PROBA[:3]}, ValueError, r"observed and proba must have one shape, got \(4, 4\)"),
        (
            {"proba": PROBA * 2},
            ValueError,
            r"proba must hold probabilities between 0 and 1, without NaN\.$",
        ),
        ({"proba": np.where(OBSERVED, PROBA, np.nan)}, ValueError, "proba must hold probabilities"),
        ({"proba": [["a"] * 4] * 4}, ValueError, "proba must be a dense numeric"),
        ({"observed": PROBA}, ValueError, "observed must hold booleans"),
        (
            {"observed": np.ones((4, 4))},
            ValueError,
            "observed must have a column with",
        ),
        ({"features": [4]}, ValueError, "features must be column numbers from 0 to 3, got 4"),
        ({"features": "some"}, ValueError, "features must be"),
        ({"features": 0}, TypeError, "features must be"),
    ],
)
def test_bad_arguments_of_mask_scores(
    metric: Callable[..., float], changes: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        metric(**{"observed": OBSERVED, "proba": PROBA, **changes})


def test_mask_accuracy_counts_every_column_with_a_missing_cell() -> None:
    observed = [[True, False, True], [False, True, True]]
    proba = [[0.9, 0.9, 0.1], [0.1, 0.9, 0.1]]
    assert mask_accuracy(observed, proba) == 3 / 4


def test_bad_options_of_mask_scores() -> None:
    with pytest.raises(ValueError, match=r"with a missing cell, got no False in it\.$"):
        mask_accuracy(np.ones((4, 4)), PROBA)
    with pytest.raises(ValueError, match=r"^threshold must be a finite number between 0 and 1"):
        mask_accuracy(OBSERVED, PROBA, threshold=2)
    with pytest.raises(ValueError, match=r'^average must be "macro" or "micro", got None'):
        mask_auc(OBSERVED, PROBA, average=None)
    with pytest.raises(ValueError, match=r"^observed must have a column with both"):
        mask_auc(OBSERVED, PROBA, features=[2, 3])
