"""Errors of imputed values, against closed forms and by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from sklearn.impute import SimpleImputer

from gnr_sklearn.metrics import (
    complete_data_scorer,
    imputation_mae,
    imputation_rmse,
    mask_accuracy,
    mask_auc,
)
from gnr_sklearn.missingness import MCAR, Compose, Mechanism, SelfMasking, ampute

HALF_NORMAL_MEAN = np.sqrt(2 / np.pi)


def fill_mean(X: NDArray[np.float64]) -> NDArray[np.float64]:
    return SimpleImputer().fit_transform(X)


# Errors: what the paper's Table 1 must be for mean imputation of independent standard normals


def mean_imputation_rmse(p: float, q: float = 0.0) -> float:
    """RMSE of the observed mean, self-masking w.p. p in half the columns, plus MCAR(q) in all."""
    above, below = 1 - (1 - p) * (1 - q), q  # P(missing) on either side of the mean
    half = HALF_NORMAL_MEAN / 2  # E[x 1(x > 0)]
    observed = 1 - (above + below) / 2
    mean = half * (below - above) / observed

    def squares(sign: int) -> float:  # E[(x - mean)^2 1(sign x > 0)]
        return 0.5 - 2 * mean * sign * half + mean**2 / 2

    masked = above * squares(1) + below * squares(-1)
    return float(np.sqrt((masked + q) / ((above + below) / 2 + q)))


def test_the_closed_form_itself() -> None:
    assert mean_imputation_rmse(1.0) == pytest.approx(np.sqrt(1 + 6 / np.pi))
    paper = {(0.2, 0.0): 1.05, (0.8, 0.0): 1.45, (1.0, 0.0): 1.71, (0.8, 0.2): 1.26}
    for (p, q), published in paper.items():
        assert mean_imputation_rmse(p, q) == pytest.approx(published, abs=0.025)


@pytest.mark.parametrize(
    ("mechanism", "expected"),
    [
        (SelfMasking(0.2), mean_imputation_rmse(0.2)),
        (SelfMasking(0.8), mean_imputation_rmse(0.8)),
        (SelfMasking(1.0), mean_imputation_rmse(1.0)),
        (SelfMasking(features=[0, 1], direction=["above", "below"]), mean_imputation_rmse(1.0)),
        (Compose(SelfMasking(0.8), MCAR(0.2)), mean_imputation_rmse(0.8, 0.2)),
        (MCAR(0.2), 1.0),
    ],
    ids=["20%", "80%", "100%", "star", "80%+20%MCAR", "MCAR"],
)
def test_mean_imputation(
    normals: NDArray[np.float64], mechanism: Mechanism, expected: float
) -> None:
    X_missing = ampute(normals, mechanism, random_state=1)
    rmse = imputation_rmse(normals, fill_mean(X_missing), np.isnan(X_missing))
    assert rmse == pytest.approx(expected, abs=0.01)


def test_floor_of_an_oracle(normals: NDArray[np.float64]) -> None:
    """Knowing the mechanism but no other column, the best guess is the half-normal's mean."""
    X_missing = ampute(normals, SelfMasking())
    mask = np.isnan(X_missing)
    X_imputed = np.where(mask, HALF_NORMAL_MEAN, normals)
    assert imputation_rmse(normals, X_imputed, mask) == pytest.approx(
        np.sqrt(1 - 2 / np.pi), abs=0.005
    )


def test_errors_by_hand() -> None:
    X_true = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, np.nan]])
    X_imputed = np.array([[1.0, 10.0], [5.0, 16.0], [3.0, 7.0]])
    mask = np.array([[False, False], [True, True], [False, False]])
    assert imputation_rmse(X_true, X_imputed, mask) == pytest.approx(np.sqrt((9 + 16) / 2))
    assert imputation_mae(X_true, X_imputed, mask) == pytest.approx(3.5)
    scaled = partial(imputation_rmse, X_true, X_imputed, mask, scale=[3, 2])
    assert scaled() == pytest.approx(np.sqrt((1 + 4) / 2))
    assert imputation_mae(X_true, X_imputed, mask.astype(int).tolist(), scale=[3, 2]) == 1.5


def test_scale_matters_in_columns_with_removed_cells_only() -> None:
    X, mask = np.array([[1.0, 1.0], [1.0, 3.0]]), [[False, True], [False, False]]
    assert imputation_rmse(X, [[1, 3], [1, 3]], mask, scale=X.std(axis=0)) == 2.0


