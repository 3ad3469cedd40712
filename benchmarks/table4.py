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
import torch
from joblib import Parallel, delayed
from scipy.special import ndtr
from tqdm import tqdm

from benchmarks.paper import TABLE4
from benchmarks.protocols import find_data_dir
from benchmarks.ratings import (
    COAT,
    R3_SHAPED,
    RatingData,
    hold_out,
    load_ratings,
    rating_errors,
    split_sample,
)
from benchmarks.records import RecordFile
from gnr_sklearn import (
    GAINImputer,
    GNRImputer,
    MeanImputer,
    MFImputer,
    MIWAEImputer,
    NotMIWAEImputer,
    PSMVAEImputer,
)
from gnr_sklearn._propensities import NaiveBayesPropensity
from gnr_sklearn._types import FloatArray
from gnr_sklearn._vae import VAEImputer
from gnr_sklearn.factorization import WITHOUT_PROPENSITIES
from gnr_sklearn.plotting import RatingDistributionDisplay

METRICS = ("mse", "mae", "ndcg5")
HELD_OUT = 0.1
LOWEST, HIGHEST = 1.0, 5.0
# All test cells, of which some of Coat's were rated in training as well; and without these.
NEW, ALL = "test ratings that are not in train", "all test ratings"

Grid = dict[str, tuple[Any, ...]]

# What is tried of each method: nine settings on Coat, two on the large table, where a fit takes
# a while.
FACTORISATIONS: dict[str, Grid] = {
    COAT: {"l2": (2.5, 5.0, 10.0), "embedding_dim": (0, 4, 8)},
    R3_SHAPED: {"l2": (5.0, 20.0), "embedding_dim": (8,)},
}
SOFT: dict[str, Grid] = {
    COAT: {"l2": (2.5, 3.5, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0)},
    R3_SHAPED: {"l2": (5.0, 20.0)},
}
PENALTIES: Grid = {"loading_penalty": (100.0, 300.0, 1000.0)}
FEW_PENALTIES: Grid = {"loading_penalty": (10.0, 100.0)}
LATENT: dict[str, Grid] = {COAT: PENALTIES | {"latent_dim": (4, 8, 30)}, R3_SHAPED: FEW_PENALTIES}
KNOWN = "self_masking_known"
PROCESSES: dict[str, Grid] = {
    COAT: PENALTIES | {"missing_process": (KNOWN, "self_masking", "linear")},
    R3_SHAPED: FEW_PENALTIES | {"missing_process": (KNOWN,)},
}
ALPHAS: dict[str, Grid] = {
    COAT: PENALTIES | {"alpha": (0.1, 0.03, 0.3)},
    R3_SHAPED: {"loading_penalty": (100.0,), "alpha": (0.1, 1.0)},
}
PAPERS: dict[str, Grid] = {COAT: {"alpha": (0.01, 1.0, 100.0)}}
ADVERSARIAL: dict[str, Grid] = {
    COAT: {"alpha": (10.0, 100.0, 1000.0), "hint_rate": (0.1, 0.5, 0.9)},
    R3_SHAPED: {"alpha": (10.0, 100.0)},
}

STEPS = {COAT: 750, R3_SHAPED: 2000}
BOUNDS = {"min_value": LOWEST, "max_value": HIGHEST}
# The encoder of section 5.3. One fifth of the samples on the large table.
VAE: dict[str, Any] = BOUNDS | {
    "encoder": "permutation_invariant",
    "scaling": "shared",
    "decoder": "linear",
    "observation_scale": "shared",
    "learning_rate": 1e-2,
    "n_importance_samples": 10,
    "early_stopping": False,
}
SAMPLES = {COAT: 160, R3_SHAPED: 32}
LATENT_DIM = {COAT: 8, R3_SHAPED: 30}


class TrainMean(MeanImputer):
    """Fill in the mean of all ratings."""

    def _fit(self, values: FloatArray) -> None:
        super()._fit(np.full(values.shape, np.nanmean(values)))


@dataclass(frozen=True)
class RatingMethod:
    """A labelled imputer, settings of it, and those that are tried for each table.

    Attributes
    ----------
    is_informed : bool
        Whether it is told what is known of users and items.
    datasets : sequence of str
        Which tables it is run on.
    """

    label: str
    imputer: type
    params: dict[str, Any] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    is_informed: bool = False
    datasets: tuple[str, ...] = (COAT, R3_SHAPED)

    def grid(self, dataset: str) -> Grid:
        of_dataset = self.grids.get(dataset, {})
        return {name: of for name, of in of_dataset.items() if name not in self.params}

    def trials(self, dataset: str) -> Iterator[dict[str, Any]]:
        grid = self.grid(dataset)
        for values in product(*grid.values()):
            trial = dict(zip(grid, values, strict=True))
            if trial.get("missing_process", KNOWN) != KNOWN:
                trial["missing_direction"] = None  # which other processes cannot know
            yield trial

    def settings(self, dataset: str) -> dict[str, Any]:
        """Return the settings that are not tried, with those that go with the table's size."""
        if issubclass(self.imputer, GAINImputer):
            return {"max_iter": STEPS[dataset]} | self.params
        if not issubclass(self.imputer, VAEImputer):
            return self.params
        of_size = {"max_iter": STEPS, "n_imputation_samples": SAMPLES, "latent_dim": LATENT_DIM}
        sized = {name: of[dataset] for name, of in of_size.items()}
        return {n: v for n, v in sized.items() if n not in self.grid(dataset)} | self.params

    @property
    def has_propensities(self) -> bool:
        return self.params.get("method", "mf") not in WITHOUT_PROPENSITIES

    def describe(self, dataset: str) -> str:
        """Describe the settings, for the record."""
        tried = ", ".join(f"{name} of {values}" for name, values in self.grid(dataset).items())
        informed = "; told of users and items" if self.is_informed and dataset == COAT else ""
        imputer = repr(self.imputer(**self.settings(dataset)))
        return imputer + (f"; {tried}" if tried else "") + informed


