"""Importance sampling whose proposal adapts to each row.

The encoder's Gaussian has a diagonal covariance, and in most models it does not see the mask: where
features depend on one another, or alpha is large, most of its samples have next to no weight. The
second round draws from what the posterior would be if what decoders say were affine in z, and later
ones from Gaussians fitted to the weighted samples so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from gnr_sklearn.nn.bounds import (
    log_weights,
    normalized_weights,
    resample,
    truncated_weights,
)
from gnr_sklearn.nn.categories import CategoryLayout
from gnr_sklearn.nn.likelihoods import (
    SELECTED,
    Continuous,
    Likelihood,
    Mixed,
    standard_normal_log_density,
)
from gnr_sklearn.nn.models import LatentVariableModel, Terms
from gnr_sklearn.nn.rows import MaskedRows, map_chunks

__all__ = [
    "WeightedSamples",
    "adaptive_importance_sampling",
    "linearized_posterior",
    "map_samples",
    "samples_to_linearize",
]

# A Gaussian is fitted to weights that are cut off at the tenth largest, so that it rests on
# that many samples at least, and to as many imaginary samples of the second round's proposal.
FIT_SAMPLES = 10

# Correlations are shrunk as if the samples that tell them had been joined by this many, times the
# square of the dimension, without any: in many dimensions, few samples tell little but noise.
UNCORRELATED = 0.25

# Standard deviations of a proposal are widened, by this over the square root of the dimension: one
# that is too wide wastes samples, one that is too narrow misses what it is for.
WIDENING = 0.2

# Affine functions are fitted to so many samples for each of their coefficients at least.
SAMPLES_PER_COEFFICIENT = 1.25

# Levels that are less likely count as this likely.
MIN_LOG_PROB = -20.0


T = TypeVar("T")


class Proposal(NamedTuple):
    """Gaussians from which the noise of each row is drawn.

    Attributes
    ----------
    mean : Tensor of shape (B, noise_dim)
    factor : Tensor of shape (B, noise_dim, noise_dim)
        Lower triangular factor of the covariance.
    """

    mean: Tensor
    factor: Tensor

    def place(self, standard: Tensor) -> Tensor:
        """Turn standard normal numbers, (K, B, noise_dim), into samples."""
        shifts = standard.transpose(0, 1) @ self.factor.mT
        return self.mean + shifts.transpose(0, 1)

    def standardize(self, noise: Tensor) -> Tensor:
        """Turn samples, (K, B, noise_dim), into standard normal numbers."""
        deviations = (noise - self.mean).permute(1, 2, 0)
        return torch.linalg.solve_triangular(self.factor, deviations, upper=False).permute(2, 0, 1)

    def log_density(self, noise: Tensor) -> Tensor:
        """Log-density of samples, (K, B)."""
        log_determinant = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return standard_normal_log_density(self.standardize(noise)) - log_determinant

    def within(self, base: Proposal) -> Proposal:
        """Return the Gaussian that this one is where `base` is the standard normal one."""
        return Proposal(base.place(self.mean.unsqueeze(0))[0], base.factor @ self.factor)


class WeightedSamples(NamedTuple):
    """Weighted samples of z for each row, by what the decoders make of them.

    Attributes
    ----------
    log_w : Tensor of shape (K, B)
        Log importance weights.
    x_given_z : Gaussian, SelectedGaussian, TwiceSelectedGaussian, StudentT or Mixed
        The distribution p(x | z), whose tensors are (K, B, ...).
    mask_logits : Tensor of shape (K, B, d) or None
        Log-odds of P(m = 1 | z), m = 1 meaning observed.
    x_sample : Tensor of shape (K, B, d) or None
        Samples of x that the weights rest on.
    """

    log_w: Tensor
    x_given_z: Likelihood
    mask_logits: Tensor | None
    x_sample: Tensor | None

    def rows(self, n_rows: int) -> WeightedSamples:
        """Return the samples of the first rows."""
        return WeightedSamples(*(_map(lambda tensor: tensor[:, :n_rows], part) for part in self))

    def draw(self, n_draws: int, generator: torch.Generator) -> Tensor:
        """Draw rows x by sampling importance resampling, (n_draws, B, d).

        A sample is chosen in proportion to its truncated weight. Its x is the one that this rests
        on, or a draw from p(x | z) where it rests on z alone.
        """
        chosen = resample(truncated_weights(self.log_w), n_draws, generator)

        def take(tensor: Tensor) -> Tensor:
            index = chosen.view(*chosen.shape, *[1] * (tensor.dim() - chosen.dim()))
            return tensor.take_along_dim(index, dim=0)

        x_given_z = _map(take, self.x_given_z)
        if self.x_sample is None:
            return x_given_z.draw(generator)
        draws = take(self.x_sample)
        if isinstance(x_given_z, Mixed):
            # The weight of a level rests on its mean.
            levels = x_given_z.draw_levels(generator)
            layout = x_given_z.layout
            return layout.join(draws[..., layout.continuous], levels)
        return draws


def adaptive_importance_sampling(
    model: LatentVariableModel, rows: MaskedRows, rounds: Sequence[Tensor], alpha: float
) -> WeightedSamples:
    r"""Sample z for each row from proposals that adapt to it.

    The first round draws from q(z | x_obs). Affine functions of z are fitted to what the decoders
    make of these samples, and the second round draws from the Gaussian that the posterior would be
    if they were exact (statistical linear regression [2]_). Each later round draws from a Gaussian
    fitted to the weighted samples before it. All are weighted as if they came from the mixture of
    the proposals,

    .. math::

        \log \hat\omega_k = \log p(x^{obs} \mid z_k) + \alpha \log p(m \mid z_k) + \log p(z_k)
        - \log \sum_r \frac{K_r}{K} q_r(z_k) ,

    which is adaptive multiple importance sampling [1]_. With one round these are the weights
    of eq. 18.

    Parameters
    ----------
    model : LatentVariableModel
        The model. Where it returns several terms for each of the noise, they are next to one
        another.
    rows : MaskedRows
        B rows on the device of the model.
    rounds : sequence of Tensor of shape (K_r, B, noise_dim) or (K_r, 1, noise_dim)
        Standard normal numbers for the samples of each round.
    alpha : float
        Weight of the mask term.

    Returns
    -------
    samples : WeightedSamples

    References
    ----------
    .. [1] J.-M. Cornuet, J.-M. Marin, A. Mira, C. P. Robert, "Adaptive Multiple Importance
       Sampling", Scandinavian Journal of Statistics 39(4), 2012.
    .. [2] A. F. Garcia-Fernandez, L. Svensson, M. R. Morelande, S. Sarkka, "Posterior
       Linearization Filter: Principles and Implementation Using Sigma Points", IEEE Transactions
       on Signal Processing 63(20), 2015.
    """
    # Densities are those of the noise, of which z is an affine function: there, the first
    # proposal is standard normal. What is summed over samples is summed in double precision
    # and rounded, because the order of such sums depends on a row's place in the batch.
    fresh = rounds[0].expand(-1, len(rows), -1)
    parts = [model(**rows.tensors, noise=fresh)]
    noise = fresh.double().repeat_interleave(model.terms_per_noise, dim=0)
    densities: list[Callable[[Tensor], Tensor]] = [standard_normal_log_density]
    log_q = standard_normal_log_density(noise).unsqueeze(0)
    log_w = log_weights(parts[0], alpha).double()
    log_p = log_w + log_q[0]
    base = None
    if len(rounds) > 1:
        base = linearized_posterior(model, rows, parts[0], rounds[0].double(), log_p, alpha)
    for standard in rounds[1:]:
        if base is None:
            proposal = _fit_gaussian(noise, log_w)
        elif len(parts) == 1:
            proposal = base._replace(factor=_widened(base.factor))
        else:
            proposal = _fit_gaussian(base.standardize(noise), log_w).within(base)
        densities.append(proposal.log_density)
        log_q = torch.cat([log_q, proposal.log_density(noise).unsqueeze(0)])
        fresh = proposal.place(standard.double()).to(standard.dtype)
        parts.append(model(**rows.tensors, noise=fresh))
        fresh = fresh.double().repeat_interleave(model.terms_per_noise, dim=0)
        noise = torch.cat([noise, fresh])
        fresh_q = torch.stack([density(fresh) for density in densities])
        log_q = torch.cat([log_q, fresh_q], dim=1)
        log_p = torch.cat([log_p, log_weights(parts[-1], alpha).double() + fresh_q[0]])
        sizes = noise.new_tensor([len(part) for part in rounds[: len(parts)]])
        log_shares = (sizes / sizes.sum()).log().view(-1, 1, 1)
        log_w = log_p - torch.logsumexp(log_q + log_shares, dim=0)
    of_each_part = [part.x_given_z for part in parts]
    return WeightedSamples(
        log_w.to(rows.x.dtype),
        _joined([_broadcast(of_x) for of_x in of_each_part]),
        _joined([part.mask_logits for part in parts]),
        _joined([part.x_sample for part in parts]),
    )


def _broadcast(x_given_z: Likelihood) -> Likelihood:
    """Give the tensors of a distribution the same shape."""
    if isinstance(x_given_z, Mixed):
        return x_given_z._replace(numbers=_broadcast_numbers(x_given_z.numbers))
    return _broadcast_numbers(x_given_z)


def _broadcast_numbers(x_given_z: Continuous) -> Continuous:
    return type(x_given_z)(*torch.broadcast_tensors(*x_given_z))


def _map(function: Callable[..., Tensor], *parts: Any) -> Any:
    """Apply a function to tensors, or to those of the same place in tuples.

    None, and a layout, which all parts have in common, stay what they are.
    """
    if isinstance(parts[0], Tensor):
        return function(*parts)
    if parts[0] is None or isinstance(parts[0], CategoryLayout):
        return parts[0]
    return type(parts[0])(*(_map(function, *each) for each in zip(*parts, strict=True)))


def _joined(parts: list[Any]) -> Any:
    """Join along the axis of samples."""
    return _map(lambda *tensors: torch.cat(tensors), *parts)


def linearized_posterior(
    model: LatentVariableModel,
    rows: MaskedRows,
    terms: Terms,
    noise: Tensor,
    log_p: Tensor,
    alpha: float,
) -> Proposal | None:
    r"""Return the posterior of the noise as if what decoders say were affine in it.

    With outputs :math:`o(\epsilon) \approx \bar o + G^T (\epsilon - \bar\epsilon)`, in units in
    which their Fisher information is 1, the precision is :math:`\Lambda = G G^T`. Then
    :math:`\log p(\epsilon) + \tfrac 12 |o(\epsilon) - \bar o|^2` is affine as well, if outputs
    are Gaussian, and its slope g makes the mean :math:`\bar\epsilon + \Lambda^{-1} g`. The noise
    of missing values, where they are sampled with z, is left as it is.

    Returns
    -------
    posterior : Proposal or None
        None where samples are too few to tell, or belong to several components.
    """
    if model.terms_per_noise > 1 or len(noise) < samples_to_linearize(model.latent_dim):
        return None
    z_noise = noise[..., : model.latent_dim]
    center = z_noise.mean(0)
    # By normal equations: independent samples are well conditioned, and a pseudoinverse takes six
    # times as long on a CPU, and on a GPU one matrix after the other.
    centered = (z_noise - center).transpose(0, 1)
    root_of_gram, singular = torch.linalg.cholesky_ex(centered.mT @ centered)
    regress = torch.cholesky_solve(centered.mT, root_of_gram)
    _, log_scale_of_z = model.encoder(rows.x, rows.mask)
    z = log_scale_of_z.double().exp() * z_noise
    outputs = torch.cat([*_standard_outputs(terms, rows, alpha), z], dim=-1)
    outputs = outputs - outputs.mean(0)
    slopes = regress @ outputs.transpose(0, 1)
    slope_left = regress @ (log_p + 0.5 * outputs.square().sum(-1)).T.unsqueeze(-1)
    precision = slopes @ slopes.mT
    # A lower triangular factor of the inverse takes an upper one of the matrix, which is the lower
    # one of its mirror image.
    mirrored, info = torch.linalg.cholesky_ex(precision.flip(-2, -1))
    identity = torch.eye(noise.shape[-1], dtype=noise.dtype, device=noise.device)
    of_z = slice(model.latent_dim)
    root = torch.linalg.solve_triangular(
        mirrored.flip(-2, -1).mT, identity[of_z, of_z].expand_as(precision), upper=False
    )
    shift = (root @ (root.mT @ slope_left)).squeeze(-1)
    failed = (info != 0) | (singular != 0)
    usable = shift.isfinite().all(-1) & root.isfinite().all((-2, -1)) & ~failed
    mean = noise.new_zeros(len(rows), noise.shape[-1])
    factor = identity.repeat(len(rows), 1, 1)
    mean[usable, of_z] = (center + shift)[usable]
    factor[usable, of_z, of_z] = root[usable]
    return Proposal(mean, factor)


def samples_to_linearize(latent_dim: int) -> int:
    """Return how many samples affine functions of z are fitted to at least."""
    return math.ceil(SAMPLES_PER_COEFFICIENT * (latent_dim + 1))


def _standard_outputs(terms: Terms, rows: MaskedRows, alpha: float) -> list[Tensor]:
    """Return what decoders say of each row, in units in which its Fisher information is 1."""
    x_given_z, numbers, in_numbers = terms.x_given_z, terms.x_given_z, rows.mask
    outputs = []
    if isinstance(x_given_z, Mixed):
        layout, numbers = x_given_z.layout, x_given_z.numbers
        in_numbers = rows.mask[..., layout.continuous]
        # Of levels that there are not, the logarithm is not finite.
        log_probs = x_given_z.log_probs.double().clamp(min=MIN_LOG_PROB)
        information = log_probs.exp().mean(0) * rows.mask[..., layout.discrete].unsqueeze(-1)
        outputs.append((log_probs * information.sqrt()).flatten(-2))
    assert not isinstance(numbers, Mixed)
    mean = numbers.mean_of_all if isinstance(numbers, SELECTED) else numbers.mean
    outputs += _of_numbers(mean, numbers.scale, in_numbers)
    if terms.u_given_z is not None:
        assert rows.u is not None
        outputs += _of_numbers(*terms.u_given_z, torch.ones_like(rows.u))
    if terms.mask_logits is not None:
        logits = terms.mask_logits.double()
        chances = logits.sigmoid()
        outputs.append(logits * (alpha * chances * (1.0 - chances)).mean(0).sqrt())
    return outputs


def _of_numbers(mean: Tensor, scale: Tensor, known: Tensor) -> list[Tensor]:
    """Return the outputs for normally distributed numbers, as far as they are known."""
    log_scale, outputs = scale.double().log(), []
    if log_scale.dim() == mean.dim():
        # It depends on z too.
        outputs.append(log_scale * (math.sqrt(2.0) * known))
        log_scale = log_scale.mean(0)
    return [*outputs, mean.double() * (known * (-log_scale).exp())]


def _fit_gaussian(noise: Tensor, log_w: Tensor) -> Proposal:
    """Fit a Gaussian to weighted samples and some of the standard normal distribution."""
    largest = log_w.topk(min(FIT_SAMPLES, len(log_w)), dim=0).values[-1]
    weights = normalized_weights(log_w.clamp(max=largest)).unsqueeze(-1)
    mean = (weights * noise).sum(0)
    deviations = ((noise - mean) * weights.sqrt()).transpose(0, 1)
    covariance = deviations.mT @ deviations
    effective_size = 1.0 / weights.square().sum(0).unsqueeze(-1)
    dimension = noise.shape[-1]
    identity = torch.eye(dimension, dtype=noise.dtype, device=noise.device)
    kept = effective_size / (effective_size + UNCORRELATED * dimension**2)
    covariance *= kept + (1.0 - kept) * identity
    pooled = effective_size * covariance + FIT_SAMPLES * identity
    factor, info = torch.linalg.cholesky_ex(pooled / (effective_size + FIT_SAMPLES))
    # Where no weight is a number, nothing has been learned.
    failed = (info != 0).unsqueeze(-1)
    mean = torch.where(failed, 0.0, mean)
    return Proposal(mean, _widened(torch.where(failed.unsqueeze(-1), identity, factor)))


def _widened(factor: Tensor) -> Tensor:
    """Widen a proposal."""
    return (1.0 + WIDENING / factor.shape[-1] ** 0.5) * factor


def map_samples(
    function: Callable[[WeightedSamples, MaskedRows], T],
    model: LatentVariableModel,
    rows: MaskedRows,
    draw_rounds: Callable[[int], Sequence[Tensor]],
    alpha: float,
    chunk_size: int,
) -> Iterator[tuple[slice, T]]:
    """Compute something of samples from a trained model, in chunks of rows.

    Parameters
    ----------
    function : callable
        Given samples and the rows that they are of, on the device of the model, it returns what
        is wanted of them.
    model : LatentVariableModel
        The model, in evaluation mode.
    rows : MaskedRows
        The rows, on any device.
    draw_rounds : callable
        Given a number of rows, returns standard normal numbers on the device of the model,
        as :func:`adaptive_importance_sampling` wants them.
    alpha : float
        Weight of the mask term.
    chunk_size : int
        Rows in a chunk; the last may have fewer, and all do where memory runs out.

    Yields
    ------
    chunk : slice
        Which rows.
    result : object
        What the function returned for them.
    """

    def compute(filled: MaskedRows, n_rows: int) -> T:
        samples = adaptive_importance_sampling(model, filled, draw_rounds(len(filled)), alpha)
        batch, _ = filled[:n_rows]
        return function(samples.rows(n_rows), MaskedRows(**batch))

    device = next(model.parameters()).device
    yield from map_chunks(compute, rows, chunk_size, device)
