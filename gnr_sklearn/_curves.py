"""Curves on which values of some features are normally distributed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from gnr_sklearn._types import FloatArray

__all__ = ["CURVED", "Curves"]

# Distributions of values that are normal on a curve.
CURVED = ("log_normal", "bounded", "count")


class Curves:
    r"""The logarithm of positive values, that of counts and one, and the logit of bounded ones.

    Parameters
    ----------
    kinds : mapping of int to str
        "log_normal", "count" or "bounded" by the feature.
    lowest, highest : ndarray of shape (n_features,)
        Ends of the range of bounded features.
    margin : float, default=1e-3
        How close to an end a bounded value is taken to be, as a part of the range, where it is on
        it or closer.
    """

    def __init__(
        self,
        kinds: Mapping[int, str],
        lowest: FloatArray,
        highest: FloatArray,
        margin: float = 1e-3,
    ) -> None:
        self.kinds = dict(kinds)
        self.lowest, self.highest = lowest, highest
        self.margin = margin

    def select(self, features: NDArray[np.intp]) -> Curves:
        """Return the curves of some features."""
        kinds = {
            place: self.kinds[feature]
            for place, feature in enumerate(features.tolist())
            if feature in self.kinds
        }
        return Curves(kinds, self.lowest[features], self.highest[features], self.margin)

    def transform(self, values: FloatArray) -> FloatArray:
        """Return points on the curves; NaN stays NaN."""
        points = values.copy()
        for feature, kind in self.kinds.items():
            column = values[..., feature]
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
            column = values[..., feature]
            if kind == "log_normal":
                log_derivative[..., feature] = -np.log(column)
            elif kind == "count":
                log_derivative[..., feature] = -np.log1p(column)
            else:
                part = self._part(feature, column)
                width = self.highest[feature] - self.lowest[feature]
                log_derivative[..., feature] = -np.log(width * part * (1.0 - part))
        return log_derivative

    def _part(self, feature: int, column: FloatArray) -> FloatArray:
        part = (column - self.lowest[feature]) / (self.highest[feature] - self.lowest[feature])
        return np.clip(part, self.margin, 1.0 - self.margin)

    def check(self, values: FloatArray, names: NDArray[Any]) -> None:
        """Refuse values that are not on a curve.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            With NaN for what is missing.
        names : ndarray of shape (n_features,)
            What the user calls the features.
        """
        for feature, kind in self.kinds.items():
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
