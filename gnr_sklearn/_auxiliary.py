"""The auxiliary variable u: what is known of each row beside its values (eq. 9 to 14)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from gnr_sklearn._types import FloatArray
from gnr_sklearn._units import Units
from gnr_sklearn._validation import (
    check_side_info,
    fitted_scaler,
    gives_back,
    observed_mean_and_std,
    seed_random_states,
)

__all__ = ["AuxiliaryVariable"]


class AuxiliaryVariable:
    """Side information and the row as an imputer completes it, as numbers of about the same size.

    Parameters
    ----------
    side : ndarray of shape (n_samples, n_side_features)
        Side information of the rows to learn from, as :func:`check_side_info` returns it.
    side_names : list of str or None
        Names of its columns, where it is a frame.
    imputer : estimator or None
        The imputer whose completed rows belong to u.
    seed : int
        Seed of the imputer.
    """

    def __init__(
        self, side: FloatArray, side_names: list[str] | None, imputer: Any | None, seed: int
    ) -> None:
        self.n_side_features, self.side_names = side.shape[1], side_names
        self.side_scaler = fitted_scaler(side) if self.n_side_features else None
        self.imputer = None if imputer is None else _prepared(imputer, seed)

    def dimension(self, n_features: int) -> int:
        """Count the columns of u for rows with this many features."""
        return self.n_side_features + n_features * (self.imputer is not None)

    def check(self, side_info: ArrayLike | None, n_rows: int) -> FloatArray:
        """Return side information of any rows as a matrix; see :func:`check_side_info`."""
        was_given = self.n_side_features > 0
        if (side_info is not None) != was_given:
            raise ValueError(
                "side_info must be given to all methods if it was given to fit, and else to none; "
                f"it was {'not ' * (not was_given)}given to fit."
            )
        return check_side_info(side_info, n_rows, self.n_side_features, self.side_names)

    def fit(self, values: FloatArray) -> None:
        """Fit the imputer, if there is one, to rows with NaN."""
        if self.imputer is not None:
            # A frozen one insists on y.
            self.imputer.fit(values.copy(), None)
            self.scale = np.nan_to_num(observed_mean_and_std(values)[1])

    def transform(self, values: FloatArray, side: FloatArray, units: Units) -> FloatArray | None:
        """Return u of rows, or None where it has no columns.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            The rows, with NaN.
        side : ndarray of shape (n_samples, n_side_features)
            Their side information, checked.
        units : Units
            What completed rows are turned into.
        """
        parts = []
        if self.side_scaler is not None:
            parts.append(self.side_scaler.transform(side) if len(side) else side)
        if self.imputer is not None:
            parts.append(units.transform(self._complete(values)))
        return np.hstack(parts) if parts else None

    def _complete(self, values: FloatArray) -> FloatArray:
        imputer = self.imputer
        assert imputer is not None
        if not np.isnan(values).any():
            return values
        # Of a copy: an imputer with copy=False writes into what it is given.
        completed = np.asarray(imputer.transform(values.copy()))
        if completed.shape != values.shape or not np.isfinite(completed).all():
            raise ValueError(
                "prior must be an imputer that puts finite numbers in place of NaN and returns the "
                f"columns it is given, which {imputer!r} does not."
            )
        if not gives_back(completed, values, self.scale):
            raise ValueError(
                "prior must be an imputer that returns observed values as they are, which "
                f"{imputer!r} does not."
            )
        return completed


def _prepared(imputer: Any, seed: int) -> Any:
    """Clone an imputer, so that it takes NaN, returns all columns and is seeded."""
    prepared = seed_random_states(clone(imputer), lambda: seed)
    wanted = {"missing_values": np.nan, "add_indicator": False, "keep_empty_features": True}
    params = prepared.get_params()
    # What is frozen returns nothing from it.
    prepared.set_params(**{name: v for name, v in wanted.items() if name in params})
    return prepared
