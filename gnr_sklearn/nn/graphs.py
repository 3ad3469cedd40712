"""A training step that a GPU repeats by itself, as a CUDA graph."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["GraphedStep"]

T = TypeVar("T")

# Before a graph is captured, libraries have to have what they allocate once, and a training of
# fewer steps would be over before a graph had paid.
WARM_UP_STEPS = 10

# Torch captures one graph at a time in a process.
_CAPTURING = threading.Lock()
_STREAMS = threading.local()


class GraphedStep(Generic[T]):
    """Computes a loss and its gradients on a GPU, after some calls as a graph.

    A step is some hundred kernels, most of which run for less time than a CPU takes to launch
    them. Captured once, they are launched all at once. Where shapes, settings or what is trained
    change, a graph is captured anew.

    Parameters
    ----------
    compute : callable
        Given the inputs, returns the loss and anything else, with tensors in it. It must neither
        wait for the GPU nor draw random numbers.
    parameters : sequence of Parameter
        What may get gradients. In each call they have none, as after ``zero_grad``.
    """

    def __init__(
        self,
        compute: Callable[[dict[str, Tensor]], tuple[Tensor, T]],
        parameters: Sequence[nn.Parameter],
    ) -> None:
        self.compute = compute
        self.parameters = parameters
        self.form: Any = None
        self.n_warm_up_steps = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, inputs: dict[str, Tensor], settings: Any = None) -> tuple[Tensor, T]:
        """Return the loss and what comes with it; of the latter, the next call overwrites tensors.

        Parameters
        ----------
        inputs : dict of str to Tensor
            Tensors on the GPU.
        settings : object, default=None
            What else the computation depends on.
        """
        form = (
            settings,
            [tensor.shape for tensor in inputs.values()],
            [(parameter.requires_grad, parameter.data_ptr()) for parameter in self.parameters],
        )
        if form != self.form:
            self.form, self.graph, self.n_warm_up_steps = form, None, 0
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
        # On the stream of capturing: autograd notes on which one gradients arrive.
        current, own = torch.cuda.current_stream(), _own_stream()
        own.wait_stream(current)
        with torch.cuda.stream(own):
            step = self._step(inputs)
        current.wait_stream(own)
        return step

    def _capture(self, inputs: dict[str, Tensor]) -> torch.cuda.CUDAGraph:
        self.inputs = {name: tensor.clone() for name, tensor in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        # What other threads do on the GPU meanwhile is theirs.
        mode = "thread_local"
        with (
            _CAPTURING,
            _without_garbage_collection(),
            torch.cuda.graph(graph, stream=_own_stream(), capture_error_mode=mode),
        ):
            self.loss, self.result = self._step(self.inputs)
        # Gradients that are made while capturing are written, not added to, in each replay.
        self.gradients = [parameter.grad for parameter in self.parameters]
        return graph


def _own_stream() -> torch.cuda.Stream:
    """Return this thread's stream on the current GPU: libraries keep memory for each stream."""
    streams, device = vars(_STREAMS), str(torch.cuda.current_device())
    if device not in streams:
        streams[device] = torch.cuda.Stream()
    return streams[device]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep graphs of before alive, whose end would break off a capture."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
