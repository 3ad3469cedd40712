"""Missing processes: how being observed depends on the values themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnr_sklearn.nn.likelihoods import Selected, selected
from gnr_sklearn.nn.networks import multilayer_perceptron

__all__ = ["MissingProcess", "ProbitStep", "ValueProcess"]

# The slope that a process of known direction starts from is softplus of this, 1.
RAW_SLOPE = math.log(math.expm1(1.0))

# Where a value process starts from, in standard deviations of the observed values: so steep that
# a threshold shows in the gradient, from both sides of it.
STEEP_SLOPE = 3.0

# How many more values a process starts by regarding as beyond its threshold than are missing.
BEYOND = 2.0
MAX_CEILING = 0.96

# How far out the threshold of a feature of few levels starts, in standard deviations.
BEYOND_LEVELS = 1.0

# Logarithm of the height of a step that is none.
NO_RISE = -60.0

# The intercept of a step that no value comes close to.
NO_STEP = -40.0

# Parameters of what is lost, if it is lost whatever its value: slope and intercept, logarithms of
# floor and rise, and slope and intercept of the step at the lower end.
LOST_FOR_SURE = (0.0, 0.0, 0.0, NO_RISE, 0.0, NO_STEP)

# The direction of features that lose values at both ends.
BOTH = 2.0


class MissingProcess(nn.Module):
    r"""Log-odds of being observed for each feature, given the complete row.

    Self-masking features are missing by their own value,

    .. math::

        \log \frac{P(m_j = 1 \mid x)}{P(m_j = 0 \mid x)} = -w_j (x_j - b_j) ,

    with :math:`w_j > 0` where large values go missing and :math:`w_j < 0` where small ones
    do. Other processes let a feature depend on all values, by an affine map or a network.

    Parameters
    ----------
    kind : {"self_masking", "self_masking_known", "linear", "nonlinear"}
        The form of the process; "self_masking_known" fixes the signs of the slopes.
    n_features : int
        Number of features d.
    hidden_dims : sequence of int
        Widths of the hidden layers of the network of "nonlinear".
    generator : torch.Generator
        Source of the initial weights.
    direction : sequence of {-1, 0, 1} or None
        Signs of the slopes, for "self_masking_known" only; None for 1 everywhere. 0 is for features
        whose values say nothing of their being missing, of any self-masking kind.
    shared : bool, default=False
        Whether self-masking features have one slope, but for its sign, and one threshold. Those of
        direction 0 have log-odds of their own.
    n_inputs : int or None, default=None
        Size of what the other kinds see; None for the number of features.
    """

    def __init__(
        self,
        kind: str,
        n_features: int,
        hidden_dims: Sequence[int],
        generator: torch.Generator,
        direction: Sequence[int] | None = None,
        shared: bool = False,
        n_inputs: int | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.network = None
        if kind in ("linear", "nonlinear"):
            widths = hidden_dims if kind == "nonlinear" else ()
            n_inputs = n_inputs or n_features
            self.network = multilayer_perceptron(n_inputs, widths, n_features, generator)
            return
        if kind not in ("self_masking", "self_masking_known"):
            raise ValueError(
                "kind must be 'self_masking', 'self_masking_known', 'linear' or 'nonlinear', "
                f"got {kind!r}."
            )
        n_processes = 1 if shared else n_features
        slope = torch.empty(n_processes, dtype=torch.float32, device="cpu")
        if kind == "self_masking":
            slope.normal_(generator=generator)
        self.slope = nn.Parameter(slope if kind == "self_masking" else slope.fill_(RAW_SLOPE))
        zeros = torch.zeros(n_processes, dtype=torch.float32, device="cpu")
        self.threshold = nn.Parameter(zeros)
        signs = torch.tensor(direction or [1] * n_features, dtype=torch.float32, device="cpu")
        # Whether the chance of some features is the same for all values.
        self.has_flat = bool((signs == 0).any())
        # What others share is where a value is large, and tells nothing of these.
        own = torch.zeros(n_features, dtype=torch.float32, device="cpu")
        self.flat_log_odds = nn.Parameter(own) if shared and self.has_flat else None
        self.direction: Tensor
        self.register_buffer("direction", signs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-odds, (..., d), at complete rows."""
        if self.network is not None:
            return self.network(x)
        known = self.kind == "self_masking_known"
        slope = F.softplus(self.slope) if known else self.slope
        slope = slope * (self.direction if known else self.direction.abs())
        log_odds = -slope * (x - self.threshold)
        if not self.has_flat:
            return log_odds
        flat = self.threshold if self.flat_log_odds is None else self.flat_log_odds
        return torch.where(self.direction == 0, flat, log_odds)


