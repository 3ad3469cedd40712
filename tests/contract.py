"""The imputers that have to meet the contract, and what its tests share."""

import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.tree import DecisionTreeRegressor

import gnr_sklearn
from gnr_sklearn import (
    GAINImputer,
    GNRImputer,
    MeanImputer,
    MFImputer,
    MICEImputer,
    MissForestImputer,
    MIWAEImputer,
    NotMIWAEImputer,
    PSMVAEImputer,
)
from gnr_sklearn._vae import VAEImputer

# The paper's own model, trained as the other variational autoencoders are by default.
PAPER_MODEL = {
    "mask_model": "latent",
    "prior": None,
    "decoder": "mlp",
    "observation_scale": "shared",
    "n_importance_samples": 20,
    "max_iter": 1000,
    "learning_rate": 3e-3,
    "early_stopping": True,
}


def paper_gnr(**params):
    """Make an imputer by the paper's own model, with other parameters where they are given."""
    return GNRImputer(**PAPER_MODEL | params)


SMALL_NET = {
    "max_iter": 20,
    "hidden_dims": 16,
    "n_importance_samples": 5,
    "n_imputation_samples": 96,  # in three rounds
    "random_state": 0,
}
QUICK = SMALL_NET | {"max_iter": 40}

# Trained to no purpose, where it only matters that it is.
TINY = {
    "hidden_dims": 8,
    "n_importance_samples": 2,
    "n_imputation_samples": 48,  # in two
    "max_iter": 5,
    "random_state": 0,
}
TINY_NET = TINY | {"prior": None}

FEW_STEPS = SMALL_NET | {"max_iter": 8}
IMPUTERS = [
    MeanImputer(),
    MICEImputer(),
    MissForestImputer(n_estimators=5, max_iter=3, random_state=0),
    paper_gnr(**FEW_STEPS),
    paper_gnr(**FEW_STEPS, decoder="linear", early_stopping=False, alpha="auto"),
    paper_gnr(**FEW_STEPS, encoder="permutation_invariant", prior="low_sparsity"),
    paper_gnr(**FEW_STEPS, prior=MeanImputer()),
    GNRImputer(**FEW_STEPS, prior=DecisionTreeRegressor(max_depth=3)),
    GNRImputer(**FEW_STEPS, missing_direction="above", prior=None, early_stopping=True),
    MIWAEImputer(**FEW_STEPS, decoder="curved"),
    MIWAEImputer(**FEW_STEPS, likelihood="student_t"),
    NotMIWAEImputer(**FEW_STEPS, missing_process="self_masking_known"),
    NotMIWAEImputer(**FEW_STEPS, missing_process="nonlinear"),
    PSMVAEImputer(**FEW_STEPS, n_components=2),
    GAINImputer(max_iter=20, random_state=0),
    MFImputer(embedding_dim=2, random_state=0),
    MFImputer(method="dr-jl", embedding_dim=1, random_state=0, early_stopping=True),
    MFImputer(method="cvib", embedding_dim=1, random_state=0),
]


def imputer_id(imputer):
    return type(imputer).__name__


def make_data(n_rows=40, n_features=4, seed=0):
    """Correlated columns in different units, whose large values are missing more often."""
    rng = np.random.RandomState(seed)
    standard = rng.randn(n_rows, 1) + 0.5 * rng.randn(n_rows, n_features)
    X = standard * 10.0 ** np.arange(n_features) - 3.0
    X[rng.uniform(size=X.shape) < np.where(standard > 0, 0.4, 0.1)] = np.nan
    assert not np.isnan(X).all(axis=0).any()
    return X


_filled: dict[str, np.ndarray] = {}


def fit_transform_once(imputer, X):
    """Return what ``fit_transform`` of a clone returns, computed once for each imputer and X."""
    unfitted = clone(imputer)
    key = joblib.hash((unfitted, X))
    if key not in _filled:
        _filled[key] = unfitted.fit_transform(X)
    return _filled[key].copy()


def assert_close(actual, expected, X, imputer):
    """Compare imputations of X up to rounding, relative to how much each column varies."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    tolerance = 1e-4 if isinstance(imputer, VAEImputer) else 1e-10
    assert (np.abs(actual - expected) <= tolerance * np.nanstd(X, axis=0)).all()


def assert_runs_in_a_new_process(code):
    """Run a program where nothing has been imported yet."""
    root = Path(gnr_sklearn.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def assert_fills(X_imputed, X):
    """Check that X_imputed has numbers in place of NaN and is X elsewhere, bit for bit."""
    assert type(X_imputed) is np.ndarray
    assert X_imputed.shape == X.shape
    assert X_imputed.dtype == X.dtype
    assert np.isfinite(X_imputed).all()
    observed = ~np.isnan(X)
    bits = f"u{X.itemsize}"
    assert_array_equal(X_imputed[observed].view(bits), X[observed].view(bits))


def state_of(imputer):
    """Everything an imputer holds, to be compared before and after."""
    return pickle.dumps(vars(imputer))


def choose_side(monkeypatch, choice):
    """Have GNR, told nothing, take values to be lost from above (1), from below (-1) or neither."""
    monkeypatch.setattr(
        "gnr_sklearn._choices.choose_sides",
        lambda predicted: np.full(len(predicted.sides), float(choice)),
    )
    monkeypatch.setattr("gnr_sklearn._choices.decide_themselves", lambda *predicted: True)
