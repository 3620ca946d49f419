"""PointBERT, the point encoder of ULIP-2: a transformer whose tokens are groups of near points.

Names of submodules are those of the published weights.
Source: Yu et al., arXiv 2111.14819; Xue et al., arXiv 2305.08275.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

GROUPS, GROUP_SIZE = 512, 32


def farthest_points(cloud: Tensor, n: int, size: int) -> tuple[Tensor, Tensor]:
    """Farthest-point sampling that starts at point 0, and the neighbors of each sampled point.

    cloud (b, p, 3) -> indices (b, n) of the sampled points, and indices (b, n, size) of the points
    nearest to each, unordered. When all points are taken, index 0 repeats. One pass yields both,
    because sampling needs every distance anyway. The published code starts at a random point, so
    that no two runs agree. Distances are float64, so that CPU and GPU choose alike: one different
    choice changes all later ones, and clouds stored in half precision have many equal distances.
    """
    b, p, _ = cloud.shape
    # Three rows are twice as fast as an array of triples.
    axes = [axis.contiguous() for axis in cloud.double().unbind(dim=2)]
    chosen = torch.zeros(b, n, dtype=torch.long, device=cloud.device)
    near = torch.empty(b, n, size, dtype=torch.long, device=cloud.device)
    # Squared distance of each point to the nearest sampled point.
    gap = torch.full((b, p), torch.inf, dtype=torch.float64, device=cloud.device)
    current = chosen[:, :1].clone()
    for k in range(n):
        chosen[:, k] = current[:, 0]
        x, y, z = ((axis - axis.gather(1, current)).square_() for axis in axes)
        distance = x + y + z
        near[:, k] = distance.topk(size, dim=1, largest=False, sorted=False).indices
        torch.minimum(gap, distance, out=gap)
        current = gap.argmax(dim=1, keepdim=True)  # the first among equals
    return chosen, near


def group(cloud: Tensor, groups: int = GROUPS, size: int = GROUP_SIZE) -> tuple[Tensor, Tensor]:
    """Cut clouds (b, p, 3) into overlapping groups.

    Returns groups (b, groups, size, 3), relative to their centers, and centers (b, groups, 3). A
    group consists of the `size` points nearest to its center, the center included; p >= size.
    """
    chosen, near = farthest_points(cloud, groups, size)
    batch = torch.arange(len(cloud), device=cloud.device)
    centers = cloud[batch[:, None], chosen]
    return cloud[batch[:, None, None], near] - centers[:, :, None], centers


def in_equal_lengths(
    clouds: Sequence[np.ndarray],
    device: str,
    cut: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Apply `cut` to clouds of any length, to those of equal length at once.

    cut: clouds (b, p, columns) -> groups (b, ...) and centers (b, ...), as `group` returns them.
    """
    by_length: dict[int, list[int]] = {}
    for row, cloud in enumerate(clouds):
        by_length.setdefault(len(cloud), []).append(row)
    parts: dict[int, tuple[Tensor, Tensor]] = {}
    for rows in by_length.values():
        stack = torch.from_numpy(np.stack([clouds[row] for row in rows])).to(device)
        parts |= zip(rows, zip(*cut(stack)))
    groups, centers = zip(*(parts[row] for row in range(len(clouds))))
    return torch.stack(groups), torch.stack(centers)


class GroupEncoder(nn.Module):
    """A small PointNet, invariant to the order of points: (m, size, 3) -> (m, channels)."""

    def __init__(self, channels: int):
        super().__init__()
        self.first_conv = nn.Sequential(
            nn.Conv1d(3, 128, 1), nn.BatchNorm1d(128), nn.ReLU(), nn.Conv1d(128, 256, 1)
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(512, 512, 1), nn.BatchNorm1d(512), nn.ReLU(), nn.Conv1d(512, channels, 1)
        )

    def forward(self, groups: Tensor) -> Tensor:
        local = self.first_conv(groups.transpose(1, 2))
        whole = local.amax(dim=2, keepdim=True).expand_as(local)
        return self.second_conv(torch.cat([whole, local], dim=1)).amax(dim=2)


class Attention(nn.Module):
    """Multi-head self-attention: (b, n, dim) -> (b, n, dim)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block with residual connections: (b, n, dim) -> (b, n, dim)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm2(x))))


class Blocks(nn.Module):
    """The transformer: (b, n, dim) -> (b, n, dim).

    A module of its own, because the published weights are named `blocks.blocks.0...`.
    """

    def __init__(self, dim: int, depth: int, heads: int):
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x + position)  # before every block, not only the first
        return x


class PointBERT(nn.Module):
    """Groups and centers from `group` -> (b, 2 dim): the class token, then the maximum over the
    group tokens."""

    def __init__(self, dim: int = 384, depth: int = 12, heads: int = 6, channels: int = 256):
        super().__init__()
        self.encoder = GroupEncoder(channels)
        self.reduce_dim = nn.Linear(channels, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, dim))
        self.blocks = Blocks(dim, depth, heads)
        self.norm = nn.LayerNorm(dim)

    def forward(self, groups: Tensor, centers: Tensor) -> Tensor:
        b, g = groups.shape[:2]
        tokens = self.reduce_dim(self.encoder(groups.flatten(0, 1)).unflatten(0, (b, g)))
        x = torch.cat([self.cls_token.expand(b, -1, -1), tokens], dim=1)
        position = torch.cat([self.cls_pos.expand(b, -1, -1), self.pos_embed(centers)], dim=1)
        x = self.norm(self.blocks(x, position))
        return torch.cat([x[:, 0], x[:, 1:].amax(dim=1)], dim=1)
