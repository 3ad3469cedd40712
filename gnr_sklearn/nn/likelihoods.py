"""Distributions of rows with independent features; log-densities are summed over features."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.special import log_ndtr

from gnr_sklearn.nn.categories import CategoryLayout

__all__ = [
    "Continuous",
    "Gaussian",
    "Likelihood",
    "Mixed",
    "SELECTED",
    "Selected",
    "SelectedGaussian",
    "StudentT",
    "TwiceSelectedGaussian",
    "bernoulli_log_density",
    "selected",
    "standard_normal_log_density",
]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)

# Where what is left of a normal distribution below a limit is drawn as if exponential.
EXPONENTIAL_BELOW = -7.0


class Gaussian(NamedTuple):
    """Normal distributions.

    Attributes
    ----------
    mean : Tensor of shape (..., d)
    scale : Tensor, broadcasts against `mean`
        Standard deviation.
    """

    mean: Tensor
    scale: Tensor

    def log_density(self, x: Tensor, mask: Tensor) -> Tensor:
        """Log-density of x, summed over the features where mask is 1; arguments broadcast."""
        # What does not depend on the samples of z is kept apart from what does: with a scale that
        # is a parameter, only three operations are on tensors with an axis of samples.
        residual = (self.mean - x) * (mask / self.scale)
        normalizer = (mask * (self.scale.log() + _HALF_LOG_TWO_PI)).sum(-1)
        return residual.square().sum(-1) * -0.5 - normalizer

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw from the distributions."""
        return self.mean + self.scale * _normal_like(self.mean, generator)


