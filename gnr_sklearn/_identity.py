"""Settings as text that is the same in another process, and differs where they do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

import numpy as np

__all__ = ["identity_of"]

# Objects that do not say how they are written are written with their address.
ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def identity_of(value: Any, name: str) -> str:
    """Tell a setting from others.

    Parameters
    ----------
    value : object
        A plain value, an array, a class, a function, an estimator, or a list or dict of them.
    name : str
        The setting's name.

    Returns
    -------
    identity : str

    Raises
    ------
    ValueError
        If it is something that cannot be told from others in another process.
    """
    if isinstance(value, Mapping):
        entries = (f"{key!r}: {identity_of(each, name)}" for key, each in value.items())
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(identity_of(each, name) for each in value)})"
    if isinstance(value, FunctionType):
        return _identity_of_function(value, name)
    if isinstance(value, type | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, partial):
        return f"partial({identity_of([value.func, value.args, value.keywords], name)})"
    if hasattr(value, "get_params"):
        return f"estimator {identity_of([type(value), value.get_params(deep=False)], name)}"
    if hasattr(value, "__array__") and np.ndim(value):
        array = np.asarray(value)
        if array.dtype == object:
            return f"array {identity_of(array.tolist(), name)}"
        return f"array {array.dtype} {array.shape} {_digest(array.tobytes())}"
    text = repr(value)
    if ADDRESS.search(text):
        raise ValueError(
            f"checkpoint must be None where {name} holds what cannot be recognised in another "
            f"process, as {text}."
        )
    return text


def _identity_of_function(function: FunctionType, name: str) -> str:
    """Tell a function from others, by its code, constants, defaults and closure."""
    # Functions that call one another are told by their names and codes.
    others = [
        _identity_of_code(each.__code__) if isinstance(each, FunctionType) else each
        for each in _closure_of(function)
    ]
    given = identity_of([function.__defaults__, function.__kwdefaults__, others], name)
    code = _identity_of_code(function.__code__)
    return f"{function.__module__}.{function.__qualname__} {code} {given}"


def _closure_of(function: FunctionType) -> list[Any]:
    """Return what a function refers to of where it was made, as far as it is there."""
    contents = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # empty
            contents.append(cell.cell_contents)
    return contents


def _identity_of_code(constant: Any) -> str:
    """Write a constant of compiled code, or such code, without addresses and the order of sets."""
    if isinstance(constant, CodeType):
        parts = [_identity_of_code(each) for each in (constant.co_consts, constant.co_names)]
        return f"{_digest(constant.co_code)} {' '.join(parts)}"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_identity_of_code, constant))})"
    if isinstance(constant, frozenset):
        return f"{{{', '.join(sorted(map(_identity_of_code, constant)))}}}"
    return repr(constant)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
