"""The choice between ways of losing values that a user says nothing about."""

from __future__ import annotations

from collections.abc import Sequence
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

__all__ = ["Evidence", "choose_direction", "weigh"]

# What one feature's value process is worth in log-likelihood by Akaike's count of parameters:
# slope, threshold and ceiling.
PARAMETERS_OF_A_FEATURE = 3


class Evidence(NamedTuple):
    """What speaks for a model of values and mask.

    Attributes
    ----------
    bound : float
        Lower bound of the log-likelihood of all rows and their masks, in nats.
    mask_gain : float
        Sum over all cells of incomplete features of log p(m_ij | what else is known of row i),
        less what the feature's fraction of missing values gives, in nats.
    """

    bound: float
    mask_gain: float


def weigh(imputer: GNRImputer, values: FloatArray) -> Evidence:
    """Compute the evidence for a fitted imputer, on the rows it was fitted to."""
    missing = np.isnan(values)
    fraction = np.clip(missing.mean(axis=0), 1e-12, 1 - 1e-12)
    by_chance = missing * np.log(fraction) + ~missing * np.log1p(-fraction)
    gain = imputer._map_samples(values, log_mask_given_others) - by_chance
    bound = float(imputer.score_samples(values).sum())
    return Evidence(bound, float(gain[:, missing.any(axis=0)].sum()))


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


def choose_direction(evidence: Sequence[Evidence], n_incomplete: int) -> int:
    r"""Choose between values that are lost from above, from below, or by other causes.

    Where values are lost by themselves, two things show: the values that are seen have another
    distribution than their model says, and cells of which the rest of the row foretells a value
    beyond the threshold are missing more often. The first alone tells little, because no
    distribution is known well enough: where values are lost by pure chance, a process that cuts
    the tail off a normal distribution often fits the data better than none. So a direction is
    chosen where the joint bound of values and mask is above that of a model whose mask depends on
    z alone, and where in addition the rest of the row foretells the mask by more than the
    parameters of the process are worth.

    Parameters
    ----------
    evidence : sequence of three Evidence
        For values lost from above, from below, and by a process that depends on z alone.
    n_incomplete : int
        Number of features with missing values.

    Returns
    -------
    direction : {1, -1, 0}
        1 for above, -1 for below, 0 for neither.
    """
    above, below, neither = evidence
    direction, best = (1, above) if above.bound >= below.bound else (-1, below)
    foretold = best.mask_gain > PARAMETERS_OF_A_FEATURE * n_incomplete
    return direction if foretold and best.bound > neither.bound else 0