class ProbitStep(NamedTuple):
    r"""Chances of values to be missing, :math:`f + (c - f) \, \Phi(a u + b)`.

    Or, where some features lose values at both ends,
    :math:`f + (c - f) \, (\Phi(a u + b) + \Phi(a' u + b'))`, of which no more than one counts.

    Attributes
    ----------
    slope, intercept : Tensor of shape (d,)
        a and b.
    log_floor, log_rise : Tensor of shape (d,)
        Logarithms of f and of c - f.
    seen_beyond : Tensor of shape (d,)
        1 - c, the chance to be seen of values far beyond the threshold.
    lower_slope, lower_intercept : Tensor of shape (d,) or None, default=None
        a' and b'; None where no feature loses values at both ends.
    """

    slope: Tensor
    intercept: Tensor
    log_floor: Tensor
    log_rise: Tensor
    seen_beyond: Tensor
    lower_slope: Tensor | None = None
    lower_intercept: Tensor | None = None

    def log_odds(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """Return the log-odds of being observed, (..., d), of normally distributed values.

        Parameters
        ----------
        mean : Tensor of shape (..., d)
            The values, or the means of their distributions.
        variance : Tensor, broadcasts against `mean`, or None, default=None
            0 where a value is known; None where all are.
        """
        return self.log_observed(mean, variance) - self.log_missing(mean, variance)

    def log_missing(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """Return the log-probability of being missing, (..., d); arguments as of the log-odds."""
        return self._log_chance(mean, variance, self.log_floor.exp(), -1.0)

    def log_observed(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """Return the log-probability of being observed, (..., d); arguments as of the log-odds."""
        return self._log_chance(mean, variance, self.seen_beyond, 1.0)

    def _log_chance(
        self, mean: Tensor, variance: Tensor | None, constant: Tensor, sign: float
    ) -> Tensor:
        """Return the logarithm of a constant plus the rise times the step, or times one less it.

        Floors are above 0 and ceilings below 1, so that logarithms of the distribution function,
        which take ten times as long, are not needed: where it rounds to 0 it counts for nothing.
        """
        slope, intercept = ((sign * math.sqrt(0.5)) * part for part in (self.slope, self.intercept))
        if variance is not None:
            shrinkage = torch.rsqrt(1.0 + self.slope.square() * variance)
            slope, intercept = slope * shrinkage, intercept * shrinkage
        # The normal distribution function of t is half of erfc(-t / sqrt(2)). All else that can be
        # is done on parameters, of which there are far fewer than of samples.
        step = torch.erfc(torch.addcmul(intercept, slope, mean))
        if self.lower_slope is not None and self.lower_intercept is not None:
            argument = (self.lower_slope * mean + self.lower_intercept) * -math.sqrt(0.5)
            if variance is not None:
                argument = argument * torch.rsqrt(1.0 + self.lower_slope.square() * variance)
            lower = torch.erfc(argument)
            step = step + lower if sign < 0 else (step - lower).clamp(min=0.0)
        least = torch.finfo(mean.dtype).tiny
        rise = 0.5 * self.log_rise.exp()
        return torch.addcmul(constant.clamp(min=least), rise, step).log()

    def of(self, features: Tensor) -> ProbitStep:
        """Return the step of some of the features."""
        return ProbitStep(*(part[..., features] for part in self if part is not None))

    def with_certain(self, cells: Tensor) -> ProbitStep:
        """Return the steps of rows of which some cells, (B, d), are missing for sure."""
        certain = (*LOST_FOR_SURE[:4], 0.0, *LOST_FOR_SURE[4:])
        parts = [part for part in self if part is not None]
        return ProbitStep(
            *(torch.where(cells, *pair) for pair in zip(certain, parts, strict=False))
        )

    def select(self, mean: Tensor, scale: Tensor) -> Selected:
        """Return the distributions of what goes missing of N(mean, scale^2)."""
        return selected(mean, scale, *self.of_what_is_lost)

    @property
    def of_what_is_lost(self) -> tuple[Tensor, ...]:
        """Return a, b, and the logarithms of f and c - f, and a' and b' if there are such."""
        of_one = self.slope, self.intercept, self.log_floor, self.log_rise
        if self.lower_slope is None or self.lower_intercept is None:
            return of_one
        return *of_one, self.lower_slope, self.lower_intercept


class ValueProcess(nn.Module):
    r"""The chance of each value to be missing, a function of this value that integrates exactly.

    A probit step between a floor and a ceiling,

    .. math::

        P(m_j = 0 \mid u_j) = f_j + (c_j - f_j) \, \Phi(a_j u_j + b_j) ,

    with a slope :math:`a_j > 0` where large values go missing, :math:`a_j < 0` where small ones
    do, and :math:`a_j = 0` where the chance is the same for all values. The ceiling says what
    fraction of the values far beyond the threshold :math:`-b_j / a_j` goes missing, the floor
    what fraction of those far on its other side. For :math:`u_j \sim N(\mu_j, s_j^2)`, with
    :math:`r_j = (1 + a_j^2 s_j^2)^{1/2}`, the chance is :math:`f_j + (c_j - f_j) \,
    \Phi((a_j \mu_j + b_j) / r_j)`. Features that lose values at both ends have a step at either,
    up and down, of the same slope.

    Parameters
    ----------
    missing_fraction : sequence of float
        Fraction of the values of each feature that are missing, which the process starts from.
    direction : sequence of {-1, 0, 1, 2}
        Signs of the slopes; 2 for a step at both ends, which nothing may have in common.
    is_tied : sequence of bool or None, default=None
        Features whose slope is held at 3; None for none.
    has_few_levels : sequence of bool or None, default=None
        Features of few levels, whose threshold starts further out; None for none, as for features
        that share one.
    shared : bool, default=False
        Whether all features, which are then measured in the same units, have one process but for
        the sign of the slope. Those of direction 0 have a chance of their own.

    Notes
    -----
    A step that is as high as it is wide explains the same number of missing values as a low one
    that starts early, and training from a high one seldom finds the other. So the ceiling starts
    at twice the fraction missing: as if half of the values were beyond the threshold.

    The log-odds of the ceilings are those that features share and a deviation for each, which a
    penalty is meant to keep small: a table often has one way of losing values.

    Where many values of a feature are the same, such as zeros, the step that fits best is one so
    steep as to lie between them and the next ones, and leaves no room for what is lost. So the
    slope of such a feature should be held. Where there are few levels altogether, a threshold that
    starts among those that are seen does not find its way past the last of them, and a low ceiling
    has to explain what is missing. So it starts a standard deviation further out.
    """

    def __init__(
        self,
        missing_fraction: Sequence[float],
        direction: Sequence[int],
        is_tied: Sequence[bool] | None = None,
        has_few_levels: Sequence[bool] | None = None,
        *,
        shared: bool = False,
    ) -> None:
        super().__init__()
        fraction = torch.tensor(missing_fraction, dtype=torch.float32, device="cpu")
        signs = torch.tensor(direction, dtype=torch.float32, device="cpu")
        is_flat = signs == 0
        self.flat_log_odds: nn.Parameter | None = None
        if shared:
            # What features share says nothing of one whose values do not matter.
            if is_flat.any():
                self.flat_log_odds = nn.Parameter(torch.logit(fraction.clamp(1e-3, MAX_CEILING)))
            directed = fraction[~is_flat] if not is_flat.all() else fraction
            fraction, is_flat = directed.mean().view(1), is_flat.all().view(1)
        ceiling = (BEYOND * fraction).clamp(1e-3, MAX_CEILING)
        in_it = fraction > 0
        in_common = torch.logit(ceiling[in_it] if in_it.any() else ceiling).mean().view(1)
        deviation = torch.where(in_it, torch.logit(ceiling) - in_common, 0)
        self.shared_ceiling = nn.Parameter(in_common)
        self.ceiling_deviation = nn.Parameter(deviation)
        self.floor_share = nn.Parameter(torch.full_like(fraction, -3.5))
        beyond = (fraction / ceiling).clamp(0.02, 0.98)
        threshold = -torch.special.ndtri(beyond)
        # Between two steps, which start where the same part of the values is beyond them.
        half_width = -torch.special.ndtri(0.5 * beyond)
        # Without a slope, the intercept alone makes the chance.
        threshold = torch.where(is_flat & in_it, threshold / STEEP_SLOPE, threshold)
        if has_few_levels is not None:
            few_levels = torch.tensor(has_few_levels, dtype=torch.bool, device="cpu")
            threshold = torch.where(few_levels & ~is_flat, threshold + BEYOND_LEVELS, threshold)
            half_width = torch.where(few_levels, half_width + BEYOND_LEVELS, half_width)
        self.log_half_width: nn.Parameter | None = None
        is_both = signs == BOTH
        if is_both.any():
            self.log_half_width = nn.Parameter(half_width.log())
            threshold = torch.where(is_both, 0.0, threshold)
        self.threshold = nn.Parameter(threshold)
        self.log_slope = nn.Parameter(torch.full_like(fraction, math.log(STEEP_SLOPE)))
        self.direction: Tensor
        self.register_buffer("direction", signs)
        tied = torch.tensor(is_tied or [False] * len(signs), dtype=torch.bool, device="cpu")
        self.is_tied: Tensor
        self.register_buffer("is_tied", tied)

    @contextmanager
    def leaving_out(self, feature: int) -> Iterator[None]:
        """Let the chance of a feature to be missing be the same for all values."""
        sign = self.direction[feature].clone()
        self.direction[feature] = 0.0
        try:
            yield
        finally:
            self.direction[feature] = sign

    def step(self) -> ProbitStep:
        """Return the step of each feature."""
        steepness = torch.where(self.is_tied, STEEP_SLOPE, self.log_slope.exp())
        odds = self.shared_ceiling + self.ceiling_deviation
        log_ceiling = F.logsigmoid(odds)
        slope = self.direction * steepness
        threshold: Tensor = self.threshold
        lower: tuple[Tensor, ...] = ()
        if self.log_half_width is not None:
            is_both, half_width = self.direction == BOTH, self.log_half_width.exp()
            lower = (
                torch.where(is_both, -steepness, 0.0),
                torch.where(is_both, steepness * (threshold - half_width), NO_STEP),
            )
            slope = torch.where(is_both, steepness, slope)
            threshold = torch.where(is_both, threshold + half_width, threshold)
        parts = (
            slope,
            -steepness * threshold,
            log_ceiling + F.logsigmoid(self.floor_share),
            log_ceiling + F.logsigmoid(-self.floor_share),
            torch.sigmoid(-odds),
            *lower,
        )
        step = ProbitStep(*(part.expand_as(self.direction) for part in parts))
        if self.flat_log_odds is None:
            return step
        odds, nothing = self.flat_log_odds, torch.zeros_like(self.flat_log_odds)
        constant = (
            nothing, nothing, F.logsigmoid(odds), nothing + NO_RISE, torch.sigmoid(-odds),
        )  # fmt: skip
        is_flat = self.direction == 0
        return ProbitStep(
            *(torch.where(is_flat, *pair) for pair in zip(constant, parts, strict=True))
        )

    def forward(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """Return the log-odds of being observed; see :meth:`ProbitStep.log_odds`."""
        return self.step().log_odds(mean, variance)
