"""Tables of ratings: those that users chose to give, and those of items chosen for them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score

from gnr_sklearn._types import FloatArray
from gnr_sklearn.datasets import load_coat

COAT, R3_SHAPED = "coat", "r3-shaped"

# The sizes of Yahoo! R3, whose files only those may use who have signed its agreement.
USERS, SONGS, RATED, ASKED_USERS, ASKED_SONGS = 15_400, 1000, 311_704, 5400, 10
# How much more often a song is rated that a user likes, by the rating from 1 to 5.
LIKING = np.array([0.3, 0.35, 0.6, 1.3, 2.5])

SAMPLE = 0.05


class RatingData(NamedTuple):
    """Ratings to learn from, and to be asked for.

    Attributes
    ----------
    train, test : ndarray of shape (n_users, n_items)
        Ratings with NaN where there are none.
    of_users, of_items : ndarray of shape (n_users or n_items, n_info) or None
        What is known of each.
    """

    train: FloatArray
    test: FloatArray
    of_users: FloatArray | None = None
    of_items: FloatArray | None = None


# Drawing, or reading, takes longer than some of the fits, and all methods share it.
@lru_cache(maxsize=1)
def load_ratings(dataset: str, data_dir: Path | None) -> RatingData:
    """Read Coat, or draw ratings of the size of Yahoo! R3 with a known truth."""
    if dataset == R3_SHAPED:
        return draw_r3_shaped()
    if data_dir is None:
        raise FileNotFoundError("Coat is needed: name its folder by --data-dir.")
    coat = load_coat(data_dir)
    return RatingData(coat.train, coat.test, coat.user_features, coat.item_features)


def draw_r3_shaped(
    n_users: int = USERS, n_items: int = SONGS, n_rated: int = RATED, n_asked: int = ASKED_USERS
) -> RatingData:
    """Draw ratings that depend on users, items and eight tastes, and are given if they are high.

    Users differ in how much they rate, and a rating is the more often given the higher it is. The
    first users are asked for ratings of items that are chosen at random.
    """
    rng = np.random.RandomState(0)
    tastes = rng.normal(size=(n_users, 8)) @ rng.normal(size=(8, n_items)) / np.sqrt(8)
    liking = 0.5 * rng.normal(size=(n_users, 1)) + 0.6 * rng.normal(size=n_items) + 0.6 * tastes
    noisy = liking + 0.8 * rng.normal(size=liking.shape)
    full = np.clip(np.round(2.0 + noisy), 1, 5)
    log_chance = np.log(LIKING[full.astype(int) - 1]) + 0.7 * rng.normal(size=(n_users, 1))
    # Without replacement, in proportion: the largest of them plus Gumbel noise.
    keys = log_chance + rng.gumbel(size=full.shape)
    rated = np.argpartition(-keys.ravel(), n_rated)[:n_rated]
    train = np.full(full.shape, np.nan)
    train.flat[rated] = full.flat[rated]
    test = np.full(full.shape, np.nan)
    for user in range(min(n_asked, n_users)):
        items = rng.choice(n_items, min(ASKED_SONGS, n_items), replace=False)
        test[user, items] = full[user, items]
    return RatingData(train, test)


def hold_out(table: FloatArray, share: float, seed: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Choose a share of the ratings: where they are, counted row by row, and the table without."""
    rated = np.flatnonzero(~np.isnan(table))
    cells = np.random.RandomState(seed).choice(rated, round(share * len(rated)), replace=False)
    others = table.copy()
    others.flat[cells] = np.nan
    return cells, others


def split_sample(test: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Take a twentieth of the ratings for propensities, and leave the others to be tested on."""
    cells, others = hold_out(test, SAMPLE, seed)
    return test.flat[cells], others


def rating_errors(predicted: FloatArray, test: FloatArray) -> dict[str, float]:
    """Mean squared and absolute error, and NDCG@5 with gains of 2^rating - 1.

    The last is the mean over users with two different ratings or more.
    """
    asked = ~np.isnan(test)
    off = (predicted - test)[asked]
    gains = []
    for row, wanted, cells in zip(predicted, test, asked, strict=True):
        if len(np.unique(wanted[cells])) > 1:
            relevance = 2.0 ** wanted[cells] - 1.0
            gains.append(ndcg_score([relevance], [row[cells]], k=5))
    return {
        "mse": float(np.mean(off**2)),
        "mae": float(np.mean(np.abs(off))),
        "ndcg5": float(np.mean(gains)),
    }
