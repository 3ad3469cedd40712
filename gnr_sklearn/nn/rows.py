"""Rows and their masks: in memory, in batches for training, and in chunks for imputation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from gnr_sklearn.nn.parallel import Shard

__all__ = [
    "Batch",
    "HoldOut",
    "MaskedRows",
    "ROWS_ALIKE",
    "RandomBatches",
    "SequentialBatches",
    "map_chunks",
    "whole_chunk",
]

Batch = tuple[dict[str, Tensor], None]
T = TypeVar("T")

# Rows in the smallest chunk. A CPU computes with so many numbers at once: in chunks of a multiple
# of them all rows are treated alike to the last bit.
ROWS_ALIKE = 16


class MaskedRows(Dataset):
    """Rows and their masks, held in memory as tensors.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows with zeros at their missing values.
    mask : Tensor of shape (n, d)
        1 where observed, 0 where missing.
    u : Tensor of shape (n, auxiliary_dim) or None, default=None
        What is known of each row beside its values.
    """

    def __init__(self, x: Tensor, mask: Tensor, u: Tensor | None = None) -> None:
        self.x = x
        self.mask = mask
        self.u = u

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int | slice | Tensor) -> Batch:
        # skorch expects pairs of input and target; there is no target.
        return {name: tensor[index] for name, tensor in self.tensors.items()}, None

    def to_training(self, device: torch.device | str) -> MaskedRows:
        """Return the rows where they are best for training on a device.

        On a GPU, unless they would fill more than half of what is free there: to copy each batch
        takes longer than to choose it there.
        """
        if torch.device(device).type != "cuda":
            return self
        n_bytes = sum(tensor.nbytes for tensor in self.tensors.values())
        # What torch has put by is free as well.
        put_by = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        if n_bytes > (torch.cuda.mem_get_info(device)[0] + put_by) // 2:
            return self
        return MaskedRows(**{name: tensor.to(device) for name, tensor in self.tensors.items()})

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by the names that a model knows them by."""
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}


class HoldOut:
    """Hold random rows out for validation, to be passed as skorch's ``train_split``.

    Parameters
    ----------
    n_rows : int
        How many rows to hold out.
    seed : int
        Seed of the choice.
    """

    def __init__(self, n_rows: int, seed: int) -> None:
        self.n_rows = n_rows
        self.seed = seed

    def __call__(
        self, dataset: MaskedRows, y: None = None, **params: Any
    ) -> tuple[MaskedRows, MaskedRows]:
        """Split into rows to train on and rows held out."""
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(dataset), generator=generator, device="cpu")
        order = order.to(dataset.x.device)
        held_out, kept = order[: self.n_rows], order[self.n_rows :]
        # Whole rows at a time, which with many rows is much faster than indexing by a tensor.
        kept_rows, held_out_rows = (
            MaskedRows(**{name: t.index_select(0, rows) for name, t in dataset.tensors.items()})
            for rows in (kept, held_out)
        )
        return kept_rows, held_out_rows


