"""The weight of the mask, chosen by data, against the best one in hindsight."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import gmean

from benchmarks.protocols import PAPER_MODEL, Method, cells_of, find_data_dir, run_cells
from benchmarks.records import Record, RecordFile
from gnr_sklearn import GNRImputer
from gnr_sklearn._choices import ALPHAS

AUTO = "auto"
CLOSE = 1.03

# What "auto" chooses among. Values that decide are told the side, without which there would be
# another choice to make, and have the steps that candidates have.
MODELS: dict[str, dict[str, Any]] = {
    "latent": PAPER_MODEL,
    "value": {"missing_direction": "above", "prior": None, "max_iter": 1000},
}
METHODS = tuple(
    Method(f"{model}, alpha {alpha}", GNRImputer, settings | {"alpha": alpha}, ("field",))
    for model, settings in MODELS.items()
    for alpha in (*sorted(ALPHAS[model]), AUTO)
)


class Standing(NamedTuple):
    """How a way to choose stands to the best alpha of each cell.

    Attributes
    ----------
    n_cells, n_close : int
        Cells, and those in which its error is within 3% of the lowest.
    loss : float
        Geometric mean of its error as a ratio to the lowest.
    """

    n_cells: int
    n_close: int
    loss: float

    def __str__(self) -> str:
        return f"{self.n_close} of {self.n_cells} within 3%, {self.loss:.3f} times the lowest error"


def standings(records: Iterable[Record]) -> dict[str, Standing]:
    """Compare each alpha, and the chosen one, with the best of the fixed ones on the same masks."""
    cells: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for record in records:
        model, _, alpha = record["method"].partition(", alpha ")
        if record["metric"] == "rmse":
            for seed, run in record["runs"].items():
                where = (model, record["dataset"], record["setting"], seed)
                cells.setdefault(where, {})[alpha] = run["value"]
    ratios: dict[str, list[float]] = {}
    for (model, *_), errors in cells.items():
        if errors.keys() == {*map(str, ALPHAS[model]), AUTO}:
            lowest = min(error for alpha, error in errors.items() if alpha != AUTO)
            for alpha, error in errors.items():
                ratios.setdefault(f"{model}, alpha {alpha}", []).append(error / lowest)
    return {
        label: Standing(len(each), int(np.sum(np.array(each) <= CLOSE)), float(gmean(each)))
        for label, each in sorted(ratios.items())
    }


def table(records: Iterable[Record]) -> list[str]:
    """Lines of a table in Markdown: how each way to choose stands to the best."""
    return [
        "### Against the best alpha of each table, rate and mask",
        "",
        *(f"- {label}: {standing}" for label, standing in standings(records).items()),
        "",
    ]


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells, but those on record, and print how the choice stands."""
    records = RecordFile("alpha", options.results)
    cells = cells_of(METHODS, options, 1, [method.label for method in METHODS])
    run_cells(cells, records, jobs=options.jobs, data_dir=find_data_dir(options.data_dir))
    print("\n".join(table(records.records)))
