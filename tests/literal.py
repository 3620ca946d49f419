"""Literal arithmetic, vector by vector: what losses and encoders are compared with."""

import math

import torch
from torch.nn.functional import conv2d, normalize, pad


def units(n, d, seed):
    """Random unit rows, float64 (n, d)."""
    draw = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, d, generator=draw, dtype=torch.float64), dim=1)


def squared_distance(u, v):
    return sum((p - q) ** 2 for p, q in zip(u, v))


def farthest(cloud, count):
    """Farthest-point sampling from the first point: indices of `count` of these points."""
    chosen = [0]
    while len(chosen) < count:
        gaps = [min(squared_distance(point, cloud[c]) for c in chosen) for point in cloud]
        chosen.append(gaps.index(max(gaps)))
    return chosen


def dot(u, v):
    return sum(float(p) * float(q) for p, q in zip(u, v))


def softmax_of(row, tau):
    total = sum(math.exp(v / tau) for v in row)
    return [math.exp(v / tau) / total for v in row]


def convolved(x, weight, stride, depthwise, bias=None):
    """A convolution (out, in, side, side) of (n, in, height, width) with TensorFlow's "same"
    padding."""
    side, pads = weight.shape[-1], []
    for length in (x.shape[3], x.shape[2]):
        total = max((math.ceil(length / stride) - 1) * stride + side - length, 0)
        pads += [total // 2, total - total // 2]
    groups = x.shape[1] if depthwise else 1
    return conv2d(pad(x, pads), weight, bias, stride, groups=groups)
