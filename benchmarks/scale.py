"""Memory and time of fitting and imputing large tables, in processes of their own.

Many rows of few columns, all with default settings; and ratings of the size of Yahoo! R3.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from benchmarks.ratings import R3_SHAPED, SONGS, USERS, draw_r3_shaped
from benchmarks.records import RecordFile
from benchmarks.table4 import BOUNDS, SAMPLES, VAE
from gnr_sklearn import GNRImputer, MFImputer
from gnr_sklearn._base import FloatArray
from gnr_sklearn.missingness import MCAR, ampute

N_FEATURES = 20
SETTING = "30% missing completely at random, default settings"
FEW, MANY = 10_000, 1_000_000

RATINGS = "ratings"
RATING_SETTING = "fitted and filled on one core"
STEPS_OF_PAPER = 10_000


def main(options: argparse.Namespace) -> None:
    """Measure the tables, and keep the records."""
    records = RecordFile("scale", options.results)
    for table in options.datasets or ("normal", RATINGS):
        if table == RATINGS:
            measure_ratings(records, 20 if options.quick else STEPS_OF_PAPER)
        else:
            measure_rows(records, 100_000 if options.quick else MANY)


def measure_rows(records: RecordFile, many: int) -> None:
    """Measure few and many rows in turn."""
    runs: dict[int, list[dict[str, float]]] = {FEW: [], many: []}
    # Many rows are imputed once, and fitted between two fits of few.
    for n_rows, imputes in ((FEW, True), (many, False), (FEW, False), (many, True), (FEW, False)):
        runs[n_rows].append(in_process(str(n_rows), str(int(imputes))))
        print(n_rows, runs[n_rows][-1], flush=True)
    for n_rows, measured in runs.items():
        dataset = f"normal {n_rows} x {N_FEATURES}"
        keep(records, dataset, SETTING, "GNR", "", measured)


def measure_ratings(records: RecordFile, steps: int) -> None:
    """Measure a fit of the paper's length, and a matrix factorisation, to ratings of full size."""
    with tempfile.TemporaryDirectory() as folder:
        # Drawing takes more memory than some fits.
        path = Path(folder) / "ratings.npy"
        np.save(path, draw_r3_shaped().train)
        for method, imputer in rating_imputers(steps).items():
            measured = in_process(str(path), method, str(steps))
            print(method, measured, flush=True)
            keep(records, f"{USERS} x {SONGS}", RATING_SETTING, method, repr(imputer), [measured])


def rating_imputers(steps: int) -> dict[str, GNRImputer | MFImputer]:
    settings: dict[str, Any] = {
        "latent_dim": 30,
        "n_imputation_samples": SAMPLES[R3_SHAPED],
        "max_iter": steps,
    }
    told = {"missing_direction": "below", "prior": None, "loading_penalty": 100.0}
    return {
        "GNR": GNRImputer(**VAE | settings | told, random_state=0),
        "MF-SNIPS": MFImputer(method="snips", l2=20.0, random_state=0).set_params(**BOUNDS),
    }


def in_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def keep(
    records: RecordFile,
    dataset: str,
    setting: str,
    method: str,
    params: str,
    measured: list[dict[str, float]],
) -> None:
    key = {"protocol": "field", "dataset": dataset, "setting": setting, "method": method}
    records.discard(key)
    for metric in ("fit_seconds", "transform_seconds", "memory_mib"):
        values = [run[metric] for run in measured if metric in run]
        records.add(key | {"metric": metric}, params, 0, float(np.median(values)), 0.0, None)


def measure(imputer: Any, X: FloatArray, *, imputes: bool) -> dict[str, float]:
    """Seconds, and the highest memory above what the process held before, the input among it."""
    torch.set_num_threads(1)
    # What the first fit imports would count as its time and memory.
    clone(imputer).set_params(max_iter=1).fit(np.random.default_rng(0).normal(size=(30, 2)))
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize()
    start = time.perf_counter()
    imputer.fit(X)
    measured = {"fit_seconds": round(time.perf_counter() - start, 2)}
    if imputes:
        start = time.perf_counter()
        imputer.transform(X)
        measured["transform_seconds"] = round(time.perf_counter() - start, 2)
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        measured["memory_mib"] = round((highest - before) / 2**20, 1)
    return measured


def measure_table(table: str, *arguments: str) -> dict[str, float]:
    """Read or draw a table, and measure what the arguments say."""
    if Path(table).suffix == ".npy":
        method, steps = arguments
        return measure(rating_imputers(int(steps))[method], np.load(table), imputes=True)
    complete = np.random.default_rng(0).normal(size=(int(table), N_FEATURES))
    X = ampute(complete, MCAR(0.3), random_state=0)
    del complete
    # As many steps for all.
    imputer = GNRImputer(n_iter_no_change=10**6, random_state=0)
    return measure(imputer, X, imputes=bool(int(arguments[0])))


if __name__ == "__main__":
    print(json.dumps(measure_table(*sys.argv[1:])))