class StudentT(NamedTuple):
    """Student's t distributions with more than two degrees of freedom.

    Attributes
    ----------
    mean : Tensor of shape (..., d)
    scale : Tensor, broadcasts against `mean`
        Scale, which is less than the standard deviation.
    degrees_of_freedom : Tensor, broadcasts against `mean`
    """

    mean: Tensor
    scale: Tensor
    degrees_of_freedom: Tensor

    def log_density(self, x: Tensor, mask: Tensor) -> Tensor:
        """Log-density of x, summed over the features where mask is 1; arguments broadcast."""
        half = 0.5 * self.degrees_of_freedom
        residual = (self.mean - x) * (mask / self.scale)
        kernel = ((half + 0.5) * torch.log1p(residual.square() / self.degrees_of_freedom)).sum(-1)
        log_constant = torch.lgamma(half + 0.5) - torch.lgamma(half)
        log_constant = log_constant - 0.5 * (2.0 * math.pi * half).log() - self.scale.log()
        return (mask * log_constant).sum(-1) - kernel

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw from the distributions."""
        # A normal number divided by the root of a chi-squared one over its degrees of freedom
        # would need gamma numbers, which torch draws from its global random state only. With
        # uniform U and V, sqrt(nu (U^(-2 / nu) - 1)) cos(2 pi V) has the same distribution [1]_.
        # .. [1] R. W. Bailey, "Polar Generation of Random Variates with the t-Distribution",
        #    Mathematics of Computation 62(206), 1994.
        u, v = (
            torch.rand(
                self.mean.shape, generator=generator, dtype=self.mean.dtype, device=self.mean.device
            )
            for _ in range(2)
        )
        smallest = torch.finfo(u.dtype).tiny
        power = -2.0 / self.degrees_of_freedom * u.clamp(min=smallest).log()
        radius = (self.degrees_of_freedom * torch.expm1(power)).sqrt()
        return self.mean + self.scale * radius * torch.cos(2.0 * math.pi * v)


class SelectedGaussian(NamedTuple):
    r"""Distributions of values that have gone missing by themselves.

    Of normally distributed values, those that are lost by the chance

    .. math::

        P(m = 0 \mid u) = f + (c - f) \, \Phi(a u + b), \qquad u \sim N(\mu, s^2) .

    Attributes
    ----------
    mean_of_all : Tensor of shape (..., d)
        The mean of the values before some are lost.
    scale : Tensor, broadcasts against `mean_of_all`
        Their standard deviation s.
    slope, intercept : Tensor, broadcast against `mean_of_all`
        a and b.
    log_floor, log_rise : Tensor, broadcast against `mean_of_all`
        Logarithms of f and of c - f.
    """

    mean_of_all: Tensor
    scale: Tensor
    slope: Tensor
    intercept: Tensor
    log_floor: Tensor
    log_rise: Tensor

    @property
    def argument(self) -> tuple[Tensor, Tensor]:
        """Return 1 / r and t = (a mu + b) / r, with r the root of 1 + a^2 s^2."""
        return _argument(self.mean_of_all, self.scale, self.slope, self.intercept)

    @property
    def steps(self) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Return a, 1 / r, t, and the share of what is not lost by chance, of each step."""
        inverse, t = self.argument
        return [(self.slope, inverse, t, torch.ones_like(t))]

    @property
    def log_missing(self) -> Tensor:
        """Log-probability that a value is lost."""
        return torch.logaddexp(self.log_floor, self.log_rise + log_ndtr(self.argument[1]))

    @property
    def share_by_chance(self) -> Tensor:
        """The part of what is lost that the floor makes of it."""
        return (self.log_floor - self.log_missing).exp()

    @property
    def mean(self) -> Tensor:
        r"""The mean of what is lost, :math:`\mu + (c - f) \frac{a s^2}{r} \phi(t) / P(m = 0)`."""
        inverse, t = self.argument
        rise = self.log_rise.exp()
        density = (t.square() * -0.5).exp()
        # Not by its logarithm, which takes ten times as long. Half of erfc(-t / sqrt(2)) is the
        # normal distribution function.
        chance = torch.addcmul(self.log_floor.exp(), 0.5 * rise, torch.erfc(t * -math.sqrt(0.5)))
        tilt = self.slope * self.scale.square() * inverse
        least = torch.finfo(chance.dtype).tiny
        ratio = rise * math.exp(-_HALF_LOG_TWO_PI) * density / chance.clamp(min=least)
        # Far out in the tail, where both round to 0, it is -t.
        return self.mean_of_all + tilt * torch.where(chance >= least, ratio, -t)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw from the distributions."""
        # A value is lost by chance alone, in the share of the floor, or because a u + b plus
        # standard normal noise is positive. Of that sum, over its standard deviation r, the part
        # above 0 is drawn by its quantiles, and the value given the sum is normal.
        return _draw_lost(self, self.slope, *self.argument, generator)


class TwiceSelectedGaussian(NamedTuple):
    r"""Distributions of values that have gone missing by themselves at both ends.

    Of normally distributed values, those that are lost by the chance

    .. math::

        P(m = 0 \mid u) = f + (c - f) \, (\Phi(a u + b) + \Phi(a' u + b')) ,
        \qquad u \sim N(\mu, s^2) .

    Attributes
    ----------
    mean_of_all, scale, slope, intercept, log_floor, log_rise
        As of :class:`SelectedGaussian`.
    lower_slope, lower_intercept : Tensor, broadcast against `mean_of_all`
        a' and b' of the step at the other end.
    """

    mean_of_all: Tensor
    scale: Tensor
    slope: Tensor
    intercept: Tensor
    log_floor: Tensor
    log_rise: Tensor
    lower_slope: Tensor
    lower_intercept: Tensor

    @property
    def _arguments(self) -> list[tuple[Tensor, Tensor]]:
        ends = (self.slope, self.intercept), (self.lower_slope, self.lower_intercept)
        return [_argument(self.mean_of_all, self.scale, *end) for end in ends]

    @property
    def steps(self) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Return a, 1 / r, t, and the share of what is not lost by chance, of each step."""
        (inverse, t), (lower_inverse, lower_t) = self._arguments
        of_upper = torch.sigmoid(log_ndtr(t) - log_ndtr(lower_t))
        return [
            (self.slope, inverse, t, of_upper),
            (self.lower_slope, lower_inverse, lower_t, 1.0 - of_upper),
        ]

    @property
    def log_missing(self) -> Tensor:
        """Log-probability that a value is lost."""
        upper, lower = (log_ndtr(t) for _, t in self._arguments)
        return torch.logaddexp(self.log_floor, self.log_rise + torch.logaddexp(upper, lower))

    @property
    def share_by_chance(self) -> Tensor:
        """The part of what is lost that the floor makes of it."""
        return (self.log_floor - self.log_missing).exp()

    @property
    def mean(self) -> Tensor:
        """The mean of what is lost: each end draws it to its side, by its part."""
        rise = self.log_rise.exp()
        total, tilt = self.log_floor.exp(), torch.zeros_like(self.mean_of_all)
        far = torch.zeros_like(self.mean_of_all)
        for slope, inverse, t, of_step in self.steps:
            pull = slope * self.scale.square() * inverse
            total = torch.addcmul(total, 0.5 * rise, torch.erfc(t * -math.sqrt(0.5)))
            tilt = tilt + pull * (rise * math.exp(-_HALF_LOG_TWO_PI) * (t.square() * -0.5).exp())
            far = far + of_step * pull * -t
        least = torch.finfo(total.dtype).tiny
        # As of one step: in the tail where both round to 0, it is -t.
        return self.mean_of_all + torch.where(total >= least, tilt / total.clamp(min=least), far)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw from the distributions."""
        upper, lower = self.steps
        shape, like = upper[2].shape, upper[2]
        which = torch.rand(shape, generator=generator, dtype=like.dtype, device=like.device)
        is_upper = which < upper[3]
        slope, inverse, t = (
            torch.where(is_upper, *of_both) for of_both in zip(upper[:3], lower[:3], strict=True)
        )
        return _draw_lost(self, slope, inverse, t, generator)


Selected = SelectedGaussian | TwiceSelectedGaussian
SELECTED = (SelectedGaussian, TwiceSelectedGaussian)


def selected(mean: Tensor, scale: Tensor, *process: Tensor) -> Selected:
    """Return the distributions of what goes missing of N(mean, scale^2).

    Of the process are given a, b, and the logarithms of f and c - f, and for one with a step at
    either end a' and b' too.
    """
    if len(process) == len(SelectedGaussian._fields) - 2:
        return SelectedGaussian(mean, scale, *process)
    return TwiceSelectedGaussian(mean, scale, *process)


def _argument(
    mean: Tensor, scale: Tensor, slope: Tensor, intercept: Tensor
) -> tuple[Tensor, Tensor]:
    inverse = torch.rsqrt(1.0 + (slope * scale).square())
    return inverse, (slope * mean + intercept) * inverse


def _draw_lost(
    lost: Selected, slope: Tensor, inverse: Tensor, t: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw what one step loses, or the floor."""
    by_chance, quantile = (
        torch.rand(t.shape, generator=generator, dtype=t.dtype, device=t.device) for _ in range(2)
    )
    sum_above = -_quantile_below(t, quantile)
    noise = _normal_like(lost.mean_of_all, generator)
    tilted = lost.mean_of_all + lost.scale * inverse * (slope * lost.scale * sum_above + noise)
    plain = lost.mean_of_all + lost.scale * noise
    return torch.where(by_chance < lost.share_by_chance, plain, tilted)


