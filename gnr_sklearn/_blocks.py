"""Features that rows lack together, such as the results of a visit that was missed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn.nn.blocks import FOLLOWS, LEADS, in_blocks, lack_all

__all__ = [
    "find_blocks",
    "lost_with",
    "predecessors",
    "with_one_leader",
]

# A block has so many rows that lack all of it, but no more than this share of all, and few others
# lack three quarters of it, or all but one. It is looked for in so many rows.
MIN_ROWS = 10
LARGEST_SHARE = 0.9
FEW_OTHERS = 0.01
ROWS_TO_COMPARE = 50

# Of fewer features than this, any value may be the reason, and not only one that is told to be.
MIN_FEATURES = 5

# A feature follows another one if the chance of it is so small where it does not, and the value of
# the other one, where it is seen, tells no better than by this area under the ROC curve whether it
# is missing: the larger one where three features or more follow one another.
CHANCE_TO_FOLLOW = 1e-6
LARGEST_AREA, LARGEST_AREA_IN_SEQUENCE = 0.8, 0.95
MIN_SEQUENCE = 3


def find_blocks(values: FloatArray, directions: FloatArray | None = None) -> NDArray[np.int8]:
    """Tell which features rows lack together.

    Where a visit was missed, or part of a study declined, one event makes many masks, which counts
    once. It shows in that rows lack all of the block or little of it: where values decide one by
    one, other rows lack most of it, but not all. Blocks with the most cells come first, and others
    are found in what is missing besides: where patients do not come back, each visit may be a
    block, or all from one on.

    Features lead if they are missing with the block alone, so that the event is all there is to be
    decided, and if values are told to decide, or where nothing is told, of four features or fewer.

    Features that are missing wherever another one is, and elsewhere too, follow that one. So it is
    where a single value is measured at each visit, and patients stop coming: only the first one
    that a row lacks may be the reason. And so it is where a visit is missed of which some values
    are missing by themselves as well: it is told by those that are not.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_features)
        Rows with NaN for what is missing.
    directions : ndarray of shape (n_features,) or None, default=None
        What is told of features: 0 where values do not decide, NaN where nothing is. None for
        nothing of any.

    Returns
    -------
    blocks : ndarray of int8 of shape (n_blocks, n_features)
        What each feature is in each of them: nothing, ``LEADS`` or ``FOLLOWS``.
    """
    missing = np.isnan(values)
    if directions is None:
        directions = np.full(missing.shape[1], np.nan)
    remaining, blocks = missing, np.empty((0, missing.shape[1]), dtype=np.int8)
    while (block := _largest_block(remaining)) is not None:
        blocks = np.vstack([blocks, FOLLOWS * block], dtype=np.int8)
        remaining = missing & ~in_blocks(blocks, missing)
    for parts, lacks in zip(blocks, lack_all(blocks, missing).T, strict=True):
        may_lead = (parts > 0) & (missing[~lacks].sum(axis=0) <= FEW_OTHERS * lacks.sum())
        leads = may_lead & (np.nan_to_num(directions) != 0)
        if not leads.any() and np.count_nonzero(parts) < MIN_FEATURES:
            leads = may_lead & np.isnan(directions)
        parts[leads] = LEADS
    return np.vstack([blocks, _blocks_of_followers(values, remaining)])


def _largest_block(missing: BoolArray) -> BoolArray | None:
    """Return the features that are a block, of those with the most cells, if there are such."""
    lacking = np.flatnonzero(missing.sum(axis=1) > 1)
    # What two rows of a block have in common is the block, but for what both lack besides.
    patterns = missing[lacking[:: -(-len(lacking) // ROWS_TO_COMPARE) or 1]]
    common = (patterns[:, np.newaxis] & patterns).reshape(-1, missing.shape[1])
    blocks = np.unique(common[common.sum(axis=1) > 1], axis=0)
    size = blocks.sum(axis=1)
    n_lacked = missing.astype(np.float64) @ blocks.T
    n_rows = (n_lacked == size).sum(axis=0)
    lack_most = n_lacked >= size - np.maximum(size // 4, 1)
    n_others = (lack_most & (n_lacked < size)).sum(axis=0)
    is_block = (n_rows >= MIN_ROWS) & (n_rows <= LARGEST_SHARE * len(missing))
    is_block &= n_others <= FEW_OTHERS * n_rows
    if not is_block.any():
        return None
    return blocks[np.argmax(np.where(is_block, n_rows * size, 0))]


def _blocks_of_followers(values: FloatArray, missing: BoolArray) -> NDArray[np.int8]:
    """Return a block for each feature that others follow in what is missing."""
    follows = _followers(missing)
    sequence = list(pairwise(_longest_sequence(follows, missing.sum(axis=0))))
    if any(_area(values, missing, *pair) > LARGEST_AREA_IN_SEQUENCE for pair in sequence):
        sequence = []
    blocks = np.zeros(follows.shape, dtype=np.int8)
    for leader, follower in np.argwhere(follows).tolist():
        in_sequence = (leader, follower) in sequence
        if in_sequence or _area(values, missing, leader, follower) <= LARGEST_AREA:
            blocks[leader, [leader, follower]] = LEADS, FOLLOWS
    return blocks[blocks.any(axis=1)]


def _followers(missing: BoolArray) -> BoolArray:
    """Tell which features, the second ones, are missing wherever others, the first ones, are."""
    often = np.flatnonzero(missing.sum(axis=0) >= MIN_ROWS)
    columns = missing[:, often].astype(np.float64)
    n_missing = columns.sum(axis=0)
    # In how many rows one is missing and another one is not.
    alone = n_missing[:, np.newaxis] - columns.T @ columns
    pairs = (alone <= FEW_OTHERS * n_missing[:, np.newaxis]) & (alone + MIN_ROWS <= alone.T)
    leaders, followers = np.nonzero(pairs)
    share_seen = 1.0 - n_missing[followers] / len(missing)
    by_chance = binom.cdf(alone[leaders, followers], n_missing[leaders], share_seen)
    is_sure = by_chance < CHANCE_TO_FOLLOW
    follows = np.zeros((missing.shape[1], missing.shape[1]), dtype=bool)
    follows[often[leaders[is_sure]], often[followers[is_sure]]] = True
    return follows


def _longest_sequence(follows: BoolArray, n_missing: NDArray[np.intp]) -> list[int]:
    """Return features each of which follows the one before it, if there are enough."""
    longest: list[list[int]] = [[j] for j in range(len(follows))]
    for j in np.argsort(n_missing, kind="stable"):
        up_to = max((longest[i] for i in np.flatnonzero(follows[:, j])), key=len, default=[])
        longest[j] = [*up_to, int(j)]
    sequence = max(longest, key=len)
    return sequence if len(sequence) >= MIN_SEQUENCE else []


def _area(values: FloatArray, missing: BoolArray, leader: int, follower: int) -> float:
    """Return how well the value of one feature, where it is seen, tells that another is missing.

    It tells it where features are much the same, and what is beyond limits of their own is missing.
    """
    seen = ~np.isnan(values[:, leader])
    lost = missing[seen, follower]
    if lost.all() or not lost.any():
        return 0.5
    area = float(roc_auc_score(lost, values[seen, leader]))
    return max(area, 1.0 - area)


def with_one_leader(blocks: NDArray[np.int8]) -> NDArray[np.int8]:
    """Let all features but the first of those that lead a block follow it."""
    leads = blocks == LEADS
    return np.where(leads & (leads.cumsum(axis=1) > 1), np.int8(FOLLOWS), blocks)


def lost_with(blocks: NDArray[np.int8]) -> BoolArray:
    """Tell which features, the second ones, are missing where others, the first ones, are.

    A feature that follows is asked about only where what it follows is seen.
    """
    with_others = (blocks == LEADS).T @ (blocks > 0)
    further = with_others | ((1.0 * with_others) @ with_others > 0)
    # And what follows one that follows.
    while (further != with_others).any():
        with_others, further = further, further | ((1.0 * further) @ further > 0)
    np.fill_diagonal(with_others, val=False)
    return with_others


def predecessors(blocks: NDArray[np.int8]) -> NDArray[np.intp]:
    """Return the feature that each one follows, -1 where there is none that leads alone.

    Of several ones it is the one that others follow least.
    """
    followed = np.full(blocks.shape[1], -1)
    alone = blocks[(blocks == LEADS).sum(axis=1) == 1]
    for block in alone[np.argsort(-(alone == FOLLOWS).sum(axis=1), kind="stable")]:
        followed[block == FOLLOWS] = np.argmax(block == LEADS)
    return followed
