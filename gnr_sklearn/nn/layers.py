"""Affine layers with or without tanh, arranged for speed on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gnr_sklearn.nn.processor import has_fast_tanh

__all__ = ["Dense", "InformedDense"]

# A matrix product is slow on a CPU where its result has fewer columns than this, the width of
# a block of the usual kernels, and fast where it has as few rows.
FEW_COLUMNS = 32

HAS_FAST_TANH = has_fast_tanh()


def _product(left: Tensor, right: Tensor) -> Tensor:
    if right.shape[1] < FEW_COLUMNS and right.shape[1] < left.shape[0]:
        return (right.T.contiguous() @ left.T).T
    return left @ right


class _DenseFunction(torch.autograd.Function):
    """The layer and its derivative, with products of matrices in a type of their own.

    Written out because of three costs of the composed one on a CPU: torch's tanh takes up to
    six times as long as its sigmoid on most, the results of a layer and of its tanh are two large
    tensors where one would do, and autograd forms products with few columns.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, tanh: bool, dtype: torch.dtype
    ) -> Tensor:
        rows, weight = inputs.reshape(-1, inputs.shape[-1]).to(dtype), weight.to(dtype)
        # Compiled code does not call the library whose tanh is fast.
        if tanh and HAS_FAST_TANH and not torch.compiler.is_compiling():
            sums = torch.addmm(bias.to(dtype), rows, weight.T)
            outputs = sums.to(bias.dtype).tanh_().to(dtype)
        elif tanh:
            # tanh(a) = 2 sigmoid(2 a) - 1, in which bfloat16 would lose what is close to 0.
            doubled = torch.addmm(bias.to(dtype), rows, weight.T, beta=2.0, alpha=2.0)
            outputs = doubled.to(bias.dtype).sigmoid_().mul_(2.0).sub_(1.0).to(dtype)
        else:
            outputs = _product(rows, weight.T) + bias
        ctx.save_for_backward(rows, weight, outputs if tanh else None)
        ctx.inputs, ctx.parameters = (inputs.shape, inputs.dtype), bias.dtype
        return outputs.view(*inputs.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, outputs = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1]).to(weight.dtype)
        if outputs is not None:
            gradient = torch.ops.aten.tanh_backward(gradient, outputs)
        input_gradient = None
        if ctx.needs_input_grad[0]:
            shape, dtype = ctx.inputs
            input_gradient = _product(gradient, weight).view(shape).to(dtype)
        weight_gradient = _product(gradient.T, rows).to(ctx.parameters)
        return input_gradient, weight_gradient, gradient.sum(0).to(ctx.parameters), None, None


class Dense(nn.Module):
    """An affine map of the last axis, followed by tanh or not.

    Parameters
    ----------
    n_in, n_out : int
        Sizes of the last axis before and after.
    generator : torch.Generator
        Source of the Glorot-uniform initial weights; biases start at 0.
    tanh : bool, default=False
        Whether tanh follows.
    """

    def __init__(
        self, n_in: int, n_out: int, generator: torch.Generator, tanh: bool = False
    ) -> None:
        super().__init__()
        # Type and device are named because the user may have set other defaults.
        weight = torch.empty((n_out, n_in), dtype=torch.float32, device="cpu")
        self.weight = nn.Parameter(nn.init.xavier_uniform_(weight, generator=generator))
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32, device="cpu"))
        self.tanh = tanh

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., n_in) to (..., n_out)."""
        return _dense(inputs, self.weight, self.bias, self.tanh)


class InformedDense(nn.Module):
    r"""An affine map whose outputs are features of which something is known.

    The weights of a feature are :math:`W_j = \Delta_j + A f_j`, and its bias is
    :math:`b_j = \delta_j + a^\top f_j`: a linear function of what is known of it, and a deviation
    of its own, which a penalty is meant to keep small.

    Parameters
    ----------
    n_in : int
        Size of the last axis before.
    info : Tensor of shape (n_out, n_info)
        What is known of the feature of each output, such as a 1 for all of them.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(self, n_in: int, info: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.info: Tensor
        self.register_buffer("info", info)
        n_out, n_info = self.info.shape
        common = torch.empty((n_info, n_in), dtype=torch.float32, device="cpu")
        own = torch.empty((n_out, n_in), dtype=torch.float32, device="cpu")
        self.common_weight = nn.Parameter(
            common.normal_(0.0, 0.3 * (n_in * n_info) ** -0.5, generator=generator)
        )
        self.common_bias = nn.Parameter(torch.zeros(n_info, dtype=torch.float32, device="cpu"))
        # Not 0, from which inputs that features share alike could not be told apart.
        self.own_weight = nn.Parameter(own.normal_(0.0, 0.1 * n_in**-0.5, generator=generator))
        self.own_bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32, device="cpu"))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., n_in) to (..., n_out)."""
        with torch.autocast(inputs.device.type, enabled=False):
            weight = self.own_weight + self.info @ self.common_weight
            bias = self.own_bias + self.info @ self.common_bias
        return _dense(inputs, weight, bias, tanh=False)


def _dense(inputs: Tensor, weight: Tensor, bias: Tensor, tanh: bool) -> Tensor:
    device = inputs.device.type
    if device != "cpu":
        outputs = F.linear(inputs, weight, bias)
        return outputs.tanh() if tanh else outputs
    lower = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if lower else weight.dtype
    return _DenseFunction.apply(inputs, weight, bias, tanh, dtype)
