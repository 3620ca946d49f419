"""The point encoder of OpenShape against a literal reference: loops over points, balls and heads."""

import math

import pytest
import torch
from literal import farthest, squared_distance
from torch.nn.functional import gelu

from exmcr.spaces import openshape
from exmcr.spaces.patches import OpenShapeNetwork, balls, cut
from exmcr.spaces.pointbert import farthest_points


def reference_balls(cloud, patches, radius, size):
    """Indices of the centers, and of the first points in each ball."""
    cloud = [tuple(map(float, point)) for point in cloud]
    chosen, near = farthest(cloud, patches), []
    for center in chosen:
        away = [squared_distance(point, cloud[center]) for point in cloud]
        inside = [k for k, square in enumerate(away) if square <= radius**2]
        near.append((inside + [inside[0]] * size)[:size])
    return chosen, near


def reference_forward(net, cloud, patches, radius, size):
    """One colored cloud (p, 6) float64 -> vector, by the published code, one operation after the
    other."""
    p = net.state_dict()
    chosen, near = reference_balls(cloud[:, :3], patches, radius, size)

    def linear(name, x):
        weight = p[f"{name}.weight"]
        out = weight.reshape(len(weight), -1) @ x
        return out + p[f"{name}.bias"] if f"{name}.bias" in p else out

    def layer_norm(name, x):
        centered = x - x.mean()
        unit = centered / torch.sqrt((centered**2).mean() + 1e-5)
        return unit * p[f"{name}.weight"] + p[f"{name}.bias"]

    def batch_norm(name, x):
        centered = (x - p[f"{name}.running_mean"]) / torch.sqrt(p[f"{name}.running_var"] + 1e-5)
        return centered * p[f"{name}.weight"] + p[f"{name}.bias"]

    tokens = [p["ppat.cls_token"]]
    for center, members in zip(chosen, near):
        points = []
        for k in members:
            x = torch.cat([cloud[k, :3] - cloud[center, :3], cloud[k]])
            for n in range(3):
                x = linear(f"ppat.sa.mlp_convs.{n}", x)
                x = torch.relu(batch_norm(f"ppat.sa.mlp_bns.{n}", x))
            points.append(x)
        feature = torch.stack(points).max(dim=0).values
        x = linear("ppat.lift.0", torch.cat([cloud[center, :3], feature]))
        tokens.append(layer_norm("ppat.lift.2", x))
    for b in range(len(net.ppat.transformer["layers"])):
        attn, ff = f"ppat.transformer.layers.{b}.0", f"ppat.transformer.layers.{b}.1"
        qkv = [linear(f"{attn}.fn.to_qkv", layer_norm(f"{attn}.norm", x)) for x in tokens]
        inner, mixed = len(qkv[0]) // 3, []
        for i in range(len(tokens)):
            parts = []
            for h in range(inner // 64):
                rows = slice(64 * h, 64 * (h + 1))
                scores = [qkv[i][:inner][rows] @ x[inner : 2 * inner][rows] for x in qkv]
                weights = torch.softmax(torch.stack(scores) / math.sqrt(64), 0)
                parts.append(sum(w * x[2 * inner :][rows] for w, x in zip(weights, qkv)))
            mixed.append(linear(f"{attn}.fn.to_out.0", torch.cat(parts)))
        tokens = [x + y for x, y in zip(tokens, mixed)]
        hidden = [gelu(linear(f"{ff}.fn.net.0", layer_norm(f"{ff}.norm", x))) for x in tokens]
        tokens = [x + linear(f"{ff}.fn.net.3", y) for x, y in zip(tokens, hidden)]
    return linear("proj", tokens[0])


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = OpenShapeNetwork(out=24, dim=96, depth=2, heads=2, hidden=40, channels=20)
    for module in net.modules():  # untrained batch norms would hide a mistake in them
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net.double().eval()


def cloud_of(n, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    cloud = torch.rand(2, n, 6, dtype=dtype, generator=generator)
    return torch.cat([cloud[..., :3] * 2 - 1, cloud[..., 3:]], dim=2)


def test_vectors_equal_the_literal_reference(net):
    clouds = cloud_of(70)
    with torch.inference_mode():
        vectors = net(*cut(clouds, patches=12, radius=0.7, size=5))
        for vector, cloud in zip(vectors, clouds):
            expected = reference_forward(net, cloud, 12, 0.7, 5)
            torch.testing.assert_close(vector, expected, atol=1e-10, rtol=0)
    assert vectors.shape == (2, 24)


@pytest.mark.parametrize(
    ("points", "patches", "radius", "size"), [(80, 30, 0.5, 8), (6, 6, 3.0, 9), (40, 40, 0.01, 4)]
)
def test_balls_equal_the_reference_and_start_at_point_0(points, patches, radius, size):
    cloud = cloud_of(points)[:, :, :3]
    chosen, near = balls(cloud, patches, radius, size)
    for k in range(2):
        expected = reference_balls(cloud[k], patches, radius, size)
        assert (chosen[k].tolist(), near[k].tolist()) == expected
    assert torch.equal(chosen, farthest_points(cloud, patches, 1)[0]) and chosen[0, 0] == 0


def test_a_cloud_of_fewer_points_than_patches_is_encoded(net):
    with torch.inference_mode():
        assert net(*cut(cloud_of(3))).isfinite().all()


def test_float32_is_close_to_float64(net):
    single = OpenShapeNetwork(out=24, dim=96, depth=2, heads=2, hidden=40, channels=20).eval()
    single.load_state_dict(net.state_dict())
    clouds = cloud_of(400, dtype=torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(
            single(*cut(clouds)).double(), net(*cut(clouds.double())), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize(
    ("variant", "out", "copies", "size"),
    [
        ("vitg14", 1280, 3, 388_091_433),  # the parameters and two averages of the optimizer
        ("vitl14", 768, 1, 102_839_295),
        ("vitb32", 0, 1, 101_260_675),
    ],
)
def test_the_published_sizes_give_the_published_number_of_bytes(variant, out, copies, size):
    with torch.device("meta"):
        network = openshape.VARIANTS[variant].network(out)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert 0 < size - 4 * copies * count < 0.001 * size


def test_names_and_shapes_are_those_of_the_published_code():
    with torch.device("meta"):
        state = OpenShapeNetwork().state_dict()
    shapes = {
        "ppat.cls_token": (512,),
        "ppat.sa.mlp_convs.0.weight": (64, 9, 1, 1),
        "ppat.sa.mlp_convs.2.bias": (256,),
        "ppat.sa.mlp_bns.2.running_var": (256,),
        "ppat.sa.mlp_bns.0.num_batches_tracked": (),
        "ppat.lift.0.weight": (512, 259, 1),
        "ppat.lift.2.weight": (512,),
        "ppat.transformer.layers.0.0.norm.weight": (512,),
        "ppat.transformer.layers.0.0.fn.to_qkv.weight": (1536, 512),
        "ppat.transformer.layers.11.0.fn.to_out.0.bias": (512,),
        "ppat.transformer.layers.11.1.norm.bias": (512,),
        "ppat.transformer.layers.0.1.fn.net.0.weight": (1536, 512),
        "ppat.transformer.layers.11.1.fn.net.3.weight": (512, 1536),
        "proj.weight": (1280, 512),
        "proj.bias": (1280,),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    assert len(state) == 1 + 3 * (2 + 5) + 4 + 12 * (2 + 3 + 2 + 4) + 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cpu_and_gpu_agree(net):
    clouds = cloud_of(10_000, dtype=torch.float32).half().float()  # with many equal distances
    here, there = balls(clouds[..., :3], 384, 0.2, 64), balls(clouds[..., :3].cuda(), 384, 0.2, 64)
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here, there))
