"""Spectral universal embeddings: SUE (Yacobi et al., NeurIPS 2025, arXiv:2505.21524).

Random walks on the neighbors of each space are alike, so the leading eigenvectors of their
transition matrices are alike, up to a linear map. SUE computes them in each space by itself, from
unpaired items, finds the linear map by canonical correlation on a few pairs, and removes what is
left with a small residual network trained with the maximum mean discrepancy (MMD). The base
changes. Eigenvectors come from Nyström's extension of landmarks, in place of the paper's network.
"""

import numpy as np
import torch
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.cca import canonical
from exmcr.methods.maps import Map, Maps, Method
from exmcr.methods.networks import Batch, fitted
from exmcr.methods.vocabulary import tensor
from exmcr.pairing.pools import Pools

SCALES = (0.5, 1.0, 2.0)  # widths of the kernels of MMD, in mean squared distances [assumed]


def spectral(rows: np.ndarray, dims: int, tau: float) -> Map:
    """The `dims` leading eigenvectors of the random walk on these landmarks, unit rows (n, d), as a
    map: (m, d) -> (m, dims), float64.

    Steps have probabilities proportional to exp(s / tau) of the cosines s. The constant
    eigenvector is left out. Raises ConfigError for dims >= the number of landmarks.
    """
    if not 1 <= dims < len(rows):
        raise ConfigError(f"sue: dims must be between 1 and {len(rows) - 1}, is {dims}")
    landmarks = np.asarray(rows, np.float64)
    affinity = np.exp((landmarks @ landmarks.T - 1) / tau)
    degree = affinity.sum(axis=1)
    values, vectors = np.linalg.eigh(affinity / np.sqrt(degree[:, None] * degree))
    leading = vectors[:, ::-1][:, 1 : dims + 1] / np.sqrt(degree)[:, None] * degree.sum() ** 0.5
    scale = np.maximum(values[::-1][1 : dims + 1], 1e-8)

    def extended(v: np.ndarray) -> np.ndarray:
        steps = np.exp((np.asarray(v, np.float64) @ landmarks.T - 1) / tau)
        return steps / steps.sum(axis=1, keepdims=True) @ leading / scale

    return extended


class Residual(nn.Module):
    """v + MLP(v), the identity at the start: (n, dim) -> (n, dim)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        last = nn.Linear(hidden, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), last)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return v + self.net(v)


def mmd(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared maximum mean discrepancy of rows a (n, d) and b (m, d), biased: the mean over SCALES
    of Gaussian kernels, relative to the mean squared distance between a and b."""
    across = torch.cdist(a, b).square()
    width = across.detach().mean()
    inside = (torch.cdist(v, v).square() for v in (a, b))
    means = [
        torch.stack([torch.exp(-d / (scale * width)).mean() for scale in SCALES]).mean()
        for d in (*inside, across)
    ]
    return means[0] + means[1] - 2 * means[2]


def sue(
    pools: Pools,
    seed: int = 0,
    *,
    dims: int = 64,
    tau: float = 0.1,
    landmarks: int = 1500,
    shrink: float = 0.1,
    hidden: int = 128,
    **settings,
) -> Maps:
    """Spectral embeddings of both spaces, CCA on the overlap, and MMD of x against y.

    dims, tau  of `spectral`
    landmarks  of each space, drawn by `seed`: half of them of each modality
    shrink     of the covariances in CCA [ours]
    settings   overrides of networks.SETTINGS, for the residual network

    Raises ConfigError as `spectral`.
    """
    rng = np.random.default_rng(seed)
    maps = []
    for banks in ((pools.x_leaf, pools.o_leaf), (pools.y_base, pools.o_base)):
        chosen = [bank[rng.permutation(len(bank))[: landmarks // 2]] for bank in banks]
        maps.append(spectral(np.concatenate(chosen), dims, tau))
    o_leaf, o_base = maps[0](pools.o_leaf), maps[1](pools.o_base)
    a, b, correlation = canonical(o_leaf, o_base, dims, shrink)
    weight = correlation**0.5
    means = o_leaf.mean(axis=0), o_base.mean(axis=0)

    def common(side: int, rows: np.ndarray) -> np.ndarray:
        return (maps[side](rows) - means[side]) @ (a, b)[side] * weight

    pool = _unpaired(common(0, pools.x_leaf), common(1, pools.y_base), rng)
    net = fitted(lambda: Residual(dims, hidden), pool, seed, _loss, {"noise": 0.0} | settings)

    @torch.no_grad()
    def leaf(x: np.ndarray) -> np.ndarray:
        return unit(net(tensor(common(0, x))).numpy())

    return Maps(leaf=leaf, base=lambda y: unit(common(1, y)))


def _loss(model: Residual, batch: Batch, settings: dict) -> Batch:
    return {"total": mmd(model(batch["x_leaf"]), batch["y_base"])}


def _unpaired(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Batch:
    """Rows of x and y in unrelated orders, the shorter one repeated."""
    n = max(len(x), len(y))
    rows = [bank[rng.permutation(np.resize(np.arange(len(bank)), n))] for bank in (x, y)]
    return {"x_leaf": tensor(rows[0]), "y_base": tensor(rows[1])}


METHODS = {"sue": Method(sue, "arXiv:2505.21524", seeded=True)}
