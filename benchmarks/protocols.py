"""One cell of a comparison: remove values, impute them, and measure the error.

The two protocols differ in what the imputer is told. In the paper protocol the complete
columns are standardised before values are removed, so that 0 is the true mean. In the field
protocol the imputer gets the raw table with its holes.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from tqdm import tqdm

from benchmarks.families import FAMILIES, draw
from benchmarks.records import RecordFile
from benchmarks.unseen_tables import UNSEEN, load_unseen
from gnr_sklearn import MeanImputer, MICEImputer, MissForestImputer
from gnr_sklearn._vae import VAEImputer
from gnr_sklearn.datasets import UCI_DATASETS, load_uci
from gnr_sklearn.metrics import imputation_rmse, mask_auc
from gnr_sklearn.missingness import (
    MAR,
    MCAR,
    Compose,
    Logistic,
    Mechanism,
    SelfMasking,
    TailMasking,
    ampute,
)

PROTOCOLS = ("paper", "field")
RATES = (0.2, 0.8, 1.0)
GENTLE_RATES = (0.2, 0.5, 0.8)


class Removal(NamedTuple):
    """A way to remove values, and the rates at which it is looked at."""

    mechanism: Callable[[float], Mechanism]
    rates: tuple[float, ...]


# By name; the papers' is the default. All remove values in the first half of the columns. The rate
# is the probability of values beyond a limit in the first three, and the average one in the others.
ABOVE = "above"
# Of the paper's Table 1: the first of four columns loses what is above its mean, the second what is
# below; and all columns lose some of the rest at random.
BOTH_WAYS = "*"
AND_AT_RANDOM = "and 20% MCAR"
MECHANISMS = {
    ABOVE: Removal(SelfMasking, RATES),
    "below": Removal(partial(SelfMasking, direction="below"), RATES),
    "tails": Removal(TailMasking, GENTLE_RATES),
    "logistic": Removal(Logistic, GENTLE_RATES),
    "other": Removal(partial(Logistic, depends_on="next"), GENTLE_RATES),
    "MCAR": Removal(partial(MCAR, features="first_half"), GENTLE_RATES[:2]),
    "MAR": Removal(MAR, GENTLE_RATES[:2]),
    BOTH_WAYS: Removal(partial(SelfMasking, features=(0, 1), direction=("above", "below")), (1.0,)),
    AND_AT_RANDOM: Removal(lambda rate: Compose(SelfMasking(rate), MCAR(0.2)), (0.8,)),
}
UCI_ORDER = ("wine_white", "abalone", "banknote", "yeast", "wine_red", "concrete")
assert set(UCI_ORDER) == set(UCI_DATASETS)

# The paper on not-MIWAE reports 1.69 for filling in the mean, where all eight columns give 1.73 and
# these seven 1.69: three of them get holes then, not four.
YEAST_OF_SEVEN = "yeast without pox"


# The table of the paper's Table 1, whose rows for the mean and for MICE are those of columns that
# have nothing to do with one another.
GAUSSIAN = "four independent normal columns"
GAUSSIAN_ROWS = 2000


class ZeroImputer(SimpleImputer):
    """Fill in 0: in the paper protocol, the true mean of each column."""

    def __init__(self, *, random_state: int | None = None) -> None:
        super().__init__(strategy="constant", fill_value=0.0)
        self.random_state = random_state


@dataclass(frozen=True)
class Method:
    """A labelled imputer with its settings; the protocol decides on scaling.

    Without rates of its own it is run at all those of a mechanism.
    """

    label: str
    imputer: type
    params: dict[str, Any] = field(default_factory=dict)
    protocols: tuple[str, ...] = PROTOCOLS
    rates: tuple[float, ...] | None = None

    def make(self, protocol: str, seed: int) -> Any:
        params = dict(self.params)
        if issubclass(self.imputer, VAEImputer) and protocol == "paper":
            params["scaling"] = None
        return self.imputer(random_state=seed, **params)

    def describe(self, protocol: str) -> str:
        """Describe the settings that differ from the defaults, for the record."""
        return repr(self.make(protocol, 0)).replace("random_state=0", "").replace("\n", " ")


# How the paper trains; what else a row of a table sets comes on top.
PAPER_TRAINING = {
    "learning_rate": 1e-3, "learning_rate_schedule": "constant", "early_stopping": False,
    "precision": "float32",
}  # fmt: skip

# What the paper proposes: GNR whose data and mask are decoded side by side, trained as the other
# variational autoencoders are by default.
PAPER_MODEL: dict[str, Any] = {
    "mask_model": "latent", "prior": None, "decoder": "mlp", "observation_scale": "shared",
    "n_importance_samples": 20, "max_iter": 1000, "learning_rate": 3e-3, "early_stopping": True,
}  # fmt: skip

MEAN = Method("mean", MeanImputer)
ZERO = Method("zero", ZeroImputer, protocols=("paper",))
MICE = Method("MICE", MICEImputer)
# Columns that are complete in fit are complete in transform here: no forest is needed.
MISS_FOREST = Method("MissForest", MissForestImputer, {"skip_complete": True})


@dataclass(frozen=True)
class Task:
    """A table with holes, and what was in them."""

    X: np.ndarray
    complete: np.ndarray
    scale: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        return np.isnan(self.X)

    def error(self, imputed: np.ndarray) -> float:
        """RMSE over the removed values, in standard deviations of the complete columns."""
        return float(imputation_rmse(self.complete, imputed, self.missing, scale=self.scale))

    def moment_errors(self, imputed: np.ndarray) -> dict[str, float]:
        """Root mean squares of the errors in moments that the holes have to do with.

        Means and standard deviations are those of the incomplete columns, in units of the true
        standard deviation; correlations are those of an incomplete column with any other, without
        those that a constant column leaves undefined.
        """
        holes = self.missing.any(axis=0)
        (mean, sd), (true_mean, true_sd) = (
            (table[:, holes].mean(axis=0), table[:, holes].std(axis=0))
            for table in (imputed, self.complete)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            true, found = (np.corrcoef(table, rowvar=False) for table in (self.complete, imputed))
        pairs = np.triu(np.logical_or.outer(holes, holes), k=1)
        return {
            "mean_error": float(np.sqrt((((mean - true_mean) / true_sd) ** 2).mean())),
            "sd_error": float(np.sqrt(((sd / true_sd - 1) ** 2).mean())),
            "correlation_error": float(np.sqrt(np.nanmean((found - true)[pairs] ** 2))),
        }


class Fitted(NamedTuple):
    """An imputer, the table it was fitted to, and what it tells of this one's mask, if it does."""

    task: Task
    imputer: Any
    proba: np.ndarray | None


