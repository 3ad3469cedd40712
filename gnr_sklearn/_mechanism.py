"""The choice between ways of losing values that a user says nothing about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gnr_sklearn._base import FloatArray
from gnr_sklearn.nn.adaptive import WeightedSamples
from gnr_sklearn.nn.bounds import normalized_weights
from gnr_sklearn.nn.likelihoods import Gaussian, SelectedGaussian

if TYPE_CHECKING:
    from gnr_sklearn.gnr import GNRImputer

__all__ = ["Evidence", "choose_direction", "mask_odds", "removal_error", "weigh"]

# By how much a value has to foretell the mask: in standard errors of the sum over rows, and as a
# part of what z foretells. Two trainings of a model differ by up to a tenth of it, and where masks
# have other causes, values that are correlated with these foretell up to two thirds.
FORETOLD = 3.0
AS_MUCH = 0.75

# What one removed cell may count for as much as, in cells that go missing half of the time.
LARGEST_ODDS = 20.0
LEAST_ODDS = 1e-3


class Evidence(NamedTuple):
    """What speaks for a model of values and mask.

    Attributes
    ----------
    bound : ndarray of shape (n_samples,)
        Lower bound of the log-likelihood of each row and its mask, in nats.
    mask_gain : ndarray of shape (n_samples,)
        Sum over a row's cells of incomplete features of log p(m_ij | what else is known of row i),
        less what the feature's fraction of missing values gives, in nats.
    """

    bound: FloatArray
    mask_gain: FloatArray


def weigh(imputer: GNRImputer, values: FloatArray) -> Evidence:
    """Compute the evidence for a fitted imputer, on the rows it was fitted to."""
    missing = np.isnan(values)
    fraction = np.clip(missing.mean(axis=0), 1e-12, 1 - 1e-12)
    by_chance = missing * np.log(fraction) + ~missing * np.log1p(-fraction)
    gain = imputer._map_samples(values, log_mask_given_others) - by_chance
    return Evidence(imputer.score_samples(values), gain[:, missing.any(axis=0)].sum(axis=1))


def log_mask_given_others(samples: WeightedSamples, x: Tensor, mask: Tensor) -> Tensor:
    r"""Log-probability of each cell's being seen or not, given the other cells of its row.

    Leaving out what cell j adds to the weights,

    .. math::

        p(m_j \mid x_{-j}, m_{-j}) \approx \frac{\sum_l w_l \, p(m_j \mid z_l) / p_j(z_l)}
        {\sum_l w_l / p_j(z_l)} ,

    where :math:`p_j(z)` is p(x_j, m_j = 1 | z) for an observed cell and p(m_j = 0 | z) for a
    missing one.

    Parameters
    ----------
    samples : WeightedSamples
        Samples of z for B rows.
    x, mask : Tensor of shape (B, d)
        The rows as a net sees them.

    Returns
    -------
    log_mask : Tensor of shape (B, d)
    """
    x_given_z, logits = samples.x_given_z, samples.mask_logits
    assert logits is not None
    if isinstance(x_given_z, SelectedGaussian):
        before = Gaussian(x_given_z.mean_of_all, x_given_z.scale)
        log_missing = x_given_z.log_missing
    else:
        assert isinstance(x_given_z, Gaussian)
        before, log_missing = x_given_z, F.logsigmoid(-logits)
    one_cell = Gaussian(
        before.mean.unsqueeze(-1), before.scale.expand_as(before.mean).unsqueeze(-1)
    )
    log_x = one_cell.log_density(x.unsqueeze(-1), mask.unsqueeze(-1))
    log_cell = log_x + F.logsigmoid((2.0 * mask - 1.0) * logits)
    weights = normalized_weights((samples.log_w.unsqueeze(-1) - log_cell).double())
    missing = (weights * log_missing.double().exp()).sum(0).clamp(1e-9, 1.0 - 1e-9)
    return torch.where(mask > 0, torch.log1p(-missing), missing.log())


def choose_direction(above: Evidence, below: Evidence, neither: Evidence) -> int:
    r"""Choose between values that are lost from above, from below, or by other causes.

    Where values are lost by themselves, two things show: the values that are seen have another
    distribution than their model says, and cells of which the rest of the row foretells a value
    beyond the threshold are missing more often. The first alone tells little, because no
    distribution is known well enough: where values are lost by pure chance, a process that cuts
    the tail off a normal distribution often fits the data better than none. So the side is the
    one with the higher joint bound of values and mask, but it is chosen only where

    - that bound is above that of a model whose mask depends on z alone,
    - the rest of the row foretells the mask, by three standard errors,
    - and by at least three quarters of what it foretells in the model whose mask depends on z
      alone: where a mask depends on other values, or on a value's distance from the middle, z tells
      more of it than the side of a threshold does.

    Parameters
    ----------
    above, below, neither : Evidence
        For values lost from above, from below, and by a process that depends on z alone.

    Returns
    -------
    direction : {1, -1, 0}
        1 for above, -1 for below, 0 for neither.
    """
    direction, best = max((1, above), (-1, below), key=lambda side: side[1].bound.sum())
    is_chosen = (
        best.bound.sum() > neither.bound.sum()
        and standard_errors(best.mask_gain) > FORETOLD
        and best.mask_gain.sum() >= AS_MUCH * neither.mask_gain.sum()
    )
    return direction if is_chosen else 0


def standard_errors(terms: FloatArray) -> float:
    """Return the sum of independent terms, in standard errors of it."""
    total, error = terms.sum(), terms.std() * np.sqrt(len(terms))
    if error == 0:
        return float(np.inf * total) if total else 0.0
    return float(total / error)


def mask_odds(imputer: GNRImputer, values: FloatArray, side: FloatArray | None) -> FloatArray:
    r"""Odds of each observed value's being missing, P(m = 0 | ...) / P(m = 1 | ...).

    Parameters
    ----------
    imputer : GNRImputer
        A fitted imputer.
    values : ndarray of shape (n_samples, n_features)
        Rows, also such as it was not fitted to.
    side : ndarray of shape (n_samples, n_side_features) or None
        What is known of them beside their values.

    Returns
    -------
    odds : ndarray of shape (n_samples, n_features)
        Within bounds, and meaningless where nothing is observed.
    """
    seen = imputer.predict_mask_proba(values, side)
    with np.errstate(divide="ignore"):
        return np.clip((1.0 - seen) / seen, LEAST_ODDS, LARGEST_ODDS)


def removal_error(
    imputer: GNRImputer, values: FloatArray, side: FloatArray | None, odds: FloatArray
) -> float:
    r"""Mean squared error of values that are removed as values go missing.

    Each observed value of an incomplete feature is removed once, alone, and counts by its odds,

    .. math::

        \frac{\sum_{ij} \omega_{ij} \, ((\hat x_{ij} - x_{ij}) / s_j)^2}{\sum_{ij} \omega_{ij}} ,
        \qquad \omega_{ij} = \frac{P(m_{ij} = 0 \mid x_{ij})}{P(m_{ij} = 1 \mid x_{ij})} ,

    which estimates the error of the missing ones: values that are observed with the density
    :math:`p(x) P(m = 1 \mid x)` stand for those of the density :math:`p(x) P(m = 0 \mid x)`.

    Parameters
    ----------
    imputer : GNRImputer
        A fitted imputer.
    values : ndarray of shape (n_samples, n_features)
        Rows that it was not fitted to.
    side : ndarray of shape (n_samples, n_side_features) or None
        What is known of them beside their values.
    odds : ndarray of shape (n_samples, n_features)
        The odds, by whichever model: for a comparison, the same for all imputers.

    Returns
    -------
    error : float
        In squared standard deviations of the observed values.
    """
    seen = ~np.isnan(values)
    total = weight = 0.0
    for j in np.flatnonzero(~seen.all(axis=0) & seen.any(axis=0)):
        rows = seen[:, j]
        removed = values[rows]
        removed[:, j] = np.nan
        # A frame where scikit-learn has been configured so.
        imputed = np.asarray(imputer.transform(removed, None if side is None else side[rows]))
        error = (imputed[:, j] - values[rows, j]) / imputer._scale[j]
        total += odds[rows, j] @ error**2
        weight += odds[rows, j].sum()
    return total / weight if weight else 0.0
