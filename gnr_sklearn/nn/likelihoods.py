"""Log-densities, element by element. Sums over features are the models' business."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

__all__ = ["bernoulli_log_density", "gaussian_log_density"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def gaussian_log_density(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Log of N(x; mean, scale^2), element by element; arguments broadcast."""
    return -0.5 * ((x - mean) / scale).square() - scale.log() - _HALF_LOG_TWO_PI


def bernoulli_log_density(outcome: Tensor, logits: Tensor) -> Tensor:
    """Log-probability of an outcome in {0, 1} where P(1) = sigmoid(logits)."""
    return F.logsigmoid((2.0 * outcome - 1.0) * logits)
