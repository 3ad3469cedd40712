"""What is private in scikit-learn and used here.

``tests/test_sklearn_seams.py`` notices when it changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as take_rows
from sklearn.utils._optional_dependencies import check_matplotlib_support, check_pandas_support
from sklearn.utils._param_validation import (
    HasMethods,
    MissingValues,
    StrOptions,
)
from sklearn.utils._param_validation import (
    Interval as _Interval,
)
from sklearn.utils._set_output import _get_output_config as get_output_config

__all__ = [
    "HasMethods",
    "Interval",
    "MissingValues",
    "StrOptions",
    "check_matplotlib_support",
    "check_pandas_support",
    "fit_context",
    "get_output_config",
    "take_rows",
]


class Interval(_Interval):
    """scikit-learn's constraint, for which True and False are no numbers."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value is allowed."""
        return not isinstance(val, bool | np.bool_) and super().is_satisfied_by(val)