@dataclass(frozen=True)
class Cell:
    """One imputer on one table with one mask."""

    protocol: str
    dataset: str
    rate: float
    method: Method
    seed: int
    mechanism: str = ABOVE

    @property
    def setting(self) -> str:
        """The rate, after the name of the mechanism where it is not the papers'."""
        return f"{self.mechanism}, " * (self.mechanism != ABOVE) + f"{self.rate:.0%}"

    @property
    def key(self) -> dict[str, str]:
        return {
            "protocol": self.protocol,
            "dataset": self.dataset,
            "setting": self.setting,
            "method": self.method.label,
            "metric": "rmse",
        }

    def task(self, data_dir: Path | None) -> Task:
        """Remove values as the protocol says."""
        complete = load(self.dataset, data_dir)
        scale = complete.std(axis=0)
        if self.protocol == "paper":
            complete = (complete - complete.mean(axis=0)) / scale
            scale = np.ones_like(scale)
        mechanism = MECHANISMS[self.mechanism].mechanism(self.rate)
        X = ampute(complete, mechanism, random_state=self.seed)
        return Task(X, complete, scale)

    def run(self, data_dir: Path | None) -> dict[str, Any]:
        """Return errors, mask AUC where the imputer models the mask, and what was fitted."""
        task = self.task(data_dir)
        imputer = self.method.make(self.protocol, self.seed)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            imputed = imputer.fit_transform(task.X)
        seconds = time.perf_counter() - start
        auc, proba = None, None
        if hasattr(imputer, "predict_mask_proba"):
            proba = imputer.predict_mask_proba(task.X)
            auc = mask_auc(~task.missing, proba)
        true, filled = (table[:, 0] / task.scale[0] for table in (task.complete, imputed))
        return {
            "rmse": task.error(imputed),
            "mask_auc": auc,
            **task.moment_errors(imputed),
            "seconds": round(seconds, 2),
            "column": (true, filled, task.missing[:, 0]),
            "fitted": Fitted(task, imputer, proba),
        }


