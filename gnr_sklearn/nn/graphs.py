"""A training step that a GPU repeats by itself, as a CUDA graph."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["GraphedStep"]

T = TypeVar("T")

# Before a graph is captured, libraries have to have what they allocate once.
WARM_UP_STEPS = 3


class GraphedStep(Generic[T]):
    """Computes a loss and its gradients on a GPU, as a graph from the fourth call on.

    A step is some hundred kernels, most of which run for less time than a CPU takes to launch
    them. Captured once, they are launched all at once.

    Parameters
    ----------
    compute : callable
        Given the inputs, returns the loss and anything else, with tensors in it. All shapes have
        to be the same in each call, and it must not wait for the GPU, nor draw random numbers.
    parameters : sequence of Parameter
        What gets gradients. In each call they have none, as after ``zero_grad``.
    """

    def __init__(
        self,
        compute: Callable[[dict[str, Tensor]], tuple[Tensor, T]],
        parameters: Sequence[nn.Parameter],
    ) -> None:
        self.compute = compute
        self.parameters = parameters
        self.n_warm_up_steps = 0
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, T]:
        """Return the loss and what comes with it; of the latter, the next call overwrites tensors.

        Parameters
        ----------
        inputs : dict of str to Tensor
            Tensors on the GPU.
        """
        if self.n_warm_up_steps < WARM_UP_STEPS:
            self.n_warm_up_steps += 1
            return self._warm_up(inputs)
        if self.graph is None:
            self.graph = self._capture(inputs)
        else:
            for name, tensor in inputs.items():
                self.inputs[name].copy_(tensor)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        # A callback may keep it.
        return self.loss.clone(), self.result

    def _step(self, inputs: dict[str, Tensor]) -> tuple[Tensor, T]:
        loss, result = self.compute(inputs)
        loss.backward()
        return loss.detach(), result

    def _warm_up(self, inputs: dict[str, Tensor]) -> tuple[Tensor, T]:
        # On a stream of its own, as capturing is: autograd notes on which one gradients arrive.
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            step = self._step(inputs)
        current.wait_stream(self.stream)
        return step

    def _capture(self, inputs: dict[str, Tensor]) -> torch.cuda.CUDAGraph:
        self.inputs = {name: tensor.clone() for name, tensor in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        collects_garbage = gc.isenabled()
        # To free a graph of before would break off the capture of this one.
        gc.disable()
        try:
            # What other threads do on the GPU meanwhile is theirs.
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                self.loss, self.result = self._step(self.inputs)
        finally:
            if collects_garbage:
                gc.enable()
        # Gradients that are made while capturing are written, not added to, in each replay.
        self.gradients = [parameter.grad for parameter in self.parameters]
        return graph
