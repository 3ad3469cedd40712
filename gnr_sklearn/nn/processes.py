"""Missing processes p(m | x): how being observed depends on the values themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnr_sklearn.nn.networks import multilayer_perceptron

__all__ = ["MissingProcess"]

# The slope that a process of known direction starts from is softplus of this, 1.
RAW_SLOPE = math.log(math.expm1(1.0))


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
    direction : sequence of {-1, 1} or None
        Signs of the slopes, for "self_masking_known" only; None for 1 everywhere.
    """

    def __init__(
        self,
        kind: str,
        n_features: int,
        hidden_dims: Sequence[int],
        generator: torch.Generator,
        direction: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.network = None
        if kind in ("linear", "nonlinear"):
            widths = hidden_dims if kind == "nonlinear" else ()
            self.network = multilayer_perceptron(n_features, widths, n_features, generator)
            return
        if kind not in ("self_masking", "self_masking_known"):
            raise ValueError(
                "kind must be 'self_masking', 'self_masking_known', 'linear' or 'nonlinear', "
                f"got {kind!r}."
            )
        slope = torch.empty(n_features, dtype=torch.float32, device="cpu")
        if kind == "self_masking":
            slope.normal_(generator=generator)
        self.slope = nn.Parameter(slope if kind == "self_masking" else slope.fill_(RAW_SLOPE))
        zeros = torch.zeros(n_features, dtype=torch.float32, device="cpu")
        self.threshold = nn.Parameter(zeros)
        signs = torch.tensor(direction or [1] * n_features, dtype=torch.float32, device="cpu")
        self.direction: Tensor
        self.register_buffer("direction", signs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-odds, (..., d), at complete rows."""
        if self.network is not None:
            return self.network(x)
        known = self.kind == "self_masking_known"
        slope = self.direction * F.softplus(self.slope) if known else self.slope
        return -slope * (x - self.threshold)
