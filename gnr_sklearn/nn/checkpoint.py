"""The state of a training on disk, from which one that was killed goes on to the same bits."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.history import History

from gnr_sklearn.nn.rows import MaskedRows
from gnr_sklearn.nn.state import (
    Arrays,
    describe_weights,
    load_tensors,
    restore_weights,
    store_tensors,
)
from gnr_sklearn.nn.training import StepwiseNet

__all__ = ["TrainingCheckpoint", "check_belongs", "digest_of_rows", "read_checkpoint"]

# What an early stopping knows of the epochs before, apart from the best parameters.
STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_")


def digest_of_rows(rows: MaskedRows) -> str:
    """Tell rows from others."""
    digest = hashlib.sha256()
    for name, tensor in rows.tensors.items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def read_checkpoint(path: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Read a file, which is numbers and text and cannot run anything; None where there is none.

    Raises
    ------
    ValueError
        If it is no checkpoint, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            arrays = dict(np.lib.npyio.NpzFile(stream, allow_pickle=False).items())
        return json.loads(str(arrays.pop("text"))), arrays
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"checkpoint must name a file that a fit has left, or none, and {str(path)!r} cannot "
            f"be read as one; delete it, and the fit starts anew ({error})."
        ) from error


class TrainingCheckpoint(Callback):
    """Writes the state of training after each epoch, and takes up one that was written.

    It has to be the last of a net's callbacks: what the others learned has to be known. Of these,
    skorch's own EarlyStopping and LRScheduler go on; others begin anew.

    Parameters
    ----------
    path : Path
        The file. It is replaced in one go, so that there is always a whole one.
    belongs_to : mapping of str to str
        What fit it is of, by what can differ: written into the file, and compared.
    """

    def __init__(self, path: Path, belongs_to: Mapping[str, str]) -> None:
        self.path = path
        self.belongs_to = dict(belongs_to)

    def on_train_begin(self, net: StepwiseNet, **kwargs: Any) -> None:
        """Take up training where it was, if there is a file."""
        found = read_checkpoint(self.path)
        if found is None:
            return
        text, arrays = found
        check_belongs(text["belongs_to"], self.belongs_to, self.path)
        _restore(net, text, arrays)

    def on_epoch_end(self, net: StepwiseNet, **kwargs: Any) -> None:
        """Write the state; of processes that train together, the first does."""
        if getattr(net, "shard", None) is not None and net.shard.rank > 0:
            return
        text, arrays = _describe(net)
        written = json.dumps(text | {"belongs_to": self.belongs_to}, default=_plain)
        arrays["text"] = np.array(written)
        _replace(self.path, arrays)


def _plain(value: Any) -> Any:
    """Turn a number of numpy or torch, which a callback has recorded, into one of Python."""
    if getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(
        "callbacks must record plain numbers and text in the history of a fit with a checkpoint, "
        f"got {value!r}."
    )


def check_belongs(written: Mapping[str, str], wanted: Mapping[str, str], path: Path) -> None:
    """Refuse the state of another fit; what is wanted may be a part of what was written."""
    others = [name for name in wanted if written.get(name) != wanted[name]]
    if others:
        raise ValueError(
            f"checkpoint must name the file of this very fit, and {str(path)!r} is of one with "
            f"other {' and '.join(others)}; name another file, or delete it."
        )


def _describe(net: StepwiseNet) -> tuple[dict[str, Any], Arrays]:
    """Return the state of a net between two epochs, as text and as arrays."""
    optimizers, arrays = describe_weights(net)
    text: dict[str, Any] = {"history": list(net.history), "optimizers": optimizers, "callbacks": {}}
    for name, callback in net.callbacks_:
        if isinstance(callback, EarlyStopping):
            text["callbacks"][name] = {key: float(getattr(callback, key)) for key in STOPPING}
            if callback.best_model_weights_ is not None:
                store_tensors(arrays, f"best/{name}", callback.best_model_weights_)
        elif isinstance(callback, LRScheduler):
            text["callbacks"][name] = {
                "batch_idx_": callback.batch_idx_,
                "scheduler": callback.lr_scheduler_.state_dict(),
            }
    arrays["noise"] = net.rng_.get_state().numpy()
    batches = net.batches_.state_dict()
    text["steps_left"] = batches.pop("steps_left")
    store_tensors(arrays, "batches", batches)
    return text, arrays


def _restore(net: StepwiseNet, text: Mapping[str, Any], arrays: Arrays) -> None:
    """Give a net that is about to be trained the state that was described."""
    restore_weights(net, text["optimizers"], arrays)
    for name, callback in net.callbacks_:
        written = text["callbacks"].get(name)
        if written is None:
            continue
        if isinstance(callback, EarlyStopping):
            callback.misses_ = int(written["misses_"])
            callback.best_epoch_ = int(written["best_epoch_"])
            callback.dynamic_threshold_ = written["dynamic_threshold_"]
            callback.best_model_weights_ = load_tensors(arrays, f"best/{name}") or None
        else:
            callback.batch_idx_ = written["batch_idx_"]
            callback.lr_scheduler_.load_state_dict(written["scheduler"])
    net.history_ = History(text["history"])
    net.rng_.set_state(torch.from_numpy(arrays["noise"]))
    net.batches_state_ = load_tensors(arrays, "batches") | {"steps_left": text["steps_left"]}


def _replace(path: Path, arrays: Arrays) -> None:
    """Write a file so that, whenever this is cut off, the old one or the new one is there."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            try:
                np.savez(part, **arrays)  # type: ignore[arg-type]
                part.flush()
                os.fsync(part.fileno())
                os.replace(part.name, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part.name)
                raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"The checkpoint cannot be written, and the fit ends; what was written before is "
            f"still there ({error.strerror})",
            str(path),
        ) from error
