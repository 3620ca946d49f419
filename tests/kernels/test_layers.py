"""The layers of training and of frozen encoders against torch's own: values, gradients, running statistics."""

import math

import pytest
import torch
from torch import nn

from exmcr.kernels import layers
from exmcr.kernels.aggregate import SMALL
from exmcr.kernels.layers import (
    InferenceLayers,
    TrainingLayers,
    add_product,
    packed,
    product,
    transposed,
)
from exmcr.training.projectors import Projector


@pytest.fixture(params=["alone", "a group of one"])
def between_ranks(request, monkeypatch):
    """Batch normalization as between ranks, or as torch has it."""
    if request.param == "alone":
        return False
    monkeypatch.setattr(layers.distributed, "current", lambda: "this process")
    monkeypatch.setattr(layers.distributed, "size", lambda group=None: 1)
    monkeypatch.setattr(
        layers.distributed, "all_reduce", lambda tensor, group=None, largest=False: tensor
    )
    return True


def test_gradients_are_those_of_the_values(between_ranks):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False)).double()
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    with TrainingLayers():
        assert type(net[:2](x).grad_fn).__name__.startswith("BatchNorm") == between_ranks
        assert torch.autograd.gradcheck(lambda v, *_: net(v), (x, *net.parameters()))


@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_a_projector_is_the_same_inside_and_out(dtype, bound, between_ranks):
    torch.manual_seed(0)
    nets = [Projector(24, 16, 40).to(dtype) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        net.requires_grad_(True)  # the biases before batch normalization too
    x, target = 3 * torch.randn(50, 24, dtype=dtype), torch.randn(50, 16, dtype=dtype)
    for _ in range(3):
        nets[0].zero_grad()
        (nets[0](x) * target).sum().backward()
        nets[1].zero_grad()
        with TrainingLayers():
            (nets[1](x) * target).sum().backward()
    for (name, one), other in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        assert (one.grad - other.grad).abs().max() < bound * 10, name
    for (name, one), other in zip(nets[0].named_buffers(), nets[1].buffers(), strict=True):
        assert torch.allclose(one, other, atol=bound), name


@pytest.mark.parametrize("n, m", [(1, 1), (5, 3), (32, 2048), (250, 512), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_transposed_matrix_is_contiguous(n, m, dtype):
    x = torch.randn(n, m, dtype=dtype)
    for given in (x, x.T.contiguous().T, torch.randn(n, 2 * m, dtype=dtype)[:, ::2]):
        result = transposed(given)
        assert torch.equal(result, given.T) and result.is_contiguous()


@pytest.mark.parametrize("fixed", ["x", "weight", "bias"])
def test_the_gradient_of_a_fixed_input_is_not_computed(fixed, onednn_calls):
    torch.manual_seed(0)
    x, layer = torch.randn(7, 6), nn.Linear(6, 5)
    inputs = {"x": x.requires_grad_(), "weight": layer.weight, "bias": layer.bias}
    inputs.pop(fixed).requires_grad_(False)
    expected = torch.autograd.grad(layer(x).square().sum(), list(inputs.values()))
    with TrainingLayers():
        out = layer(x)
    onednn_calls.clear()
    result = torch.autograd.grad(out.square().sum(), list(inputs.values()))
    assert len(onednn_calls) == (2 if fixed == "bias" else 1)
    for one, other in zip(result, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("form", [lambda a, b: a @ b, lambda a, b: a.matmul(b), torch.matmul])
def test_products_of_matrices(form, onednn_calls):
    torch.manual_seed(0)
    a, b, of = (
        torch.randn(5, 7, requires_grad=True),
        torch.randn(3, 7, requires_grad=True).T,
        torch.randn(5, 3),
    )
    expected = torch.autograd.grad((a @ b * of).sum(), (a, b))
    with TrainingLayers():
        result = form(a, b)
    assert len(onednn_calls) == 1 and torch.allclose(result, a @ b, atol=1e-6)
    for one, other in zip(torch.autograd.grad((result * of).sum(), (a, b)), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    with TrainingLayers():
        wide, row = form(a.double(), b.double()), form(a, b[:, 0])
        named, out = (
            torch.matmul(input=a, other=b),
            torch.matmul(a.detach(), b.detach(), out=torch.empty(5, 3)),
        )
    assert torch.equal(named, a @ b) and torch.equal(out, a @ b)
    assert (
        len(onednn_calls) == 3
        and torch.equal(wide, a.double() @ b.double())
        and torch.equal(row, a @ b[:, 0])
    )  # left to torch


def test_evaluation_and_other_shapes_are_left_to_torch(between_ranks):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    x, deep = torch.randn(6, 4), torch.randn(2, 5, 4)
    with TrainingLayers():
        assert torch.allclose(
            net(x), nn.functional.linear(x, net[0].weight, net[0].bias) / (1 + 1e-5) ** 0.5
        )
        assert net[0](deep).shape == (2, 5, 3)


@pytest.mark.parametrize("n, m, k", [(1, 1, 1), (5, 3, 2), (64, 33, 17), (0, 3, 2)])
def test_product(n, m, k):
    torch.manual_seed(0)
    left, right, bias = torch.randn(n, k), torch.randn(m, k), torch.randn(m)
    assert torch.allclose(product(left, right), left @ right.T, atol=1e-5)
    assert torch.allclose(product(left, right, bias=bias), left @ right.T + bias, atol=1e-5)
    assert torch.allclose(
        product(left.T.contiguous().T, right.T.contiguous().T), left @ right.T, atol=1e-5
    )
    old = torch.randn(n, m)
    assert torch.allclose(add_product(old.clone(), left, right), left @ right.T + old, atol=1e-5)
    into = old.clone()
    assert add_product(into, left, right) is into, "in place"
    assert torch.allclose(
        product(left, right, then="sigmoid"), (left @ right.T).sigmoid(), atol=1e-6
    )
    for laid_out in (packed(right, 8), packed(right.T.contiguous().T, 8)) if n else ():
        assert torch.allclose(product(left, laid_out), left @ right.T, atol=1e-5)
        assert torch.allclose(
            add_product(old.clone(), left, laid_out), left @ right.T + old, atol=1e-5
        )


def test_sigmoid_is_exp_far_below_zero():
    """The aggregation relies on it: within 4e-7 up to SMALL, and 0 where exp underflows."""
    x = torch.linspace(-200, math.log(SMALL), 4001)
    result = product(x[:, None], torch.ones(1, 1), then="sigmoid")[:, 0]
    right = x.double().exp()
    assert torch.allclose(result.double(), right, rtol=4e-7, atol=2e-38)
    assert (result[x < -110] == 0).all()


@pytest.mark.parametrize("eps", [1e-12, 2.0])
def test_unit_rows_and_their_gradient(eps):
    """With eps 2 some rows are shorter than it and some longer."""
    torch.manual_seed(0)
    x = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 4, dtype=torch.float64)
    right = nn.functional.normalize(x, dim=-1, eps=eps)
    of_right = torch.autograd.grad((right * weight).sum(), x)[0]
    with TrainingLayers():
        result = nn.functional.normalize(x, dim=-1, eps=eps)
        columns = nn.functional.normalize(x, dim=0)
    assert type(result.grad_fn).__name__ == "NormalizeBackward" and torch.allclose(result, right)
    assert torch.allclose(torch.autograd.grad((result * weight).sum(), x)[0], of_right)
    assert torch.allclose(columns.norm(dim=0), torch.ones(4, dtype=torch.float64)), (
        "other axes are left to torch"
    )


class Encoder(nn.Module):
    """Attention and linear layers in the ways that encoders call them."""

    def __init__(self, batch_first):
        super().__init__()
        self.attention = nn.MultiheadAttention(64, 4, batch_first=batch_first)
        self.plain, self.no_bias = nn.Linear(64, 96), nn.Linear(96, 64, bias=False)
        self.strided = nn.Parameter(torch.randn(64, 32))

    def forward(self, x, mask):
        x = x + self.attention(x, x, x, need_weights=False, attn_mask=mask)[0]
        x = self.no_bias(nn.functional.gelu(self.plain(x)))
        return nn.functional.linear(x, self.strided.T)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_a_frozen_encoder_is_the_same_through_onednn(batch_first, masked, onednn_calls):
    torch.manual_seed(0)
    net, x = Encoder(batch_first).eval().requires_grad_(False), torch.randn(24, 40, 64)
    mask = torch.full((40 if batch_first else 24,) * 2, -torch.inf).triu(1) if masked else None
    exact = net.double()(x.double(), mask if mask is None else mask.double())
    net.float()
    with torch.inference_mode(), InferenceLayers():
        result, again = net(x, mask), net(x, mask)
    torch.testing.assert_close(result.double(), exact, atol=1e-5, rtol=0)
    assert torch.equal(result, again)
    assert [weight for _, weight in onednn_calls] == 2 * [
        (192, 64),
        (64, 64),
        (96, 64),
        (64, 96),
        (32, 64),
    ]


def test_two_dimensions_and_one(onednn_calls):
    torch.manual_seed(0)
    layer = nn.Linear(1024, 1024)
    with torch.inference_mode(), InferenceLayers():
        for x in (
            torch.randn(70, 1024),
            torch.randn(1024, 70).T,
            torch.randn(1024),
            torch.randn(2, 3, 5, 1024),
        ):
            expected = x.double() @ layer.weight.double().T + layer.bias.double()
            torch.testing.assert_close(layer(x).double(), expected, atol=1e-5, rtol=0)
    assert len(onednn_calls) == 4


@pytest.mark.parametrize("kind", ["gradient", "float64", "autocast", "small", "no rows"])
def test_inference_layers_leave_other_cases_to_torch(kind, onednn_calls):
    torch.manual_seed(0)
    net, x = Encoder(True).eval(), torch.randn(24, 40, 64)
    if kind == "float64":
        net, x = net.double(), x.double()
    if kind in ("small", "no rows"):
        x = x[:2, :5] if kind == "small" else x[:0]
    with (
        torch.inference_mode(kind != "gradient"),
        torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"),
    ):
        expected = net(x, None)
        with InferenceLayers():
            result = net(x, None)
    if kind == "gradient":
        result.sum().backward()
        assert net.plain.weight.grad.abs().max() > 0
    torch.testing.assert_close(result, expected, atol=0 if kind == "float64" else 1e-5, rtol=0)
    assert not onednn_calls


def test_attention_over_other_tokens_and_attention_that_is_returned(onednn_calls):
    torch.manual_seed(0)
    attention, x, other = (
        Encoder(True).eval().attention,
        torch.randn(24, 40, 64),
        torch.randn(24, 9, 64),
    )
    for query, keys, weights in [(x, other, False), (x, x, True), (x, other, True)]:
        with torch.inference_mode():
            expected = attention(query, keys, keys, need_weights=weights)
            with InferenceLayers():
                result = attention(query, keys, keys, need_weights=weights)
        torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


def test_shapes_that_do_not_fit_are_errors(onednn_calls):
    with torch.inference_mode(), InferenceLayers(), pytest.raises(RuntimeError):
        nn.functional.linear(torch.randn(500, 64), torch.randn(64, 65))
