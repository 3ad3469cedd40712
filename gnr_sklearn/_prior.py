"""What another imputer says of each cell, as the auxiliary variable of GNR."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold

from gnr_sklearn._base import FloatArray

__all__ = ["PriorPredictions"]

N_FOLDS = 3


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
        Seed of the folds, and of the imputer where its ``random_state`` is None.
    """

    def __init__(self, imputer: Any, seed: int) -> None:
        if isinstance(imputer, type):
            raise TypeError(f"prior must be an instance of an imputer, got the class {imputer!r}.")
        self.imputer = clone(imputer)
        self.seed = seed
        params = self.imputer.get_params()
        # Columns must come back in their places, also where a fold has nothing observed in one.
        settings: dict[str, Any] = {"add_indicator": False, "keep_empty_features": True}
        if params.get("random_state", 0) is None:
            settings["random_state"] = seed
        self.imputer.set_params(**{k: v for k, v in settings.items() if k in params})

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
    for j in range(values.shape[1]):
        hidden = values.copy()
        hidden[:, j] = np.nan
        completed = np.asarray(imputer.transform(hidden))
        if completed.shape != values.shape or not np.isfinite(completed[:, j]).all():
            raise ValueError(
                "prior must be an imputer that returns the columns it is given, with numbers in "
                f"place of NaN, got {imputer!r}, which gave shape {completed.shape} for "
                f"{values.shape}."
            )
        predictions[:, j] = completed[:, j]
    return predictions
