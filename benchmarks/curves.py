"""Time to accuracy: error against seconds, of the paper's training and of the defaults.

Each cell is one fit of one imputer, with the error measured on the way; what the measuring
takes is not counted. Fits of the methods that are compared follow one another.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from scipy.stats import gmean
from skorch import NeuralNet
from skorch.callbacks import Callback

from benchmarks.protocols import (
    MISS_FOREST,
    PAPER_MODEL,
    PAPER_TRAINING,
    PROTOCOLS,
    UCI_ORDER,
    Cell,
    Method,
    Task,
    find_data_dir,
    run_cells,
)
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer

RATES = (0.8, 1.0)
GLIMPSE = 48
CHECKPOINTS = (100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000)

PAPER = Method(
    "the paper's training", GNRImputer, {**PAPER_MODEL, **PAPER_TRAINING, "max_iter": 10_000}
)
DEFAULT = Method("defaults", GNRImputer, {"precision": "float32"})
LOW_PRECISION = Method("defaults, bfloat16", GNRImputer, {"precision": "bfloat16"})
METHODS = (PAPER, DEFAULT, LOW_PRECISION, MISS_FOREST)


class Curve(Callback):
    """Measures the error of an imputer during its training."""

    def __init__(self, imputer: GNRImputer, task: Task) -> None:
        self.imputer, self.task = imputer, task
        self.points: list[list[float]] = []
        self.measuring = 0.0

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Impute by the model as it is, from few samples, with the clock stopped."""
        if net.n_steps not in CHECKPOINTS:
            return
        begin = time.perf_counter()
        glimpse = copy.copy(self.imputer).set_params(n_imputation_samples=GLIMPSE)
        glimpse.net_ = net
        error = self.task.error(glimpse._impute(self.task.X))
        self.points.append([net.n_steps, begin - self.start - self.measuring, error])
        self.measuring += time.perf_counter() - begin


def run(cell: Cell, data_dir: Path | None) -> tuple[Cell, dict[str, Any]]:
    """Fit and transform, with the error on the way where there are steps."""
    # Two processes of one thread each get more done than one of two.
    torch.set_num_threads(1)
    task = cell.task(data_dir)
    imputer = cell.method.make(cell.protocol, cell.seed)
    curve = None
    if isinstance(imputer, GNRImputer):
        curve = Curve(imputer, task)
        imputer.callbacks = [curve]
    start = time.perf_counter()
    imputed = imputer.fit_transform(task.X)
    seconds = time.perf_counter() - start
    if curve is None:
        return cell, {"rmse": task.error(imputed), "seconds": seconds, "points": []}
    points = [[steps, round(at, 2), round(error, 4)] for steps, at, error in curve.points]
    seconds -= curve.measuring
    return cell, {"rmse": task.error(imputed), "seconds": seconds, "points": points}


def main(options: argparse.Namespace) -> None:
    """Run what is not on record, draw the picture and print the ratios."""
    data_dir = find_data_dir(options.data_dir)
    records = RecordFile("curves", options.results)
    path = options.results / "points" / "curves.json"
    path.parent.mkdir(exist_ok=True)
    points = json.loads(path.read_text()) if path.exists() else {}
    cells = [
        Cell(protocol, dataset, rate, method, seed)
        for seed in range(options.seeds or 3)
        for rate in options.rates or RATES
        for protocol in options.protocols or PROTOCOLS
        for dataset in options.datasets or UCI_ORDER
        for method in METHODS
        if method.label in (options.methods or [method.label])
        # MissForest for its time alone, and further seeds for the precisions alone.
        and not (method is MISS_FOREST and (seed > 0 or dataset != "wine_white"))
        and not (method is PAPER and seed > 0)
        and not ((method is LOW_PRECISION or seed > 0) and (protocol, rate) != ("field", 1.0))
    ]

    def keep(cell: Cell, result: dict[str, Any]) -> None:
        points[name_of(cell)] = result["points"]
        path.write_text(json.dumps(points, indent=0) + "\n")

    run_cells(cells, records, jobs=options.jobs, data_dir=data_dir, run=run, keep=keep)
    draw(points, options.results / "curves.png")
    print_ratios(records)


def name_of(cell: Cell) -> str:
    """Name the curve of a cell."""
    return " | ".join([*list(cell.key.values())[:4], str(cell.seed)])


def draw(points: dict[str, list[list[float]]], path: Path) -> None:
    """One panel for each table, protocol and rate."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [(protocol, rate) for protocol in PROTOCOLS for rate in RATES]
    figure, axes = plt.subplots(
        len(rows), len(UCI_ORDER), figsize=(16, 9), sharex=True, squeeze=False, layout="constrained"
    )
    for row, (protocol, rate) in zip(axes, rows, strict=True):
        for axis, dataset in zip(row, UCI_ORDER, strict=True):
            for method, colour in ((PAPER, "C0"), (DEFAULT, "C3")):
                for seed in range(10):
                    cell = Cell(protocol, dataset, rate, method, seed)
                    if len(curve := np.array(points.get(name_of(cell), [])).reshape(-1, 3)):
                        label = method.label if seed == 0 else None
                        axis.plot(curve[:, 1], curve[:, 2], colour, lw=1, label=label)
            axis.set_xscale("log")
        row[0].set_ylabel(f"{protocol}, {rate:.0%}")
    for axis, dataset in zip(axes[0], UCI_ORDER, strict=True):
        axis.set_title(dataset)
    figure.supxlabel("seconds of training on one core")
    figure.supylabel("RMSE of the removed values, in standard deviations")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def print_ratios(records: RecordFile) -> None:
    """Print errors and seconds of the defaults as ratios to those of the paper's training."""
    for protocol in PROTOCOLS:
        for rate in RATES:
            errors, seconds = [], []
            for dataset in UCI_ORDER:
                found = [
                    records.find(**Cell(protocol, dataset, rate, method, 0).key)
                    for method in (PAPER, DEFAULT)
                ]
                if found[0] is None or found[1] is None:
                    continue
                runs = [record["runs"]["0"] for record in found if record is not None]
                errors.append(runs[1]["value"] / runs[0]["value"])
                seconds.append(runs[1]["seconds"] / runs[0]["seconds"])
            if errors:
                print(
                    f"{protocol} {rate:.0%}, {len(errors)} tables, geometric means of ratios: "
                    f"RMSE {gmean(errors):.3f}, seconds {gmean(seconds):.3f}"
                )
