"""Imputers on tables whose rows lack several values at once, for one reason.

The tables are drawn, of 500 rows with four factors, or of the course of a measurement. Half of the
values above the mean are missing by themselves, in every second column. What is missing together:

- ``visits``: three visits of five columns, after each of which a fifth of the patients stop coming.
- ``short visits``: the same of five visits of three columns.
- ``dropout``: six visits of one column each, at each of which a tenth stop coming.
- ``dropout by value``: of those whose value there is half a standard deviation above the mean, 30%.
- ``pairs``: two pairs of columns, each of which a fifth of the rows lack.
- ``pairs by value``: 70% of the rows in which the mean of both is 0.2 standard deviations above
  the mean.

Columns of a course, and of pairs, lose nothing by themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.field import MOMENTS, TOLD_ABOVE
from benchmarks.protocols import MEAN, MICE, MISS_FOREST, Cell, Method, Task, run_cells
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer, MIWAEImputer

N_ROWS, N_FACTORS, NOISE = 500, 4, 0.6
N_MASKS = 3

METHODS = (
    MEAN,
    MICE,
    MISS_FOREST,
    Method("MIWAE", MIWAEImputer),
    Method("GNR", GNRImputer),
    Method("GNR, told above", GNRImputer, TOLD_ABOVE),
    Method("GNR, told neither", GNRImputer, {"missing_direction": "neither"}),
)

Table = tuple[np.ndarray, np.ndarray, np.ndarray]


def of_factors(rng: np.random.Generator, n_columns: int) -> np.ndarray:
    """Draw columns of a few factors and noise."""
    loadings = rng.normal(size=(N_FACTORS, n_columns))
    return rng.normal(size=(N_ROWS, N_FACTORS)) @ loadings + NOISE * rng.normal(
        size=(N_ROWS, n_columns)
    )


def visits(rng: np.random.Generator, n_visits: int, n_columns: int) -> Table:
    """Draw patients who stop coming at random, with three measurements before the first visit."""
    X = of_factors(rng, 3 + n_visits * n_columns)
    visit = (np.arange(X.shape[1]) - 3) // n_columns
    last = rng.geometric(0.2, size=N_ROWS)
    return X, visit >= last[:, np.newaxis], np.arange(X.shape[1]) % 2 == 1


def dropout(rng: np.random.Generator, by_value: bool) -> Table:
    """Draw the course of a value, and four measurements that have to do with its level."""
    level = rng.normal(size=(N_ROWS, 1))
    course = 0.35 * np.cumsum(rng.normal(size=(N_ROWS, 6)), axis=1)
    course = level + course + 0.3 * rng.normal(size=course.shape)
    score = (course - course.mean(axis=0)) / course.std(axis=0)
    stops = rng.uniform(size=course.shape) < (0.3 * (score > 0.5) if by_value else 0.1)
    stops[:, 0] = False
    before = level + 0.7 * rng.normal(size=(N_ROWS, 4))
    gone = np.maximum.accumulate(stops, axis=1)
    X = np.hstack([before, course])
    return X, np.hstack([np.zeros(before.shape, dtype=bool), gone]), np.isin(np.arange(10), [1, 3])


def pairs(rng: np.random.Generator, by_value: bool) -> Table:
    """Draw columns of which the first and the third, the fifth and the seventh are pairs."""
    X = of_factors(rng, 12)
    together = np.zeros(X.shape, dtype=bool)
    for pair in np.array([[0, 2], [4, 6]]):
        # What decides together has to do with one another in one sense.
        X[:, pair[1]] *= np.sign(np.corrcoef(X[:, pair], rowvar=False)[0, 1])
        mean = ((X - X.mean(axis=0)) / X.std(axis=0))[:, pair].mean(axis=1)
        chance = 0.7 * (mean > 0.2) if by_value else 0.2
        together[np.ix_(rng.uniform(size=N_ROWS) < chance, pair)] = True
    return X, together, np.arange(12) % 2 == 1


TABLES: dict[str, Callable[[np.random.Generator], Table]] = {
    "visits": lambda rng: visits(rng, 3, 5),
    "short visits": lambda rng: visits(rng, 5, 3),
    "dropout": lambda rng: dropout(rng, by_value=False),
    "dropout by value": lambda rng: dropout(rng, by_value=True),
    "pairs": lambda rng: pairs(rng, by_value=False),
    "pairs by value": lambda rng: pairs(rng, by_value=True),
}


@dataclass(frozen=True)
class DrawnCell(Cell):
    """One imputer on one of these tables."""

    @property
    def setting(self) -> str:
        return f"{N_ROWS} rows"

    def task(self, data_dir: Path | None) -> Task:
        """Draw a table and its holes."""
        rng = np.random.default_rng(self.seed)
        X, together, loses = TABLES[self.dataset](rng)
        large = (X.mean(axis=0) < X) & loses & (rng.uniform(size=X.shape) < self.rate)
        return Task(np.where(together | large, np.nan, X), X, X.std(axis=0))


def main(options: argparse.Namespace) -> None:
    """Run the chosen cells, but those on record."""
    cells = [
        DrawnCell("field", dataset, 0.5, method, seed)
        for seed in range(options.seeds or N_MASKS)
        for dataset in options.datasets or TABLES
        for method in METHODS
        if not options.methods or method.label in options.methods
    ]
    records = RecordFile("together", options.results)
    run_cells(cells, records, jobs=options.jobs, data_dir=None, metrics=MOMENTS)
