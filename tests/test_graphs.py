"""The step that a GPU repeats, with what stands for a GPU that runs on any machine."""

import gc
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import nn

from gnr_sklearn.nn.graphs import WARM_UP_STEPS, GraphedStep


class Stream:
    def wait_stream(self, other):
        pass


class Graph:
    """Runs again what was run while it was captured, into the same tensors."""

    def __init__(self):
        self.n_replays = 0

    def replay(self):
        self.n_replays += 1
        step = self.step
        for parameter in step.parameters:
            parameter.grad = None
        loss, result = step._step(step.inputs)
        step.loss.copy_(loss)
        step.result.copy_(result)
        for kept, parameter in zip(step.gradients, step.parameters, strict=True):
            if kept is not None:
                kept.copy_(parameter.grad)


@pytest.fixture
def graphs(monkeypatch):
    """All graphs that were captured."""
    captured = []

    @contextmanager
    def capture(graph, **params):
        assert not gc.isenabled()
        captured.append(graph)
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "stands for one")
    return captured


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


class Loop:
    """Steps of gradient descent, with and without a graph, side by side."""

    def __init__(self, net):
        self.net = net
        self.factor = 1.0
        Graph.step = self.step = GraphedStep(self.compute, list(net.parameters()))

    def compute(self, inputs):
        outputs = self.net(inputs["x"])
        return self.factor * outputs.square().mean(), outputs

    def check(self, n_steps, n_rows=5):
        for _ in range(n_steps):
            x = torch.randn(n_rows, 3)
            self.net.zero_grad()
            expected, outputs = self.compute({"x": x})
            expected.backward()
            gradients = [p.grad for p in self.net.parameters()]
            self.net.zero_grad()
            loss, result = self.step({"x": x}, self.factor)
            assert torch.equal(loss, expected)
            assert torch.equal(result, outputs)
            for parameter, gradient in zip(self.net.parameters(), gradients, strict=True):
                assert (parameter.grad is None) == (gradient is None)
                assert gradient is None or torch.equal(parameter.grad, gradient)
                if gradient is not None:
                    parameter.data -= 0.1 * gradient


def test_a_graph_is_captured_after_some_steps_and_replayed(graphs, net):
    loop = Loop(net)
    loop.check(WARM_UP_STEPS)
    assert graphs == []
    loop.check(7)
    assert [graph.n_replays for graph in graphs] == [7]
    assert gc.isenabled()


def test_losses_may_be_kept_and_results_are_overwritten(graphs, net):
    loop = Loop(net)
    loop.check(WARM_UP_STEPS)
    (first, before), (second, after) = (loop.step({"x": torch.randn(5, 3)}, 1.0) for _ in range(2))
    assert first != second
    assert before is after


@pytest.mark.parametrize("change", ["frozen", "released", "settings", "shape", "moved"])
def test_what_changes_is_captured_anew(graphs, net, change):
    loop = Loop(net)
    net[0].weight.requires_grad_(change != "released")
    loop.check(WARM_UP_STEPS + 3)
    n_rows = 5
    if change in ("frozen", "released"):
        net[0].weight.requires_grad_(change == "released")
    elif change == "settings":
        loop.factor = 2.0
    elif change == "shape":
        n_rows = 6
    else:
        net[0].weight.data = net[0].weight.data.clone()
    loop.check(WARM_UP_STEPS + 4, n_rows)
    assert [graph.n_replays for graph in graphs] == [3, 4]


def test_garbage_is_collected_again_where_capturing_fails(graphs, net, monkeypatch):
    loop = Loop(net)
    loop.check(WARM_UP_STEPS)
    monkeypatch.setattr(loop.step, "compute", lambda inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.step({"x": torch.randn(5, 3)}, 1.0)
    assert gc.isenabled()
