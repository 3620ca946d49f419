"""Relative representations: an item is its similarities to anchors, items known in both spaces.

Moschella et al., ICLR 2023, arXiv:2209.15430; and ASIF (Norelli et al., NeurIPS 2023, arXiv:2210.01738), which keeps the few
largest of them. Neither learns anything. The base does not stay as it is: it too is rewritten in similarities."""

import numpy as np

from exmcr.errors import ConfigError
from exmcr.methods import Maps
from exmcr.pairs import Pools
from exmcr.spaces.base import unit


def relative(pools: Pools, seed: int = 0, *, anchors: int = 512) -> Maps:
    """x -> normalize(x A^L), y -> normalize(y A^B), A the same `anchors` overlap items drawn by `seed`.

    Cosines do not change when a space is turned, so neither does the result. Raises ConfigError for anchors < 1."""
    chosen = _draw(pools, anchors, seed)
    a_leaf, a_base = pools.o_leaf[chosen].T, pools.o_base[chosen].T
    return Maps(leaf=lambda x: unit(x @ a_leaf), base=lambda y: unit(y @ a_base))


def asif(pools: Pools, seed: int = 0, *, keep: int = 100, power: float = 4.0, anchors: int | None = None) -> Maps:
    """Relative to all overlap items (or `anchors` of them), but only the `keep` largest similarities, each ** power, the rest zero.

    keep 800 and power 8 in the paper for 1.6 M anchors [assumed]. Raises ConfigError for keep or anchors < 1."""
    if keep < 1:
        raise ConfigError(f"asif keeps at least one similarity, not {keep}")
    chosen = _draw(pools, anchors or len(pools.o_leaf), seed)
    a_leaf, a_base = pools.o_leaf[chosen].T, pools.o_base[chosen].T
    return Maps(leaf=lambda x: _sparse(x @ a_leaf, keep, power), base=lambda y: _sparse(y @ a_base, keep, power))


def _draw(pools: Pools, anchors: int, seed: int) -> np.ndarray:
    if anchors < 1:
        raise ConfigError(f"at least one anchor is needed, not {anchors}")
    return np.random.default_rng(seed).permutation(len(pools.o_leaf))[:anchors]


def _sparse(similarity: np.ndarray, keep: int, power: float) -> np.ndarray:
    """The `keep` largest of each row, negative ones as zero, ** power; unit rows."""
    keep = min(keep, similarity.shape[1])
    places = np.argpartition(similarity, -keep, axis=1)[:, -keep:]
    # A row without any positive similarity still has a direction.
    kept = np.maximum(np.take_along_axis(similarity, places, axis=1), 1e-6) ** power
    sparse = np.zeros_like(similarity)
    np.put_along_axis(sparse, places, unit(kept), axis=1)
    return sparse
