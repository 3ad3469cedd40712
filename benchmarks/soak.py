"""Many fits and transforms in one process: what it holds must not grow.

Memory is compared with that after a tenth of the work, when all that is kept for later is there.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

from benchmarks.records import RecordFile
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

FITS, TRANSFORMS = 500, 20_000
NET: dict[str, Any] = {
    "hidden_dims": 16, "max_iter": 20, "n_importance_samples": 3, "n_imputation_samples": 32,
}  # fmt: skip
IMPUTERS = (
    GNRImputer(**NET),
    GNRImputer(**NET, missing_direction="above", prior=None),
    GNRImputer(**NET, mask_model="latent", prior="low_sparsity", alpha="auto"),
    MIWAEImputer(**NET, encoder="permutation_invariant"),
    NotMIWAEImputer(**NET),
    PSMVAEImputer(**NET, n_components=2),
    GAINImputer(max_iter=50),
    MissForestImputer(n_estimators=5, max_iter=2),
    MICEImputer(),
    MFImputer(embedding_dim=2),
    MeanImputer(),
)


def main(options: argparse.Namespace) -> None:
    """Fit and transform, and record what has grown."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    n_fits, each = (50, 4) if options.quick else (FITS, TRANSFORMS // FITS)
    rng = np.random.RandomState(0)
    start, first = time.perf_counter(), {}
    for number in tqdm(range(n_fits), desc="soak", unit="fit"):
        if number == n_fits // 10:
            first = holdings()
        shape = rng.randint(20, 200), rng.randint(2, 9)
        X = rng.randn(shape[0], 1) + rng.randn(*shape)
        X[rng.uniform(size=shape) < 0.3] = np.nan
        X[0] = 0.0
        imputer = clone(IMPUTERS[number % len(IMPUTERS)]).set_params(random_state=number)
        imputer.fit(X)
        for _ in range(each):
            rows = X[: rng.randint(1, len(X))]
            imputed = imputer.transform(rows)
            assert np.isfinite(imputed).all()
    last = holdings()
    seconds = time.perf_counter() - start
    records = RecordFile("soak", options.results)
    key = {
        "protocol": "-", "dataset": f"{n_fits} fits, {n_fits * each} transforms",
        "setting": "after a tenth of the work, and at its end", "method": "all imputers in turn",
    }  # fmt: skip
    values = {
        "memory_growth": 100 * (last["memory"] / first["memory"] - 1),
        "new_files": last["files"] - first["files"],
        "new_threads": last["threads"] - first["threads"],
    }
    print(values, first, last)
    records.replace(key, values, seconds=seconds)


def holdings() -> dict[str, int]:
    """Bytes of memory, open files and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory": pages * resource.getpagesize(),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count() + len(os.listdir("/proc/self/task")),
    }
