"""Ratings that users chose to give, tested on ratings of items that were chosen for them (Table 4).

Settings are chosen by ratings that are held out of training, never by test ratings; each method has
the same number of trials. Propensities come by naive Bayes from a twentieth of the test ratings,
which no method is tested on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from benchmarks.paper import TABLE4
from benchmarks.protocols import find_data_dir
from benchmarks.ratings import (
    COAT,
    R3_SHAPED,
    hold_out,
    load_ratings,
    rating_errors,
    split_sample,
)
from benchmarks.records import RecordFile
from gnr_sklearn import MeanImputer, MFImputer
from gnr_sklearn._base import FloatArray
from gnr_sklearn._propensities import NaiveBayesPropensity
from gnr_sklearn.factorization import WITHOUT_PROPENSITIES
from gnr_sklearn.plotting import RatingDistributionDisplay

METRICS = ("mse", "mae", "ndcg5")
HELD_OUT = 0.1
LOWEST, HIGHEST = 1.0, 5.0
# All test cells, of which some of Coat's were rated in training as well; and without these.
NEW, ALL = "test ratings that are not in train", "all test ratings"

# What is tried for each factorisation; of the large table less, for each fit takes a while.
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    COAT: {"l2": (2.5, 5.0, 10.0), "embedding_dim": (0, 4, 8)},
    R3_SHAPED: {"l2": (5.0, 20.0), "embedding_dim": (8,)},
}


class TrainMean(MeanImputer):
    """Fill in the mean of all ratings."""

    def _fit(self, values: FloatArray) -> None:
        super()._fit(np.full(values.shape, np.nanmean(values)))


@dataclass(frozen=True)
class RatingMethod:
    """A labelled imputer, whether settings are tried, and those that are not."""

    label: str
    imputer: type
    params: dict[str, Any] = field(default_factory=dict)
    is_tuned: bool = False

    def grid(self, dataset: str) -> dict[str, tuple[Any, ...]]:
        if not self.is_tuned:
            return {}
        return {name: of for name, of in GRIDS[dataset].items() if name not in self.params}

    def trials(self, dataset: str) -> Iterator[dict[str, Any]]:
        grid = self.grid(dataset)
        for values in product(*grid.values()):
            yield dict(zip(grid, values, strict=True))

    @property
    def has_propensities(self) -> bool:
        return self.params.get("method", "mf") not in WITHOUT_PROPENSITIES

    def describe(self, dataset: str) -> str:
        """Describe the settings, for the record."""
        tried = ", ".join(f"{name} of {values}" for name, values in self.grid(dataset).items())
        return repr(self.imputer(**self.params)) + (f"; {tried}" if tried else "")


def factorisation(label: str, method: str, **params: Any) -> RatingMethod:
    bounds = {"min_value": LOWEST, "max_value": HIGHEST}
    return RatingMethod(label, MFImputer, {"method": method} | bounds | params, is_tuned=True)


METHODS = (
    RatingMethod("mean of all", TrainMean),
    RatingMethod("mean of each item", MeanImputer),
    factorisation("means of users and items", "mf", embedding_dim=0),
    factorisation("MF", "mf"),
    factorisation("MF-IPS", "ips"),
    factorisation("MF-SNIPS", "snips"),
    factorisation("MF-DR", "dr"),
    factorisation("MF-DR-JL", "dr-jl"),
    factorisation("MF-CVIB", "cvib"),
)


def impute(
    method: RatingMethod, trial: dict[str, Any], X: FloatArray, sample: FloatArray, seed: int
) -> FloatArray:
    imputer = method.imputer(**method.params | trial, random_state=seed)
    given = {"mar_sample": sample} if isinstance(imputer, MFImputer) else {}
    return imputer.set_params(keep_empty_features=True).fit_transform(X, **given)


def choose(
    method: RatingMethod, dataset: str, X: FloatArray, sample: FloatArray, seed: int
) -> dict[str, Any]:
    """Return the settings whose error on held-out ratings, as the method weighs it, is lowest."""
    trials = list(method.trials(dataset))
    if len(trials) == 1:
        return trials[0]
    cells, rest = hold_out(X, HELD_OUT, seed)
    weights: FloatArray = np.ones(len(cells))
    if method.has_propensities:
        chances = NaiveBayesPropensity(X, sample).predict(X, np.empty((len(X), 0)))
        weights = 1.0 / chances.flat[cells]
    errors = [
        np.average(
            (impute(method, trial, rest, sample, seed).flat[cells] - X.flat[cells]) ** 2,
            weights=weights,
        )
        for trial in trials
    ]
    return trials[int(np.argmin(errors))]


def run(
    method: RatingMethod, dataset: str, seed: int, data_dir: Path | None
) -> tuple[dict[str, dict[str, float]], float, dict[str, Any]]:
    """Return the errors by cells that are tested on, seconds of the last fit, and the settings."""
    data = load_ratings(dataset, data_dir)
    sample, test = split_sample(data.test, seed)
    trial = choose(method, dataset, data.train, sample, seed)
    start = time.perf_counter()
    filled = impute(method, trial, data.train, sample, seed)
    seconds = time.perf_counter() - start
    errors = {NEW: rating_errors(filled, np.where(np.isnan(data.train), test, np.nan))}
    if dataset == COAT:
        errors[ALL] = rating_errors(filled, test)
    return errors, round(seconds, 2), trial


def main(options: argparse.Namespace) -> None:
    """Run what is not on record, and print the errors."""
    records = RecordFile("table4", options.results)
    data_dir = find_data_dir(options.data_dir)
    todo = [
        (method, dataset, seed)
        for dataset in options.datasets or (COAT, R3_SHAPED)
        for seed in range(options.seeds or 5)
        for method in METHODS
        if method.label in (options.methods or [method.label])
        and not records.has(key_of(method, dataset, NEW, "mse"), method.describe(dataset), seed)
    ]
    finished = Parallel(n_jobs=options.jobs, return_as="generator")(
        delayed(run)(*cell, data_dir) for cell in todo
    )
    for (method, dataset, seed), (errors, seconds, trial) in zip(
        tqdm(todo, desc="table4", unit="cell"), finished, strict=True
    ):
        for setting in reversed(errors):
            for metric in reversed(METRICS):
                is_papers = dataset == COAT and setting == NEW and metric == "mse"
                paper = TABLE4.get(method.label) if is_papers else None
                key = key_of(method, dataset, setting, metric)
                value = errors[setting][metric]
                records.add(key, method.describe(dataset), seed, value, seconds, paper)
        tqdm.write(f"{dataset} {method.label} {seed}: {errors[NEW]['mse']:.3f} {trial}")

    if any(dataset == COAT for _, dataset, _ in todo):
        draw_figure(options.results / "coat.png", data_dir)


def draw_figure(path: Path, data_dir: Path | None) -> None:
    """Draw the paper's Figure 1: ratings of coats that users chose, and of others."""
    import matplotlib

    matplotlib.use("Agg")
    data = load_ratings(COAT, data_dir)
    display = RatingDistributionDisplay.from_predictions(data.train, data.test)
    display.figure_.savefig(path, dpi=100)


def key_of(method: RatingMethod, dataset: str, setting: str, metric: str) -> dict[str, str]:
    return {
        "protocol": "-",
        "dataset": dataset,
        "setting": setting,
        "method": method.label,
        "metric": metric,
    }