class RandomBatches:
    """Endless shuffled passes over rows in memory, cut into epochs of equal length.

    An epoch is a number of steps rather than a pass over the data, so that what a fit
    costs, and how often it looks at the held-out rows, does not depend on how many rows
    there are. All batches have the same size: one that meets the end of a pass goes on
    in the next.

    Parameters
    ----------
    dataset : MaskedRows
        The rows.
    batch_size : int
        Rows in a batch; all of them where there are fewer.
    n_steps : int
        Batches over all epochs.
    steps_per_epoch : int
        Batches in one epoch; the last epoch has what is left.
    seed : int
        Seed of the shuffling.
    """

    def __init__(
        self,
        dataset: MaskedRows,
        batch_size: int,
        n_steps: int,
        steps_per_epoch: int,
        seed: int,
    ) -> None:
        self.dataset = dataset
        self.batch_size = min(batch_size, len(dataset))
        self.steps_left = n_steps
        self.steps_per_epoch = steps_per_epoch
        self.generator = torch.Generator().manual_seed(seed)
        self.queue = torch.empty(0, dtype=torch.int64, device=dataset.x.device)
        self.shard = Shard()

    def share(self, shard: Shard) -> RandomBatches:
        """Yield a part of each batch, which is made smaller where it cannot be divided."""
        self.shard = shard
        self.batch_size -= self.batch_size % shard.count
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return what the next epochs depend on."""
        return {
            "steps_left": self.steps_left,
            "generator": self.generator.get_state(),
            "queue": self.queue,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.steps_left = state["steps_left"]
        self.generator.set_state(state["generator"])
        self.queue = state["queue"].to(self.queue.device)

    def _next_indices(self) -> Tensor:
        if len(self.queue) < self.batch_size:
            shuffled = torch.randperm(len(self.dataset), generator=self.generator, device="cpu")
            self.queue = torch.cat([self.queue, shuffled.to(self.queue.device)])
        indices, self.queue = self.queue.split([self.batch_size, len(self.queue) - self.batch_size])
        return indices

    def __iter__(self) -> Iterator[Batch]:
        n_steps = min(self.steps_per_epoch, self.steps_left)
        self.steps_left -= n_steps
        for _ in range(n_steps):
            yield self.dataset[self.shard.of(self._next_indices())]


class SequentialBatches:
    """One pass in order over rows in memory, for validation.

    Parameters
    ----------
    dataset : MaskedRows
        The rows.
    batch_size : int
        Rows in a batch; the last may have fewer.
    """

    def __init__(self, dataset: MaskedRows, batch_size: int) -> None:
        self.dataset = dataset
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.dataset), self.batch_size):
            yield self.dataset[start : start + self.batch_size]


def whole_chunk(n_rows: int) -> int:
    """Return the largest size of a chunk, of at most so many rows, that treats all alike."""
    return max(1, n_rows // ROWS_ALIKE) * ROWS_ALIKE


def map_chunks(
    function: Callable[[MaskedRows, int], T],
    rows: MaskedRows,
    chunk_size: int,
    device: torch.device,
) -> Iterator[tuple[slice, T]]:
    """Compute something of rows in chunks on a device, so that memory stays bounded.

    On a CPU, the last chunk is filled up with zeros: products of matrices then have the same
    shape for all rows, and round alike. Where memory runs out, the rest of the rows is computed
    in chunks of half the size, down to that of `ROWS_ALIKE` rows.

    Parameters
    ----------
    function : callable
        Given the rows of a chunk, on the device and perhaps filled up, and how many of them are
        asked for, it returns what is wanted of these.
    rows : MaskedRows
        The rows, on any device.
    chunk_size : int
        Rows in a chunk.
    device : torch.device
        Where to compute.

    Yields
    ------
    chunk : slice
        Which rows.
    result : object
        What the function returned for them.

    Raises
    ------
    torch.OutOfMemoryError, MemoryError, RuntimeError
        If memory is too small for the smallest chunk.
    """

    def compute(chunk: slice) -> T:
        batch, _ = rows[chunk]
        n_rows = chunk.stop - chunk.start
        padding = (0, 0, 0, chunk_size - n_rows if device.type == "cpu" else 0)
        tensors = {name: F.pad(t.to(device), padding) for name, t in batch.items()}
        # Not around what is yielded, whose consumer would be in this mode as well.
        with torch.inference_mode():
            return function(MaskedRows(**tensors), n_rows)

    start = 0
    while start < len(rows):
        chunk = slice(start, min(start + chunk_size, len(rows)))
        try:
            result = compute(chunk)
        except (MemoryError, RuntimeError) as error:
            if chunk_size <= ROWS_ALIKE or not _is_out_of_memory(error):
                raise
            chunk_size = whole_chunk(chunk_size // 2)
            continue
        yield chunk, result
        start = chunk.stop


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU, torch raises what it raises for anything else.
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error)
