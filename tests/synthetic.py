"""Two spaces that see one latent, with everything known: what methods are tested on."""

from dataclasses import dataclass

import numpy as np

from exmcr.evaluation.retrieval import score
from exmcr.pairs import Pools


@dataclass
class World:
    """pools: what a method may see. x, o_leaf, o_base, y: held-out things, row by row the same, in each space and modality."""

    pools: Pools
    x: np.ndarray
    o_leaf: np.ndarray
    o_base: np.ndarray
    y: np.ndarray


def world(n: int = 500, *, overlap: int | None = None, d: int = 32, latent: int = 8, gap: float = 0.4, noise: float = 0.02,
          private: float = 0.0, held: int = 100, seed: int = 0) -> World:  # fmt: skip
    """Things are unit vectors of `latent` numbers. Each space turns them its own way, moves every modality off by `gap` in a
    direction of its own, and adds noise of norm about `noise` * sqrt(d). `private` is the norm of a part that fills the other
    d - latent - 2 directions at random, anew in each space: what one encoder sees and the other does not.

    Pools show n different things each, `overlap` (default n) things in both spaces. All rows float32 of unit norm."""
    rng = np.random.default_rng(seed)
    turn = {space: np.linalg.qr(rng.normal(size=(d, d)))[0] for space in ("leaf", "base")}

    def rows(v):
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    def things(count):
        return rows(rng.normal(size=(count, latent)))

    def seen(z, space, modality):
        axes = turn[space]
        v = z @ axes[:latent] + gap * axes[latent + modality] + noise * rng.normal(size=(len(z), d))
        if private:
            v = v + private * rows(rng.normal(size=(len(z), d - latent - 2))) @ axes[latent + 2 :]
        return rows(v).astype(np.float32)

    o, test = things(overlap or n), things(held)
    pools = Pools(seen(things(n), "leaf", 0), seen(o, "leaf", 1), seen(o, "base", 0), seen(things(n), "base", 1), {"leaf": "synthetic"})
    return World(pools, seen(test, "leaf", 0), seen(test, "leaf", 1), seen(test, "base", 0), seen(test, "base", 1))


def r1(maps, x: np.ndarray, y: np.ndarray) -> float:
    """R@1 of leaf vectors among base vectors, row i of one matching row i of the other."""
    return score(maps.leaf(x) @ maps.base(y).T, np.eye(len(x), dtype=bool))["r1"]
