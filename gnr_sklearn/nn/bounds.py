"""Importance weights, their bound and resampling, and the quasi-random numbers behind them.

Everywhere the first axis holds the importance samples and the second the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnr_sklearn.nn.models import Terms

__all__ = [
    "importance_weighted_bound",
    "log_weights",
    "normalized_weights",
    "quasi_normal",
    "resample",
    "truncated_weights",
]


def log_weights(terms: Terms, alpha: float) -> Tensor:
    r"""Log importance weights with the mask term raised to the power alpha.

    .. math::

        \log \hat\omega_k = \log p(x^{obs} \mid u, z_k) + \alpha \log p(m \mid u, z_k)
        + \log p(u \mid z_k) + \log p(z_k) - \log q(z_k \mid x^{obs})

    which is eq. 16 of the paper at alpha = 1 and eq. 18 elsewhere.

    Parameters
    ----------
    terms : Terms
        Log-terms of K samples for B rows.
    alpha : float
        Weight of the mask term, at least 0.

    Returns
    -------
    log_w : Tensor of shape (K, B)
    """
    return terms.log_px + alpha * terms.log_pm + terms.log_pu + terms.log_pz - terms.log_qz


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """Log of the mean importance weight of each row (eq. 15), shape (B,)."""
    return torch.logsumexp(log_w, dim=0) - math.log(log_w.shape[0])


def normalized_weights(log_w: Tensor) -> Tensor:
    """Self-normalised importance weights: over samples they sum to 1 (eq. 20)."""
    return torch.softmax(log_w, dim=0)


def truncated_weights(log_w: Tensor) -> Tensor:
    r"""Self-normalised weights, each cut at :math:`\sqrt K` mean ones before they are normalised.

    A sample in a tail that the proposal leaves thin may have a weight beyond all others, and what
    is averaged is then that sample. Truncated importance sampling [1]_ lowers its share, at the
    price of a bias that vanishes as K grows.

    Parameters
    ----------
    log_w : Tensor of shape (K, B)
        Log importance weights.

    Returns
    -------
    weights : Tensor of shape (K, B)
        Over samples they sum to 1.

    References
    ----------
    .. [1] E. L. Ionides, "Truncated Importance Sampling", Journal of Computational and Graphical
       Statistics 17(2), 2008.
    """
    limit = torch.logsumexp(log_w, dim=0) - 0.5 * math.log(len(log_w))
    return normalized_weights(log_w.clamp(max=limit))


def resample(weights: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
    """Draw indices of samples with replacement in proportion to their weights.

    This is the resampling step of sampling importance resampling.

    Parameters
    ----------
    weights : Tensor of shape (K, B)
        Self-normalised importance weights.
    n_draws : int
        Draws for each row.
    generator : torch.Generator
        Source of randomness, on the device of `weights`.

    Returns
    -------
    indices : Tensor of shape (n_draws, B), dtype int64
    """
    return torch.multinomial(weights.T, n_draws, replacement=True, generator=generator).T


def quasi_normal(n_samples: int, dimension: int, seed: int) -> Tensor:
    """Compute standard normal numbers from a scrambled Sobol sequence.

    They fill the space more evenly than independent draws do, so that averages over
    them have a smaller error.

    Parameters
    ----------
    n_samples, dimension : int
        Shape of the result.
    seed : int
        Seed of the scrambling.

    Returns
    -------
    noise : Tensor of shape (n_samples, dimension), dtype float64
    """
    engine = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed)
    uniform = engine.draw(n_samples, dtype=torch.float64)
    # Computed in torch's default precision, which is the user's.
    uniform[:1] = uniform[:1].float().double()
    # The sequence lives on a grid of 2^-30 that contains 0, where the normal quantile
    # is infinite: move each point to the middle of its grid cell. In single precision the last
    # cell may begin at 1.
    return torch.special.ndtri((uniform + 2.0**-31).clamp(max=1.0 - 2.0**-31))