def test_perfect_imputation_is_0(wine: NDArray[np.float64]) -> None:
    mask = np.isnan(ampute(wine, MCAR(), 0))
    assert imputation_rmse(wine, wine, mask) == 0
    in_float32 = wine.astype(np.float32)
    assert imputation_rmse(wine, in_float32, mask) == pytest.approx(0, abs=1e-4)
    assert imputation_mae(wine, np.where(mask, wine, in_float32), np.ones_like(mask)) < 1e-4


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 10))
def test_errors_are_norms(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    X, mask = rng.normal(size=(6, 3)), rng.random((6, 3)) < 0.5
    mask[0, 0] = True
    X_imputed = X + rng.normal(size=X.shape) * mask
    rmse, mae = (f(X, X_imputed, mask) for f in (imputation_rmse, imputation_mae))
    assert 0 <= mae <= rmse * (1 + 1e-12)
    assert imputation_rmse(X, X_imputed, mask, scale=[factor] * 3) == pytest.approx(rmse / factor)
    anything = np.where(mask, X_imputed, rng.normal(size=X.shape))
    assert imputation_rmse(X, anything, mask) == rmse


def test_frames_without_names_are_taken_by_position(wine: NDArray[np.float64]) -> None:
    X = pd.DataFrame(wine)
    X_missing = ampute(X, MCAR(), 0)
    filled = fill_mean(X_missing)
    expected = imputation_rmse(wine, filled, np.isnan(X_missing.to_numpy()))
    assert imputation_rmse(X, pd.DataFrame(filled), X_missing.isna()) == expected


def test_frames_whose_columns_stand_in_another_order_are_refused() -> None:
    X = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [10.0, 30.0, 20.0]})
    mask = X == 2.0
    imputed = X.mask(mask, 3.0)
    assert imputation_rmse(X, imputed, mask) == imputation_mae(X, imputed.to_numpy(), mask) == 1.0
    with pytest.raises(ValueError, match=r"X_imputed must have the columns of X_true, in that ord"):
        imputation_rmse(X, imputed[["b", "a"]], mask)
    with pytest.raises(ValueError, match=r"mask must have .*, \['a', 'b'\], got \['b', 'a'\]"):
        imputation_mae(X, imputed, mask[["b", "a"]])
    proba = 1.0 - 0.6 * mask
    assert mask_accuracy(~mask, proba) == 1.0
    with pytest.raises(ValueError, match="proba must have the columns of observed"):
        mask_auc(~mask, proba[["b", "a"]])
    imputer = SimpleImputer().fit(X)
    with pytest.raises(ValueError, match="y must have the columns of X"):
        complete_data_scorer(imputer, X.mask(mask), X[["b", "a"]])


@pytest.mark.parametrize("metric", [imputation_rmse, imputation_mae])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"X_imputed": np.ones((2, 3))},
            r"X_true, X_imputed and mask must have one shape, got \(2",
        ),
        ({"mask": [[True, False]]}, "X_true, X_imputed and mask must have one shape"),
        ({"mask": np.zeros((2, 2))}, "mask must be True in at least one cell"),
        ({"mask": [[0.5, 0], [0, 1]]}, "mask must hold booleans, or 0 and 1"),
        ({"mask": [["a", "b"]] * 2}, "mask must be a dense numeric"),
        ({"mask": [[np.nan, 1.0], [0.0, 0.0]]}, "mask must hold booleans"),
        ({"X_true": [[np.nan, 2], [3, 4]]}, "X_true must not be NaN .* 1 of 1 such cells"),
        ({"X_imputed": [[np.nan, 2], [3, 4]]}, "X_imputed must not be NaN where mask is True"),
        ({"X_imputed": [[np.inf, 2], [3, 4]]}, "X_imputed must hold finite numbers"),
        ({"X_true": [1.0, 2.0]}, "X_true must be a matrix"),
        (
            {"mask": [[False, True], [True, True]]},
            "mask looks inverted: .* True must mark the removed cells",
        ),
        ({"scale": 2.0}, r"scale must be of shape \(2,\), .* got \(\)"),
        ({"scale": [1.0, 1.0, 1.0]}, r"scale must be of shape \(2,\)"),
        ({"scale": [0.0, 1.0]}, "scale must be positive and finite in every column with"),
        ({"scale": [np.nan, 1.0]}, "scale must be positive and finite"),
    ],
)
def test_bad_arguments_of_errors(
    metric: Callable[..., float], changes: dict[str, ArrayLike], message: str
) -> None:
    arguments = {
        "X_true": [[1.0, 2.0], [3.0, 4.0]],
        "X_imputed": [[0.0, 2.0], [3.0, 4.0]],
        "mask": [[True, False], [False, False]],
    }
    with pytest.raises(ValueError, match=f"^{message}"):
        metric(**{**arguments, **changes})


def test_a_perfect_imputation_is_not_an_inverted_mask() -> None:
    """Even where other values are not known, by either or both."""
    mask = [[True, False], [False, False]]
    for truth, imputed in (
        ([[1, np.nan], [3, 4]], [[1, 2], [3, 4]]),
        ([[1, np.nan], [3, 4]], [[1, np.nan], [3, 4]]),
        ([[1, 2], [3, 4]], [[1, np.nan], [3, 4]]),
    ):
        assert imputation_rmse(truth, imputed, mask) == 0


def test_inverted_mask_is_seen_in_float32_too(wine: NDArray[np.float64]) -> None:
    X_missing = ampute(wine, MCAR(), 0)
    filled = fill_mean(X_missing).astype(np.float32)
    with pytest.raises(ValueError, match=r"^mask looks inverted"):
        imputation_rmse(wine, filled, ~np.isnan(X_missing))


def test_rounding_of_zero_does_not_make_a_mask_look_inverted() -> None:
    truth = np.array([[5.0, 0.0], [5.0, 1.0], [5.0, 2.0]])
    imputed = truth + np.array([[0.0, 1e-17], [0.0, 0.0], [0.0, 0.0]])
    mask = np.array([[False, False], [True, False], [False, False]])
    assert imputation_rmse(truth, imputed, mask) == 0.0


def test_errors_in_single_precision_do_not_overflow() -> None:
    truth, imputed = (np.array([[size], [1.0]], dtype=np.float32) for size in (1e20, 3e20))
    assert imputation_rmse(truth, imputed, [[1], [0]]) == pytest.approx(2e20)
