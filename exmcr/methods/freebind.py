"""Space bonds: FreeBind (Wang et al., ICML 2024, arXiv:2405.04883).

A displacement bond moves one space into another: here the leaf into the base, by a mixture of projectors, one for each kind of
pseudo pair. A combination bond keeps both spaces and adds them up with a factor: here the base is also moved into the leaf, and
an item is compared in both. The factor is chosen at inference; 0 is displacement alone, and leaves the base as it is."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Maps
from exmcr.methods.networks import Head, fitted, on_arrays, pseudo_pairs
from exmcr.pairing.pairs import CENTERS
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce


class Bonds(nn.Module):
    """A head in either direction."""

    def __init__(self, d_leaf: int, d_base: int, hidden: int):
        super().__init__()
        self.to_base = Head(d_leaf, d_base, hidden)
        self.to_leaf = Head(d_base, d_leaf, hidden)


def mixture(heads):
    """The mean of several heads' answers, unit rows."""
    return lambda v: normalize(torch.stack([head(v) for head in heads]).mean(dim=0), dim=1)


def freebind(
    pools: Pools,
    seed: int = 0,
    *,
    factor: float = 0.3,
    centers: tuple = tuple(CENTERS),
    hidden: int = 256,
    tau1: float = 0.02,
    **settings,
) -> Maps:
    """cosine = (1 - factor) * cosine in the base + factor * cosine in the leaf.

    factor    0 <= factor < 1, share of the combination bond; the paper mixes the vectors themselves, which needs the same item
              in both spaces; two coordinates of one item give the same sum of cosines without it [our form]
    settings  see networks.SETTINGS; each of the len(centers) mixtures is trained with them
    Raises ConfigError for a factor out of range."""
    if not 0 <= factor < 1:
        raise ConfigError(f"freebind: factor is in [0, 1), not {factor}")

    def loss(model, batch, given):
        terms = []
        for a, b in (("x_leaf", "y_base"), ("o_leaf", "o_base")):
            terms += [
                infonce(model.to_base(batch[a]), batch[b], given["tau2"]),
                infonce(batch[a], model.to_leaf(batch[b]), given["tau2"]),
            ]
        return {"total": sum(terms) / len(terms)}

    d_leaf, d_base = pools.o_leaf.shape[1], pools.o_base.shape[1]
    bonds = [
        fitted(
            lambda: Bonds(d_leaf, d_base, hidden),
            pseudo_pairs(pools, [center], tau1),
            seed,
            loss,
            settings,
        )
        for center in centers
    ]
    to_base, to_leaf = (
        on_arrays(mixture([b.to_base for b in bonds])),
        on_arrays(mixture([b.to_leaf for b in bonds])),
    )
    if factor == 0:
        return Maps(leaf=to_base)
    return Maps(
        leaf=lambda x: _both(to_base(x), x, factor), base=lambda y: _both(y, to_leaf(y), factor)
    )


def _both(in_base: np.ndarray, in_leaf: np.ndarray, factor: float) -> np.ndarray:
    """Coordinates in both spaces side by side, so that cosines add up with the factor."""
    return np.concatenate([(1 - factor) ** 0.5 * in_base, factor**0.5 * in_leaf], axis=1).astype(
        np.float32
    )
