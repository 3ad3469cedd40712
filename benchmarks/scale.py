"""Time and memory of large tables, in processes of their own.

- normal: few and many rows, fitted and filled, with default settings.
- ratings: a table of the size of Yahoo! R3.
- rows, columns: ever more of them, fitted, and some rows filled.
- parts: a table on disk that is learned from by ``partial_fit``.
- workers: one process and two, see :mod:`benchmarks.workers`.
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
from gnr_sklearn._types import FloatArray
from gnr_sklearn.missingness import MCAR, ampute

N_FEATURES = 20
SETTING = "30% missing completely at random, default settings"
FEW, MANY = 10_000, 1_000_000

RATINGS = "ratings"
RATING_SETTING = "fitted and filled on one core"
STEPS_OF_PAPER = 10_000

GROWING = "five factors and noise, 30% missing completely at random, one core"
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
COLUMNS = (10, 30, 100, 300, 1000)
# Forests of each column on all others take hours where there are hundreds.
MAX_COLUMNS_OF_FORESTS = 30
GROWING_METHODS = {
    "GNR": GNRImputer(random_state=0),
    "GNR, no regressions": GNRImputer(prior=None, random_state=0),
    "GNR, told neither, no regressions": GNRImputer(
        missing_direction="neither", prior=None, random_state=0
    ),
}
FILLED_ROWS = 2000

PARTS = "a pass over a file, 10,000 rows at a time"
ROWS_OF_PARTS = (1_000_000, 10_000_000)
PART = 10_000


def main(options: argparse.Namespace) -> None:
    """Measure the tables, and keep the records."""
    from benchmarks import workers

    records = RecordFile("scale", options.results)
    for table in options.datasets or ("normal", RATINGS, "rows", "columns", "parts", "workers"):
        if table == RATINGS:
            measure_ratings(records, 20 if options.quick else STEPS_OF_PAPER)
        elif table in ("rows", "columns"):
            shapes = [(n_rows, N_FEATURES) for n_rows in ROWS]
            if table == "columns":
                shapes = [(FEW, n_columns) for n_columns in COLUMNS]
            measure_growing(records, shapes[: 2 if options.quick else None], options.methods)
        elif table == "parts":
            measure_parts(records, (20_000,) if options.quick else ROWS_OF_PARTS)
        elif table == "workers":
            workers.measure(records, quick=options.quick)
        else:
            measure_rows(records, 100_000 if options.quick else MANY)


def measure_rows(records: RecordFile, many: int) -> None:
    """Measure few and many rows in turn."""
    runs: dict[int, list[dict[str, float]]] = {FEW: [], many: []}
    # Many rows are imputed once, and fitted between two fits of few.
    for n_rows, imputes in ((FEW, True), (many, False), (FEW, False), (many, True), (FEW, False)):
        runs[n_rows].append(in_process("normal", n_rows, int(imputes)))
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
            measured = in_process("file", path, method, steps)
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


def measure_growing(
    records: RecordFile, shapes: list[tuple[int, int]], methods: list[str] | None
) -> None:
    """Measure larger and larger tables; those on record are skipped."""
    for n_rows, n_columns in shapes:
        for method, imputer in GROWING_METHODS.items():
            dataset, params = f"{n_rows} x {n_columns}", repr(imputer)
            too_wide = method == "GNR" and n_columns > MAX_COLUMNS_OF_FORESTS
            if too_wide or method not in (methods or GROWING_METHODS):
                continue
            key = {"protocol": "field", "dataset": dataset, "setting": GROWING, "method": method}
            if records.has(key | {"metric": "memory_mib"}, params, 0):
                continue
            measured = in_process("growing", method, n_rows, n_columns)
            print(dataset, method, measured, flush=True)
            keep(records, dataset, GROWING, method, params, [measured])


def measure_parts(records: RecordFile, sizes: tuple[int, ...]) -> None:
    """Measure passes over tables on disk."""
    for n_rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.npy"
            subprocess.run(child("write", n_rows, path), check=True)
            measured = in_process("parts", path)
        dataset = f"{n_rows} x {N_FEATURES}"
        print(dataset, measured, flush=True)
        imputer = GROWING_METHODS["GNR, no regressions"]
        keep(records, dataset, PARTS, "GNR, no regressions", repr(imputer), [measured])


def child(*arguments: Any) -> list[str]:
    """Return the command of a process that measures one thing."""
    return [sys.executable, "-m", "benchmarks.scale", *map(str, arguments)]


def in_process(*arguments: Any) -> dict[str, float]:
    """Measure one thing in a process of its own."""
    return json.loads(subprocess.run(child(*arguments), check=True, capture_output=True).stdout)


def keep(
    records: RecordFile,
    dataset: str,
    setting: str,
    method: str,
    params: str,
    measured: list[dict[str, float]],
) -> None:
    key = {"protocol": "field", "dataset": dataset, "setting": setting, "method": method}
    medians = {
        metric: float(np.median([run[metric] for run in measured if metric in run]))
        for metric in dict.fromkeys(name for run in measured for name in run)
    }
    records.replace(key, medians, params)


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


def draw(n_rows: int, n_columns: int, seed: int = 0) -> FloatArray:
    """Five factors and noise, with holes."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(0).normal(size=(5, n_columns)) / np.sqrt(5)
    # In place, so that drawing takes little more than the table.
    X = rng.normal(size=(n_rows, 5)) @ loadings
    X += 0.5 * rng.standard_normal(X.shape, dtype=np.float32)
    for column in X.T:
        column[rng.random(n_rows, dtype=np.float32) < 0.3] = np.nan
    return X


