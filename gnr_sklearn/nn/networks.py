"""Encoders and decoders. A network maps tensors to parameters of distributions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnr_sklearn.nn.layers import Dense

__all__ = ["DataDecoder", "GaussianEncoder", "ObservationScale", "multilayer_perceptron"]

ObservationScale = Literal["shared", "feature", "heteroscedastic"]

# The log of the posterior scale stays in this range: outside it a sample either
# coincides with the mean or leaves float32 once it is squared and summed.
LOG_SCALE_LIMIT = 8.0

# A column whose observed values hardly vary would drive its noise to zero and the
# density to infinity. Data are in units of standard deviations here.
MINIMUM_SCALE = 1e-3


def multilayer_perceptron(
    n_in: int, hidden_dims: Sequence[int], n_out: int, generator: torch.Generator
) -> nn.Sequential:
    """Affine layers with tanh between them; without hidden layers, one affine map.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs.
    hidden_dims : sequence of int
        Width of each hidden layer.
    generator : torch.Generator
        Source of the Glorot-uniform initial weights; biases start at 0.

    Returns
    -------
    network : torch.nn.Sequential
    """
    widths = [n_in, *hidden_dims]
    hidden = [Dense(*pair, generator, tanh=True) for pair in pairwise(widths)]
    return nn.Sequential(*hidden, Dense(widths[-1], n_out, generator))


class GaussianEncoder(nn.Module):
    """The variational posterior q(z | x_obs), a Gaussian with diagonal covariance.

    Parameters
    ----------
    n_features, latent_dim : int
        Sizes of the input row and of z.
    hidden_dims : sequence of int
        Widths of the hidden layers.
    generator : torch.Generator
        Source of the initial weights.

    Notes
    -----
    The input is the row with zeros at its missing values. The mask itself is no input:
    the mechanism has to be learned through z (section 4.2 of the paper).
    """

    def __init__(
        self,
        n_features: int,
        latent_dim: int,
        hidden_dims: Sequence[int],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.network = multilayer_perceptron(n_features, hidden_dims, 2 * latent_dim, generator)

    def forward(self, x_zero_filled: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-scale of z, each (batch, latent_dim)."""
        # There are as many rows here as there are samples of each in a decoder: too few for a
        # lower precision to save anything.
        with torch.autocast(x_zero_filled.device.type, enabled=False):
            mean, log_scale = self.network(x_zero_filled).chunk(2, dim=-1)
        return mean, log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)


class DataDecoder(nn.Module):
    """Mean and scale of the Gaussian p(x | z).

    Parameters
    ----------
    latent_dim, n_features : int
        Sizes of z and of the row.
    hidden_dims : sequence of int
        Widths of the hidden layers; empty for a linear decoder.
    observation_scale : {"shared", "feature", "heteroscedastic"}
        One learned scale, one for each feature, or one for each feature as a function
        of z.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(
        self,
        latent_dim: int,
        n_features: int,
        hidden_dims: Sequence[int],
        observation_scale: ObservationScale,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if observation_scale not in get_args(ObservationScale):
            raise ValueError(
                f"observation_scale must be one of {get_args(ObservationScale)}, "
                f"got {observation_scale!r}."
            )
        self.n_features = n_features
        n_outputs = n_features
        if observation_scale == "heteroscedastic":
            n_outputs = 2 * n_features
            self.raw_scale = None
        else:
            n_scales = 1 if observation_scale == "shared" else n_features
            self.raw_scale = nn.Parameter(torch.zeros(n_scales, dtype=torch.float32, device="cpu"))
        self.network = multilayer_perceptron(latent_dim, hidden_dims, n_outputs, generator)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean (..., n_features) and a scale that broadcasts against it."""
        outputs = self.network(z)
        if self.raw_scale is not None:
            return outputs, F.softplus(self.raw_scale) + MINIMUM_SCALE
        mean, raw_scale = outputs.split(self.n_features, dim=-1)
        return mean, F.softplus(raw_scale) + MINIMUM_SCALE
