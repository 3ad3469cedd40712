"""The model and its training written by hand in plain torch, to measure the package against.

Nothing here is taken from the package: layers of torch, densities of ``torch.distributions``,
torch's Adam as it comes, and a loop.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal


def network(n_in: int, n_out: int, hidden: int = 128) -> nn.Sequential:
    """Two hidden layers with tanh."""
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(),
        nn.Linear(hidden, n_out),
    )  # fmt: skip


class PlainGNR(nn.Module):
    """Encoder, two decoders, and the importance-weighted bound with alpha = 1."""

    def __init__(self, n_features: int, latent_dim: int) -> None:
        super().__init__()
        self.encoder = network(n_features, 2 * latent_dim)
        self.data_decoder = network(latent_dim, n_features)
        self.mask_decoder = network(latent_dim, n_features)
        self.raw_scale = nn.Parameter(torch.zeros(1))

    def log_weights(self, x: Tensor, mask: Tensor, n_samples: int) -> tuple[Tensor, Tensor]:
        """Log-weights (K, B) and means of x (K, B, d) at K samples for each of B rows."""
        mean, log_scale = self.encoder(x).chunk(2, dim=-1)
        proposal = Normal(mean, log_scale.exp(), validate_args=False)
        z = proposal.rsample((n_samples,))
        x_mean = self.data_decoder(z)
        scale = nn.functional.softplus(self.raw_scale) + 1e-3
        log_px = (Normal(x_mean, scale, validate_args=False).log_prob(x) * mask).sum(-1)
        mask_model = Bernoulli(logits=self.mask_decoder(z), validate_args=False)
        log_pm = mask_model.log_prob(mask.expand_as(x_mean)).sum(-1)
        log_pz = Normal(0.0, 1.0).log_prob(z).sum(-1)
        return log_px + log_pm + log_pz - proposal.log_prob(z).sum(-1), x_mean

    def loss(self, x: Tensor, mask: Tensor, n_samples: int) -> Tensor:
        """Minus the mean bound of a batch."""
        log_w, _ = self.log_weights(x, mask, n_samples)
        return math.log(n_samples) - torch.logsumexp(log_w, dim=0).mean()

    def impute(self, x: Tensor, mask: Tensor, n_samples: int) -> Tensor:
        """Average the means of x with self-normalised weights, one row at a time."""
        imputed = torch.empty_like(x)
        with torch.inference_mode():
            for i in range(len(x)):
                log_w, x_mean = self.log_weights(x[i : i + 1], mask[i : i + 1], n_samples)
                imputed[i] = (torch.softmax(log_w, dim=0).unsqueeze(-1) * x_mean).sum(0)[0]
        return imputed


def train(
    x: Tensor, mask: Tensor, latent_dim: int, n_steps: int, n_samples: int = 20, seed: int = 0
) -> PlainGNR:
    """Train by Adam on batches of 128 random rows."""
    torch.manual_seed(seed)
    model = PlainGNR(x.shape[1], latent_dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(n_steps):
        rows = torch.randint(len(x), (128,))
        optimizer.zero_grad()
        loss = model.loss(x[rows], mask[rows], n_samples)
        loss.backward()
        optimizer.step()
    return model
