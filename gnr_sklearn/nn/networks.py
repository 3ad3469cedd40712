"""Encoders and decoders. A network maps tensors to parameters of distributions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnr_sklearn.nn.categories import CategoricalHead, CategoryLayout, DiscreteFeature
from gnr_sklearn.nn.layers import Dense, InformedDense
from gnr_sklearn.nn.likelihoods import Gaussian, Likelihood, Mixed, StudentT

__all__ = [
    "CurvedMap",
    "DataDecoder",
    "DecoderName",
    "EncoderName",
    "GaussianEncoder",
    "LikelihoodName",
    "ObservationScale",
    "PermutationInvariantEncoder",
    "ZeroFillEncoder",
    "multilayer_perceptron",
]

DecoderName = Literal["mlp", "linear", "curved"]
EncoderName = Literal["zero", "permutation_invariant"]
ObservationScale = Literal["shared", "feature", "heteroscedastic"]
LikelihoodName = Literal["gaussian", "student_t"]

# The log of the posterior scale stays in this range: outside it a sample either
# coincides with the mean or leaves float32 once it is squared and summed.
LOG_SCALE_LIMIT = 8.0

# A column whose observed values hardly vary would drive its noise to zero and the
# density to infinity. Data are in units of standard deviations here.
MIN_SCALE = 1e-3

# With fewer, the variance of Student's t distribution is infinite or close to it.
MIN_DEGREES_OF_FREEDOM = 3.0


def multilayer_perceptron(
    n_in: int,
    hidden_dims: Sequence[int],
    n_out: int,
    generator: torch.Generator,
    info: Tensor | None = None,
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
    info : Tensor of shape (n_out, n_info) or None, default=None
        What is known of the features that the outputs are of; see
        :class:`~gnr_sklearn.nn.layers.InformedDense`.

    Returns
    -------
    network : torch.nn.Sequential
    """
    widths = [n_in, *hidden_dims]
    hidden = [Dense(*pair, generator, tanh=True) for pair in pairwise(widths)]
    return nn.Sequential(*hidden, _last_layer(widths[-1], n_out, generator, info))


def _last_layer(
    n_in: int, n_out: int, generator: torch.Generator, info: Tensor | None
) -> Dense | InformedDense:
    if info is None:
        return Dense(n_in, n_out, generator)
    return InformedDense(n_in, info, generator)


