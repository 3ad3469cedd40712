"""Names of types that many modules share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoolArray", "FloatArray"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating[Any]]
