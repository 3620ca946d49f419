"""What methods with a vocabulary share: overlap items that serve as words, and a linear start."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.pairing.pools import Pools


def drawn(pools: Pools, words: int, seed: int) -> np.ndarray:
    """Rows of `words` overlap items (all, if there are fewer), drawn by `seed`, in order.

    Raises ConfigError for words < 1.
    """
    if words < 1:
        raise ConfigError(f"a vocabulary needs at least one word, not {words}")
    order = np.random.default_rng(seed).permutation(len(pools.o_leaf))
    return np.sort(order[:words])


def tensor(rows: np.ndarray) -> torch.Tensor:
    """A float32 tensor that shares no memory with `rows`."""
    return torch.from_numpy(np.array(rows, np.float32))


class Linear(nn.Module):
    """normalize(x W + b): (n, dim) -> (n, out), unit rows. start: (dim, out), the initial W."""

    def __init__(self, start: np.ndarray):
        super().__init__()
        self.map = nn.Linear(*start.shape)
        with torch.no_grad():
            self.map.weight.copy_(tensor(start.T))
            self.map.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normalize(self.map(x), dim=1)