class CurvedMap(nn.Module):
    """An affine map and, added to it, a network with one hidden layer that starts at 0.

    The affine part says how to go on where there are no data. A penalty on the weights of
    ``curve`` keeps the rest to what the data ask for.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs.
    n_hidden : int
        Width of the hidden layer.
    generator : torch.Generator
        Source of the initial weights.
    info : Tensor of shape (n_out, n_info) or None, default=None
        What is known of the features that the outputs are of, for the affine part.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_hidden: int,
        generator: torch.Generator,
        info: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.affine = _last_layer(n_in, n_out, generator, info)
        self.hidden = Dense(n_in, n_hidden, generator, tanh=True)
        # Units that bend within the range of z, each elsewhere: from Glorot's small weights and no
        # biases, the network would start as close to an odd and linear function as it gets.
        nn.init.normal_(self.hidden.weight, std=n_in**-0.5, generator=generator)
        nn.init.uniform_(self.hidden.bias, -1.0, 1.0, generator=generator)
        self.curve = Dense(n_hidden, n_out, generator)
        nn.init.zeros_(self.curve.weight)

    def forward(self, z: Tensor) -> Tensor:
        """Return the outputs, (..., n_out)."""
        return self.affine(z) + self.curve(self.hidden(z))


class GaussianEncoder(nn.Module):
    """The variational posterior q(z | x_obs), a Gaussian with diagonal covariance.

    A subclass says what the network sees of a row.

    Parameters
    ----------
    n_inputs, latent_dim : int
        Sizes of what the network sees and of z.
    hidden_dims : sequence of int
        Widths of the hidden layers.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(
        self,
        n_inputs: int,
        latent_dim: int,
        hidden_dims: Sequence[int],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.network = multilayer_perceptron(n_inputs, hidden_dims, 2 * latent_dim, generator)

    @abstractmethod
    def represent(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return what the network sees, (batch, n_inputs)."""

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-scale of z, each (batch, latent_dim).

        Parameters
        ----------
        x : Tensor of shape (batch, n_features)
            Rows with zeros at their missing values.
        mask : Tensor of shape (batch, n_features)
            1 where observed, 0 where missing.
        """
        # There are as many rows here as there are samples of each in a decoder: too few for a
        # lower precision to save anything.
        with torch.autocast(x.device.type, enabled=False):
            mean, log_scale = self.network(self.represent(x, mask)).chunk(2, dim=-1)
        return mean, log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)


class ZeroFillEncoder(GaussianEncoder):
    """The encoder that sees the row with zeros at its missing values.

    Without the mask as an input, the mechanism has to be learned through z (section 4.2 of the
    paper).

    Parameters
    ----------
    n_features, latent_dim : int
        Sizes of the row and of z.
    hidden_dims : sequence of int
        Widths of the hidden layers.
    generator : torch.Generator
        Source of the initial weights.
    sees_mask : bool, default=False
        Whether the mask is an input too.
    layout : CategoryLayout or None, default=None
        Which features are levels, which it sees as zeros and a one.
    """

    def __init__(
        self,
        n_features: int,
        latent_dim: int,
        hidden_dims: Sequence[int],
        generator: torch.Generator,
        sees_mask: bool = False,
        layout: CategoryLayout | None = None,
    ) -> None:
        n_inputs = n_features if layout is None else len(layout.owner)
        if sees_mask:
            n_inputs += n_features
        super().__init__(n_inputs, latent_dim, hidden_dims, generator)
        self.sees_mask = sees_mask
        self.layout = layout

    def represent(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the rows."""
        seen = x if self.layout is None else self.layout.widen(x, mask)[0]
        return torch.cat([seen, mask], dim=-1) if self.sees_mask else seen


class PermutationInvariantEncoder(GaussianEncoder):
    r"""The encoder that sees a set of observed cells.

    A row is represented by :math:`\sum_{j: m_j = 1} h(x_j, e_j)`, where the embedding
    :math:`e_j` of a feature is learned and the layer h is the same for all [1]_. A missing cell
    adds nothing, and neither the order nor the number of the features matters.

    Parameters
    ----------
    n_features, latent_dim : int
        Sizes of the row and of z.
    hidden_dims : sequence of int
        Widths of the hidden layers.
    generator : torch.Generator
        Source of the initial weights.
    embedding_dim : int
        Size of the embedding of a feature.
    code_dim : int
        Size of what represents a row.
    info : Tensor of shape (n_features, n_info) or None, default=None
        What is known of each feature: a linear function of it is added to the embedding.
    layout : CategoryLayout or None, default=None
        Which features are levels, each of which has an embedding of its own.

    References
    ----------
    .. [1] C. Ma, S. Tschiatschek, K. Palla, J. M. Hernandez-Lobato, S. Nowozin, C. Zhang,
       "EDDI: Efficient Dynamic Discovery of High-Value Information with Partial VAE",
       ICML 2019.
    """

    def __init__(
        self,
        n_features: int,
        latent_dim: int,
        hidden_dims: Sequence[int],
        generator: torch.Generator,
        embedding_dim: int = 20,
        code_dim: int = 50,
        info: Tensor | None = None,
        layout: CategoryLayout | None = None,
    ) -> None:
        super().__init__(code_dim, latent_dim, hidden_dims, generator)
        self.layout = layout
        if layout is not None:
            n_features = len(layout.owner)
            info = None if info is None else info[layout.owner]
        embedding = torch.empty((n_features, embedding_dim), dtype=torch.float32, device="cpu")
        self.embedding = nn.Parameter(embedding.normal_(generator=generator))
        self.code = Dense(embedding_dim + 1, code_dim, generator, tanh=True)
        self.of_info = None if info is None else InformedEmbedding(info, embedding_dim, generator)

    def represent(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the sum of the codes of observed cells."""
        if self.layout is not None:
            x, mask = self.layout.widen(x, mask)
        embedding = self.embedding if self.of_info is None else self.embedding + self.of_info()
        of_value, of_feature = self.code.weight[:, 0], self.code.weight[:, 1:]
        constant = F.linear(embedding, of_feature, self.code.bias)
        sum_of_codes = sum_over_observed if x.device.type == "cpu" else sum_over_all
        return sum_of_codes(x, mask, of_value, constant)


def sum_over_observed(x: Tensor, mask: Tensor, of_value: Tensor, constant: Tensor) -> Tensor:
    """Sum tanh(x_j w + c_j) over the observed cells of each row, looking at no others.

    In a table of ratings few are observed.

    Parameters
    ----------
    x, mask : Tensor of shape (batch, n_features)
        Rows with zeros at their missing values, and 1 where they are observed.
    of_value : Tensor of shape (code_dim,)
        w.
    constant : Tensor of shape (n_features, code_dim)
        c.
    """
    rows, features = mask.nonzero(as_tuple=True)
    cells = x[rows, features].unsqueeze(-1)
    codes = torch.tanh(cells * of_value + F.embedding(features, constant))
    n_cells = torch.bincount(rows, minlength=len(x))
    return torch.segment_reduce(codes, "sum", lengths=n_cells, unsafe=True)


def sum_over_all(x: Tensor, mask: Tensor, of_value: Tensor, constant: Tensor) -> Tensor:
    """Compute what :func:`sum_over_observed` does, with 0 for the codes of other cells.

    A GPU would have to tell how many are observed before it could go on.
    """
    codes = torch.tanh(x.unsqueeze(-1) * of_value + constant)
    return (codes * mask.unsqueeze(-1)).sum(1)


class InformedEmbedding(nn.Module):
    """A linear function of what is known of each feature.

    Parameters
    ----------
    info : Tensor of shape (n_features, n_info)
        What is known.
    embedding_dim : int
        Size of the result for a feature.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(self, info: Tensor, embedding_dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.info: Tensor
        self.register_buffer("info", info)
        n_info = info.shape[1]
        weight = torch.empty((n_info, embedding_dim), dtype=torch.float32, device="cpu")
        self.weight = nn.Parameter(weight.normal_(0.0, n_info**-0.5, generator=generator))

    def forward(self) -> Tensor:
        """Return the embeddings, (n_features, embedding_dim)."""
        return self.info @ self.weight


class DataDecoder(nn.Module):
    """The distribution p(x | z), of which features are independent.

    Parameters
    ----------
    n_inputs, n_features : int
        Sizes of what is decoded, z and what is given with it, and of the row.
    hidden_dims : sequence of int
        Widths of the hidden layers; empty for a linear decoder.
    observation_scale : {"shared", "feature", "heteroscedastic"}
        One learned scale, one for each feature, or one for each feature as a function
        of z.
    generator : torch.Generator
        Source of the initial weights.
    likelihood : {"gaussian", "student_t"}
        Family of the distribution. Degrees of freedom are learned as the scale is.
    curved : bool
        Whether the network is a :class:`CurvedMap`, whose hidden layer has the first of the widths.
    info : Tensor of shape (n_features, n_info) or None, default=None
        What is known of each feature; see :class:`~gnr_sklearn.nn.layers.InformedDense`.
    mean_limits : tuple of float or None, default=None
        Ends of the range of a mean that is a sigmoid function; None for no such function.
    layout : CategoryLayout or None, default=None
        Which features are levels, if some are.
    discrete : sequence of DiscreteFeature
        What the layout was made of.
    """

    def __init__(
        self,
        n_inputs: int,
        n_features: int,
        hidden_dims: Sequence[int],
        observation_scale: ObservationScale,
        generator: torch.Generator,
        likelihood: LikelihoodName = "gaussian",
        curved: bool = False,
        info: Tensor | None = None,
        mean_limits: tuple[float, float] | None = None,
        layout: CategoryLayout | None = None,
        discrete: Sequence[DiscreteFeature] = (),
    ) -> None:
        super().__init__()
        self.mean_limits = mean_limits
        self.layout = layout
        for name, value, allowed in (
            ("observation_scale", observation_scale, get_args(ObservationScale)),
            ("likelihood", likelihood, get_args(LikelihoodName)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        self.head = None
        n_of_levels = 0
        if layout is not None:
            n_features = len(layout.continuous)
            self.head = CategoricalHead(layout, discrete)
            n_of_levels = self.head.n_outputs
        self.likelihood = likelihood
        n_blocks = 1
        self.raw_scale = self.raw_degrees_of_freedom = None
        if observation_scale == "heteroscedastic":
            n_blocks = 2 if likelihood == "gaussian" else 3
        else:
            n_scales = 1 if observation_scale == "shared" else n_features
            zeros = torch.zeros(n_scales, dtype=torch.float32, device="cpu")
            self.raw_scale = nn.Parameter(zeros)
            if likelihood == "student_t":
                self.raw_degrees_of_freedom = nn.Parameter(zeros.clone())
        self.n_blocks = n_blocks
        n_outputs = n_blocks * n_features + n_of_levels
        if info is not None:
            of_numbers = info if layout is None else info[layout.continuous]
            of_levels = info[:0] if self.head is None else info[self.head.owner]
            info = torch.cat([of_numbers.repeat(n_blocks, 1), of_levels])
        self.network: nn.Module = (
            CurvedMap(n_inputs, n_outputs, hidden_dims[0], generator, info)
            if curved
            else multilayer_perceptron(n_inputs, hidden_dims, n_outputs, generator, info)
        )

    def forward(self, z: Tensor) -> Likelihood:
        """Return the distribution, whose mean is (..., n_features)."""
        outputs = self.network(z)
        if self.head is None:
            return self._numbers(outputs)
        assert self.layout is not None
        n_of_numbers = outputs.shape[-1] - self.head.n_outputs
        numbers, of_levels = outputs.split([n_of_numbers, self.head.n_outputs], dim=-1)
        return Mixed(self._numbers(numbers), self.head(of_levels), self.layout)

    def _numbers(self, mean: Tensor) -> Gaussian | StudentT:
        raw: list[Tensor] = [
            p for p in (self.raw_scale, self.raw_degrees_of_freedom) if p is not None
        ]
        if not raw:
            mean, *raw = mean.tensor_split(self.n_blocks, dim=-1)
        if self.mean_limits is not None:
            low, high = self.mean_limits
            mean = low + (high - low) * mean.sigmoid()
        scale = F.softplus(raw[0]) + MIN_SCALE
        if self.likelihood == "gaussian":
            return Gaussian(mean, scale)
        return StudentT(mean, scale, F.softplus(raw[1]) + MIN_DEGREES_OF_FREEDOM)
