"""The auxiliary variable u: what is known of each row beside its values (eq. 9 to 14)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array

from gnr_sklearn._validation import seed_random_states

__all__ = ["AuxiliaryVariable"]

FloatArray = NDArray[np.floating[Any]]


class AuxiliaryVariable:
    """Side information and the row as an imputer completes it, as numbers of about the same size.

    Parameters
    ----------
    side_info : array-like of shape (n_samples, n_side_features) or None
        Side information of the rows to learn from, which is checked.
    n_rows : int
        Number of those rows.
    imputer : estimator or None
        The imputer whose completed rows belong to u.
    seed : int
        Seed of the imputer.
    """

    def __init__(
        self, side_info: ArrayLike | None, n_rows: int, imputer: Any | None, seed: int
    ) -> None:
        self.n_side_features: int | None = None
        if side_info is not None:
            self.n_side_features = _as_matrix(side_info).shape[1]
        self.side_scaler = StandardScaler()
        if side_info is not None:
            self.side_scaler.fit(self.check(side_info, n_rows))
        self.imputer = None if imputer is None else _prepared(imputer, seed)

    def dimension(self, n_features: int) -> int:
        """Count the columns of u for rows with this many features."""
        return (self.n_side_features or 0) + n_features * (self.imputer is not None)

    def check(self, side_info: ArrayLike | None, n_rows: int) -> FloatArray:
        """Return side information as a matrix; without it, one that has no columns."""
        expected = self.n_side_features
        if (side_info is None) != (expected is None):
            raise ValueError(
                "side_info must be given to all methods if it was given to fit, and else to none; "
                f"it was {'not ' * (expected is None)}given to fit."
            )
        if side_info is None:
            return np.empty((n_rows, 0))
        side = _as_matrix(side_info)
        if side.shape != (n_rows, expected):
            raise ValueError(
                f"side_info must have {n_rows} rows, as X has, and {expected} columns, as in fit, "
                f"got shape {side.shape}."
            )
        return side

    def fit_transform(
        self, values: FloatArray, side: FloatArray, center: FloatArray, scale: FloatArray
    ) -> FloatArray | None:
        """Fit the imputer, and return u of the rows to learn from; see :meth:`transform`."""
        if self.imputer is not None:
            self.imputer.fit(values)
        return self.transform(values, side, center, scale)

    def transform(
        self, values: FloatArray, side: FloatArray, center: FloatArray, scale: FloatArray
    ) -> FloatArray | None:
        """Return u of rows, or None where it has no columns.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            The rows, with NaN.
        side : ndarray of shape (n_samples, n_side_features)
            What :meth:`check` returned.
        center, scale : ndarray of shape (n_features,)
            What completed rows are centred and scaled by.
        """
        parts = []
        if self.n_side_features is not None:
            parts.append(self.side_scaler.transform(side) if len(side) else side)
        if self.imputer is not None:
            parts.append((_complete(self.imputer, values) - center) / scale)
        return np.hstack(parts) if parts else None


def _as_matrix(side_info: ArrayLike) -> FloatArray:
    try:
        return check_array(side_info, dtype=np.float64)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            "side_info must be a complete numeric (n_samples, n_side_features) matrix "
            f"({str(error).splitlines()[0]})."
        ) from error


def _prepared(imputer: Any, seed: int) -> Any:
    """Clone an imputer, so that it takes NaN, returns all columns and is seeded."""
    if isinstance(imputer, type):
        raise TypeError(f"prior must be an instance of an imputer, got the class {imputer!r}.")
    prepared = seed_random_states(clone(imputer), lambda: seed)
    wanted = {"missing_values": np.nan, "add_indicator": False, "keep_empty_features": True}
    params = prepared.get_params()
    return prepared.set_params(**{name: v for name, v in wanted.items() if name in params})


def _complete(imputer: Any, values: FloatArray) -> FloatArray:
    if not np.isnan(values).any():
        return values
    completed = np.asarray(imputer.transform(values))
    if completed.shape != values.shape or not np.isfinite(completed).all():
        raise ValueError(
            "prior must be an imputer that puts finite numbers in place of NaN and returns the "
            f"columns it is given, which {imputer!r} does not."
        )
    return completed
