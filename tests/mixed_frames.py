"""Frames with columns of several types, and imputers that take them."""

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from gnr_sklearn import (
    GNRImputer,
    MeanImputer,
    MICEImputer,
    MissForestImputer,
    MIWAEImputer,
    NotMIWAEImputer,
    PSMVAEImputer,
)
from tests.contract import TINY, TINY_NET

IMPUTERS = [
    MeanImputer(),
    MICEImputer(max_iter=3),
    MissForestImputer(n_estimators=4, max_iter=2, random_state=0),
    MIWAEImputer(**TINY),
    MIWAEImputer(**TINY, encoder="permutation_invariant", likelihood="student_t"),
    NotMIWAEImputer(**TINY),
    NotMIWAEImputer(**TINY, missing_process="nonlinear"),
    PSMVAEImputer(**TINY, n_components=2),
    GNRImputer(**TINY_NET, missing_direction="above"),
    GNRImputer(**TINY, prior=DecisionTreeRegressor(max_depth=3), missing_direction="neither"),
    GNRImputer(**TINY_NET, mask_model="latent"),
    GNRImputer(**TINY, mask_model="latent", prior="low_sparsity"),
    GNRImputer(**TINY, prior=MeanImputer(), missing_direction="below"),
]


def make_frames(n_rows=60, seed=0):
    """A complete frame whose columns depend on one another, and the same with holes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_rows)

    def near(scale=0.3):
        return z + scale * rng.normal(size=n_rows)

    levels = np.digitize(near(), [-0.5, 0.5])
    full = pd.DataFrame(
        {
            "number": near(),
            "whole": pd.array((10 * near()).round().astype(int), dtype="Int64"),
            "kind": pd.Categorical.from_codes(levels, ["x", "y", "z"]),
            "grade": pd.Categorical.from_codes(
                np.digitize(near(), [-0.5, 0.5]), ["low", "mid", "high"], ordered=True
            ),
            "flag": pd.array(near() > 0, dtype="boolean"),
            "text": np.where(near() > 0, "u", "v").astype(object),
            "single": near().astype(np.float32),
            "seen": near() > 0,
        },
        index=pd.Index(3 * np.arange(n_rows) + 7, name="key"),
    )
    holes = rng.uniform(size=full.shape) < 0.25
    holes[:, -1] = False
    with_holes = full.copy()
    for place, name in enumerate(full.columns[:-1]):
        marker = None if name == "text" else pd.NA if name in ("whole", "flag") else np.nan
        with_holes.loc[holes[:, place], name] = marker
    return full, with_holes


FULL, HOLES = make_frames()
MISSING = HOLES.isna()
