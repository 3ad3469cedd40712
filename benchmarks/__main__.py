"""Command line of the benchmarks."""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from pathlib import Path

from benchmarks.records import RESULTS

NAMES = (
    "quickstart", "table1", "table2", "table3", "table4", "figures", "centre", "deep", "field",
    "unseen", "together", "attainable", "alpha", "coverage", "speed", "gpu", "curves", "scale",
    "peers", "mixed", "soak", "mutants", "report",
)  # fmt: skip

# Those that choose among tables and rates; the others have parts of their own, or only masks.
OF_TABLES = {
    "table2", "table3", "figures", "centre", "deep", "field", "unseen", "together", "attainable",
    "alpha", "curves", "peers",
}  # fmt: skip
QUICK_TABLES, QUICK_RATE = {"unseen": "penguins", "together": "pairs"}, 0.8


def narrow(options: argparse.Namespace) -> None:
    """Choose one mask of one table at one rate where nothing else is named."""
    options.seeds = options.seeds or 1
    if options.name in OF_TABLES:
        options.datasets = options.datasets or [QUICK_TABLES.get(options.name, "concrete")]
        if options.name != "centre":  # which has a rate of its own
            options.rates = options.rates or [QUICK_RATE]


def main() -> None:
    """Parse the arguments and run one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--data-dir", type=Path, help="folder with uci/ and coat/")
    parser.add_argument("--seeds", type=int, help="number of masks, each with its own seed")
    parser.add_argument("--quick", action="store_true", help="a small part, such as one mask")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--datasets", nargs="+", help="only these tables")
    parser.add_argument("--rates", nargs="+", type=float, help="only these missing rates")
    parser.add_argument("--mechanisms", nargs="+", help="ways to remove values, by default: above")
    parser.add_argument("--protocols", nargs="+", choices=("paper", "field"), help="only these")
    parser.add_argument("--methods", nargs="+", help="only these methods")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the records")
    options = parser.parse_args()
    if options.quick:
        narrow(options)
    options.results.mkdir(parents=True, exist_ok=True)
    import_module(f"benchmarks.{options.name}").main(options)


if __name__ == "__main__":
    main()
