"""How often a 95% interval from multiple imputation holds the true mean of a column.

One factor is behind two columns; the first is missing by a logistic function of its own value. So
the data come from the family of not-MIWAE with a linear decoder, and not from that of MIWAE.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy.special import expit
from tqdm import tqdm

from benchmarks.records import RecordFile
from gnr_sklearn import MIWAEImputer, NotMIWAEImputer
from gnr_sklearn.multiple import draw_imputations, pool

N_ROWS, N_DRAWS, N_REPETITIONS = 1000, 20, 200
MEAN = np.array([2.0, -1.0])
SLOPES = (1.5, 3.0)
TRAINING: dict[str, Any] = {
    "decoder": "linear", "latent_dim": 1, "hidden_dims": 16, "max_iter": 800,
    "learning_rate": 0.02, "n_importance_samples": 50, "early_stopping": False,
}  # fmt: skip
IMPUTERS = {
    "not-MIWAE": NotMIWAEImputer(missing_process="self_masking_known", **TRAINING),
    "MIWAE": MIWAEImputer(**TRAINING),
}
BOOTSTRAP = "not-MIWAE, bootstrap"


def simulate(slope: float, seed: int) -> np.ndarray:
    """Two columns with noise around one factor, holes in the first."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(N_ROWS, 1))
    X = MEAN + z + 0.4 * rng.normal(size=(N_ROWS, 2))
    X[rng.uniform(size=N_ROWS) < expit(slope * (X[:, 0] - MEAN[0])), 0] = np.nan
    return X


def repeat(method: str, slope: float, seed: int) -> dict[str, float]:
    """Impute and pool once."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    draws = draw_imputations(
        IMPUTERS[method.partition(",")[0]],
        simulate(slope, seed),
        N_DRAWS,
        bootstrap=method == BOOTSTRAP,
        random_state=seed,
    )[:, :, 0]
    pooled = pool(
        draws.mean(axis=1),
        draws.var(axis=1, ddof=1) / N_ROWS,
        complete_degrees_of_freedom=N_ROWS - 1,
    )
    lower, upper = pooled.confidence_interval()
    return {
        "coverage": float(lower <= MEAN[0] <= upper),
        "error_of_mean": float(pooled.estimate - MEAN[0]),
        "standard_error": float(pooled.standard_error),
        "seconds": time.perf_counter() - start,
    }


def main(options: argparse.Namespace) -> None:
    """Run the repetitions that are not on record."""
    records = RecordFile("coverage", options.results)
    todo = []
    for method in [m for m in (*IMPUTERS, BOOTSTRAP) if m in (options.methods or IMPUTERS)]:
        for slope in SLOPES:
            key = {"protocol": "-", "dataset": "one factor", "setting": f"slope {slope}"}
            key |= {"method": method}
            params = repr(IMPUTERS[method.partition(",")[0]]).replace("\n", " ")
            todo += [
                (key, params, slope, seed)
                for seed in range(options.seeds or N_REPETITIONS)
                if not records.has(key | {"metric": "coverage"}, params, seed)
            ]
    finished = Parallel(n_jobs=options.jobs, return_as="generator")(
        delayed(repeat)(key["method"], slope, seed) for key, _, slope, seed in todo
    )
    for (key, params, _, seed), result in tqdm(
        zip(todo, finished, strict=True), total=len(todo), desc="coverage"
    ):
        seconds = round(result.pop("seconds"), 2)
        for metric, value in result.items():
            records.add(key | {"metric": metric}, params, seed, round(value, 5), seconds, None)
