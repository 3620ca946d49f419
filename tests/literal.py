"""Literal arithmetic, vector by vector: what losses are compared with."""

import math

import torch
from torch.nn.functional import normalize


def units(n, d, seed):
    """Random unit rows, float64 (n, d)."""
    draw = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, d, generator=draw, dtype=torch.float64), dim=1)


def dot(u, v):
    return sum(float(p) * float(q) for p, q in zip(u, v))


def softmax_of(row, tau):
    total = sum(math.exp(v / tau) for v in row)
    return [math.exp(v / tau) / total for v in row]
