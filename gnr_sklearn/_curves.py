"""Curves on which values of some features are normally distributed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import skew

from gnr_sklearn._types import FloatArray

__all__ = ["CURVED", "Curves", "OwnCurve", "curve_of_skewed"]

# Distributions of values that are normal on a curve.
CURVED = ("log_normal", "bounded", "count")

# The upper half of a normal distribution, which is what is seen where all values below the mean are
# lost, has a skewness of 0.995.
MAX_SKEWNESS_OF_NORMAL = 1.0

# With fewer values, or with as few different ones, skewness says little.
MIN_VALUES = 30
MIN_DIFFERENT_VALUES = 11

# Where nobody has said that values are positive, later ones may not be: these are taken to be this
# part of the smallest that was seen.
PART_OF_SMALLEST = 0.1


class OwnCurve(NamedTuple):
    """A curve that nobody has asked for: its name, and what lower values are taken to be."""

    kind: str
    floor: float


class Curves:
    r"""The logarithm of positive values, that of counts and one, and the logit of bounded ones.

    Parameters
    ----------
    kinds : mapping of int to str
        "log_normal", "count" or "bounded" by the feature.
    lowest, highest : ndarray of shape (n_features,)
        Ends of the range of bounded features.
    floors : mapping of int to float, default={}
        Features whose curve nobody has asked for, and what lower values are taken to be.
    margin : float, default=1e-3
        How close to an end a bounded value is taken to be, as a part of the range, where it is on
        it or closer.
    """

    def __init__(
        self,
        kinds: Mapping[int, str],
        lowest: FloatArray,
        highest: FloatArray,
        floors: Mapping[int, float] = MappingProxyType({}),
        margin: float = 1e-3,
    ) -> None:
        self.kinds = dict(kinds)
        self.floors = dict(floors)
        self.lowest, self.highest = lowest, highest
        self.margin = margin

    @property
    def rounded(self) -> list[int]:
        """Features that are said to be counts."""
        return [j for j, kind in self.kinds.items() if kind == "count" and j not in self.floors]

    def select(self, features: NDArray[np.intp]) -> Curves:
        """Return the curves of some features."""
        places = list(enumerate(features.tolist()))
        kinds = {place: self.kinds[each] for place, each in places if each in self.kinds}
        floors = {place: self.floors[each] for place, each in places if each in self.floors}
        return Curves(kinds, self.lowest[features], self.highest[features], floors, self.margin)

    def transform(self, values: FloatArray) -> FloatArray:
        """Return points on the curves; NaN stays NaN."""
        points = values.copy()
        for feature, kind in self.kinds.items():
            column = self._above_floor(feature, values)
            if kind == "log_normal":
                # A user's bound may be 0.
                with np.errstate(divide="ignore"):
                    points[..., feature] = np.log(column)
            elif kind == "count":
                points[..., feature] = np.log1p(column)
            else:
                points[..., feature] = logit(self._part(feature, column))
        return points

    def inverse_transform(self, points: FloatArray) -> FloatArray:
        """Return the values of points."""
        values = points.copy()
        # What a model says far beyond the data is finite all the same.
        most = 0.5 * np.log(np.finfo(np.float64).max)
        for feature, kind in self.kinds.items():
            column = np.clip(points[..., feature], -most, most)
            if kind == "log_normal":
                values[..., feature] = np.exp(column)
            elif kind == "count":
                values[..., feature] = np.maximum(np.expm1(column), 0.0)
            else:
                low, high = self.lowest[feature], self.highest[feature]
                values[..., feature] = low + (high - low) * expit(column)
        return values

    def log_derivative(self, values: FloatArray) -> FloatArray:
        """Return the logarithm of the derivative of :meth:`transform`."""
        log_derivative = np.zeros(values.shape)
        for feature, kind in self.kinds.items():
            column = self._above_floor(feature, values)
            if kind == "log_normal":
                log_derivative[..., feature] = -np.log(column)
            elif kind == "count":
                log_derivative[..., feature] = -np.log1p(column)
            else:
                part = self._part(feature, column)
                width = self.highest[feature] - self.lowest[feature]
                log_derivative[..., feature] = -np.log(width * part * (1.0 - part))
        return log_derivative

    def _above_floor(self, feature: int, values: FloatArray) -> FloatArray:
        return np.maximum(values[..., feature], self.floors.get(feature, -np.inf))

    def _part(self, feature: int, column: FloatArray) -> FloatArray:
        part = (column - self.lowest[feature]) / (self.highest[feature] - self.lowest[feature])
        return np.clip(part, self.margin, 1.0 - self.margin)

    def check(self, values: FloatArray, names: NDArray[Any]) -> None:
        """Refuse values that are not on a curve that was asked for.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            With NaN for what is missing.
        names : ndarray of shape (n_features,)
            What the user calls the features.
        """
        for feature, kind in self.kinds.items():
            if feature in self.floors:
                continue
            column = values[:, feature]
            low, high = self.lowest[feature], self.highest[feature]
            if kind == "bounded" and not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ValueError(
                    f"likelihood must not be 'bounded' for column {names[feature]!r} unless "
                    "min_value and max_value are given for it, the second the larger one."
                )
            wrong, wanted = {
                "log_normal": (column <= 0, "positive numbers"),
                "count": ((column < 0) | (column % 1 > 0), "whole numbers that are not negative"),
                "bounded": ((column < low) | (column > high), f"numbers from {low:g} to {high:g}"),
            }[kind]
            if wrong.any():
                raise ValueError(
                    f"X must hold {wanted} in column {names[feature]!r}, whose likelihood is "
                    f"{kind!r}, got {column[wrong][0]:g}."
                )


def curve_of_skewed(column: FloatArray) -> OwnCurve | None:
    """Return the curve on which values are closer to normal, if they are far from it as they are.

    A tail to the right that is longer than that of half a normal distribution takes a large
    standard deviation to explain, and with it come small values that are not there.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)
        A feature, with NaN for what is missing.

    Returns
    -------
    curve : OwnCurve or None
        "log_normal" for positive numbers, "count" for whole numbers from 0 on.
    """
    values = column[~np.isnan(column)]
    if len(values) < MIN_VALUES or len(np.unique(values)) < MIN_DIFFERENT_VALUES:
        return None
    least = float(values.min())
    if least > 0:
        curve, bent = OwnCurve("log_normal", PART_OF_SMALLEST * least or least), np.log(values)
    elif least == 0 and not (values % 1).any():
        curve, bent = OwnCurve("count", 0.0), np.log1p(values)
    else:
        return None
    # Third powers of large numbers are infinite, and of small ones 0.
    skewness = skew(values / values.max())
    is_better = skewness > MAX_SKEWNESS_OF_NORMAL and abs(skew(bent)) < skewness
    return curve if is_better else None
