"""Features whose values are a few levels, such as categories, beside continuous ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["CategoricalHead", "CategoryLayout", "DiscreteFeature"]

# Log-odds of a level that a feature does not have.
NEVER = -1e4


class DiscreteFeature(NamedTuple):
    """A feature whose values are a few levels.

    Attributes
    ----------
    place : int
        Its place among the features.
    levels : sequence of float
        What stands for its levels in the rows, ascending and evenly spaced.
    shares : sequence of float
        The part of the observed values that each level is, which its log-odds start from.
    is_ordered : bool
        Whether levels have an order, and are one number's doing.
    """

    place: int
    levels: Sequence[float]
    shares: Sequence[float]
    is_ordered: bool


class CategoryLayout(nn.Module):
    r"""Where continuous and discrete features are, and which levels the latter have.

    The *wide* form of a row has its continuous features first, and then a number for each level of
    each discrete feature: 1 for the level that is observed and else 0, or a probability.

    Parameters
    ----------
    n_features : int
        Number of features d.
    discrete : sequence of DiscreteFeature
        J features with at most C levels.
    """

    def __init__(self, n_features: int, discrete: Sequence[DiscreteFeature]) -> None:
        super().__init__()
        places = [feature.place for feature in discrete]
        others = [index for index in range(n_features) if index not in set(places)]
        n_most = max(len(feature.levels) for feature in discrete)
        levels = torch.zeros((len(discrete), n_most), dtype=torch.float32, device="cpu")
        is_level = torch.zeros((len(discrete), n_most), dtype=torch.bool, device="cpu")
        half_gap = torch.ones(len(discrete), dtype=torch.float32, device="cpu")
        for row, feature in enumerate(discrete):
            n_levels = len(feature.levels)
            levels[row, :n_levels] = torch.tensor(feature.levels, dtype=torch.float32, device="cpu")
            is_level[row, :n_levels] = True
            if n_levels > 1:
                half_gap[row] = (feature.levels[1] - feature.levels[0]) / 2
        self.continuous: Tensor
        self.discrete: Tensor
        self.levels: Tensor
        self.is_level: Tensor
        self.level_places: Tensor
        self.half_gap: Tensor
        self.order: Tensor
        self.register_buffer("continuous", torch.tensor(others, dtype=torch.int64, device="cpu"))
        self.register_buffer("discrete", torch.tensor(places, dtype=torch.int64, device="cpu"))
        self.register_buffer("levels", levels)
        self.register_buffer("is_level", is_level)
        # By places rather than by a mask, whose length a GPU would have to tell first.
        places_of_levels = is_level.flatten().nonzero().squeeze(1)
        self.register_buffer("level_places", places_of_levels, persistent=False)
        self.register_buffer("half_gap", half_gap)
        self.register_buffer("order", torch.tensor([*others, *places], device="cpu").argsort())

    @property
    def owner(self) -> Tensor:
        """The feature that each number of the wide form belongs to."""
        of_codes = self.select_levels(self.discrete.unsqueeze(1).expand_as(self.is_level))
        return torch.cat([self.continuous, of_codes])

    def select_levels(self, codes: Tensor) -> Tensor:
        """Take the numbers of levels that there are, (..., n_levels), from all, (..., J, C)."""
        return codes.flatten(-2)[..., self.level_places]

    def one_hot(self, x: Tensor) -> Tensor:
        """Return 1 for the level that a value is, (..., J, C), from rows (..., d)."""
        distance = (x[..., self.discrete].unsqueeze(-1) - self.levels).abs()
        return ((distance < self.half_gap.unsqueeze(-1)) & self.is_level).to(x.dtype)

    def widen(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the wide form of rows with zeros at what is missing, and what is 1 or seen of it.

        Parameters
        ----------
        x, mask : Tensor of shape (B, d)
            Rows with zeros at their missing values, and 1 where they are observed.
        """
        codes = self.one_hot(x) * mask[..., self.discrete].unsqueeze(-1)
        codes = self.select_levels(codes)
        numbers, seen = x[..., self.continuous], mask[..., self.continuous]
        return torch.cat([numbers, codes], dim=-1), torch.cat([seen, codes], dim=-1)

    def join(self, numbers: Tensor, levels: Tensor) -> Tensor:
        """Put continuous features and those that are levels into their order, (..., d)."""
        return torch.cat([numbers, levels], dim=-1)[..., self.order]


class CategoricalHead(nn.Module):
    r"""Log-probabilities of levels.

    The levels of a feature without order have an output of a network each, those of an ordered one
    share an output :math:`\eta_j`,

    .. math::

        \log p(x_j = l_{jc}) = \eta_j \, l_{jc} + b_{jc} + const,

    so that the odds of each level against the one below rise alike: the model of adjacent
    categories, which with two levels is logistic regression.

    Parameters
    ----------
    layout : CategoryLayout
        The features.
    discrete : sequence of DiscreteFeature
        As the layout was made of.
    """

    def __init__(self, layout: CategoryLayout, discrete: Sequence[DiscreteFeature]) -> None:
        super().__init__()
        source = torch.zeros(layout.levels.shape, dtype=torch.int64, device="cpu")
        factor = torch.zeros_like(layout.levels)
        bias = torch.full_like(layout.levels, NEVER)
        owner: list[int] = []
        for row, feature in enumerate(discrete):
            these = slice(0, len(feature.levels))
            n_outputs = 1 if feature.is_ordered else len(feature.levels)
            factor[row, these] = layout.levels[row, these] if feature.is_ordered else 1.0
            source[row, these] = len(owner) + torch.arange(n_outputs, device="cpu")
            shares = torch.tensor(feature.shares, dtype=torch.float32, device="cpu")
            bias[row, these] = shares.clamp(min=1e-6).log()
            owner += [feature.place] * n_outputs
        self.n_outputs = len(owner)
        # The feature that each output is of.
        self.owner = owner
        self.source: Tensor
        self.factor: Tensor
        self.register_buffer("source", source)
        self.register_buffer("factor", factor)
        self.bias = nn.Parameter(bias)

    def forward(self, outputs: Tensor) -> Tensor:
        """Return log-probabilities (..., J, C) from outputs of a network, (..., n_outputs)."""
        # In bfloat16 probabilities would sum to something else than 1.
        of_levels = outputs.float()[..., self.source]
        return torch.addcmul(self.bias, self.factor, of_levels).log_softmax(-1)
