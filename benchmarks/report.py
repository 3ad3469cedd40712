"""Render ``RESULTS.md`` from the records and the notes that go with them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks import alpha, ratios, reproduction
from benchmarks.records import Record

TARGET = Path(__file__).parent / "RESULTS.md"
NOTES = Path(__file__).parent / "notes.md"
METRICS = {
    "rmse": "RMSE over the removed values, in standard deviations of the complete column",
    "mask_auc": "area under the ROC curve of the reconstructed mask, mean over columns",
    "mean_error": "error of a completed column's mean, in its true standard deviations, root mean "
    "square over incomplete columns",
    "sd_error": "error of a completed column's standard deviation as a share of the true one, root "
    "mean square over incomplete columns",
    "correlation_error": "error of the completed columns' correlations, root mean square over "
    "those of incomplete columns",
    "memory_mib": "highest memory above the input, MiB",
    "fit_seconds": "seconds of fit",
    "transform_seconds": "seconds of transform",
    "rmse_new_rows": "RMSE over the removed values of rows that were not in fit",
    "seconds_fit": "processor seconds of fit",
    "seconds_transform": "processor seconds to transform rows that were not in fit",
    "step_ms": "milliseconds of a training step",
    "step_speedup": "times as fast as a step of plain torch in float32",
    "profile_percent": "share of a step's processor time by torch.profiler, percent",
    "gpu_speedup": "times as fast as one core of the same machine",
    "compile_seconds": "seconds that compiling takes at first",
    "monte_carlo_error": "Monte Carlo error of the imputed values, in units of the net, against "
    "100,000 random samples",
    "coverage": "share of 95% intervals for the mean of a column that hold the true one",
    "error_of_mean": "estimated less true mean of a column, whose standard deviation is 1.08",
    "standard_error": "standard error that goes with the estimated mean",
    "mse": "mean squared error of ratings from 1 to 5",
    "mae": "mean absolute error of ratings from 1 to 5",
    "ndcg5": "normalised discounted cumulative gain at 5 of items that a user was asked about",
    "nrmse": "error of removed numbers, in standard deviations, root mean square over columns",
    "misclassified": "part of the removed categories that are imputed wrong, mean over columns",
    "row_ms": "milliseconds to impute a row",
    "mask_accuracy": "part of the mask that is told right, over the columns with missing values",
    "mask_balanced_accuracy": "mean of the parts of the observed and of the missing that are told "
    "right",
    "bound": "bound of a row's log-likelihood, nats",
    "bound_ratio": "bound of two processes' fit as a ratio to that of one",
    "worker_speedup": "times as fast as with one worker",
    "memory_growth": "growth of the process's memory, percent",
    "new_files": "more open files",
    "new_threads": "more threads",
    "mutants": "changes to an expression of the code",
    "noticed": "those of them that a test notices, percent",
    "row_speedup": "times as fast as 1000 random samples in plain torch",
}

TWO_DECIMALS = (
    "coverage",
    "nrmse",
    "misclassified",
    "rmse",
    "rmse_new_rows",
    "mask_auc",
    "mask_accuracy",
    "mask_balanced_accuracy",
    "mse",
    "mae",
    "ndcg5",
)


def main(options: argparse.Namespace) -> None:
    """Write the report."""
    text = [NOTES.read_text().rstrip(), ""]
    for path in sorted(options.results.glob("*.json")):
        text += render(path.stem, json.loads(path.read_text()))
    TARGET.write_text("\n".join(text).rstrip() + "\n")
    print(f"{TARGET} written.")


def render(benchmark: str, records: list[Record]) -> list[str]:
    """Tables of one benchmark: a row for each method and a column for each data set."""
    lines = [f"## {benchmark}", ""]
    groups = unique((r["metric"], r["protocol"], r["setting"]) for r in records)
    for metric, protocol, setting in groups:
        wanted = (metric, protocol, setting)
        group = [r for r in records if (r["metric"], r["protocol"], r["setting"]) == wanted]
        datasets = unique(r["dataset"] for r in group)
        cells = {(r["method"], r["dataset"]): r for r in group}
        lines += [
            f"### {METRICS[metric]}: " + (f"{protocol} protocol, " * (protocol != "-")) + setting,
            "",
            "| method | " + " | ".join(datasets) + " | runs | seconds |",
            "|---" * (len(datasets) + 3) + "|",
        ]
        for method in unique(r["method"] for r in group):
            row = [cells[method, d] for d in datasets if (method, d) in cells]
            runs = "-".join(str(n) for n in sorted({r["n_runs"] for r in row}))
            seconds = sorted(r["seconds"] for r in row)
            lines.append(
                f"| {method} | "
                + " | ".join(show(cells.get((method, d))) for d in datasets)
                + f" | {runs} | "
                + (f"{seconds[0]:.1f} - {seconds[-1]:.1f} |" if seconds[-1] else "|")
            )
        lines.append("")
    if benchmark in ("field", "unseen"):
        lines += ratios.table(records)
    elif benchmark in ("table1", "table2"):
        lines += reproduction.summary(records)
    elif benchmark == "alpha":
        lines += alpha.table(records)
    settings = unique((r["method"], r["protocol"], r["params"]) for r in records if r["params"])
    if settings:
        lines += ["Settings:", ""]
        lines += [
            f"- {method}, {protocol}: `{tidy(params)}`" for method, protocol, params in settings
        ]
        lines.append("")
    return lines


def tidy(params: str) -> str:
    """Put settings on one line, without the gap that the seed left."""
    arguments = [part.strip() for part in " ".join(params.split()).split(", ")]
    line = ", ".join(part for part in arguments if part)
    return line.replace("(, ", "(").replace(", )", ")")


def show(record: Record | None) -> str:
    """One cell: mean and spread, and how it stands to the paper."""
    if record is None:
        return ""
    digits = ".2f" if record["metric"] in TWO_DECIMALS else ".3g"
    text = f"{record['mean']:{digits}}"
    if record["n_runs"] > 1:
        text += f" ± {record['std']:{digits}}"
    if record["paper"] is not None:
        text += f" ({verdict(record['mean'], record['paper'])} {record['paper']:.2f})"
    return text


def verdict(value: float, paper: float) -> str:
    """Whether a value reaches the paper's, to its two digits."""
    if round(value, 2) <= paper:
        return "reached"
    return "within 5% of" if value <= 1.05 * paper else "short of"


def unique(items: Iterable) -> list:
    """Items in order of their first appearance."""
    return list(dict.fromkeys(items))
