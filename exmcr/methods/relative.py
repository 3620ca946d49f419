"""Relative representations: an item is described by its similarities to anchors, items known in
both spaces.

Moschella et al., ICLR 2023, arXiv:2209.15430; and ASIF (Norelli et al., NeurIPS 2023,
arXiv:2210.01738), which keeps only the largest similarities. Neither is trained. The base changes:
it too is described by similarities.
"""

import numpy as np
from scipy.sparse import csr_array

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.kernels.search import topk
from exmcr.methods.maps import Maps, Method, SparseMap
from exmcr.pairing.pools import Pools


def relative(pools: Pools, seed: int = 0, *, anchors: int = 512) -> Maps:
    """x -> normalize(x A^L), y -> normalize(y A^B); A are `anchors` overlap items, drawn by `seed`.

    Cosines do not change under rotations of a space, so neither does the result. Raises
    ConfigError for anchors < 1.
    """
    chosen = _draw(pools, anchors, seed)
    a_leaf, a_base = pools.o_leaf[chosen].T, pools.o_base[chosen].T
    return Maps(leaf=lambda x: unit(x @ a_leaf), base=lambda y: unit(y @ a_base))


def asif(
    pools: Pools, seed: int = 0, *, keep: int = 100, power: float = 4.0, anchors: int | None = None
) -> Maps:
    """Relative to all overlap items, or to `anchors` of them: the `keep` largest similarities, each
    ** power, the rest zero.

    The paper takes keep 800 and power 8 for 1.6 M anchors [assumed]. Raises ConfigError for keep or
    anchors < 1.
    """
    if keep < 1:
        raise ConfigError(f"asif: keep must be at least 1, is {keep}")
    chosen = _draw(pools, anchors or len(pools.o_leaf), seed)
    a_leaf, a_base = pools.o_leaf[chosen], pools.o_base[chosen]

    return sparse_maps(
        lambda x: described(x, a_leaf, keep, power), lambda y: described(y, a_base, keep, power)
    )


def sparse_maps(leaf: SparseMap, base: SparseMap) -> Maps:
    """Maps into a space of many dimensions, in float32, from functions that return sparse rows."""

    def single(rows: SparseMap) -> SparseMap:
        return lambda vectors: rows(vectors).astype(np.float32)

    both = single(leaf), single(base)
    return Maps(lambda x: both[0](x).toarray(), lambda y: both[1](y).toarray(), sparse=both)


def described(vectors: np.ndarray, anchors: np.ndarray, keep: int, power: float) -> csr_array:
    """Descriptions of unit rows (n, d) by anchors, unit rows (m, d): sparse (n, m), float64, unit
    rows.

    An entry is max(s, 1e-6) ** power for the `keep` largest similarities s of a row (all m if there
    are fewer), zero for others. Sparse, since m may be millions.
    """
    best = topk(vectors, anchors, min(keep, len(anchors)))
    # A row without any positive similarity still has a direction. Not in float32, where
    # 1e-6 ** 8 is 0.
    weights = np.maximum(best.scores.astype(np.float64), 1e-6) ** power
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    starts = np.arange(0, weights.size + 1, weights.shape[1])
    entries = (weights.ravel(), best.indices.ravel(), starts)
    return csr_array(entries, shape=(len(vectors), len(anchors)))


def _draw(pools: Pools, anchors: int, seed: int) -> np.ndarray:
    if anchors < 1:
        raise ConfigError(f"at least one anchor is needed, not {anchors}")
    return np.random.default_rng(seed).permutation(len(pools.o_leaf))[:anchors]


METHODS = {
    "relative": Method(relative, "arXiv:2209.15430", seeded=True),
    "asif": Method(asif, "arXiv:2210.01738"),
}
