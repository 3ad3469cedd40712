"""Imputers on tables with holes as their users have them: nobody tells them the true means.

Beside the error of the single values stand those of the means, spreads and correlations of the
completed table, which is what an analysis of it comes down to.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import ratios
from benchmarks.deep import PPCA
from benchmarks.protocols import (
    MEAN,
    MICE,
    MISS_FOREST,
    PAPER_MODEL,
    Method,
    cells_of,
    find_data_dir,
    run_cells,
)
from benchmarks.records import RecordFile
from gnr_sklearn import GAINImputer, GNRImputer, MIWAEImputer, NotMIWAEImputer, PSMVAEImputer

KNOWN_SIGN = {"missing_process": "self_masking_known", "missing_direction": "above"}
TOLD_ABOVE = {"missing_direction": "above"}
# What the parts of the default are worth: one of them changed at a time.
ABLATIONS: dict[str, dict[str, Any]] = {
    "no regressions": {"prior": None},
    "linear decoder, no regressions": {"prior": None, "decoder": "linear"},
    "hidden layers, no regressions": {"prior": None, "decoder": "mlp"},
    "one scale, no regressions": {"prior": None, "observation_scale": "shared"},
}
MOMENTS = ("mean_error", "sd_error", "correlation_error")

METHODS = (
    MEAN,
    MICE,
    MISS_FOREST,
    Method("MIWAE", MIWAEImputer),
    Method("not-MIWAE", NotMIWAEImputer),
    Method("not-MIWAE, known sign", NotMIWAEImputer, KNOWN_SIGN),
    Method("not-MIWAE, PPCA", NotMIWAEImputer, PPCA.params | {"missing_process": "self_masking"}),
    Method("not-MIWAE, PPCA, known sign", NotMIWAEImputer, PPCA.params | KNOWN_SIGN),
    Method("PSMVAE", PSMVAEImputer),
    Method("GAIN", GAINImputer),
    Method("GNR of the paper", GNRImputer, PAPER_MODEL),
    Method("GNR", GNRImputer),
    Method("GNR, told above", GNRImputer, TOLD_ABOVE),
)
# Run where they are named.
TOLD_BOTH = Method("GNR, told both", GNRImputer, {"missing_direction": "both"})
ABLATED = tuple(
    Method(f"GNR, told above, {what}", GNRImputer, TOLD_ABOVE | params)
    for what, params in ABLATIONS.items()
)


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells, but those on record, and print how GNR stands to its rivals."""
    labels = [method.label for method in METHODS]
    cells = cells_of((*METHODS, *ABLATED, TOLD_BOTH), options, 5, labels)
    records = RecordFile("field", options.results)
    run_cells(
        [cell for cell in cells if cell.protocol == "field"],
        records,
        jobs=options.jobs,
        data_dir=find_data_dir(options.data_dir),
        metrics=("mask_auc", *MOMENTS),
    )
    print("\n".join(ratios.table(records.records)))
