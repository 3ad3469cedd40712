"""What is left to gain in the field: errors of those who know what no imputer is told.

One has complete data and the true mechanism in hand: each incomplete column is predicted from the
true values of all others by a forest that was fitted to the complete table, out of bag, with normal
noise around the prediction; a missing value is then expected given that it lies above the mean and
was lost. The other one sees the table with its holes, and is told the distribution of each column
of the complete table: GNR, told the side, is fitted to normal scores, and what it draws is turned
back. What it gains is the price of not knowing how far values reach beyond those that are seen.
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
from sklearn.preprocessing import QuantileTransformer

from benchmarks.field import TOLD_ABOVE
from benchmarks.protocols import Cell, Method, Task, cells_of, find_data_dir, run_cells
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer
from gnr_sklearn.nn.likelihoods import SelectedGaussian

# So steep, in standard deviations, that it is a step.
STEP = 1e3

# A mean of so many draws adds half a percent of a missing value's variance to the squared error.
N_DRAWS = 200

METHODS = (
    Method(
        "complete data and true mechanism",
        RandomForestRegressor,
        {"max_features": 0.4, "oob_score": True},
        ("field",),
    ),
    Method("GNR, told above and all distributions", GNRImputer, TOLD_ABOVE, ("field",)),
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


def impute_with_all_distributions(task: Task, imputer: Any) -> NDArray[np.float64]:
    """Impute normal scores, by the mean of draws that have been turned back."""
    scores = QuantileTransformer(
        n_quantiles=len(task.complete), subsample=None, output_distribution="normal"
    ).fit(task.complete)
    with_holes = np.where(task.missing, np.nan, scores.transform(task.complete))
    draws = imputer.fit(with_holes).sample(with_holes, n_draws=N_DRAWS, random_state=0)
    imputed = np.mean([scores.inverse_transform(draw) for draw in draws], axis=0)
    return np.where(task.missing, imputed, task.complete)


def run(cell: Cell, data_dir: Any) -> tuple[Cell, dict[str, Any]]:
    """Impute one cell."""
    start = time.perf_counter()
    task = cell.task(data_dir)
    imputer = cell.method.make(cell.protocol, cell.seed)
    if isinstance(imputer, RandomForestRegressor):
        imputed = impute_with_the_truth(task, cell.rate, imputer)
    else:
        imputed = impute_with_all_distributions(task, imputer)
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
