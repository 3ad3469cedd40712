"""How wrong the assumed centre of a column may be.

The paper's protocol tells every method the true mean of each column; a user knows that of what is
observed. In between, columns are centred somewhere on the way from the one to the other, in true
standard deviations, and methods take 0 for the centre.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.protocols import (
    UCI_ORDER,
    Cell,
    Task,
    find_data_dir,
    run_cells,
)
from benchmarks.records import Record, RecordFile
from benchmarks.reproduction import SEEDS_OF_GNR, settings_of

RATE = 1.0
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LABELS = (
    "GNR, told the side", "GNR, of the paper, alpha 1000, decay", "not-MIWAE, told the side",
    "MIWAE, default",
)  # fmt: skip
SETTINGS = tuple(each for each in settings_of() if each.label in LABELS)


@dataclass(frozen=True)
class CentredCell(Cell):
    """A cell whose columns are centred on the way from the observed to the true mean."""

    share: float = 1.0

    @property
    def setting(self) -> str:
        """The rate, and where the centre is."""
        return f"{self.rate:.0%}, {self.share:.0%} of the way to the true mean"

    def task(self, data_dir: Path | None) -> Task:
        """Remove values, and move the columns."""
        task = super().task(data_dir)
        # In the paper's protocol the true mean is 0.
        centre = (1 - self.share) * np.nanmean(task.X, axis=0)
        return replace(task, X=task.X - centre, complete=task.complete - centre)


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells, but those on record, and draw the picture."""
    cells = [
        CentredCell("paper", dataset, rate, setting.method, seed, share=share)
        for seed in range(options.seeds or SEEDS_OF_GNR)
        for setting in SETTINGS
        if setting.is_wanted(seed, options)
        for rate in options.rates or (RATE,)
        for share in (SHARES[::4] if options.quick else SHARES)
        for dataset in options.datasets or UCI_ORDER
    ]
    records = RecordFile("centre", options.results)
    data_dir = find_data_dir(options.data_dir)
    run_cells(cells, records, jobs=options.jobs, data_dir=data_dir, metrics=())
    draw(records.records, options.results / "centre.png")


def draw(records: list[Record], path: Path) -> None:
    """Draw errors against the share of the way, a panel for each table."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    datasets = [name for name in UCI_ORDER if any(r["dataset"] == name for r in records)]
    figure, axes = plt.subplots(1, len(datasets), figsize=(3 * len(datasets), 3), squeeze=False)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        for setting in SETTINGS:
            cells = {
                share: record["mean"]
                for share in SHARES
                for record in records
                if (record["dataset"], record["method"]) == (dataset, setting.label)
                and record["setting"].startswith(f"{RATE:.0%}, {share:.0%} ")
            }
            ax.plot(list(cells), list(cells.values()), marker="o", label=setting.label)
        ax.set(title=dataset, xlabel="from observed to true mean", ylim=(0, None))
    axes[0, 0].set_ylabel("RMSE")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(SETTINGS), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.9))
    figure.savefig(path, dpi=100)
    plt.close(figure)
