"""The point encoder of OpenShape: a transformer whose tokens are balls of colored points.

OpenShape calls it PointBERT. It is another network than that of pointbert.py: it groups the points
in a radius, not a number of nearest ones, and has no position embeddings. Names of submodules are
those of the published weights.
Source: Liu et al., arXiv 2305.10764; src/models/ppat.py of https://github.com/Colin97/OpenShape_code.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from exmcr.spaces.pointbert import farthest_points

PATCHES, RADIUS, PATCH_SIZE = 384, 0.2, 64
COLUMNS = 9  # of a point in a patch: relative to the center, in the cloud, color


def balls(cloud: Tensor, patches: int, radius: float, size: int) -> tuple[Tensor, Tensor]:
    """Centers by farthest-point sampling, and the points in a ball around each.

    cloud (b, p, 3) -> indices (b, patches) of the centers, and indices (b, patches, size) of the
    first `size` points, in the order of the cloud, within `radius` of each center. Where there are
    fewer, the first one repeats. Distances are float64, so that CPU and GPU choose alike.
    """
    chosen, _ = farthest_points(cloud, patches, size=1)
    p = cloud.shape[1]
    axes = [axis.contiguous() for axis in cloud.double().unbind(dim=2)]
    x, y, z = ((axis.gather(1, chosen)[:, :, None] - axis[:, None]).square_() for axis in axes)
    outside = x.add_(y).add_(z) > radius**2
    # Points outside get an index beyond all others.
    places = torch.arange(p, device=cloud.device).expand(outside.shape).masked_fill(outside, p)
    first = places.topk(min(size, p), dim=2, largest=False, sorted=True).values
    first = torch.where(first == p, first[:, :, :1], first)
    missing = first[:, :, :1].expand(-1, -1, size - first.shape[2])
    return chosen, torch.cat([first, missing], dim=2)


def cut(
    cloud: Tensor, patches: int = PATCHES, radius: float = RADIUS, size: int = PATCH_SIZE
) -> tuple[Tensor, Tensor]:
    """Cut colored clouds (b, p, 6) into overlapping patches.

    Returns patches (b, patches, size, 9), with the columns of COLUMNS, and centers (b, patches, 3).
    """
    chosen, near = balls(cloud[:, :, :3], patches, radius, size)
    batch = torch.arange(len(cloud), device=cloud.device)
    centers, points = cloud[batch[:, None], chosen, :3], cloud[batch[:, None, None], near]
    return torch.cat([points[..., :3] - centers[:, :, None], points], dim=3), centers


class PatchEncoder(nn.Module):
    """A small PointNet, invariant to the order of points: (b, n, size, 9) -> (b, channels, n)."""

    def __init__(self, channels: int):
        super().__init__()
        widths = (COLUMNS, 64, 64, channels)
        self.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])

    def forward(self, patches: Tensor) -> Tensor:
        x = patches.permute(0, 3, 2, 1)  # (b, 9, size, n)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns):
            x = norm(conv(x)).relu()
        return x.amax(dim=2)


class Attention(nn.Module):
    """Multi-head self-attention with heads of 64 dimensions: (b, n, dim) -> (b, n, dim)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * 64 * heads, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(64 * heads, dim)])

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x).unflatten(2, (3, self.heads, 64)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.to_out[0](mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, GELU, Linear: (b, n, dim) -> (b, n, dim)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.net = nn.ModuleDict({"0": nn.Linear(dim, hidden), "3": nn.Linear(hidden, dim)})

    def forward(self, x: Tensor) -> Tensor:
        return self.net["3"](nn.functional.gelu(self.net["0"](x)))


class Residual(nn.Module):
    """x + fn(norm(x)): (b, n, dim) -> (b, n, dim)."""

    def __init__(self, dim: int, fn: nn.Module):
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(dim), fn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fn(self.norm(x))


class PatchTransformer(nn.Module):
    """Patches and centers from `cut` -> (b, dim): the class token after the last block.

    The only position that a token has is the center that is concatenated to its features.
    """

    def __init__(self, dim: int, depth: int, heads: int, hidden: int, channels: int):
        super().__init__()
        self.sa = PatchEncoder(channels)
        lift = {"0": nn.Conv1d(3 + channels, dim, 1), "2": nn.LayerNorm(dim)}
        self.lift = nn.ModuleDict(lift)
        self.cls_token = nn.Parameter(torch.randn(dim))
        block = lambda: nn.ModuleList(
            [Residual(dim, Attention(dim, heads)), Residual(dim, FeedForward(dim, hidden))]
        )
        self.transformer = nn.ModuleDict({"layers": nn.ModuleList(block() for _ in range(depth))})

    def forward(self, patches: Tensor, centers: Tensor) -> Tensor:
        features = torch.cat([centers.transpose(1, 2), self.sa(patches)], dim=1)
        tokens = self.lift["2"](self.lift["0"](features).transpose(1, 2))
        x = torch.cat([self.cls_token.expand(len(tokens), 1, -1), tokens], dim=1)
        for attention, feed_forward in self.transformer["layers"]:
            x = feed_forward(attention(x))
        return x[:, 0]


class OpenShapeNetwork(nn.Module):
    """The transformer and a projection into the space of CLIP: (b, out).

    out: dimensions of that space, 1280 of ViT-bigG-14; 0 leaves the projection out: (b, dim). The
    defaults are the sizes of pointbert-vitg14-rgb.
    """

    def __init__(
        self,
        out: int = 1280,
        dim: int = 512,
        depth: int = 12,
        heads: int = 8,
        hidden: int = 1536,
        channels: int = 256,
    ):
        super().__init__()
        self.out = out or dim
        self.ppat = PatchTransformer(dim, depth, heads, hidden, channels)
        self.proj = nn.Linear(dim, out) if out else nn.Identity()

    def forward(self, patches: Tensor, centers: Tensor) -> Tensor:
        return self.proj(self.ppat(patches, centers))