def _quantile_below(limit: Tensor, quantile: Tensor) -> Tensor:
    """Turn uniform numbers into standard normal ones that are at most `limit`."""
    # Far out in the tail the normal distribution function rounds to 0, in single precision soon;
    # there the square of what lies beyond is as good as exponentially distributed.
    limit, smallest = limit.double(), torch.finfo(quantile.dtype).tiny
    part = quantile.clamp(min=smallest).double()
    inner = torch.special.ndtri(torch.special.ndtr(limit) * part)
    outer = -(limit.square() - 2.0 * part.log()).sqrt()
    below = torch.where(limit > EXPONENTIAL_BELOW, torch.minimum(inner, limit), outer)
    return below.to(quantile.dtype)


Continuous = Gaussian | Selected | StudentT


class Mixed(NamedTuple):
    """Distributions of rows of which some features are levels.

    Attributes
    ----------
    numbers : Gaussian, SelectedGaussian, TwiceSelectedGaussian or StudentT
        The distributions of the continuous features.
    log_probs : Tensor of shape (..., J, C)
        Log-probabilities of the levels of the others.
    layout : CategoryLayout
        Which are which.
    """

    numbers: Continuous
    log_probs: Tensor
    layout: CategoryLayout

    def log_density(self, x: Tensor, mask: Tensor) -> Tensor:
        """Log-density of x, summed over the features where mask is 1; arguments broadcast."""
        layout, c = self.layout, self.layout.continuous
        assert not isinstance(self.numbers, SELECTED)
        of_numbers = self.numbers.log_density(x[..., c], mask[..., c])
        of_levels = (self.log_probs * layout.one_hot(x)).sum(-1)
        return of_numbers + (of_levels * mask[..., layout.discrete]).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The mean of the wide form: means of continuous features, and probabilities."""
        probs = self.layout.select_levels(self.log_probs.exp())
        mean = self.numbers.mean
        return torch.cat([mean.expand(*probs.shape[:-1], -1), probs], dim=-1)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw from the distributions."""
        return self.layout.join(self.numbers.draw(generator), self.draw_levels(generator))

    def draw_levels(self, generator: torch.Generator) -> Tensor:
        """Draw levels, (..., J)."""
        shape = self.log_probs.shape
        probs = self.log_probs.exp().reshape(-1, shape[-1])
        chosen = torch.multinomial(probs, 1, generator=generator).view(shape[:-1])
        levels = self.layout.levels.expand(shape)
        return levels.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)


Likelihood = Continuous | Mixed


def _normal_like(mean: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)


def standard_normal_log_density(z: Tensor) -> Tensor:
    """Log of N(z; 0, I)."""
    return z.square().sum(-1) * -0.5 - _HALF_LOG_TWO_PI * z.shape[-1]


def bernoulli_log_density(outcome: Tensor, logits: Tensor) -> Tensor:
    """Log-probability of outcomes in {0, 1} where P(1) = sigmoid(logits)."""
    return F.logsigmoid((2.0 * outcome - 1.0) * logits).sum(-1)