def load(dataset: str, data_dir: Path | None) -> np.ndarray:
    """Complete data, from scikit-learn, UCI, packages of R or a family of distributions."""
    if dataset in FAMILIES:
        return draw(dataset)
    if dataset in UNSEEN:
        return load_unseen(dataset)
    if dataset == GAUSSIAN:
        return np.random.default_rng(1).normal(size=(GAUSSIAN_ROWS, 4))
    if dataset == "diabetes":
        return load_diabetes(scaled=False).data
    if dataset == YEAST_OF_SEVEN:
        yeast = load_uci("yeast", data_dir)
        return np.delete(yeast.data, yeast.feature_names.index("pox"), axis=1)
    return load_uci(dataset, data_dir).data


def find_data_dir(given: Path | None) -> Path | None:
    """Find the folder of the tables: as given, by environment, or beside the project."""
    named = given or os.environ.get("GNR_DATA_DIR")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(named or beside)
    if any((folder / part).is_dir() for part in ("uci", "coat")):
        return folder
    if named:
        raise FileNotFoundError(f"--data-dir must be a folder with uci/ or coat/, got {named!s}.")
    return None


def _run(cell: Cell, data_dir: Path | None) -> tuple[Cell, dict[str, Any]]:
    # Two processes of one thread each get more done than one of two.
    torch.set_num_threads(1)
    result = cell.run(data_dir)
    # Which may be large, and is not wanted on the other side.
    del result["fitted"]
    return cell, result


def cells_of(
    methods: Iterable[Method], options: argparse.Namespace, n_seeds: int, labels: Iterable[str]
) -> list[Cell]:
    """List the cells that the command line asks for, seed by seed; by default those of labels."""
    wanted = options.methods or labels
    return [
        Cell(protocol, dataset, rate, method, seed, mechanism)
        for seed in range(options.seeds or n_seeds)
        for method in methods
        if method.label in wanted
        for mechanism in options.mechanisms or (ABOVE,)
        for rate in options.rates or MECHANISMS[mechanism].rates
        for dataset in options.datasets or UCI_ORDER
        for protocol in options.protocols or PROTOCOLS
        if protocol in method.protocols
        and rate in MECHANISMS[mechanism].rates
        and rate in (method.rates or [rate])
    ]


def run_cells(
    cells: Sequence[Cell],
    records: RecordFile,
    *,
    jobs: int,
    data_dir: Path | None,
    rerun: bool = False,
    run: Callable[[Cell, Path | None], tuple[Cell, dict[str, Any]]] = _run,
    keep: Callable[[Cell, dict[str, Any]], None] = lambda cell, result: None,
    paper: Callable[[Cell], float | None] = lambda cell: None,
    metrics: tuple[str, ...] = ("mask_auc",),
) -> list[tuple[Cell, dict[str, Any]]]:
    """Run what is not recorded yet, record each cell as it ends, and return the results.

    ``metrics`` are recorded beside the RMSE, where a result has them.
    """
    todo = [
        cell
        for cell in cells
        if rerun or not records.has(cell.key, cell.method.describe(cell.protocol), cell.seed)
    ]
    if rerun:
        for cell in todo:
            records.discard(cell.key)
    results = []
    with tqdm(total=len(todo), desc=records.benchmark, unit="cell") as bar:
        finished = Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(run)(cell, data_dir) for cell in todo
        )
        for cell, result in finished:
            results.append((cell, result))
            params, seconds = cell.method.describe(cell.protocol), result["seconds"]
            keep(cell, result)
            for metric in metrics:
                if result.get(metric) is not None:
                    key = cell.key | {"metric": metric}
                    records.add(key, params, cell.seed, result[metric], seconds, None)
            # Last, for its record says that the cell is finished.
            records.add(cell.key, params, cell.seed, result["rmse"], seconds, paper(cell))
            bar.set_postfix_str(f"{cell.protocol} {cell.dataset} {cell.method.label}")
            bar.update()
    return results
