"""How :func:`~gnr_sklearn.sensitivity.sensitivity` completes data and moves what was imputed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import clone

from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import (
    DIRECTIONS,
    check_number,
    copy_of,
    feature_indices,
    gives_back,
    observed_mean_and_std,
)

__all__ = [
    "CompletedData",
    "check_directions",
    "check_numbers",
    "check_sensitivity_imputer",
    "chosen_columns",
    "complete",
    "fit_clone",
    "standard_draws",
    "tilt",
]

# From here on all numbers of double precision are whole.
LARGEST_INTEGER = 2.0**53


@dataclass(frozen=True, eq=False)
class CompletedData:
    """The columns of X that the imputer returns, as it completes them."""

    values: FloatArray
    missing: BoolArray
    observed_std: FloatArray
    names: NDArray[Any]
    kept: NDArray[np.intp]

    @property
    def scale(self) -> FloatArray:
        """The unit of moves; 0, so that nothing moves, where nothing is observed."""
        return np.nan_to_num(self.observed_std)

    def columns_to_move(
        self, chosen: NDArray[np.intp], unordered: NDArray[np.intp], *, is_default: bool
    ) -> NDArray[np.intp]:
        """Turn columns of X into those that are here, have missing cells and can be moved."""
        has_order = ~np.isin(self.kept, unordered)
        columns = np.flatnonzero(np.isin(self.kept, chosen) & self.missing.any(axis=0))
        if not (is_default or has_order[columns].all()):
            raise ValueError(
                "features must not have categories without an order, which cannot be moved, got "
                f"{self.names[columns][~has_order[columns]].tolist()}."
            )
        columns = columns[has_order[columns]]
        if not columns.size:
            raise ValueError(
                "features must have one with missing cells that imputer returns, and whose values "
                "have an order, got none."
            )
        return columns

    def moved(self, step: FloatArray, columns: NDArray[np.intp]) -> FloatArray:
        """Move the imputed cells of some columns by a step for each column or cell."""
        completed = self.values.copy()
        completed[:, columns] += np.where(self.missing, step, 0.0)[:, columns]
        return completed


def fit_clone(model: Any, X: Any, given: dict[str, Any]) -> Any:
    """Fit a clone to a copy of X, with further keywords."""
    # A FrozenEstimator asks for a y.
    return clone(model).fit(copy_of(X), None, **given)


def complete(
    fitted: Any, X: Any, given: dict[str, Any], holes: FloatArray, names: list[str]
) -> CompletedData:
    """Complete X, whose missing cells are NaN in `holes`, with further keywords."""
    output = np.asarray(fitted.transform(copy_of(X), **given), dtype=np.float64)
    names_out = names
    if hasattr(fitted, "get_feature_names_out"):
        names_out = list(fitted.get_feature_names_out(names))
    # Columns may be dropped, and indicators follow those of X.
    kept: list[int] = []
    for j, name in enumerate(names):
        if len(kept) < len(names_out) and names_out[len(kept)] == name:
            kept.append(j)
    if not kept or output.shape != (len(holes), len(names_out)):
        raise ValueError(
            f"imputer must return columns of X, {names}, got {list(names_out)}, of shape "
            f"{output.shape}."
        )
    if set(names_out[len(kept) :]) & set(names):
        raise ValueError(
            f"imputer must return the columns of X in their order, {names}, got {list(names_out)}."
        )
    completed, seen = output[:, : len(kept)], holes[:, kept]
    std = observed_mean_and_std(seen)[1]
    if not np.isfinite(completed).all():
        raise ValueError("imputer must impute finite numbers, which it does not.")
    # Else imputed and observed values would be in different units.
    if not gives_back(completed, seen):
        raise ValueError("imputer must return observed values as they are, which it does not.")
    missing = np.isnan(seen)
    return CompletedData(
        # Copies are in this order too, and the same sums must be rounded alike.
        values=np.ascontiguousarray(np.where(missing, completed, seen)),
        missing=missing,
        observed_std=std,
        names=np.asarray(names, dtype=object)[kept],
        kept=np.asarray(kept, dtype=np.intp),
    )


def standard_draws(
    draws: FloatArray, data: CompletedData
) -> tuple[dict[int, FloatArray], set[int]]:
    """Give the draws of the missing cells of each column that varies, and which are whole numbers.

    They are centred and in the standard deviation of the column. Of columns of whole numbers,
    which are levels or counts, they are centred at what is imputed, which is no mean.
    """
    if draws.shape[2] < len(data.names):
        raise ValueError(
            f"imputer.sample must give the columns that transform gives, {data.names.tolist()}, "
            f"got {draws.shape[2]}."
        )
    cells, whole = {}, set()
    for j in np.flatnonzero(data.missing.any(axis=0) & (data.scale > 0)):
        column = draws[:, data.missing[:, j], j].astype(np.float64)
        imputed = data.values[data.missing[:, j], j]
        is_whole = np.abs(column).max() < LARGEST_INTEGER and all(
            (np.round(part) == part).all() for part in (column, imputed)
        )
        if is_whole:
            whole.add(int(j))
        # What is common to the draws of a cell cancels in its weights.
        center = imputed if is_whole else column.mean(axis=0)
        cells[int(j)] = (column - center) / data.scale[j]
    return cells, whole


def tilt(
    cells: dict[int, FloatArray],
    whole: set[int],
    gamma: float,
    columns: NDArray[np.intp],
    data: CompletedData,
) -> tuple[FloatArray, float]:
    """Give by how much tilting moves each missing cell, and the effective draws."""
    step = np.zeros(data.missing.shape)
    effective: list[FloatArray] = []
    for j in columns[np.isin(columns, list(cells))]:
        draws = cells[int(j)]
        weights = softmax(gamma * draws, axis=0)
        if gamma or int(j) in whole:
            step[data.missing[:, j], j] = data.scale[j] * (weights * draws).sum(axis=0)
        effective.append(1.0 / (weights**2).sum(axis=0))
    return step, float(np.mean(np.concatenate(effective))) if effective else np.nan


def chosen_columns(features: Any, names: list[str]) -> NDArray[np.intp]:
    """Turn numbers or names of columns into numbers."""
    if not isinstance(features, str) and isinstance(features, Iterable):
        features = list(features)
        if features and all(isinstance(feature, str) for feature in features):
            unknown = [feature for feature in features if feature not in names]
            if unknown:
                raise ValueError(f"features must be among the columns {names}, got {unknown}.")
            features = [names.index(feature) for feature in features]
    return feature_indices(features, len(names))


def check_numbers(values: Any, name: str) -> list[float]:
    """Give numbers as a list; None is none of them."""
    if values is None:
        return []
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be None or a sequence of numbers, got {values!r}.")
    return [check_number(value, name) for value in values]


def check_directions(directions: Any, n_features: int, imputer: Any) -> list[Any]:
    """Give directions as words, None and tuples of these."""
    allowed = (*getattr(imputer, "_allowed_directions", DIRECTIONS), None)
    if directions is None:
        return []
    refusal = (
        f"directions must be None or a sequence of {', '.join(map(repr, allowed))} or sequences of "
        f"these with one for each of the {n_features} features, got {directions!r}."
    )
    if isinstance(directions, str) or not isinstance(directions, Iterable):
        raise TypeError(refusal)
    checked = []
    for direction in directions:
        nested = not isinstance(direction, str) and isinstance(direction, Iterable)
        words = tuple(direction) if nested else (direction,)
        if len(words) != (n_features if nested else 1) or any(
            word not in allowed for word in words
        ):
            raise ValueError(refusal)
        checked.append(words if nested else direction)
    return checked


def check_sensitivity_imputer(imputer: Any, *, draws: bool, refits: bool) -> None:
    """Refuse what cannot do what scenarios need."""
    is_imputer = all(hasattr(imputer, method) for method in ("fit", "transform", "get_params"))
    if isinstance(imputer, type) or not is_imputer:
        raise TypeError(
            "imputer must be an imputer with the methods fit, transform and get_params, such as "
            f"GNRImputer(), got {imputer!r}."
        )
    if draws and not hasattr(imputer, "sample"):
        raise ValueError(
            "strengths must be None for an imputer that cannot draw, having no method sample, got "
            f"{imputer!r}."
        )
    if refits and "missing_direction" not in imputer.get_params(deep=False):
        raise ValueError(
            "directions must be None for an imputer without a parameter missing_direction, got "
            f"{imputer!r}."
        )
