"""Imputers with their defaults on tables that no setting was found on: how far the gains carry.

The protocol is that of ``field``, with one mask of each table.
"""

from __future__ import annotations

import argparse

from benchmarks import ratios
from benchmarks.field import METHODS, MOMENTS, TOLD_BOTH
from benchmarks.protocols import ABOVE, Cell, Method, cells_of, run_cells
from benchmarks.records import RecordFile
from benchmarks.unseen_tables import UNSEEN

# Those that are run if none are named: each is told as much of the side as its name says.
LABELS = ("mean", "MICE", "MissForest", "not-MIWAE, PPCA, known sign", "GNR", "GNR, told above",
          "GNR, told both")  # fmt: skip
# By mechanism, the rates that are looked at if none are named.
RATES = {ABOVE: (0.2, 0.8, 1.0), "below": (0.8,), "tails": (0.8,), "logistic": (0.8,),
         "MCAR": (0.5,), "MAR": (0.5,)}  # fmt: skip


def chosen_cells(options: argparse.Namespace) -> list[Cell]:
    """List the cells that the command line asks for; who is told something runs where it is so."""
    options.datasets = options.datasets or list(UNSEEN)
    options.mechanisms = options.mechanisms or list(RATES)
    return [
        cell
        for cell in cells_of((*METHODS, TOLD_BOTH), options, 1, LABELS)
        if cell.protocol == "field"
        and (options.rates or cell.rate in RATES.get(cell.mechanism, (cell.rate,)))
        and (not ratios.is_told(cell.method.label) or cell.mechanism == _told(cell.method))
    ]


def _told(method: Method) -> str:
    return "tails" if method is TOLD_BOTH else ABOVE


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells, but those on record, and print how GNR stands to its rivals."""
    records = RecordFile("unseen", options.results)
    run_cells(chosen_cells(options), records, jobs=options.jobs, data_dir=None, metrics=MOMENTS)
    print("\n".join(ratios.table(records.records)))
