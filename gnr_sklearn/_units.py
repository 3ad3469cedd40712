"""The units that a net sees values in, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._curves import Curves
from gnr_sklearn._deep import MAX_VALUE
from gnr_sklearn._quadrature import points_of
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import fitted_scaler
from gnr_sklearn.nn.likelihoods import Continuous

__all__ = ["SHARED_SCALINGS", "Scaling", "Units", "fit_units"]

Scaling = Literal["observed", "shared", "ratings"] | None

# Kinds of scaling that say that all features are measured in the same way.
SHARED_SCALINGS = ("shared", "ratings")

# Powers of two of ratings that differ by more would leave nothing of the lower ones.
MAX_RATING_RANGE = 20


@dataclass(frozen=True)
class Units:
    r"""A scale for each feature, and before it the curve of ratings where they are such.

    Attributes
    ----------
    center, scale : ndarray of shape (n_features,)
        What values, or points on the curve, are centred and scaled by.
    rating_range : tuple of float or None, default=None
        The lowest and the highest rating, :math:`r_0` and :math:`r_1`. A rating r is
        :math:`(2^{r - r_0 + 1} - 1) / (2^{r_1 - r_0 + 1} - 1)` on the curve, which is eq. 21 of
        Chen et al. (2023) where the lowest is 1.
    curves : Curves or None, default=None
        Curves of single features.
    """

    center: FloatArray
    scale: FloatArray
    rating_range: tuple[float, float] | None = None
    curves: Curves | None = None

    @property
    def curved(self) -> NDArray[np.intp]:
        """Features whose expectation cannot be taken in the units of the net."""
        if self.rating_range is not None:
            return np.arange(len(self.scale))
        return np.array(sorted(self.curves.kinds) if self.curves is not None else [], dtype=np.intp)

    def select(self, features: NDArray[np.intp]) -> Units:
        """Return the units of some features."""
        curves = None if self.curves is None else self.curves.select(features)
        return Units(self.center[features], self.scale[features], self.rating_range, curves)

    def transform(self, values: FloatArray) -> FloatArray:
        """Return values in the units of the net."""
        scaled = self._on_curve(values) - self.center
        scaled /= self.scale
        return scaled

    def inverse_transform(self, scaled: FloatArray) -> FloatArray:
        """Return numbers of the net in the units of the data; ratings within their range."""
        on_curve = scaled.astype(np.float64) * self.scale + self.center
        if self.curves is not None:
            return self.curves.inverse_transform(on_curve)
        if self.rating_range is None:
            return on_curve
        top = self._top
        return self.rating_range[0] - 1.0 + np.log2(1.0 + top * np.clip(on_curve, 1.0 / top, 1.0))

    def expectation(self, distribution: Continuous) -> FloatArray:
        """Return the expectations, in the units of the data, of numbers of the net."""
        total = np.zeros(1)
        for point, weight in points_of(distribution):
            total = total + weight * self.inverse_transform(point)
        return total

    def log_derivative(self, values: FloatArray) -> FloatArray:
        """Logarithm of the derivative of :meth:`transform`, from one density to the other."""
        slope = np.broadcast_to(-np.log(self.scale), values.shape)
        if self.curves is not None:
            return slope + self.curves.log_derivative(values)
        if self.rating_range is None:
            return slope
        exponent = np.log(2.0) * (values - self.rating_range[0] + 1.0)
        return slope + exponent + np.log(np.log(2.0) / self._top)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The ends of the curve in the units of the net, where all features have the same."""
        if self.rating_range is None:
            return None
        low, high = (np.array([0.0, 1.0]) - self.center[0]) / self.scale[0]
        return float(low), float(high)

    @property
    def _top(self) -> float:
        assert self.rating_range is not None
        return 2.0 ** (self.rating_range[1] - self.rating_range[0] + 1.0) - 1.0

    def _on_curve(self, values: FloatArray) -> FloatArray:
        if self.curves is not None:
            return self.curves.transform(values)
        if self.rating_range is None:
            return values
        # Ratings beyond the highest that was seen would soon leave the range of numbers.
        below_most = np.minimum(values - self.rating_range[0] + 1.0, 2.0 * MAX_RATING_RANGE)
        return (2.0**below_most - 1.0) / self._top


def fit_units(
    values: FloatArray,
    scaling: Scaling,
    lowest: FloatArray,
    highest: FloatArray,
    curves: Curves | None = None,
) -> Units:
    """Choose units by the observed values.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_features)
        With NaN where they are missing, and an observed one in each column.
    scaling : {"observed", "shared", "ratings"} or None
        What :class:`~gnr_sklearn._vae.VAEImputer` takes.
    lowest, highest : ndarray of shape (n_features,)
        Bounds of the user, infinite where there are none; for ratings, their range.
    curves : Curves or None, default=None
        Curves of single features, which go before a scale of each feature or none.
    """
    n_features = values.shape[1]
    if curves is not None:
        of_points = fit_units(curves.transform(values), scaling, lowest, highest)
        return Units(of_points.center, of_points.scale, curves=curves)
    if scaling is None:
        if np.nanmax(np.abs(values)) > MAX_VALUE:
            raise ValueError(
                "scaling must be 'observed' for data as large as these: without it, values "
                f"must lie within {MAX_VALUE:g} of 0, got {np.nanmax(np.abs(values)):g}."
            )
        return Units(np.zeros(n_features), np.ones(n_features))
    if scaling == "observed":
        scaler = fitted_scaler(values)
        return Units(scaler.mean_, scaler.scale_)
    rating_range = _rating_range(values, lowest, highest) if scaling == "ratings" else None
    curve = Units(np.zeros(n_features), np.ones(n_features), rating_range)
    scaler = fitted_scaler(curve.transform(values).reshape(-1, 1))
    center, scale = (np.full(n_features, of[0]) for of in (scaler.mean_, scaler.scale_))
    return Units(center, scale, rating_range)


def _rating_range(
    values: FloatArray, lowest: FloatArray, highest: FloatArray
) -> tuple[float, float]:
    """Return the lowest and the highest rating: as the user bounds them, else as they are."""
    seen = np.nanmin(values), np.nanmax(values)
    low, high = (
        float(of_all[0]) if np.isfinite(of_all).all() and np.ptp(of_all) == 0 else float(of_seen)
        for of_all, of_seen in zip((lowest, highest), seen, strict=True)
    )
    if not low <= seen[0] <= seen[1] <= high or high - low > MAX_RATING_RANGE:
        raise ValueError(
            "scaling must not be 'ratings' unless all ratings are between min_value and max_value "
            f"and these differ by at most {MAX_RATING_RANGE}, got ratings from {seen[0]:g} to "
            f"{seen[1]:g} and bounds of {low:g} and {high:g}."
        )
    return low, high
