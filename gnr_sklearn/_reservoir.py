"""Rows drawn at random from a table that comes in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._types import BoolArray, FloatArray

__all__ = ["Reservoir", "some_rows"]

# How many rows of a part are looked up among those kept, what share of them has to be there, of
# what is to be expected in a further pass, and what share has to differ for that to say something.
ROWS_TO_COMPARE = 1000
LEAST_SHARE_KNOWN = 0.9
LEAST_SHARE_DIFFERENT = 0.75


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
    n_seen : int, default=0
        How many rows came, without those of repeated parts.
    """

    most: int
    keys: FloatArray | None = None
    tables: tuple[FloatArray, ...] = ()
    n_seen: int = 0

    def updated_with(self, tables: tuple[FloatArray, ...], seed: int) -> Reservoir:
        """Return what is kept after further rows, which do not count if they came before.

        Parameters
        ----------
        tables : tuple of ndarray of shape (n_rows, n_columns)
            The rows.
        seed : int
            Seed of their keys.
        """
        is_new = self._are_new(tables, seed)
        if not is_new.any():
            return self
        tables = tuple(table[is_new] for table in tables)
        n_seen = self.n_seen + len(tables[0])
        keys = np.random.RandomState(seed).uniform(size=len(tables[0]))
        if self.keys is not None:
            keys = np.concatenate([self.keys, keys])
            tables = tuple(map(np.vstack, zip(self.tables, tables, strict=True)))
        # In the order in which they came.
        lowest = np.sort(np.argsort(keys)[: self.most])
        return Reservoir(self.most, keys[lowest], tuple(table[lowest] for table in tables), n_seen)

    def _are_new(self, tables: tuple[FloatArray, ...], seed: int) -> BoolArray:
        """Tell which rows did not come in an earlier pass over the same table.

        If rows hardly repeat one another, those that are kept already are the same rows. Once some
        of the earlier ones are kept no longer, a part is new as a whole or not at all.
        """
        n_rows = len(tables[0])
        chosen = some_rows(n_rows, ROWS_TO_COMPARE, seed)
        rows = _as_bytes(tuple(table[chosen] for table in tables))
        if self.keys is None or len(set(rows)) < LEAST_SHARE_DIFFERENT * len(rows):
            return np.ones(n_rows, dtype=bool)
        kept = set(_as_bytes(self.tables))
        if len(self.keys) == self.n_seen:
            return np.array([row not in kept for row in _as_bytes(tables)])
        expected = len(self.keys) / self.n_seen
        by_chance = 3 * np.sqrt(expected * (1 - expected) / len(rows))
        n_known = sum(row in kept for row in rows)
        least = max(LEAST_SHARE_KNOWN * expected - by_chance, 0.5 * expected)
        return np.full(n_rows, n_known < least * len(rows))


def _as_bytes(tables: tuple[FloatArray, ...]) -> list[bytes]:
    return [row.tobytes() for row in np.hstack(tables)]


def some_rows(n_rows: int, most: int, seed: int) -> slice | NDArray[np.intp]:
    """Choose rows at random where there are too many."""
    if n_rows <= most:
        return slice(None)
    return np.sort(np.random.RandomState(seed).choice(n_rows, most, replace=False))