def factorisation(
    label: str, method: str, grids: dict[str, Grid] = FACTORISATIONS, **params: Any
) -> RatingMethod:
    return RatingMethod(label, MFImputer, {"method": method} | BOUNDS | params, grids)


def variational(
    label: str, imputer: type, grids: dict[str, Grid], **params: Any
) -> tuple[RatingMethod, RatingMethod]:
    """Return the method with what is known of users and items, and without."""
    params = VAE | params
    return (
        RatingMethod(label, imputer, params, grids, is_informed=True),
        RatingMethod(f"{label}, told nothing", imputer, params, grids, datasets=(COAT,)),
    )


METHODS = (
    RatingMethod("mean of all", TrainMean),
    RatingMethod("mean of each item", MeanImputer),
    factorisation("means of users and items", "mf", embedding_dim=0),
    # Without a limit on the rank, a penalty on the squares of factors is one on the nuclear norm.
    factorisation("SoftImpute-style", "mf", SOFT, embedding_dim=50),
    factorisation("MF", "mf"),
    factorisation("MF-IPS", "ips"),
    factorisation("MF-SNIPS", "snips"),
    factorisation("MF-DR", "dr"),
    factorisation("MF-DR-JL", "dr-jl"),
    factorisation("MF-CVIB", "cvib"),
    RatingMethod("GAIN", GAINImputer, BOUNDS, ADVERSARIAL),
    *variational("MIWAE", MIWAEImputer, LATENT),
    *variational("not-MIWAE", NotMIWAEImputer, PROCESSES, missing_direction="below"),
    *variational("PSMVAE", PSMVAEImputer, PROCESSES, missing_direction="below", n_components=2),
    *variational("GNR", GNRImputer, ALPHAS, missing_direction="below", prior=None),
    RatingMethod(
        "GNR, as in section 5.3",
        GNRImputer,
        VAE
        | {"mask_model": "latent", "prior": None, "scaling": "ratings", "decoder": "mlp"}
        | {"latent_dim": 30, "learning_rate": 1e-3, "n_importance_samples": 20, "max_iter": 10_000}
        | {"loading_penalty": 0.0},
        PAPERS,
        is_informed=True,
        datasets=(COAT,),
    ),
)


def fit_and_impute(
    method: RatingMethod,
    dataset: str,
    trial: dict[str, Any],
    data: RatingData,
    sample: FloatArray,
    seed: int,
) -> tuple[Any, FloatArray]:
    """Return the fitted imputer, and the table of train as it completes it."""
    settings = method.settings(dataset) | trial | {"random_state": seed}
    given: dict[str, Any] = {}
    if issubclass(method.imputer, MFImputer):
        given = {"mar_sample": sample}
    elif method.is_informed:
        given = {"side_info": data.of_users}
        # The paper's models know of users only.
        if method.params["scaling"] == "shared":
            settings["feature_info"] = data.of_items
    imputer = method.imputer(**settings, keep_empty_features=True)
    return imputer, imputer.fit_transform(data.train, **given)


def chances_by_value(imputer: GNRImputer, ratings: FloatArray) -> FloatArray:
    """Return the chance that a rating of this size is given, by the process of all items."""
    step = ndtr(imputer.missing_slope_[0] * (ratings - imputer.missing_threshold_[0]))
    floor, ceiling = imputer.missing_floor_[0], imputer.missing_ceiling_[0]
    return 1.0 - floor - (ceiling - floor) * step


def choose(
    method: RatingMethod, dataset: str, data: RatingData, sample: FloatArray, seed: int
) -> dict[str, Any]:
    """Return the settings whose error on held-out ratings, as the method weighs it, is lowest.

    A method that knows the chances of ratings to be given, by a sample or by its first trial,
    weighs held-out ones by one over these.
    """
    trials = list(method.trials(dataset))
    if len(trials) == 1:
        return trials[0]
    cells, rest = hold_out(data.train, HELD_OUT, seed)
    wanted = data.train.flat[cells]
    fits = (
        fit_and_impute(method, dataset, trial, data._replace(train=rest), sample, seed)
        for trial in trials
    )
    weights: FloatArray = np.ones(len(cells))
    if method.has_propensities:
        chances = NaiveBayesPropensity(data.train, sample)
        no_side = np.empty((len(data.train), 0))
        weights = 1.0 / chances.predict(data.train, no_side).flat[cells]
    errors: list[float] = []
    for imputer, filled in fits:
        if not errors and getattr(imputer, "missing_slope_", None) is not None:
            weights = 1.0 / chances_by_value(imputer, wanted)
        errors.append(np.average((filled.flat[cells] - wanted) ** 2, weights=weights))
    return trials[int(np.argmin(errors))]


def run(
    method: RatingMethod, dataset: str, seed: int, data_dir: Path | None
) -> tuple[dict[str, dict[str, float]], float, dict[str, Any]]:
    """Return the errors by cells that are tested on, seconds of the last fit, and the settings."""
    torch.set_num_threads(1)
    data = load_ratings(dataset, data_dir)
    sample, test = split_sample(data.test, seed)
    trial = choose(method, dataset, data, sample, seed)
    start = time.perf_counter()
    _, filled = fit_and_impute(method, dataset, trial, data, sample, seed)
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
        if dataset in method.datasets
        and method.label in (options.methods or [method.label])
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
