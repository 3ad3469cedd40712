"""Deep generative models that sample what is missing, and ask whether it would be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gnr_sklearn.nn.categories import DiscreteFeature
from gnr_sklearn.nn.likelihoods import Mixed
from gnr_sklearn.nn.models import LatentVariableModel, Terms
from gnr_sklearn.nn.processes import MissingProcess

__all__ = ["PSMVAE", "NotMIWAE", "SelectionModel"]


class SelectionModel(LatentVariableModel):
    """A model that samples what is missing, by numbers that follow those of z in the noise."""

    def __init__(
        self, n_features: int, latent_dim: int, generator: torch.Generator, **networks: Any
    ) -> None:
        if networks.get("likelihood", "gaussian") != "gaussian":
            raise ValueError("likelihood must be 'gaussian' in a model that samples x.")
        super().__init__(n_features, latent_dim, generator, **networks)
        self.noise_dim = latent_dim + n_features
        self.n_features = n_features
        discrete: Sequence[DiscreteFeature] = networks.get("discrete", ())
        self.n_inputs = n_features if self.layout is None else len(self.layout.owner)
        self.unordered = [feature.place for feature in discrete if not feature.is_ordered]

    def sample_missing(
        self,
        x: Tensor,
        mask: Tensor,
        noise: Tensor,
        u: Tensor | None,
        component_codes: Tensor | None = None,
    ) -> Terms:
        """Return the log-terms without a mask, with samples of x, (K, B, d)."""
        z_noise, x_noise = noise.split([self.latent_dim, x.shape[-1]], dim=-1)
        _, terms = self.decode_data(x, mask, z_noise, u, component_codes)
        x_given_z = terms.x_given_z
        if not isinstance(x_given_z, Mixed):
            fresh = x_given_z.mean + x_given_z.scale * x_noise
        else:
            # A level cannot be moved by a little: the mean of the levels stands for it.
            layout = x_given_z.layout
            numbers, x_noise = x_given_z.numbers, x_noise[..., layout.continuous]
            levels = (x_given_z.log_probs.exp() * layout.levels).sum(-1)
            fresh = layout.join(numbers.mean + numbers.scale * x_noise, levels)
        x_sample = mask * x + (1.0 - mask) * fresh
        return terms._replace(x_sample=x_sample)

    def make_process(
        self,
        kind: str,
        generator: torch.Generator,
        direction: Sequence[int] | None,
        shared: bool,
    ) -> MissingProcess:
        """Make a process by which values of the rows go missing."""
        self.sees_wide = self.layout is not None and kind in ("linear", "nonlinear")
        signs = list(direction or [1] * self.n_features)
        for feature in self.unordered:
            signs[feature] = 0
        return MissingProcess(
            kind,
            self.n_features,
            self.hidden_dims[:1],
            generator,
            signs,
            shared,
            n_inputs=self.n_inputs if self.sees_wide else self.n_features,
        )

    def process_inputs(self, x: Tensor, mask: Tensor, terms: Terms) -> Tensor:
        """Return what processes see of complete rows: (K, B, d), or their wide form."""
        x_sample, x_given_z, layout = terms.x_sample, terms.x_given_z, self.layout
        assert x_sample is not None
        if layout is None or not self.sees_wide:
            return x_sample
        assert isinstance(x_given_z, Mixed)
        seen = mask[..., layout.discrete].unsqueeze(-1)
        codes = seen * layout.one_hot(x) + (1.0 - seen) * x_given_z.log_probs.exp()
        numbers = x_sample[..., layout.continuous]
        return torch.cat([numbers, layout.select_levels(codes)], dim=-1)


class NotMIWAE(SelectionModel):
    r"""The selection model p(x, m, z) = p(m | x) p(x | z) p(z).

    What is missing is sampled, :math:`x^{mis} \sim p(x^{mis} \mid z)`, by numbers that follow those
    of z in the noise; its density cancels from the weights.

    Parameters
    ----------
    n_features, latent_dim : int
        Numbers of columns of the data and of z.
    missing_process : {"self_masking", "self_masking_known", "linear", "nonlinear"}
        The distribution p(m | x), see :class:`~gnr_sklearn.nn.processes.MissingProcess`.
    missing_direction : sequence of {-1, 0, 1} or None
        For each feature, whether small (-1) or large (1) values go missing, for
        "self_masking_known" only; 0, for any self-masking, where that does not depend on the value.
    shared_process : bool
        Whether self-masking features have one slope and one threshold.
    seed : int
        Seed of the initial weights.
    **networks
        What :class:`LatentVariableModel` takes.
    """

    def __init__(
        self,
        n_features: int,
        latent_dim: int,
        *,
        missing_process: str = "self_masking",
        missing_direction: Sequence[int] | None = None,
        shared_process: bool = False,
        seed: int = 0,
        **networks: Any,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(n_features, latent_dim, generator, **networks)
        self.missing_process = self.make_process(
            missing_process, generator, missing_direction, shared_process
        )

    def forward(self, x: Tensor, mask: Tensor, noise: Tensor, u: Tensor | None = None) -> Terms:
        """Compute the log-terms; see :meth:`LatentVariableModel.decode_data`.

        The noise is of shape (K, B, latent_dim + d) or (K, 1, latent_dim + d).
        """
        terms = self.sample_missing(x, mask, noise, u)
        seen = self.process_inputs(x, mask, terms)
        return terms.with_mask(mask, self.missing_process(seen))


class PSMVAE(SelectionModel):
    r"""The pattern-set mixture model p(r) p(z) p(x | z, r) p(m | x, r).

    The component r of a row is summed out: each sample of z comes once with each component, as if
    components were drawn from a uniform proposal without chance. With one component this is
    :class:`NotMIWAE`.

    Parameters
    ----------
    n_features, latent_dim : int
        Numbers of columns of the data and of z.
    n_components : int
        Number of mixture components.
    missing_process, missing_direction, shared_process
        As for :class:`NotMIWAE`; each component has a process of its own.
    seed : int
        Seed of the initial weights.
    **networks
        What :class:`LatentVariableModel` takes.
    """

    def __init__(
        self,
        n_features: int,
        latent_dim: int,
        *,
        n_components: int = 3,
        missing_process: str = "self_masking",
        missing_direction: Sequence[int] | None = None,
        shared_process: bool = False,
        seed: int = 0,
        **networks: Any,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(
            n_features, latent_dim, generator, n_component_inputs=n_components - 1, **networks
        )
        self.n_components = self.terms_per_noise = n_components
        self.missing_processes = nn.ModuleList(
            self.make_process(missing_process, generator, missing_direction, shared_process)
            for _ in range(n_components)
        )
        zeros = torch.zeros(n_components, dtype=torch.float32, device="cpu")
        self.component_logits = nn.Parameter(zeros)

    def forward(self, x: Tensor, mask: Tensor, noise: Tensor, u: Tensor | None = None) -> Terms:
        """Compute the log-terms; see :meth:`LatentVariableModel.decode_data`.

        The noise is of shape (K, B, latent_dim + d) or (K, 1, latent_dim + d); terms come for
        K * n_components samples, those of one sample of z next to one another.
        """
        n_components, n_samples = self.n_components, len(noise)
        noise = noise.repeat_interleave(n_components, dim=0)
        # The first component is told by zeros in all columns.
        codes = torch.eye(n_components, dtype=x.dtype, device=x.device)[:, 1:]
        component_codes = codes.repeat(n_samples, 1).unsqueeze(1)
        terms = self.sample_missing(x, mask, noise, u, component_codes)
        seen = self.process_inputs(x, mask, terms)
        of_each = seen.unflatten(0, (n_samples, n_components)).unbind(1)
        logits = [
            process(each) for process, each in zip(self.missing_processes, of_each, strict=True)
        ]
        mask_logits = torch.stack(logits, dim=1).flatten(0, 1)
        log_pr = self.component_logits.log_softmax(0).repeat(n_samples).unsqueeze(1)
        return terms.with_mask(mask, mask_logits)._replace(
            log_pz=terms.log_pz + log_pr, log_qz=terms.log_qz - math.log(n_components)
        )
