"""Features that rows lack together, such as the results of a visit that was missed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import roc_auc_score
from torch import Tensor

from gnr_sklearn._types import BoolArray, FloatArray

__all__ = [
    "FOLLOWS",
    "LEADS",
    "find_blocks",
    "in_blocks",
    "lost_with",
    "predecessors",
    "shares_of_leaders",
    "with_one_leader",
]

# What a feature is in a block: one whose value may be why the row lacks it, or one that is missing
# for sure if all others are. Else it is 0.
LEADS, FOLLOWS = 1, 2

# A block has so many rows that lack all of it, but no more than this share of all, and few others
# lack three quarters of it, or all but one. It is looked for in so many rows.
MIN_ROWS = 10
LARGEST_SHARE = 0.9
FEW_OTHERS = 0.01
ROWS_TO_COMPARE = 50

# Of fewer features than this, any value may be the reason, and not only one that is told to be.
MIN_FEATURES = 5

# So many features are lost in a sequence, if the chance of it is so small where they are not, and
# values do not tell better than by this area under the ROC curve whether the next one is missing.
MIN_SEQUENCE = 3
CHANCE_OF_SEQUENCE = 1e-6
LARGEST_AREA = 0.95


def find_blocks(values: FloatArray, directions: FloatArray | None = None) -> NDArray[np.int8]:
    """Tell which features rows lack together.

    Where a visit was missed, or part of a study declined, one event makes many masks, which counts
    once. It shows in that rows lack all of the block or little of it: where values decide one by
    one, other rows lack most of it, but not all. Blocks with the most cells come first, and others
    are found in what is missing besides: where patients do not come back, each visit may be a
    block, or all from one on.

    Features lead if they are missing with the block alone, so that the event is all there is to be
    decided, and if values are told to decide, or where nothing is told, of four features or fewer.

    Where a single value is measured at each visit, what follows the first one that is missing is
    missing for sure, and only the first one may be the reason.

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
        What each feature is in each of them: nothing, :data:`LEADS` or :data:`FOLLOWS`.
    """
    missing = np.isnan(values)
    if directions is None:
        directions = np.full(missing.shape[1], np.nan)
    remaining, blocks = missing, np.empty((0, missing.shape[1]), dtype=np.int8)
    while (block := _largest_block(remaining)) is not None:
        blocks = np.vstack([blocks, FOLLOWS * block], dtype=np.int8)
        remaining = missing & ~in_blocks(blocks, missing)
    for parts in blocks:
        lacks = missing[:, parts > 0].all(axis=1)
        may_lead = (parts > 0) & (missing[~lacks].sum(axis=0) <= FEW_OTHERS * lacks.sum())
        leads = may_lead & (np.nan_to_num(directions) != 0)
        if not leads.any() and np.count_nonzero(parts) < MIN_FEATURES:
            leads = may_lead & np.isnan(directions)
        parts[leads] = LEADS
    pairs = list(pairwise(_longest_sequence(remaining)))
    if any(_tells(values[:, before], missing[:, after]) for before, after in pairs):
        return blocks
    for pair in pairs:
        blocks = np.vstack([blocks, np.zeros_like(blocks, shape=(1, values.shape[1]))])
        blocks[-1, list(pair)] = LEADS, FOLLOWS
    return blocks


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


def _longest_sequence(missing: BoolArray) -> list[int]:
    """Return features each of which is missing where the one before it is, and in more rows."""
    often = np.flatnonzero(missing.sum(axis=0) >= MIN_ROWS)
    missing = missing[:, often]
    n_missing = missing.sum(axis=0)
    # In how many rows one is missing and another one is not.
    alone = n_missing[:, np.newaxis] - missing.T.astype(np.float64) @ missing
    is_next = (alone <= FEW_OTHERS * n_missing[:, np.newaxis]) & (alone + MIN_ROWS <= alone.T)
    before, after = np.nonzero(is_next)
    share_seen = 1.0 - n_missing[after] / len(missing)
    by_chance = binom.cdf(alone[before, after], n_missing[before], share_seen)
    is_next[before, after] = by_chance < CHANCE_OF_SEQUENCE
    longest: list[list[int]] = [[j] for j in range(len(often))]
    for j in np.argsort(n_missing, kind="stable"):
        up_to = max((longest[i] for i in np.flatnonzero(is_next[:, j])), key=len, default=[])
        longest[j] = [*up_to, int(j)]
    sequence = max(longest, key=len, default=[])
    return often[sequence].tolist() if len(sequence) >= MIN_SEQUENCE else []


def _tells(values: FloatArray, missing: BoolArray) -> bool:
    """Tell whether values that are seen tell well whether others of their rows are missing.

    So it is where features are much the same, and what is beyond limits of their own is missing.
    """
    seen = ~np.isnan(values)
    if missing[seen].all():
        return False
    area = roc_auc_score(missing[seen], values[seen])
    return bool(max(area, 1.0 - area) > LARGEST_AREA)


@overload
def in_blocks(blocks: NDArray[np.int8], missing: BoolArray) -> BoolArray: ...
@overload
def in_blocks(blocks: Tensor, missing: Tensor) -> Tensor: ...
def in_blocks(blocks: Any, missing: Any) -> Any:
    """Tell which cells are missing for sure, because their row lacks a block.

    Parameters
    ----------
    blocks : ndarray or Tensor of int8 of shape (n_blocks, n_features)
        As of :func:`find_blocks`.
    missing : ndarray or Tensor of bool of shape (n_samples, n_features)
        Which values are missing.

    Returns
    -------
    in_block : ndarray or Tensor of bool of shape (n_samples, n_features)
    """
    lacks = (missing[:, None] | (blocks == 0)).all(-1)
    return (lacks[..., None] & (blocks == FOLLOWS)).any(-2)


def shares_of_leaders(blocks: Tensor, missing: Tensor) -> Tensor:
    """Return what missing cells count for: those that lead a block which a row lacks count as one.

    Parameters
    ----------
    blocks : Tensor of int8 of shape (n_blocks, n_features)
        As of :func:`find_blocks`.
    missing : Tensor of bool of shape (n_samples, n_features)
        Which values are missing.

    Returns
    -------
    shares : Tensor of shape (n_samples, n_features)
    """
    leads = blocks == LEADS
    lacks = (missing[:, None] | (blocks == 0)).all(-1)
    number = torch.where(lacks, leads.sum(-1), 1)
    return 1.0 / torch.where(leads, number[..., None], 1).amax(-2)


def with_one_leader(blocks: NDArray[np.int8]) -> NDArray[np.int8]:
    """Let all features but the first of those that lead a block follow it."""
    leads = blocks == LEADS
    return np.where(leads & (leads.cumsum(axis=1) > 1), np.int8(FOLLOWS), blocks)


def lost_with(blocks: NDArray[np.int8]) -> BoolArray:
    """Tell which features, the second ones, are missing where others, the first ones, are.

    A feature that follows is asked about only where what it follows is seen.
    """
    with_others = (blocks == LEADS).T @ (blocks > 0)
    # What follows one that follows: a sequence is no longer than there are blocks.
    for _ in blocks:
        with_others |= with_others @ with_others
    np.fill_diagonal(with_others, val=False)
    return with_others


def predecessors(blocks: NDArray[np.int8]) -> NDArray[np.intp]:
    """Return the feature that each one follows, -1 where there is none, or more than one."""
    followed = np.full(blocks.shape[1], -1)
    for block in blocks[(blocks == LEADS).sum(axis=1) == 1]:
        followed[block == FOLLOWS] = np.argmax(block == LEADS)
    return followed
