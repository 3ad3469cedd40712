"""Deep methods against published numbers, and what an auxiliary variable gives to GNR."""

from __future__ import annotations

import argparse

from benchmarks.paper import NOT_MIWAE_PPCA, TABLE2
from benchmarks.protocols import (
    ABOVE,
    PAPER_MODEL,
    PAPER_TRAINING,
    RATES,
    YEAST_OF_SEVEN,
    Cell,
    Method,
    cells_of,
    find_data_dir,
    run_cells,
)
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer, MICEImputer, MissForestImputer, MIWAEImputer, NotMIWAEImputer

MIWAE = Method(
    "MIWAE",
    MIWAEImputer,
    {"max_iter": 10_000, "n_imputation_samples": 1000, **PAPER_TRAINING},
    protocols=("paper",),
    rates=RATES[1:],
)
PPCA = Method(
    "not-MIWAE, PPCA, known sign",
    NotMIWAEImputer,
    {
        "decoder": "linear", "missing_process": "self_masking_known", "max_iter": 15_000,
        "learning_rate": 0.01, "early_stopping": False,
    },
    rates=RATES[2:],
)  # fmt: skip
PRIORS = {
    "no prior": None,
    "low-sparsity prior": "low_sparsity",
    "MICE as prior": MICEImputer(),
    "MissForest as prior": MissForestImputer(skip_complete=True),
}
METHODS = (
    MIWAE,
    PPCA,
    *(
        Method(f"GNR, {name}", GNRImputer, {**PAPER_MODEL, "prior": prior}, protocols=("field",))
        for name, prior in PRIORS.items()
    ),
)


def published(cell: Cell) -> float | None:
    """Look up what the papers report, in their own protocol."""
    if cell.protocol != "paper" or cell.mechanism != ABOVE:
        return None
    if cell.method is PPCA:
        return NOT_MIWAE_PPCA.get(cell.dataset)
    return TABLE2[cell.dataset][cell.method.label][RATES.index(cell.rate)]


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells; those on record are skipped."""
    cells = cells_of(METHODS, options, 1, [method.label for method in METHODS])
    if not options.datasets:
        seeds = sorted({cell.seed for cell in cells if cell.method is PPCA})
        cells += [Cell("paper", YEAST_OF_SEVEN, 1.0, PPCA, seed) for seed in seeds]
    run_cells(
        cells,
        RecordFile("deep", options.results),
        jobs=options.jobs,
        data_dir=find_data_dir(options.data_dir),
        paper=published,
    )
