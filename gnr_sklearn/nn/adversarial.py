"""GAIN: a generator that imputes, a discriminator that finds out what, and their training."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from skorch.callbacks import PassthroughScoring
from skorch.dataset import unpack_data
from skorch.utils import TeeGenerator, to_tensor
from torch import Tensor, nn
from torch.nn import functional as F

from gnr_sklearn.nn.rows import Batch, MaskedRows, map_chunks
from gnr_sklearn.nn.training import StepwiseNet

__all__ = [
    "NOISE_LIMIT",
    "AdversarialNet",
    "Discriminator",
    "Generator",
    "GeneratorLoss",
    "adversarial_loss",
    "complete",
    "discriminator_loss",
    "draw_hint",
    "generate",
    "reconstruction_loss",
]

# What stands at a missing value is uniform up to this, in units of the feature's range.
NOISE_LIMIT = 0.01


class _PairNetwork(nn.Module):
    """Affine layers with ReLU between them that see two numbers for each feature.

    Parameters
    ----------
    n_features : int
        Number of features d; the layers lead from 2 d numbers to d.
    hidden_dims : sequence of int
        Widths of the hidden layers.
    seed : int
        Seed of the Glorot-uniform initial weights; biases start at 0.
    """

    def __init__(self, n_features: int, hidden_dims: Sequence[int], seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([2 * n_features, *hidden_dims, n_features]):
            layers += [_affine(n_in, n_out, generator), nn.ReLU()]
        self.network = nn.Sequential(*layers[:-1])


def _affine(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    # Left to itself, the layer takes its weights from the global random state. Its own derivative
    # is faster here than that of ``layers.Dense``, which is arranged for many rows.
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out, device="cpu", dtype=torch.float32)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


class Generator(_PairNetwork):
    """Guesses all values of a row from those observed, in units of each feature's range.

    Parameters
    ----------
    n_features : int
        Number of features d; the layers lead from 2 d numbers to d.
    hidden_dims : sequence of int
        Widths of the hidden layers, which have ReLU.
    seed : int
        Seed of the Glorot-uniform initial weights; biases start at 0.
    """

    def forward(self, x: Tensor, mask: Tensor, noise: Tensor | float = NOISE_LIMIT / 2) -> Tensor:
        """Return a value between 0 and 1 for each cell, observed or not, (batch, n_features).

        Parameters
        ----------
        x : Tensor of shape (batch, n_features)
            Rows with zeros at their missing values; what is observed in fit is from 0 to 1.
        mask : Tensor of shape (batch, n_features)
            1 where observed, 0 where missing.
        noise : Tensor of shape (batch, n_features) or float
            What stands at missing values; by default the mean of what does in training.
        """
        return self.network(torch.cat([complete(x, mask, noise), mask], dim=-1)).sigmoid()


class Discriminator(_PairNetwork):
    """Tells, for each cell of a completed row, whether it was observed.

    Parameters
    ----------
    n_features : int
        Number of features d; the layers lead from 2 d numbers to d.
    hidden_dims : sequence of int
        Widths of the hidden layers, which have ReLU.
    seed : int
        Seed of the Glorot-uniform initial weights; biases start at 0.
    """

    def forward(self, completed: Tensor, hint: Tensor) -> Tensor:
        """Return the log-odds that each cell was observed, (batch, n_features).

        Parameters
        ----------
        completed : Tensor of shape (batch, n_features)
            Rows with imputed numbers at their missing values.
        hint : Tensor of shape (batch, n_features)
            1 at cells that it is told were observed, 0 at those of which it is told nothing.
        """
        return self.network(torch.cat([completed, hint], dim=-1))


def complete(x: Tensor, mask: Tensor, values: Tensor | float) -> Tensor:
    """Put values where x, which is 0 there, is missing; all (batch, n_features)."""
    return x + (1.0 - mask) * values


def draw_hint(mask: Tensor, hint_rate: float, generator: torch.Generator) -> Tensor:
    """Keep each 1 of the mask with probability `hint_rate`; the rest is 0, as what is missing."""
    draws = torch.rand(mask.shape, generator=generator, dtype=mask.dtype, device=mask.device)
    return mask * (draws < hint_rate)


def discriminator_loss(logits: Tensor, mask: Tensor) -> Tensor:
    r"""Cross-entropy of the mask, averaged over cells.

    .. math::

        -\frac 1{n d} \sum_{i j} m_{i j} \log D_{i j} + (1 - m_{i j}) \log (1 - D_{i j})

    Parameters
    ----------
    logits : Tensor of shape (batch, n_features)
        Log-odds that cells were observed; D is their sigmoid.
    mask : Tensor of shape (batch, n_features)
        1 where observed, 0 where missing.

    Returns
    -------
    loss : Tensor of shape ()
        In nats.
    """
    return F.binary_cross_entropy_with_logits(logits, mask)


def adversarial_loss(logits: Tensor, mask: Tensor) -> Tensor:
    r"""How far the discriminator is from taking imputed values for observed ones.

    .. math::

        -\frac 1{n d} \sum_{i j} (1 - m_{i j}) \log D_{i j}

    Parameters
    ----------
    logits : Tensor of shape (batch, n_features)
        Log-odds that cells were observed; D is their sigmoid.
    mask : Tensor of shape (batch, n_features)
        1 where observed, 0 where missing.

    Returns
    -------
    loss : Tensor of shape ()
        In nats.
    """
    # log D of log-odds stays finite, where D itself may round to 0.
    return -((1.0 - mask) * F.logsigmoid(logits)).mean()


def reconstruction_loss(generated: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    r"""Mean squared error over observed cells.

    .. math::

        \sum_{i j} m_{i j} (x_{i j} - g_{i j})^2 \, / \, \sum_{i j} m_{i j}

    Parameters
    ----------
    generated, x : Tensor of shape (batch, n_features)
        What the generator gives, and rows with zeros at their missing values.
    mask : Tensor of shape (batch, n_features)
        1 where observed, 0 where missing; of a batch without observed cells the loss is 0.

    Returns
    -------
    loss : Tensor of shape ()
        In squared units of the features' ranges.
    """
    return (mask * (x - generated)).square().sum() / mask.sum().clamp(min=1.0)


class GeneratorLoss(nn.Module):
    """The loss of the generator: the adversarial one and alpha times that of reconstruction.

    Parameters
    ----------
    alpha : float
        Weight of the reconstruction of observed values.
    """

    def __init__(self, alpha: float = 100.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, logits: Tensor, generated: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return adversarial_loss(logits, mask) + self.alpha * reconstruction_loss(generated, x, mask)


class AdversarialNet(StepwiseNet):
    """skorch's net of a generator and a discriminator that are trained in turn.

    ``module_`` is the generator, ``discriminator_`` the other network. A step has two halves on
    the same rows, noise and hint: first the discriminator learns to tell imputed values, then
    the generator to pass the discriminator. The loss of a step is the generator's; that of the
    discriminator is recorded as ``discriminator_loss``. The generator is meant for values as
    they are, so that there are no held-out rows.

    One optimizer has the parameters of both, so that what holds for it, such as a schedule of the
    step size, holds for both. In each half the network at rest has no gradients, and optimizers
    leave parameters without a gradient as they are, and what they remember of them.

    Parameters
    ----------
    module : type or torch.nn.Module
        The generator.
    discriminator : type or torch.nn.Module
        The discriminator. Parameters of its own begin with ``discriminator__``.
    criterion : type
        The loss of the generator.
    hint_rate : float
        Probability that the discriminator is told of an observed cell that it is one.
    **params
        What :class:`StepwiseNet` takes.

    Raises
    ------
    ValueError
        From ``initialize``, for the one optimizer of torch that moves all parameters at once.
    """

    def __init__(
        self,
        module: type[nn.Module] | nn.Module = Generator,
        *,
        discriminator: type[nn.Module] | nn.Module = Discriminator,
        criterion: type[nn.Module] = GeneratorLoss,
        hint_rate: float = 0.9,
        **params: Any,
    ) -> None:
        self.discriminator = discriminator
        self.hint_rate = hint_rate
        super().__init__(module, criterion=criterion, **params)

    def initialize_module(self) -> AdversarialNet:
        """Make both networks."""
        super().initialize_module()
        params = self.get_params_for("discriminator")
        self.discriminator_ = self.initialized_instance(self.discriminator, params)
        return self

    def get_default_callbacks(self) -> list[Any]:
        """Return those of skorch, and what averages the discriminator's loss over an epoch."""
        scoring = PassthroughScoring("discriminator_loss", on_train=True)
        return [*super().get_default_callbacks(), ("discriminator_loss", scoring)]

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Tensor:
        """Call the generator on rows, and in training on fresh noise."""
        rows = to_tensor(x, device=self.device)
        if not self.module_.training:
            return self.module_(**rows, **fit_params)
        draws = torch.rand(
            rows["x"].shape, generator=self.rng_, dtype=rows["x"].dtype, device=self.device
        )
        return self.module_(noise=NOISE_LIMIT * draws, **rows, **fit_params)

    # Also where the user has switched gradients off.
    @torch.enable_grad()
    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Tensor]:
        """Let the discriminator learn, and then the generator."""
        self._set_training(True)
        rows = to_tensor(unpack_data(batch)[0], device=self.device)
        x, mask = rows["x"], rows["mask"]
        # The discriminator's half leaves the generator as it is: once is enough for both.
        generated = self.infer(rows, **fit_params)
        completed = complete(x, mask, generated)
        hint = draw_hint(mask, self.hint_rate, self.rng_)
        lost = discriminator_loss(self.discriminator_(completed.detach(), hint), mask)
        self._descend(self.discriminator_, lost, batch)
        self.history.record_batch("discriminator_loss", lost.item())
        loss = self.criterion_(self.discriminator_(completed, hint), generated, x, mask)
        self._descend(self.module_, loss, batch)
        return {"loss": loss, "y_pred": generated}

    def _descend(self, module: nn.Module, loss: Tensor, batch: Batch) -> None:
        """Move the parameters of one network."""
        self.optimizer_.zero_grad(set_to_none=True)
        loss.backward(inputs=list(module.parameters()))
        named = TeeGenerator(module.named_parameters())
        self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self.optimizer_.step()

    def progress(self) -> dict[str, float]:
        """Losses of both networks in the last epoch."""
        last = self.history[-1]
        return {"generator": last["train_loss"], "discriminator": last["discriminator_loss"]}


def generate(
    module: Generator, rows: MaskedRows, chunk_size: int
) -> Iterator[tuple[slice, Tensor]]:
    """Guess the values of rows by a trained generator, in chunks, so that memory stays bounded.

    In place of noise stands its mean. What is generated for a row then depends neither on the
    other rows nor on their order.

    Parameters
    ----------
    module : Generator
        The generator.
    rows : MaskedRows
        The rows, on any device.
    chunk_size : int
        Rows in a chunk.

    Yields
    ------
    chunk : slice
        Which rows.
    generated : Tensor of shape (n_rows, n_features)
        Values between 0 and 1 for all of their cells.
    """
    device = next(module.parameters()).device
    # How products of matrices round depends on a row's place among the others, even with chunks
    # alike; rounded from double precision, results do not.
    exact = copy.deepcopy(module).double()

    def compute(filled: MaskedRows, n_rows: int) -> Tensor:
        generated = exact(**{name: t.double() for name, t in filled.tensors.items()})
        return generated[:n_rows].to(rows.x.dtype)

    yield from map_chunks(compute, rows, chunk_size, device)
