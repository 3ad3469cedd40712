"""The paper's Table 2: six UCI tables, in its protocol and in that of tables as users have them."""

from __future__ import annotations

import argparse

from benchmarks import reproduction
from benchmarks.protocols import RATES, UCI_ORDER, Cell


def cells_of_table(options: argparse.Namespace, settings: list[reproduction.Setting]) -> list[Cell]:
    """List the cells that the command line asks for, seed by seed."""
    return [
        Cell(protocol, dataset, rate, setting.method, seed)
        for protocol in options.protocols or ("paper",)
        for seed in range(options.seeds or reproduction.SEEDS_OF_GNR)
        for setting in settings
        if setting.is_wanted(seed, options) and protocol in setting.method.protocols
        for rate in options.rates or RATES
        for dataset in options.datasets or UCI_ORDER
    ]


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells; those on record are skipped."""
    cells = cells_of_table(options, reproduction.settings_of())
    records = reproduction.run(cells, "table2", options)
    print("\n".join(reproduction.summary(records.records)))
