"""Log-densities of rows, summed over the last axis, which are the features."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

__all__ = ["bernoulli_log_density", "gaussian_log_density", "standard_normal_log_density"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def gaussian_log_density(x: Tensor, mask: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Log of N(x; mean, scale^2) over the features where mask is 1; arguments broadcast."""
    # What does not depend on the samples of z is kept apart from what does: with a scale that
    # is a parameter, only three operations are on tensors with an axis of samples.
    residual = (mean - x) * (mask / scale)
    normalizer = (mask * (scale.log() + _HALF_LOG_TWO_PI)).sum(-1)
    return residual.square().sum(-1) * -0.5 - normalizer


def standard_normal_log_density(z: Tensor) -> Tensor:
    """Log of N(z; 0, I)."""
    return z.square().sum(-1) * -0.5 - _HALF_LOG_TWO_PI * z.shape[-1]


def bernoulli_log_density(outcome: Tensor, logits: Tensor) -> Tensor:
    """Log-probability of outcomes in {0, 1} where P(1) = sigmoid(logits)."""
    return F.logsigmoid((2.0 * outcome - 1.0) * logits).sum(-1)
