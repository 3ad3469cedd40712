"""The deep generative models, each of them no more than its log-terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from gnr_sklearn.nn.likelihoods import (
    bernoulli_log_density,
    gaussian_log_density,
    standard_normal_log_density,
)
from gnr_sklearn.nn.networks import (
    DataDecoder,
    GaussianEncoder,
    ObservationScale,
    multilayer_perceptron,
)

__all__ = ["GNR", "Terms"]


class Terms(NamedTuple):
    """What a model says of a batch: K samples of z for each of B rows of d features.

    Attributes
    ----------
    log_px : Tensor of shape (K, B)
        log p(x_obs | z), summed over the observed features.
    log_pm : Tensor of shape (K, B)
        log p(m | z), summed over all features.
    log_pz, log_qz : Tensor of shape (K, B)
        Log-densities of z under the prior and under q(z | x_obs).
    x_mean : Tensor of shape (K, B, d)
        E[x | z].
    x_scale : Tensor, broadcasts against `x_mean`
        Standard deviation of x given z.
    mask_logits : Tensor of shape (K, B, d)
        Log-odds of P(m = 1 | z), m = 1 meaning observed.
    """

    log_px: Tensor
    log_pm: Tensor
    log_pz: Tensor
    log_qz: Tensor
    x_mean: Tensor
    x_scale: Tensor
    mask_logits: Tensor


class GNR(nn.Module):
    r"""The conjunction model of the paper (section 4.1), without the variable u.

    .. math::

        p(x, m, z) = p(x \mid z) \, p(m \mid z) \, p(z),
        \qquad z \sim N(0, I)

    Data and mask are two modalities of z with a decoder each, side by side: a Gaussian
    p(x | z) with independent features and a Bernoulli p(m | z). The encoder
    q(z | x_obs) sees the zero-filled row and never the mask.

    Parameters
    ----------
    n_features : int
        Number of columns d of the data.
    latent_dim : int
        Size of z.
    hidden_dims : sequence of int
        Widths of the hidden layers of the encoder, and of each decoder if it is "mlp".
    decoder : {"mlp", "linear"}
        Whether the decoders have the hidden layers or are affine maps of z.
    observation_scale : {"shared", "feature", "heteroscedastic"}
        See :class:`~gnr_sklearn.nn.networks.DataDecoder`.
    seed : int
        Seed of the initial weights. Torch's global random state is not touched.
    """

    def __init__(
        self,
        n_features: int,
        latent_dim: int,
        hidden_dims: Sequence[int] = (128, 128),
        decoder: Literal["mlp", "linear"] = "mlp",
        observation_scale: ObservationScale = "shared",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        generator = torch.Generator().manual_seed(seed)
        decoder_dims = hidden_dims if decoder == "mlp" else ()
        self.encoder = GaussianEncoder(n_features, latent_dim, hidden_dims, generator)
        self.data_decoder = DataDecoder(
            latent_dim, n_features, decoder_dims, observation_scale, generator
        )
        self.mask_decoder = multilayer_perceptron(latent_dim, decoder_dims, n_features, generator)

    def forward(self, x: Tensor, mask: Tensor, noise: Tensor) -> Terms:
        """Compute the log-terms at z = mean + scale * noise.

        Parameters
        ----------
        x : Tensor of shape (B, d)
            Rows with zeros at their missing values.
        mask : Tensor of shape (B, d)
            1 where observed, 0 where missing.
        noise : Tensor of shape (K, B, latent_dim) or (K, 1, latent_dim)
            Standard normal numbers; with one row they are shared by the batch.

        Returns
        -------
        terms : Terms
        """
        q_mean, q_log_scale = self.encoder(x)
        z = q_mean + q_log_scale.exp() * noise
        x_mean, x_scale = self.data_decoder(z)
        mask_logits = self.mask_decoder(z)
        return Terms(
            log_px=gaussian_log_density(x, mask, x_mean, x_scale),
            log_pm=bernoulli_log_density(mask, mask_logits),
            log_pz=standard_normal_log_density(z),
            # In terms of the noise the density of z needs no difference of close
            # numbers: z = mean + scale * noise.
            log_qz=standard_normal_log_density(noise) - q_log_scale.sum(-1),
            x_mean=x_mean,
            x_scale=x_scale,
            mask_logits=mask_logits,
        )
