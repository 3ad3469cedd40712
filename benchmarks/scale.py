"""Memory and time of fitting and imputing many rows, in processes of their own."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer
from gnr_sklearn.missingness import MCAR, ampute

N_FEATURES = 20
SETTING = "30% missing completely at random, default settings"
FEW, MANY = 10_000, 1_000_000


def main(options: argparse.Namespace) -> None:
    """Measure few and many rows in turn, and keep the records."""
    records = RecordFile("scale", options.results)
    many = 100_000 if options.quick else MANY
    runs: dict[int, list[dict[str, float]]] = {FEW: [], many: []}
    # Many rows are imputed once, and fitted between two fits of few.
    for n_rows, imputes in ((FEW, True), (many, False), (FEW, False), (many, True), (FEW, False)):
        command = [sys.executable, "-m", "benchmarks.scale", str(n_rows), str(int(imputes))]
        finished = subprocess.run(command, check=True, capture_output=True)
        runs[n_rows].append(json.loads(finished.stdout))
        print(n_rows, runs[n_rows][-1], flush=True)
    for n_rows, measured in runs.items():
        key = {"protocol": "field", "dataset": f"normal {n_rows} x {N_FEATURES}"}
        key |= {"setting": SETTING, "method": "GNR"}
        records.discard(key)
        for metric in ("fit_seconds", "transform_seconds", "memory_mib"):
            values = [run[metric] for run in measured if metric in run]
            records.add(key | {"metric": metric}, "", 0, float(np.median(values)), 0.0, None)


def measure(n_rows: int, imputes: bool, **params: Any) -> dict[str, float]:
    """Seconds, and the highest memory above what the process held before, input included."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    # What the first fit imports would count as its time and memory.
    GNRImputer(max_iter=1).fit(rng.normal(size=(30, 2)))
    X = ampute(rng.normal(size=(n_rows, N_FEATURES)), MCAR(0.3), random_state=0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize()
    # As many steps for all.
    imputer = GNRImputer(n_iter_no_change=10**6, random_state=0, **params)
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


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), bool(int(sys.argv[2])))))
