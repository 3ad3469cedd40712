"""A first comparison in a few minutes: mean, MICE, MissForest and GNR in both protocols."""

from __future__ import annotations

import argparse
import time
from typing import Any

import matplotlib
import numpy as np

from benchmarks.protocols import (
    MEAN,
    MICE,
    MISS_FOREST,
    PROTOCOLS,
    Cell,
    Method,
    find_data_dir,
    run_cells,
)
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer

RATE = 1.0
# Fewer steps than the default, so that the comparison takes minutes.
SHORT = {"max_iter": 1000}
TOLD = Method(
    "GNR, told above", GNRImputer, SHORT | {"missing_direction": "above"}, protocols=("field",)
)
METHODS = (MEAN, MICE, MISS_FOREST, Method("GNR", GNRImputer, SHORT), TOLD)
# The longest first, so that no core waits at the end; without wine_white, which takes too long.
# The last one comes with scikit-learn.
TABLES = ("abalone", "wine_red", "yeast", "banknote", "concrete", "diabetes")


def main(options: argparse.Namespace) -> None:
    """Run the comparison, print its table and draw its picture."""
    start = time.perf_counter()
    data_dir = find_data_dir(options.data_dir)
    datasets = TABLES if data_dir and not options.quick else TABLES[-1:]
    cells = [
        Cell(protocol, dataset, RATE, method, seed)
        for method in reversed(METHODS)
        for dataset in datasets
        for protocol in method.protocols
        for seed in range(options.seeds or 1)
    ]
    print(
        f"Self-masking: in the first half of the columns, every value above the column's mean is "
        f"removed.\nTables: {', '.join(datasets)}."
        + ("" if data_dir else " No folder with the UCI tables was found.")
    )
    records = RecordFile("quickstart", options.results)
    results = run_cells(cells, records, jobs=options.jobs, data_dir=data_dir, rerun=True)
    print_table(records, datasets)
    path = options.results / "quickstart.png"
    draw([(cell, result) for cell, result in results if cell.seed == 0], datasets, str(path))
    print(f"Records: {records.path}\nPicture: {path}\n{time.perf_counter() - start:.0f} seconds.")


def print_table(records: RecordFile, datasets: tuple[str, ...]) -> None:
    """Print RMSE, mask AUC and seconds for each protocol."""
    for protocol in PROTOCOLS:
        print(f"\n{protocol} protocol: RMSE of removed values in standard deviations (seconds)")
        labels = [method.label for method in METHODS if protocol in method.protocols]
        print(f"{'':12}" + "".join(f"{label:>16}" for label in labels) + f"{'mask AUC':>12}")
        for dataset in datasets:
            line = f"{dataset:12}"
            auc = ""
            for label in labels:
                key = {
                    "protocol": protocol,
                    "dataset": dataset,
                    "setting": f"{RATE:.0%}",
                    "method": label,
                }
                record = records.find(**key, metric="rmse")
                assert record is not None
                line += f"{record['mean']:8.2f} {'(' + format(record['seconds'], '.1f') + ')':>7}"
                found = records.find(**key, metric="mask_auc")
                auc = f"{found['mean']:12.2f}" if found else auc
            print(line + auc)
    print(flush=True)


def draw(results: list[tuple[Cell, dict[str, Any]]], datasets: tuple[str, ...], path: str) -> None:
    """Histograms of the first column: observed, truly missing, and imputed by each method."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found = {
        (cell.dataset, cell.method.label): result["column"]
        for cell, result in results
        if cell.protocol == "field"
    }
    figure, axes = plt.subplots(
        len(datasets),
        len(METHODS),
        figsize=(3 * len(METHODS), 1.6 * len(datasets) + 0.8),
        sharex="row",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for row, dataset in zip(axes, datasets, strict=True):
        for axis, method in zip(row, METHODS, strict=True):
            true, imputed, missing = found[dataset, method.label]
            bins = np.linspace(true.min(), true.max(), 31)
            axis.hist(true[~missing], bins, color="0.8", label="observed")
            axis.hist(true[missing], bins, histtype="step", color="C0", label="removed, true")
            # Imputed values may leave the range of the true ones.
            inside = np.clip(imputed[missing], bins[0], bins[-1])
            axis.hist(inside, bins, histtype="step", color="C3", label="removed, imputed")
            axis.set_ylim(0, 1.3 * max(np.histogram(true, bins)[0]))
            axis.set_yticks([])
        row[0].set_ylabel(dataset)
    for axis, method in zip(axes[0], METHODS, strict=True):
        axis.set_title(method.label)
    figure.supxlabel("first column, in standard deviations (field protocol)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=100)
    plt.close(figure)
