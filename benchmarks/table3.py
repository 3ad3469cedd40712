"""The paper's Table 3: how well the mask is told by the models of it, and how well it could be."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import reproduction
from benchmarks.protocols import MECHANISMS, RATES, UCI_ORDER, Cell, find_data_dir, load
from benchmarks.records import RecordFile
from benchmarks.table2 import cells_of_table
from gnr_sklearn.missingness import ampute

MAJORITY, CEILING = "the more common of both", "the true mechanism"


def main(options: argparse.Namespace) -> None:
    """Run the cells of Table 2 that model the mask; those on record are skipped."""
    settings = [
        setting
        for setting in reproduction.settings_of()
        if getattr(setting.method.imputer, "_models_mask", False)
    ]
    cells = [cell for cell in cells_of_table(options, settings) if cell.protocol == "paper"]
    reproduction.run(cells, "table2", options)
    add_limits(RecordFile("table3", options.results), options)


def add_limits(records: RecordFile, options: argparse.Namespace) -> None:
    """Record what needs no model, and what the best one could reach by complete rows."""
    data_dir = find_data_dir(options.data_dir)
    for dataset in options.datasets or UCI_ORDER:
        complete = load(dataset, data_dir)
        for rate in options.rates or RATES:
            mechanism = MECHANISMS["above"].mechanism(rate)
            for seed in range(options.seeds or reproduction.SEEDS_OF_GNR):
                observed = ~np.isnan(ampute(complete, mechanism, random_state=seed))
                columns = ~observed.all(axis=0)
                lost = mechanism.missing_probability(complete)[:, columns]
                kept = observed[:, columns]
                limits = {
                    MAJORITY: max(kept.mean(), 1 - kept.mean()),
                    CEILING: np.maximum(lost, 1 - lost).mean(),
                }
                for method, accuracy in limits.items():
                    key = Cell("paper", dataset, rate, reproduction.NO_METHOD, seed).key
                    key |= {
                        "method": method,
                        "metric": "mask_accuracy",
                        "setting": f"{rate:.0%}, rows complete",
                    }
                    if not records.has(key, "", seed):
                        records.add(key, "", seed, float(accuracy), 0.0, None)
