"""The auxiliary variable u: what is known of each row beside its values (eq. 9 to 14)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array

from gnr_sklearn._validation import seed_random_states

__all__ = ["AuxiliaryVariable", "PriorPredictions"]

FloatArray = NDArray[np.floating[Any]]

N_FOLDS = 3


class AuxiliaryVariable:
    """Side information and what an imputer predicts, as numbers of about the same size.

    Parameters
    ----------
    side_info : array-like of shape (n_samples, n_side_features) or None
        Side information of the rows to learn from, which is checked.
    n_rows : int
        Number of those rows.
    imputer : estimator or None
        The imputer whose predictions belong to u.
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
        self.predictions = None if imputer is None else PriorPredictions(imputer, seed)

    def dimension(self, n_features: int) -> int:
        """Count the columns of u for rows with this many features."""
        return (self.n_side_features or 0) + n_features * (self.predictions is not None)

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
        """Return u of the rows to learn from, predicted by imputers fitted to other rows.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            The rows, with NaN.
        side : ndarray of shape (n_samples, n_side_features)
            What :meth:`check` returned.
        center, scale : ndarray of shape (n_features,)
            What predictions are centred and scaled by.
        """
        predicted = None
        if self.predictions is not None:
            predicted = (self.predictions.fit_predict(values) - center) / scale
        return self._join(side, predicted)

    def transform(
        self, values: FloatArray, side: FloatArray, center: FloatArray, scale: FloatArray
    ) -> FloatArray | None:
        """Return u of rows; see :meth:`fit_transform`."""
        predicted = None
        if self.predictions is not None:
            predicted = (self.predictions.predict(values) - center) / scale
        return self._join(side, predicted)

    def _join(self, side: FloatArray, predicted: FloatArray | None) -> FloatArray | None:
        parts = [] if predicted is None else [predicted]
        if self.n_side_features is not None:
            parts.insert(0, self.side_scaler.transform(side) if len(side) else side)
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


class PriorPredictions:
    """Predict each cell by an imputer from the other cells of its row.

    An observed cell is hidden while it is predicted: the completed row of an imputer holds the
    observed values as they are, and from those nothing can be learned of what it is worth where
    values are missing. For the rows that a model is trained on, imputers are fitted to other rows,
    because a forest predicts rows that it has seen better than those that it has not.

    Parameters
    ----------
    imputer : estimator
        An imputer with ``fit`` and ``transform``, which returns the columns it is given.
    seed : int
        Seed of the folds, and of each ``random_state`` in the imputer that is None.
    """

    def __init__(self, imputer: Any, seed: int) -> None:
        if isinstance(imputer, type):
            raise TypeError(f"prior must be an instance of an imputer, got the class {imputer!r}.")
        self.imputer = seed_random_states(clone(imputer), lambda: seed)
        self.seed = seed
        # What it is given has NaN for what is missing, and columns must come back in their
        # places, also where a fold has nothing observed in one.
        wanted = {"missing_values": np.nan, "add_indicator": False, "keep_empty_features": True}
        params = self.imputer.get_params()
        self.imputer.set_params(**{name: v for name, v in wanted.items() if name in params})

    def fit_predict(self, values: FloatArray) -> FloatArray:
        """Fit to values with NaN, and predict their cells by imputers fitted to other rows."""
        self.imputer.fit(values)
        if len(values) < N_FOLDS:
            return self.predict(values)
        predictions = np.empty_like(values)
        folds = KFold(N_FOLDS, shuffle=True, random_state=self.seed)
        for others, held_out in folds.split(values):
            known = ~np.isnan(values[others]).all(axis=0)
            imputer = clone(self.imputer).fit(values[others]) if known.all() else self.imputer
            predictions[held_out] = _predict(imputer, values[held_out])
        return predictions

    def predict(self, values: FloatArray) -> FloatArray:
        """Predict the cells of rows with NaN by the imputer that was fitted to all rows."""
        return _predict(self.imputer, values)


def _predict(imputer: Any, values: FloatArray) -> FloatArray:
    predictions = np.empty_like(values)
    for j in range(values.shape[1] if len(values) else 0):
        hidden = values.copy()
        hidden[:, j] = np.nan
        completed = np.asarray(imputer.transform(hidden))
        if completed.shape != values.shape:
            raise ValueError(
                "prior must be an imputer that returns the columns it is given, got "
                f"{imputer!r}, which made shape {completed.shape} of {values.shape}."
            )
        if not np.isfinite(completed[:, j]).all():
            raise ValueError(
                f"prior must be an imputer that puts numbers in place of NaN, got {imputer!r}."
            )
        predictions[:, j] = completed[:, j]
    return predictions
