"""Training by several processes at once, each of which has its part of every batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, distributed

__all__ = ["Shard", "average", "current_shard", "is_same_for_all"]


@dataclass(frozen=True)
class Shard:
    """The part of a batch that a process has.

    Attributes
    ----------
    rank : int, default=0
        Which part.
    count : int, default=1
        Of how many, all of the same size.
    """

    rank: int = 0
    count: int = 1

    def of(self, tensor: Tensor, dim: int = 0) -> Tensor:
        """Return the part of a tensor, along an axis that can be divided."""
        return tensor.tensor_split(self.count, dim)[self.rank]


def current_shard() -> Shard | None:
    """Return the part of this process in torch's default process group; None without one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    return Shard(distributed.get_rank(), distributed.get_world_size())


def average(number: Tensor) -> Tensor:
    """Return the mean over all processes of a number that each has."""
    total = number.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def is_same_for_all(text: str) -> bool:
    """Tell whether all processes have the same text."""
    texts: list[str | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(texts, text)
    return len(set(texts)) == 1
