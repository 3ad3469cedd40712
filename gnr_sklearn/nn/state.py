"""What a net has learned, as NumPy arrays and plain values: to be written without running code."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import Tensor

__all__ = [
    "Arrays",
    "describe_weights",
    "store_tensors",
    "load_tensors",
    "restore_weights",
    "without_memory",
]

Arrays = dict[str, NDArray[Any]]


def describe_weights(net: NeuralNet) -> tuple[dict[str, Any], Arrays]:
    """Return the settings of the optimizers, and parameters and what optimizers remember of them.

    Parameters
    ----------
    net : skorch.NeuralNet
        An initialised net.
    """
    arrays: Arrays = {}
    for name in [*net._modules, *net._criteria]:
        store_tensors(arrays, f"weights/{name}", getattr(net, f"{name}_").state_dict())
    groups = {}
    for name in net._optimizers:
        state = getattr(net, f"{name}_").state_dict()
        for place, of_parameter in state["state"].items():
            tensors = {key: value for key, value in of_parameter.items() if value is not None}
            store_tensors(arrays, f"{name}/{place}", tensors)
        groups[name] = [
            {key: value for key, value in group.items() if key != "params"}
            for group in state["param_groups"]
        ]
    return groups, arrays


def restore_weights(net: NeuralNet, groups: Mapping[str, Any], arrays: Arrays) -> None:
    """Give an initialised net what :func:`describe_weights` returned."""
    for name in [*net._modules, *net._criteria]:
        getattr(net, f"{name}_").load_state_dict(load_tensors(arrays, f"weights/{name}"))
    for name in net._optimizers:
        optimizer = getattr(net, f"{name}_")
        current = optimizer.state_dict()["param_groups"]
        places = [place for group in current for place in group["params"]]
        states = {place: load_tensors(arrays, f"{name}/{place}") for place in places}
        for group, written in zip(current, groups[name], strict=True):
            group |= written
        known = {place: state for place, state in states.items() if state}
        optimizer.load_state_dict({"state": known, "param_groups": current})


def store_tensors(arrays: Arrays, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """Add tensors to arrays, under a prefix."""
    for name, tensor in tensors.items():
        arrays[f"{prefix}/{name}"] = torch.as_tensor(tensor).detach().cpu().numpy().copy()


def load_tensors(arrays: Arrays, prefix: str) -> dict[str, Any]:
    """Return the arrays under a prefix as tensors."""
    start = f"{prefix}/"
    return {
        name.removeprefix(start): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(start)
    }


def without_memory(callbacks: Any) -> Any:
    """Copy callbacks so that skorch's own ones forget the training that they have seen."""
    if not isinstance(callbacks, list):
        return callbacks
    return [
        (item[0], _forgetful(item[1])) if isinstance(item, tuple) else _forgetful(item)
        for item in callbacks
    ]


def _forgetful(callback: Any) -> Any:
    if not isinstance(callback, EarlyStopping | LRScheduler):
        return callback
    fresh = copy.copy(callback)
    learned = [name for name in vars(fresh) if name.endswith("_") and not name.startswith("_")]
    for name in learned:
        delattr(fresh, name)
    return fresh
