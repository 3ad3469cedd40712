"""What is asked of an imputer and its rows where several processes train together."""

from __future__ import annotations

import hashlib
from numbers import Integral
from typing import Any

import numpy as np

from gnr_sklearn._types import FloatArray
from gnr_sklearn.nn.parallel import Shard, current_shard, is_same_for_all

__all__ = ["check_same_rows", "own_shard"]


def own_shard(batch_size: int, random_state: Any) -> Shard:
    """Return the part of each batch of this process, or refuse what cannot be divided."""
    shard = current_shard()
    if shard is None:
        raise ValueError(
            "data_parallel must be False where there is no process group; "
            "torch.distributed.init_process_group makes one."
        )
    if not isinstance(random_state, Integral):
        raise ValueError(
            "random_state must be an int with data_parallel, for all processes to draw the "
            f"same numbers, got {random_state!r}."
        )
    if batch_size % shard.count:
        raise ValueError(
            "batch_size must be a multiple of the number of processes with data_parallel, "
            f"{shard.count}, got {batch_size}."
        )
    return shard


def check_same_rows(shard: Shard, values: FloatArray, side: FloatArray) -> None:
    """Refuse to train with others on other rows, or on too few."""
    digest = hashlib.sha256(f"{values.shape} {side.shape}".encode())
    for table in (values, side):
        digest.update(np.ascontiguousarray(table).data)
    if not is_same_for_all(digest.hexdigest()):
        raise ValueError("X and side_info must be the same in all processes with data_parallel.")
    if len(values) < shard.count:
        raise ValueError(
            f"X must have a row for each of the {shard.count} processes with data_parallel, "
            f"got {len(values)}."
        )
