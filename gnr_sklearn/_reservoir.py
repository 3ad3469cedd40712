"""Rows drawn at random from a table that comes in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._types import FloatArray

__all__ = ["Reservoir", "some_rows"]


@dataclass(frozen=True)
class Reservoir:
    """A uniform random sample, of at most `most` rows, of a stream of rows.

    Each row has a random key when it comes, and those with the lowest are kept.

    Attributes
    ----------
    most : int
        How many rows are kept at most.
    keys : ndarray of shape (n_kept,) or None, default=None
        The keys of the rows that are kept; None before any came.
    tables : tuple of ndarray of shape (n_kept, n_columns)
        The rows, of one table or several.
    """

    most: int
    keys: FloatArray | None = None
    tables: tuple[FloatArray, ...] = ()

    def updated_with(self, tables: tuple[FloatArray, ...], seed: int) -> Reservoir:
        """Return what is kept after further rows.

        Parameters
        ----------
        tables : tuple of ndarray of shape (n_rows, n_columns)
            The rows.
        seed : int
            Seed of their keys.
        """
        keys = np.random.RandomState(seed).uniform(size=len(tables[0]))
        if self.keys is not None:
            keys = np.concatenate([self.keys, keys])
            tables = tuple(map(np.vstack, zip(self.tables, tables, strict=True)))
        # In the order in which they came.
        lowest = np.sort(np.argsort(keys)[: self.most])
        return Reservoir(self.most, keys[lowest], tuple(table[lowest] for table in tables))


def some_rows(n_rows: int, most: int, seed: int) -> slice | NDArray[np.intp]:
    """Choose rows at random where there are too many."""
    if n_rows <= most:
        return slice(None)
    return np.sort(np.random.RandomState(seed).choice(n_rows, most, replace=False))
