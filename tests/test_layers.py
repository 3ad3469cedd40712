"""The layer against torch's own linear map and tanh."""

import pytest
import torch
from torch.nn import functional as F

from gnr_sklearn.nn import layers
from gnr_sklearn.nn.layers import Dense
from gnr_sklearn.nn.processor import has_fast_tanh

SHAPES = [(5, 8), (40, 3), (3, 40), (40, 40), (1, 1)]


@pytest.fixture(autouse=True, params=[True, False], ids=["tanh", "sigmoid"])
def way_to_tanh(request, monkeypatch):
    monkeypatch.setattr(layers, "HAS_FAST_TANH", request.param)


def make_layer(n_in, n_out, tanh):
    generator = torch.Generator().manual_seed(0)
    layer = Dense(n_in, n_out, generator, tanh=tanh)
    with torch.no_grad():
        layer.bias.uniform_(-1, 1, generator=generator)
    return layer, generator


def composed(layer, inputs):
    outputs = F.linear(inputs, layer.weight, layer.bias)
    return outputs.tanh() if layer.tanh else outputs


def gradients(outputs, cotangent, layer, inputs):
    return torch.autograd.grad(outputs, [inputs, layer.weight, layer.bias], cotangent)


@pytest.mark.parametrize("tanh", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", [(70,), (4, 6), (2, 1, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layer_is_a_linear_map_and_tanh(tanh, shape, leading, dtype):
    layer, generator = make_layer(*shape, tanh)
    layer.to(dtype)
    size = (*leading, shape[0])
    inputs = torch.randn(size, generator=generator, dtype=dtype, requires_grad=True)
    expected = composed(layer, inputs)
    cotangent = torch.randn(expected.shape, generator=generator, dtype=dtype)
    outputs = layer(inputs)
    assert outputs.dtype == dtype
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(
        gradients(outputs, cotangent, layer, inputs), gradients(expected, cotangent, layer, inputs)
    )


@pytest.mark.parametrize("tanh", [True, False])
def test_gradient_by_finite_differences(tanh):
    layer, generator = make_layer(3, 4, tanh)
    layer.double()
    inputs = torch.randn((2, 3), generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, [inputs])


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-3, 1.0, 20.0, 1e4, 1e30])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_tanh_far_from_zero_and_close_to_it(size, sign):
    layer = Dense(1, 1, torch.Generator().manual_seed(0), tanh=True)
    inputs = torch.tensor([[sign * size]], requires_grad=True)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    outputs = layer(inputs)
    torch.testing.assert_close(outputs, inputs.tanh(), rtol=0, atol=2e-7)
    outputs.backward()
    torch.testing.assert_close(inputs.grad, 1 - inputs.tanh() ** 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("tanh", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_by_autocast(tanh, shape):
    layer, generator = make_layer(*shape, tanh)
    inputs = torch.randn((60, shape[0]), generator=generator, requires_grad=True)
    expected = composed(layer, inputs)
    cotangent = torch.randn(expected.shape, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = layer(inputs)
    # What comes last is added to in float32.
    assert outputs.dtype == (torch.bfloat16 if tanh else torch.float32)
    assert not torch.equal(outputs.float(), expected)
    torch.testing.assert_close(outputs.float(), expected, rtol=2e-2, atol=3e-2)
    actual = gradients(outputs, cotangent.to(outputs.dtype), layer, inputs)
    for one, other in zip(actual, gradients(expected, cotangent, layer, inputs), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.02 * other.norm()


def test_bfloat16_keeps_small_activations():
    layer = Dense(1, 1, torch.Generator().manual_seed(0), tanh=True)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = layer(torch.tensor([[1e-3]]))
    torch.testing.assert_close(outputs.float(), torch.tensor([[1e-3]]), rtol=1e-2, atol=0)


def test_second_derivatives_are_refused_rather_than_wrong():
    layer, generator = make_layer(3, 2, tanh=True)
    inputs = torch.randn((4, 3), generator=generator, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(inputs).sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match=r"does not require grad|once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    ("capabilities", "has_library", "expected"),
    [
        ({"cpu_name": "Intel(R) Xeon(R) Processor"}, True, True),
        ({"cpu_name": "Intel(R) Xeon(R) Processor"}, False, False),
        ({"cpu_name": "AMD EPYC"}, True, False),
        ({}, True, False),
    ],
)
def test_tanh_of_the_library_on_processors_of_its_maker(
    monkeypatch, capabilities, has_library, expected
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: has_library)
    assert has_fast_tanh() == expected


def test_compiled_layers_do_not_call_the_library(monkeypatch):
    layer, generator = make_layer(40, 40, tanh=True)
    inputs = torch.randn((60, 40), generator=generator)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    compiled = layer(inputs)
    monkeypatch.setattr(layers, "HAS_FAST_TANH", False)
    torch.testing.assert_close(compiled, layer(inputs), rtol=0, atol=0)
