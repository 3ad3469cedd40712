"""The paper's Figures 4, 5 and 6: latent space, reconstructed masks, and errors against alpha."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.model_selection import ValidationCurveDisplay
from tqdm import tqdm

from benchmarks.protocols import (
    GAUSSIAN,
    PAPER_MODEL,
    RATES,
    UCI_ORDER,
    Cell,
    Fitted,
    Method,
    cells_of,
    find_data_dir,
    run_cells,
)
from benchmarks.records import Record, RecordFile
from benchmarks.reproduction import SEEDS_OF_GNR, SHORT, settings_of
from gnr_sklearn import GNRImputer
from gnr_sklearn.plotting import LatentSpaceDisplay, MaskProbabilityDisplay

# The paper chooses among 0.01, 1 and 100.
ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
METHODS = tuple(
    Method(f"GNR, of the paper, alpha {alpha:g}", GNRImputer, {
        **PAPER_MODEL, **SHORT, "alpha": alpha,
    }, ("paper",))
    for alpha in ALPHAS
)  # fmt: skip

# Whose masks are shown, left of the true one, and whose latent space is.
MASKS = ("not-MIWAE, default", "GNR, of the paper, alpha 1000, decay", "GNR, told the side, decay")
LATENT = "GNR, of the paper, alpha 1000, decay"
ROWS_SHOWN = 24


def main(options: argparse.Namespace) -> None:
    """Run what is not on record, and draw."""
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    data_dir = find_data_dir(options.data_dir)
    datasets = options.datasets or UCI_ORDER
    cells = cells_of(METHODS, options, SEEDS_OF_GNR, [method.label for method in METHODS])
    records = RecordFile("figures", options.results)
    run_cells(cells, records, jobs=options.jobs, data_dir=data_dir, metrics=())
    draw_errors(records.records, datasets, options.results / "figure6.png")
    draw_fits([*datasets, GAUSSIAN], data_dir, options.results)


def draw_errors(records: Sequence[Record], datasets: Sequence[str], path: Path) -> None:
    """Draw Figure 6: errors against alpha, a panel for each table and a line for each rate."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(datasets), figsize=(3 * len(datasets), 3), squeeze=False)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        for number, rate in enumerate(RATES):
            found = {
                record["method"]: [run["value"] for run in record["runs"].values()]
                for record in records
                if record["dataset"] == dataset and record["setting"] == f"{rate:.0%}"
            }
            pairs = zip(ALPHAS, METHODS, strict=True)
            known = {alpha: found[method.label] for alpha, method in pairs if method.label in found}
            if not known:
                continue
            n_runs = min(map(len, known.values()))
            errors = np.array([runs[:n_runs] for runs in known.values()])
            display = ValidationCurveDisplay(
                param_name="alpha", param_range=np.array(list(known)), score_name="RMSE",
                train_scores=errors, test_scores=errors,
            )  # fmt: skip
            look = {"color": f"C{number}", "marker": "o"}
            display.plot(ax, score_type="test", std_display_style=None, line_kw=look)
            display.lines_[0].set_label(f"{rate:.0%}")
        ax.set(title=dataset, xscale="log", xlabel="alpha")
        ax.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_fits(datasets: Sequence[str], data_dir: Path | None, folder: Path) -> None:
    """Draw Figures 4 and 5: what models say of rows of which all large values are missing."""
    from matplotlib import pyplot as plt

    latent, of_latent = plt.subplots(
        1, len(datasets), figsize=(3 * len(datasets), 3), squeeze=False, layout="constrained"
    )
    masks = plt.figure(figsize=(9, 3 * len(datasets)), layout="constrained")
    rows = masks.subfigures(len(datasets), 1, squeeze=False)[:, 0]
    for ax, row, dataset in zip(of_latent[0], rows, tqdm(datasets, desc="fits"), strict=True):
        fitted = {label: fit(label, dataset, data_dir) for label in {LATENT, *MASKS}}
        task, imputer, _ = fitted[LATENT]
        X = task.X
        if imputer.latent_dim_ > 1:
            LatentSpaceDisplay.from_estimator(imputer, X, ax=ax, scatter_kwargs={"s": 2})
        else:
            # One dimension has no second: the paper's density alone remains.
            for count in np.unique(np.isnan(X).sum(axis=1)):
                z = imputer.encode(X[np.isnan(X).sum(axis=1) == count])[:, 0]
                ax.hist(z, bins=40, density=True, alpha=0.5, label=f"{count} missing")
            ax.set(xlabel="z")
            ax.legend()
        ax.set_title(dataset)
        incomplete = np.isnan(X).any(axis=0)
        probas = [np.asarray(fitted[label].proba)[:, incomplete] for label in MASKS]
        MaskProbabilityDisplay.from_predictions(
            ~np.isnan(X[:, incomplete]), *probas, labels=MASKS,
            max_rows=ROWS_SHOWN, ax=row.subplots(1, len(MASKS) + 1, sharey=True),
        )  # fmt: skip
        for each in row.axes:
            each.set_title(each.get_title(), fontsize=6)
        row.suptitle(dataset, fontsize=8)
    latent.savefig(folder / "figure4.png", dpi=100)
    masks.savefig(folder / "figure5.png", dpi=100)
    plt.close(latent)
    plt.close(masks)


def fit(label: str, dataset: str, data_dir: Path | None) -> Fitted:
    """Fit one setting to the first mask of a table whose rate is 100%."""
    settings = settings_of(latent_dim=1 if dataset == GAUSSIAN else None)
    method = next(setting.method for setting in settings if setting.label == label)
    return Cell("paper", dataset, 1.0, method, 0).run(data_dir)["fitted"]
