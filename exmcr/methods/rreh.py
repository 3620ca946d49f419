"""Binary codes from semi-paired data: RREH, Reconstruction Relations Embedded Hashing (Wang et al.,
arXiv:2405.17777).

Anchors are paired items. An unpaired item is written as a linear combination of the anchors of its
own space, and the same combination of the anchors' shared representation is its own. Binary codes
are learned from these representations. Here the anchors are overlap items. The base changes: it
becomes bits, 8 bytes for an item of 2 KB.
"""

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Map, Maps, Method
from exmcr.pairing.centering import mean_of
from exmcr.pairing.pools import Pools

MOST = 4000  # items of each pool from which the rotation is learned


def rreh(
    pools: Pools,
    seed: int = 0,
    *,
    bits: int = 64,
    anchors: int = 2048,
    ridge: float = 0.1,
    rounds: int = 20,
) -> Maps:
    """Codes of `bits` signs, each +-1 / sqrt(bits), so that a cosine is 1 - 2 Hamming / bits.

    anchors  overlap items, drawn by `seed`
    ridge    of the reconstruction, relative to the mean eigenvalue of the anchors' Gram matrix
    rounds   alternations between codes and rotation

    The paper optimizes representation, relations and codes together, by a discrete algorithm. Here
    they follow one another: the shared representation is the principal components of the anchors in
    both spaces side by side, and a rotation makes it binary as in ITQ (Gong and Lazebnik 2011)
    [ours]. Each modality is centered first [ours], or most bits would say which modality an item
    has. Raises ConfigError for more bits than the smaller space has dimensions.
    """
    d = min(pools.o_leaf.shape[1], pools.o_base.shape[1])
    if not 1 <= bits <= d:
        raise ConfigError(f"rreh: bits must be between 1 and {d}, is {bits}")
    draw = np.random.default_rng(seed)
    chosen = draw.permutation(len(pools.o_leaf))[:anchors]
    sides = [np.asarray(o[chosen], np.float64) for o in (pools.o_leaf, pools.o_base)]
    sides = [side - side.mean(axis=0) for side in sides]
    u, strength, _ = np.linalg.svd(np.concatenate(sides, axis=1), full_matrices=False)
    shared = u[:, :bits] * strength[:bits]
    to_leaf, to_base = (_reconstruction(side, ridge) @ shared for side in sides)
    x_mean, y_mean = mean_of(pools.x_leaf), mean_of(pools.y_base)
    known = [(pools.x_leaf[:MOST] - x_mean) @ to_leaf, (pools.y_base[:MOST] - y_mean) @ to_base]
    known = [rows / np.linalg.norm(rows, axis=1).mean() for rows in known]
    turn = binary_rotation(np.concatenate(known), rounds, draw)
    return Maps(leaf=_signs(x_mean, to_leaf @ turn), base=_signs(y_mean, to_base @ turn))


def _reconstruction(anchors: np.ndarray, ridge: float) -> np.ndarray:
    """(m, d) -> M (d, m): v M are the coefficients of v as a combination of the anchors, by ridge
    regression."""
    gram = anchors.T @ anchors
    d = len(gram)
    return np.linalg.solve(gram + ridge * np.trace(gram) / d * np.eye(d), anchors.T)


def binary_rotation(rows: np.ndarray, rounds: int, draw: np.random.Generator) -> np.ndarray:
    """The rotation R (k, k) for which rows (n, k) are close to signs: |sign(V R) - V R|^2, by
    alternation from a random start."""
    turn = np.linalg.qr(draw.normal(size=(rows.shape[1],) * 2))[0]
    for _ in range(rounds):
        u, _, vt = np.linalg.svd(rows.T @ np.sign(rows @ turn))
        turn = u @ vt
    return turn


def _signs(mean: np.ndarray, matrix: np.ndarray) -> Map:
    """v -> sign((v - mean) matrix) / sqrt(bits), float32."""
    size = matrix.shape[1] ** -0.5
    return lambda v: np.where((v - mean) @ matrix >= 0, size, -size).astype(np.float32)


METHODS = {"rreh": Method(rreh, "arXiv:2405.17777", seeded=True)}