def write(n_rows: int, path: Path) -> None:
    """Write a table part by part."""
    shape = (n_rows, N_FEATURES)
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
    for number, start in enumerate(range(0, n_rows, PART)):
        table[start : start + PART] = draw(min(PART, n_rows - start), N_FEATURES, number)
    table.flush()


def measure_file(path: Path) -> dict[str, float]:
    """Learn from a file part by part."""
    torch.set_num_threads(1)
    table = np.load(path, mmap_mode="r")
    imputer = clone(GROWING_METHODS["GNR, no regressions"])
    # What the first fit imports would count; and the file's pages are not memory of the process.
    clone(imputer).fit(draw(300, 2))
    before = anonymous_memory()
    highest = 0
    start = time.perf_counter()
    for first in range(0, len(table), PART):
        imputer.partial_fit(np.array(table[first : first + PART]))
        highest = max(highest, anonymous_memory())
    seconds = time.perf_counter() - start
    return {
        "fit_seconds": round(seconds, 2),
        "memory_mib": round((highest - before) / 2**20, 1),
        "bound": round(imputer.score(np.array(table[:PART])), 4),
    }


def anonymous_memory() -> int:
    """Bytes that this process holds, without the pages of files."""
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * resource.getpagesize()


def run_child(what: str, *arguments: str) -> dict[str, float]:
    """Measure what the arguments say."""
    if what == "write":
        write(int(arguments[0]), Path(arguments[1]))
        return {}
    if what == "parts":
        return measure_file(Path(arguments[0]))
    if what == "file":
        path, method, steps = arguments
        return measure(rating_imputers(int(steps))[method], np.load(path), imputes=True)
    if what == "growing":
        method, *shape = arguments
        X = draw(*map(int, shape))
        imputer = clone(GROWING_METHODS[method])
        measured = measure(imputer, X, imputes=False)
        start = time.perf_counter()
        imputer.transform(X[:FILLED_ROWS])
        measured["row_ms"] = round((time.perf_counter() - start) / FILLED_ROWS * 1e3, 4)
        return measured
    n_rows, imputes = map(int, arguments)
    complete = np.random.default_rng(0).normal(size=(n_rows, N_FEATURES))
    X = ampute(complete, MCAR(0.3), random_state=0)
    del complete
    # As many steps for all.
    imputer = GNRImputer(n_iter_no_change=10**6, random_state=0)
    return measure(imputer, X, imputes=bool(imputes))


if __name__ == "__main__":
    print(json.dumps(run_child(*sys.argv[1:])))
