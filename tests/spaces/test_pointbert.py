"""PointBERT against a literal reference: loops over points, groups and heads, no batches."""

import math

import numpy as np
import pytest
import torch
from literal import farthest, squared_distance
from torch.nn.functional import gelu

from exmcr.spaces.pointbert import PointBERT, farthest_points, group


def reference_groups(cloud, groups, size):
    cloud = [tuple(map(float, point)) for point in cloud]
    chosen = farthest(cloud, groups)
    near = [
        sorted(range(len(cloud)), key=lambda k: squared_distance(cloud[k], cloud[c]))[:size]
        for c in chosen
    ]
    return chosen, near


def reference_forward(net, cloud, groups, size):
    """One cloud (p, 3) float64 -> feature, by the description of the published model, one operation after the other."""
    p = {name: tensor for name, tensor in net.state_dict().items()}
    chosen, near = reference_groups(cloud, groups, size)

    def conv(name, x):  # a convolution of width 1 is a matrix
        return p[f"{name}.weight"][:, :, 0] @ x + p[f"{name}.bias"]

    def batch_norm(name, x):
        return (x - p[f"{name}.running_mean"]) / torch.sqrt(p[f"{name}.running_var"] + 1e-5) * p[
            f"{name}.weight"
        ] + p[f"{name}.bias"]

    def layer_norm(name, x):
        centered = x - x.mean()
        return (
            centered / torch.sqrt((centered**2).mean() + 1e-5) * p[f"{name}.weight"]
            + p[f"{name}.bias"]
        )

    def linear(name, x):
        return p[f"{name}.weight"] @ x + (p[f"{name}.bias"] if f"{name}.bias" in p else 0)

    tokens, positions = [p["cls_token"][0, 0]], [p["cls_pos"][0, 0]]
    for center, members in zip(chosen, near):
        local = []
        for k in members:
            x = conv("encoder.first_conv.0", cloud[k] - cloud[center])
            x = torch.relu(batch_norm("encoder.first_conv.1", x))
            local.append(conv("encoder.first_conv.3", x))
        whole = torch.stack(local).max(dim=0).values
        deep = []
        for x in local:
            x = conv("encoder.second_conv.0", torch.cat([whole, x]))
            x = torch.relu(batch_norm("encoder.second_conv.1", x))
            deep.append(conv("encoder.second_conv.3", x))
        tokens.append(linear("reduce_dim", torch.stack(deep).max(dim=0).values))
        positions.append(linear("pos_embed.2", gelu(linear("pos_embed.0", cloud[center]))))

    heads, dim = net.blocks.blocks[0].attn.heads, len(tokens[0])
    for b in range(len(net.blocks.blocks)):
        name = f"blocks.blocks.{b}"
        tokens = [x + position for x, position in zip(tokens, positions)]
        qkv = [linear(f"{name}.attn.qkv", layer_norm(f"{name}.norm1", x)) for x in tokens]
        mixed = []
        for i in range(len(tokens)):
            parts = []
            for h in range(heads):
                cut = slice(h * dim // heads, (h + 1) * dim // heads)
                q = qkv[i][:dim][cut]
                scores = torch.stack(
                    [q @ other[dim : 2 * dim][cut] / math.sqrt(dim // heads) for other in qkv]
                )
                parts.append(
                    sum(
                        w * other[2 * dim :][cut] for w, other in zip(torch.softmax(scores, 0), qkv)
                    )
                )
            mixed.append(linear(f"{name}.attn.proj", torch.cat(parts)))
        tokens = [x + y for x, y in zip(tokens, mixed)]
        tokens = [
            x
            + linear(
                f"{name}.mlp.fc2", gelu(linear(f"{name}.mlp.fc1", layer_norm(f"{name}.norm2", x)))
            )
            for x in tokens
        ]
    tokens = [layer_norm("norm", x) for x in tokens]
    return torch.cat([tokens[0], torch.stack(tokens[1:]).max(dim=0).values])


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = PointBERT(depth=3).double().eval()
    for module in net.modules():  # untrained batch norms would hide a mistake in them
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    net.cls_token.data.normal_()
    return net


def test_features_equal_the_literal_reference(net):
    clouds = torch.randn(2, 90, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = net(*group(clouds, groups=20, size=8))
        for feature, cloud in zip(features, clouds):
            torch.testing.assert_close(
                feature, reference_forward(net, cloud, 20, 8), atol=1e-5, rtol=0
            )
    assert features.shape == (2, 768)


def test_float32_is_close_to_float64(net):
    clouds = torch.randn(1, 600, 3, generator=torch.Generator().manual_seed(2))
    single = PointBERT(depth=3).eval()
    single.load_state_dict(net.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(
            single(*group(clouds)).double(), net(*group(clouds.double())), atol=1e-4, rtol=1e-4
        )


def test_groups_equal_the_reference_and_start_at_point_0():
    cloud = np.random.default_rng(3).normal(size=(200, 3))
    chosen, near = reference_groups(cloud, 40, 8)
    groups, centers = group(torch.from_numpy(cloud)[None], 40, 8)
    assert (
        chosen[0] == 0
        and farthest_points(torch.from_numpy(cloud)[None], 40, 8)[0][0].tolist() == chosen
    )
    np.testing.assert_array_equal(centers[0], cloud[chosen])
    for k, members in enumerate(near):
        expected = cloud[members] - cloud[chosen[k]]
        np.testing.assert_allclose(
            np.sort(groups[0, k].numpy(), axis=0), np.sort(expected, axis=0), atol=1e-12
        )


def test_equal_points_and_small_clouds_are_handled(net):
    cloud = torch.zeros(1, 40, 3, dtype=torch.float64)
    cloud[0, :5] = torch.randn(5, 3)
    chosen, _ = farthest_points(cloud, 30, 8)
    assert (
        sorted(set(chosen[0].tolist())) == [0, 1, 2, 3, 4, 5] and chosen[0, 6:].eq(0).all()
    )  # 5 is the first of the zeros
    with torch.inference_mode():
        assert net(*group(cloud, 512, 32)).isfinite().all()


def test_the_order_of_a_batch_does_not_matter(net):
    clouds = torch.randn(3, 100, 3, dtype=torch.float64)
    with torch.inference_mode():
        together = net(*group(clouds, 16, 8))
        alone = torch.cat([net(*group(cloud[None], 16, 8)) for cloud in clouds])
    torch.testing.assert_close(together, alone)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cpu_and_gpu_agree(net):
    # Half precision, as Objaverse records are: many equal distances, where a careless argmax would part ways.
    clouds = torch.randn(4, 10_000, 3, generator=torch.Generator().manual_seed(4)).half().float()
    chosen, _ = farthest_points(clouds, 512, 32)
    assert torch.equal(chosen, farthest_points(clouds.cuda(), 512, 32)[0].cpu())
    with torch.inference_mode():
        here = net.float()(*group(clouds))
        there = net.float().cuda()(*group(clouds.cuda())).cpu()
    net.cpu().double()
    assert torch.nn.functional.cosine_similarity(here, there).min() > 0.9999
