"""What rows lack together, as :func:`~gnr_sklearn._blocks.find_blocks` tells it."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnr_sklearn._types import BoolArray

__all__ = ["FOLLOWS", "LEADS", "in_blocks", "lack_all", "shares_of_leaders"]

# What a feature is in a block: one whose value may be why the row lacks it, or one that is missing
# for sure if all others are. Else it is 0.
LEADS, FOLLOWS = 1, 2


@overload
def in_blocks(blocks: NDArray[np.int8], missing: BoolArray) -> BoolArray: ...
@overload
def in_blocks(blocks: Tensor, missing: Tensor) -> Tensor: ...
def in_blocks(blocks: Any, missing: Any) -> Any:
    """Tell which cells are missing for sure, because their row lacks a block.

    Parameters
    ----------
    blocks : ndarray or Tensor of int8 of shape (n_blocks, n_features)
        As of :func:`~gnr_sklearn._blocks.find_blocks`.
    missing : ndarray or Tensor of bool of shape (n_samples, n_features)
        Which values are missing.

    Returns
    -------
    in_block : ndarray or Tensor of bool of shape (n_samples, n_features)
    """
    return (1.0 * lack_all(blocks, missing)) @ (1.0 * (blocks == FOLLOWS)) > 0


def lack_all(blocks: Any, missing: Any) -> Any:
    """Tell which rows lack all of each block, (n_samples, n_blocks)."""
    return (1.0 * ~missing) @ (1.0 * (blocks > 0)).T == 0


def shares_of_leaders(blocks: Tensor, missing: Tensor) -> Tensor:
    """Return what missing cells count for: those that lead a block which a row lacks count as one.

    Parameters
    ----------
    blocks : Tensor of int8 of shape (n_blocks, n_features)
        As of :func:`~gnr_sklearn._blocks.find_blocks`.
    missing : Tensor of bool of shape (n_samples, n_features)
        Which values are missing.

    Returns
    -------
    shares : Tensor of shape (n_samples, n_features)
    """
    leads = blocks == LEADS
    number = torch.where(lack_all(blocks, missing), leads.sum(-1), 1)
    return 1.0 / torch.where(leads, number[..., None], 1).amax(-2)
