"""Training and imputation on a GPU, beside one core of the same machine.

Steps on the GPU and on the core are timed in turn, several times over, and their ratios are those
of medians; fits and rows are timed once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from benchmarks.protocols import ABOVE, PAPER_MODEL, PAPER_TRAINING, Cell, Method, find_data_dir
from benchmarks.records import RecordFile
from benchmarks.scale import draw
from benchmarks.speed import BATCH_SIZE, SAMPLES, bare_loop, processor, table, with_holes
from gnr_sklearn import GNRImputer
from gnr_sklearn._types import FloatArray

CORE = "one core"
# In float32, but for the last.
ON_GPU: dict[str, dict[str, Any]] = {
    "GPU, kernel by kernel": {"net_params": {"cuda_graph": False}},
    "GPU": {},
    "GPU, bfloat16": {"precision": "bfloat16"},
}
BARE = "GPU, bare loop"
STEPS = {"cpu": 100, "cuda": 500}
WARM_UP, REPEATS = 20, 3
WIDTHS = (128, 256, 512, 1024, 2048)

DATASET, RATE = "wine_white", 0.8
# The paper's training is timed on a core for so many steps only.
PAPER_STEPS, STEPS_ON_CORE = 10_000, 1000

# Rows filled on a GPU and on a core, and samples for each.
N_FEATURES = 20
ROWS = {"cpu": 5000, "cuda": 1_000_000}
IMPUTATION_SAMPLES = (160, 1000)


def main(options: argparse.Namespace) -> None:
    """Run the parts that are wanted: step, precision, fit, rows."""
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs a GPU that torch can use.")
    torch.set_num_threads(1)
    records = RecordFile("gpu", options.results)
    machine = f"{torch.cuda.get_device_name()}, beside a core of {processor()}"
    parts = options.methods or ["step", "precision", "fit", "rows"]
    # What comes once in a process is in no time.
    GNRImputer(device="cuda", max_iter=WARM_UP, random_state=0).fit(draw(300, 3))
    if "step" in parts:
        for n_samples in SAMPLES[: 1 if options.quick else None]:
            measure_steps(records, machine, n_samples, 1 if options.quick else REPEATS)
    if "precision" in parts:
        for width in WIDTHS[: 1 if options.quick else None]:
            measure_precisions(records, machine, width)
    if "fit" in parts:
        shorter = 20 if options.quick else 1
        measure_fits(records, machine, find_data_dir(options.data_dir), shorter)
    if "rows" in parts:
        measure_rows(records, machine, 50 if options.quick else 1)


def seconds_of(run: Callable[[], Any]) -> float:
    """Seconds that something takes, what it leaves to the GPU included."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def keep(records: RecordFile, key: dict[str, str], measured: dict[str, float]) -> None:
    """Record one line."""
    print(key["method"], {name: round(value, 4) for name, value in measured.items()}, flush=True)
    records.replace(key, measured)


def step_ms(runs: dict[str, Callable[[int], None]], repeats: int) -> dict[str, float]:
    """Milliseconds of a training step of each run, which are taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats):
        for name, run in runs.items():
            n_steps = STEPS["cpu" if name == CORE else "cuda"]
            if repeat == 0:
                run(WARM_UP)
            # What comes once in a fit is in both, and drops out of the difference.
            short, long = (seconds_of(partial(run, n)) for n in (WARM_UP, WARM_UP + n_steps))
            times[name].append(1e3 * (long - short) / n_steps)
    return {name: float(np.median(each)) for name, each in times.items()}


def net(X: FloatArray, device: str, changes: dict[str, Any]) -> Callable[[int], None]:
    """Train the paper's model, with changes, for a number of steps."""

    def run(n_steps: int) -> None:
        settings = PAPER_MODEL | PAPER_TRAINING | changes
        GNRImputer(**settings, random_state=0).set_params(device=device, max_iter=n_steps).fit(X)

    return run


