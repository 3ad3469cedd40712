"""What is left to gain in the field: errors with complete data and the true mechanism in hand.

Each incomplete column is predicted from the true values of all others by a forest that was fitted
to the complete table, out of bag, with normal noise around the prediction; a missing value is then
expected given that it lies above the mean and was lost. Whoever sees the table with its holes has
less to go by.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor

from benchmarks.protocols import Cell, Method, Task, cells_of, find_data_dir, run_cells
from benchmarks.records import RecordFile
from gnr_sklearn.nn.likelihoods import SelectedGaussian

# So steep, in standard deviations, that it is a step.
STEP = 1e3


METHODS = (
    Method(
        "complete data and true mechanism",
        RandomForestRegressor,
        {"max_features": 0.4, "oob_score": True},
        ("field",),
    ),
)


def impute_with_the_truth(
    task: Task, rate: float, regressor: RandomForestRegressor
) -> NDArray[np.float64]:
    """Impute values lost from above the mean by what their complete table tells."""
    imputed = task.complete.copy()
    for j in np.flatnonzero(task.missing.any(axis=0)):
        lost = task.missing[:, j]
        values = (task.complete[:, j] - task.complete[:, j].mean()) / task.scale[j]
        others = np.delete(task.complete, j, axis=1)
        predicted = clone(regressor).fit(others, values).oob_prediction_
        slope, offset = np.polyfit(predicted, values, 1)
        mean = offset + slope * predicted
        expected = SelectedGaussian(
            torch.from_numpy(mean[lost]),
            *torch.tensor(
                [np.std(values - mean), STEP, 0.0, -np.inf, np.log(rate)], dtype=torch.float64
            ),
        ).mean.numpy()
        imputed[lost, j] = task.complete[:, j].mean() + task.scale[j] * expected
    return imputed


def run(cell: Cell, data_dir: Any) -> tuple[Cell, dict[str, Any]]:
    """Impute one cell."""
    start = time.perf_counter()
    task = cell.task(data_dir)
    imputed = impute_with_the_truth(task, cell.rate, cell.method.make(cell.protocol, cell.seed))
    seconds = round(time.perf_counter() - start, 2)
    return cell, {"rmse": task.error(imputed), "seconds": seconds}


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells, but those on record."""
    run_cells(
        cells_of(METHODS, options, 5, [method.label for method in METHODS]),
        RecordFile("attainable", options.results),
        jobs=options.jobs,
        data_dir=find_data_dir(options.data_dir),
        run=run,
    )
