"""The paper's Table 1: four normal columns, and latent variables of one dimension."""

from __future__ import annotations

import argparse

from benchmarks import reproduction
from benchmarks.protocols import ABOVE, AND_AT_RANDOM, BOTH_WAYS, GAUSSIAN, MECHANISMS, Cell


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells; those on record are skipped."""
    mechanisms = options.mechanisms or (ABOVE, BOTH_WAYS, AND_AT_RANDOM)
    settings = {
        mechanism: reproduction.settings_of(mechanism, latent_dim=1) for mechanism in mechanisms
    }
    cells = [
        Cell("paper", GAUSSIAN, rate, setting.method, seed, mechanism)
        for seed in range(options.seeds or reproduction.SEEDS_OF_GNR)
        for mechanism in mechanisms
        for rate in options.rates or MECHANISMS[mechanism].rates
        for setting in settings[mechanism]
        if rate in MECHANISMS[mechanism].rates and setting.is_wanted(seed, options)
    ]
    records = reproduction.run(cells, "table1", options)
    print("\n".join(reproduction.summary(records.records)))