def measure_steps(records: RecordFile, machine: str, n_samples: int, repeats: int) -> None:
    """Milliseconds of a training step of the paper's model."""
    rows = table()
    X, of_all = with_holes(rows), {"n_importance_samples": n_samples}

    def bare(n_steps: int) -> None:
        bare_loop(rows, n_steps, n_samples, torch.float32, "cuda")

    runs = {CORE: net(X, "cpu", of_all), BARE: bare}
    runs |= {name: net(X, "cuda", of_all | changes) for name, changes in ON_GPU.items()}
    medians = step_ms(runs, repeats)
    for name, milliseconds in medians.items():
        key = {"protocol": "-", "dataset": "4898 x 11", "method": name}
        key["setting"] = f"K = {n_samples}, batch {BATCH_SIZE}, {machine}"
        ratio = medians[CORE] / milliseconds
        keep(records, key, {"step_ms": milliseconds, "gpu_speedup": ratio})


def measure_precisions(records: RecordFile, machine: str, width: int) -> None:
    """Milliseconds of a training step on the GPU by the width of two hidden layers."""
    X = with_holes(table())
    runs = {
        f"GPU, {precision}": net(X, "cuda", {"hidden_dims": (width, width), "precision": precision})
        for precision in ("float32", "bfloat16")
    }
    for name, milliseconds in step_ms(runs, REPEATS).items():
        key = {"protocol": "-", "dataset": f"width {width}", "method": name}
        key["setting"] = f"K = 20, batch {BATCH_SIZE}, width of the hidden layers, {machine}"
        keep(records, key, {"step_ms": milliseconds})


def measure_fits(records: RecordFile, machine: str, data_dir: Path | None, shorter: int) -> None:
    """Seconds of whole fits to a table, and the error of what they impute."""
    task = Cell("field", DATASET, RATE, Method("none", GNRImputer), 0, ABOVE).task(data_dir)
    paper = GNRImputer(**PAPER_MODEL | PAPER_TRAINING, random_state=0)
    default = GNRImputer(random_state=0)
    fits = {
        "the paper's training": (paper, PAPER_STEPS // shorter, ("cuda",)),
        "the paper's training, some steps": (paper, STEPS_ON_CORE // shorter, ("cpu", "cuda")),
        "default": (default, default.max_iter // shorter, ("cpu", "cuda")),
        "told the side, no regressions": (
            clone(default).set_params(prior=None, missing_direction="above"),
            default.max_iter // shorter,
            ("cpu", "cuda"),
        ),
    }  # fmt: skip
    for name, (imputer, n_steps, devices) in fits.items():
        for device in devices:
            on_device = clone(imputer).set_params(max_iter=n_steps, device=device)
            measured = {"fit_seconds": seconds_of(partial(on_device.fit, task.X))}
            measured["rmse"] = task.error(on_device.transform(task.X))
            label = f"{name}, {n_steps} steps, {CORE if device == 'cpu' else 'GPU'}"
            key = {"protocol": "field", "dataset": DATASET, "method": label}
            key["setting"] = f"{RATE:.0%}, {machine}"
            keep(records, key, measured)


def measure_rows(records: RecordFile, machine: str, fewer: int) -> None:
    """Milliseconds to impute a row of a long table, and the memory that it takes on a GPU."""
    X = draw(ROWS["cuda"] // fewer, N_FEATURES)
    some = X[: ROWS["cpu"] // fewer]
    imputer = GNRImputer(prior=None, missing_direction="above", device="cuda", random_state=0)
    seconds = seconds_of(partial(imputer.fit, X))
    on_core = clone(imputer).set_params(device="cpu", max_iter=WARM_UP).fit(some)
    key = {"protocol": "field", "dataset": f"{len(X)} x {N_FEATURES}"}
    key["setting"] = f"30% missing completely at random, no regressions, {machine}"
    keep(records, key | {"method": "GPU, fit"}, {"fit_seconds": seconds})
    for n_samples in IMPUTATION_SAMPLES:
        on_core.set_params(n_imputation_samples=n_samples)
        imputer.set_params(n_imputation_samples=n_samples)
        milliseconds = {}
        torch.cuda.reset_peak_memory_stats()
        for name, of, holes in ((CORE, on_core, some), ("GPU", imputer, X)):
            milliseconds[name] = 1e3 * seconds_of(partial(of.transform, holes)) / len(holes)
        for name, each in milliseconds.items():
            measured = {"row_ms": each, "gpu_speedup": milliseconds[CORE] / each}
            if name != CORE:
                measured["memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
            keep(records, key | {"method": f"{name}, {n_samples} samples"}, measured)
