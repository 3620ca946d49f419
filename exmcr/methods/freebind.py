"""Space bonds: FreeBind (Wang et al., ICML 2024, arXiv:2405.04883).

A displacement bond moves one space into another: here the leaf into the base, by a mixture of
projectors, one for each kind of pseudo-pair. A combination bond keeps both spaces and adds them
with a factor: here the base is also moved into the leaf, and items are compared in both. The factor
is chosen at inference; with factor 0 only the displacement bond is left, and the base is unchanged.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, Head, fitted, on_arrays, pseudo_pairs
from exmcr.pairing.pairs import CENTERS
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Bonds(nn.Module):
    """A head in each direction."""

    def __init__(self, d_leaf: int, d_base: int, hidden: int):
        super().__init__()
        self.to_base = Head(d_leaf, d_base, hidden)
        self.to_leaf = Head(d_base, d_leaf, hidden)


def mixture(heads: Sequence[nn.Module]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The normalized mean of the outputs of several heads, unit rows."""
    return lambda v: normalize(torch.stack([head(v) for head in heads]).mean(dim=0), dim=1)


def freebind(
    pools: Pools,
    seed: int = 0,
    *,
    factor: float = 0.3,
    centers: Sequence[str] = tuple(CENTERS),
    hidden: int = 256,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """cosine = (1 - factor) * cosine in the base + factor * cosine in the leaf.

    factor    share of the combination bond, 0 <= factor < 1. The paper mixes the vectors of one
              item in both spaces; coordinates in both spaces side by side give the same sum of
              cosines without needing the item in both [our form]
    settings  overrides of networks.SETTINGS, for the bonds of each center

    Raises ConfigError for a factor out of range.
    """
    if not 0 <= factor < 1:
        raise ConfigError(f"freebind: factor must be in [0, 1), is {factor}")
    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    bonds = []
    for center in centers:
        pool = pseudo_pairs(pools, [center], tau1)
        bonds.append(fitted(lambda: Bonds(d_leaf, d_base, hidden), pool, seed, _loss, settings))
    to_base = on_arrays(mixture([bond.to_base for bond in bonds]))
    to_leaf = on_arrays(mixture([bond.to_leaf for bond in bonds]))
    if factor == 0:
        return Maps(leaf=to_base)
    return Maps(
        leaf=lambda x: _both(to_base(x), x, factor), base=lambda y: _both(y, to_leaf(y), factor)
    )


def _loss(model: Bonds, batch: Batch, settings: dict) -> Batch:
    terms = []
    for a, b in (("x_leaf", "y_base"), ("o_leaf", "o_base")):
        terms += [
            infonce(model.to_base(batch[a]), batch[b], settings["tau2"]),
            infonce(batch[a], model.to_leaf(batch[b]), settings["tau2"]),
        ]
    return {"total": sum(terms[1:], terms[0]) / len(terms)}


def _both(in_base: np.ndarray, in_leaf: np.ndarray, factor: float) -> np.ndarray:
    """Coordinates in both spaces side by side, so that cosines add up with the factor."""
    parts = [(1 - factor) ** 0.5 * in_base, factor**0.5 * in_leaf]
    return np.concatenate(parts, axis=1).astype(np.float32)


METHODS = {"freebind": Method(freebind, "arXiv:2405.04883", seeded=True)}
