"""Estimates of how probable it is that a rating is observed."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_array

from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    check_column_names,
    fitted_scaler,
    gaps_as_nan,
    levels_of,
    named_in_errors,
    nearest_level,
    without_marker,
)

__all__ = [
    "LogisticPropensity",
    "MarginalPropensity",
    "NaiveBayesPropensity",
    "PropensityEstimator",
    "check_mar_sample",
    "check_propensity",
]


class PropensityEstimator(Protocol):
    """What estimates P(observed) of the cells of rows."""

    def predict(self, values: FloatArray, side: FloatArray) -> FloatArray:
        """Return an estimate for each cell, which for missing ones may be anything."""


class MarginalPropensity:
    r"""Users rate more or less, and items are rated more or less, independently of each other.

    .. math::

        P(o_{ui} = 1) = \bar o_{u \cdot} \, \bar o_{\cdot i} / \bar o_{\cdot \cdot}

    The estimate has nothing to do with ratings.

    Parameters
    ----------
    values : ndarray of shape (n_users, n_items)
        Ratings, with NaN for what is missing.
    """

    def __init__(self, values: FloatArray) -> None:
        observed = ~np.isnan(values)
        self.popularity = observed.mean(axis=0) / observed.mean()

    def predict(self, values: FloatArray, side: FloatArray) -> FloatArray:
        """Return the estimates for rows, whose activity is their own."""
        return np.outer((~np.isnan(values)).mean(axis=1), self.popularity)


class NaiveBayesPropensity:
    r"""Ratings are observed by a chance that depends on the rating alone.

    By Bayes' rule, from the ratings of cells that were chosen at random [1]_,

    .. math::

        P(o = 1 \mid r) = \frac{P(r \mid o = 1) \, P(o = 1)}{P(r)} ,

    with one rating of each level added to both counts.

    Parameters
    ----------
    values : ndarray of shape (n_users, n_items)
        Ratings, with NaN for what is missing.
    mar_sample : ndarray of shape (n_ratings,)
        Ratings of cells chosen at random.

    References
    ----------
    .. [1] T. Schnabel, A. Swaminathan, A. Singh, N. Chandak, T. Joachims, "Recommendations as
       Treatments: Debiasing Learning and Evaluation", ICML 2016.
    """

    def __init__(self, values: FloatArray, mar_sample: FloatArray) -> None:
        ratings = values[~np.isnan(values)]
        self.levels = levels_of(ratings, mar_sample)
        shares = []
        for sample in (ratings, mar_sample):
            places = nearest_level(self.levels, sample)
            of_all = 1.0 + np.bincount(places, minlength=len(self.levels))
            shares.append(of_all / of_all.sum())
        of_observed, of_all_cells = shares
        self.chances = of_observed * (ratings.size / values.size) / of_all_cells

    def predict(self, values: FloatArray, side: FloatArray) -> FloatArray:
        """Return the estimates for rows, at each rating or, where it is new, at the nearest one."""
        return self.chances[nearest_level(self.levels, values)]


class LogisticPropensity:
    """A logistic regression for each item of being rated, on what is known of users.

    Parameters
    ----------
    values : ndarray of shape (n_users, n_items)
        Ratings, with NaN for what is missing.
    side : ndarray of shape (n_users, n_side_features)
        What is known of the users.
    """

    def __init__(self, values: FloatArray, side: FloatArray) -> None:
        observed = (~np.isnan(values)).astype(int)
        self.scaler = fitted_scaler(side)
        scaled = self.scaler.transform(side)
        self.models = [
            # Of an item that all have rated, or none, there is nothing to learn.
            (LogisticRegression() if np.ptp(rated) else DummyClassifier()).fit(scaled, rated)
            for rated in observed.T
        ]

    def predict(self, values: FloatArray, side: FloatArray) -> FloatArray:
        """Return the estimates for rows, by their side information."""
        chances = np.empty(values.shape)
        scaled = self.scaler.transform(side)
        for j, model in enumerate(self.models):
            chances[:, j] = model.predict_proba(scaled)[:, -1] * model.classes_[-1]
        return chances


def check_propensity(
    propensity: ArrayLike, shape: tuple[int, int], names: list[str] | None
) -> FloatArray:
    """Return given propensities as a matrix of a known shape and, if it has any, known names."""
    with named_in_errors("propensity must be a complete numeric matrix"):
        matrix = check_array(gaps_as_nan(propensity), dtype=np.float64)
    if matrix.shape != shape:
        raise ValueError(f"propensity must have the shape of X, {shape}, got {matrix.shape}.")
    check_column_names(propensity, "propensity", names, "X")
    if (matrix <= 0).any() or (matrix > 1).any():
        raise ValueError(
            "propensity must hold probabilities above 0 and at most 1, got values from "
            f"{matrix.min():g} to {matrix.max():g}."
        )
    return matrix


def check_mar_sample(mar_sample: ArrayLike, marker: float | None) -> FloatArray:
    """Return the ratings in a sample of cells, of whatever shape it comes in."""
    with named_in_errors("mar_sample must hold ratings, and NaN elsewhere"):
        sample = check_array(
            gaps_as_nan(mar_sample),
            dtype=np.float64,
            ensure_2d=False,
            allow_nd=True,
            ensure_all_finite="allow-nan",
            ensure_min_samples=0,
        )
    sample = without_marker(sample, marker)
    ratings = sample[~np.isnan(sample)]
    if not ratings.size:
        raise ValueError("mar_sample must hold one rating at least, got none.")
    return ratings
