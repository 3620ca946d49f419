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
    joined,
    packed,
    product,
    turned,
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
        layers.distributed, "total", lambda tensor, group=None, largest=False: tensor
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


@pytest.mark.parametrize(
    "n, m", [(1, 1), (5, 3), (32, 2048), (256, 300), (320, 257), (512, 1024), (250, 512), (0, 4)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_turned(n, m, dtype, monkeypatch):
    shuffled, shuffle = [], nn.functional.channel_shuffle
    monkeypatch.setattr(
        nn.functional, "channel_shuffle", lambda *given: shuffled.append(given) or shuffle(*given)
    )
    x = torch.randn(n, m, dtype=dtype)
    for given in (x, x.T.contiguous().T, torch.randn(n, 2 * m, dtype=dtype)[:, ::2]):
        found = turned(given)
        assert torch.equal(found, given.T) and found.is_contiguous()
    assert len(shuffled) == (2 if n % 32 == 0 and n * m >= 2**16 else 0), (
        "the one that lies transposed already needs no copy"
    )


@pytest.mark.parametrize("fixed", [True, False])
def test_rows_that_want_no_gradient_are_not_followed(fixed, onednn_calls):
    """And the weights learn from all rows."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    x, rest = torch.randn(3, 6, requires_grad=True), torch.randn(7, 6, requires_grad=not fixed)
    wanted = [x, *net.parameters()] + ([] if fixed else [rest])
    expected = torch.autograd.grad(net(torch.cat([x, rest])).square().sum(), wanted)
    with TrainingLayers():
        both = joined(x, rest)
        out = net(both)
    assert torch.equal(both, torch.cat([x, rest]))
    onednn_calls.clear()
    found = torch.autograd.grad(out.square().sum(), wanted)
    assert [left for left, _ in onednn_calls if left[1] == 5] == [(3 if fixed else 10, 5)]
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    elsewhere = torch.autograd.grad(
        net(joined(x, rest)).square().sum(), wanted
    )  # outside, as on a GPU
    for one, other in zip(elsewhere, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


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
        found = form(a, b)
    assert len(onednn_calls) == 1 and torch.allclose(found, a @ b, atol=1e-6)
    for one, other in zip(torch.autograd.grad((found * of).sum(), (a, b)), expected, strict=True):
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
    """What the aggregation rests on: as near as it says up to what it permits, and 0 where exp underflows."""
    x = torch.linspace(-200, math.log(SMALL), 4001)
    found = product(x[:, None], torch.ones(1, 1), then="sigmoid")[:, 0]
    right = x.double().exp()
    assert torch.allclose(found.double(), right, rtol=4e-7, atol=2e-38)
    assert (found[x < -110] == 0).all()


@pytest.mark.parametrize("eps", [1e-12, 2.0])
def test_unit_rows_and_their_gradient(eps):
    """With eps 2 some rows are shorter than it and some longer."""
    torch.manual_seed(0)
    x = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 4, dtype=torch.float64)
    right = nn.functional.normalize(x, dim=-1, eps=eps)
    of_right = torch.autograd.grad((right * weight).sum(), x)[0]
    with TrainingLayers():
        found = nn.functional.normalize(x, dim=-1, eps=eps)
        columns = nn.functional.normalize(x, dim=0)
    assert type(found.grad_fn).__name__ == "NormalizeBackward" and torch.allclose(found, right)
    assert torch.allclose(torch.autograd.grad((found * weight).sum(), x)[0], of_right)
    assert torch.allclose(columns.norm(dim=0), torch.ones(4, dtype=torch.float64)), (
        "other axes are left to torch"
    )


CHANGES = {
    "nothing": lambda h, both: both,
    "the joined rows": lambda h, both: both.mul_(3),
    "a ReLU in place": lambda h, both: both.relu_(),
    "the rows that were joined": lambda h, both: (h.mul_(3), both)[1],
    "detached": lambda h, both: both.detach_(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_done_to_joined_rows_before_a_layer_counts(change):
    x, rest, net = torch.randn(3, 6, requires_grad=True), torch.randn(7, 6), nn.Linear(6, 4)

    def of_x(join):
        h = x * 2
        out = net(CHANGES[change](h, join(h, rest))).square().sum()
        return torch.autograd.grad(out, [x, net.weight], allow_unused=True)

    expected = of_x(lambda h, rest: torch.cat([h, rest]))
    with TrainingLayers():
        found = of_x(joined)
    for one, other in zip(found, expected, strict=True):
        assert one is other is None or torch.allclose(one, other, atol=1e-4)
    with TrainingLayers():
        with torch.no_grad():
            both = joined(x, rest)
        assert torch.autograd.grad(net(both).sum(), x, allow_unused=True)[0] is None


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
        found, again = net(x, mask), net(x, mask)
    torch.testing.assert_close(found.double(), exact, atol=1e-5, rtol=0)
    assert torch.equal(found, again)
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
def test_what_inference_layers_leave_to_torch(kind, onednn_calls):
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
            found = net(x, None)
    if kind == "gradient":
        found.sum().backward()
        assert net.plain.weight.grad.abs().max() > 0
    torch.testing.assert_close(found, expected, atol=0 if kind == "float64" else 1e-5, rtol=0)
    assert not onednn_calls


def test_attention_over_other_tokens_and_attention_that_is_returned(onednn_calls):
    torch.manual_seed(0)
    attention, x, other = (
        Encoder(True).eval().attention,
        torch.randn(24, 40, 64),
        torch.randn(24, 9, 64),
    )
    for query, keys, wanted in [(x, other, False), (x, x, True), (x, other, True)]:
        with torch.inference_mode():
            expected = attention(query, keys, keys, need_weights=wanted)
            with InferenceLayers():
                found = attention(query, keys, keys, need_weights=wanted)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_shapes_that_do_not_fit_are_errors(onednn_calls):
    with torch.inference_mode(), InferenceLayers(), pytest.raises(RuntimeError):
        nn.functional.linear(torch.randn(500, 64), torch.randn(64, 65))
