"""Alignment without any shared item: mini-vec2vec (Dar, arXiv:2510.02348).

Both spaces are clustered, and the clusters matched so that their similarities to each other agree.
Items are then described by the matched clusters, paired with the mean of their nearest neighbors,
and a rotation is fitted to the pairs and refined. Nothing says which item of the leaf is which of
the base, so this row measures what the overlap is worth. `procrustes-refined` has the refinement
alone, started from the rotation of Procrustes.
"""

import numpy as np
from scipy.optimize import quadratic_assignment

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.kernels.search import topk
from exmcr.methods.baselines import rotation
from exmcr.methods.maps import Maps, Method
from exmcr.pairing.pools import Pools

TRIALS = 30  # runs of the assignment; the one with the best agreement is kept
ROUNDS = 20  # of k-means


def centers_of(rows: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Spherical k-means, started by k-means++: unit centers (clusters, d) of unit rows (n, d)."""
    centers = rows[[rng.integers(len(rows))]]
    while len(centers) < clusters:
        far = np.maximum(1 - (rows @ centers.T).max(axis=1), 1e-12).astype(np.float64)
        centers = np.concatenate([centers, rows[[rng.choice(len(rows), p=far / far.sum())]]])
    for _ in range(ROUNDS):
        member = np.eye(clusters, dtype=np.float32)[(rows @ centers.T).argmax(axis=1)]
        sums = member.T @ rows
        empty = np.linalg.norm(sums, axis=1) < 1e-6
        sums[empty] = centers[empty]
        centers = unit(sums)
    return centers


def matched(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The order of the rows of b in which their inner products agree best with those of a, by
    quadratic assignment, and the agreement: sum_ij (a_i.a_j) (b_i.b_j)."""
    ours, theirs = a @ a.T, b @ b.T
    start = {"maximize": True, "P0": "randomized", "rng": rng}
    best = np.arange(len(a)), -np.inf
    for _ in range(TRIALS):
        rough = quadratic_assignment(ours, theirs, options=start).col_ind
        # Swaps of two clusters, as long as one helps.
        guess = np.stack([np.arange(len(a)), rough], axis=1)
        swapped = {"maximize": True, "partial_guess": guess, "rng": rng}
        found = quadratic_assignment(ours, theirs, method="2opt", options=swapped)
        if found.fun > best[1]:
            best = found.col_ind, float(found.fun)
    return best


def turn_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation R with the smallest |a R - b|, for matching rows."""
    u, _, vt = np.linalg.svd(np.asarray(a, np.float64).T @ b, full_matrices=False)
    return u @ vt


def refined(
    turn: np.ndarray, a: np.ndarray, b: np.ndarray, rounds: int, neighbors: int, step: float
) -> np.ndarray:
    """Repeat: pair each row of a with the mean of the `neighbors` rows of b nearest to it, fit a
    rotation to the pairs, and move by the share `step` towards it."""
    for _ in range(rounds):
        nearest = topk(unit(a @ turn), b, min(neighbors, len(b))).indices
        turn = (1 - step) * turn + step * turn_of(a, b[nearest].mean(axis=1))
    return turn


def vec2vec(
    pools: Pools,
    seed: int = 0,
    *,
    clusters: int = 20,
    runs: int = 5,
    neighbors: int = 50,
    rounds: int = 20,
    step: float = 0.5,
    items: int = 4000,
) -> Maps:
    """x -> normalize((x - mean) R), R without any shared item; the base is unchanged.

    clusters, runs  centers of one k-means, and how often clustering and matching are repeated: an
                    item is described by the centers of all runs
    neighbors       rows of the other space that are averaged for a pair
    rounds, step    of the refinement
    items           at most this many rows of each space, drawn by `seed`

    The texts of the leaf and those of the base are disjoint halves of the overlap. The numbers are
    [assumed]. Raises ConfigError for a pool with fewer than `clusters` items.
    """
    rng = np.random.default_rng(seed)
    half = rng.permutation(len(pools.o_leaf))
    a = _centered(pools.o_leaf[half[::2]][:items])
    b = _centered(pools.o_base[half[1::2]][:items])
    if min(len(a), len(b)) < clusters:
        raise ConfigError(
            f"vec2vec needs at least {2 * clusters} overlap items for {clusters} clusters"
        )
    left, right = _anchors(a, b, clusters, runs, rng)
    nearest = topk(unit(a @ left.T), unit(b @ right.T), min(neighbors, len(b))).indices
    turn = turn_of(a, b[nearest].mean(axis=1))
    turn = refined(turn, a, b, rounds, neighbors, step)
    mean = np.mean(pools.x_leaf, axis=0, dtype=np.float64)
    return Maps(leaf=lambda x: unit((x - mean) @ turn))


def _anchors(
    a: np.ndarray, b: np.ndarray, clusters: int, runs: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Matching centers of both spaces, of all runs."""
    left, right = [], []
    for _ in range(runs):
        ours, theirs = centers_of(a, clusters, rng), centers_of(b, clusters, rng)
        left.append(ours)
        right.append(theirs[matched(ours, theirs, rng)[0]])
    return np.concatenate(left), np.concatenate(right)


def _centered(rows: np.ndarray) -> np.ndarray:
    return unit(rows - np.mean(rows, axis=0, dtype=np.float64))


def procrustes_refined(
    pools: Pools,
    seed: int = 0,
    *,
    neighbors: int = 50,
    rounds: int = 5,
    step: float = 0.5,
    items: int = 4000,
) -> Maps:
    """The rotation of Procrustes, refined on unpaired x and y: x -> normalize((x - mean x) R).

    Arguments as in `vec2vec`. The base is unchanged.
    """
    rng = np.random.default_rng(seed)
    x, y = (
        _centered(bank[rng.permutation(len(bank))[:items]]) for bank in (pools.x_leaf, pools.y_base)
    )
    turn = refined(rotation(pools.o_leaf, pools.o_base), x, y, rounds, neighbors, step)
    mean = np.mean(pools.x_leaf, axis=0, dtype=np.float64)
    return Maps(leaf=lambda v: unit((v - mean) @ turn))


METHODS = {
    "vec2vec": Method(vec2vec, "control without overlap: arXiv:2510.02348", seeded=True),
    "procrustes-refined": Method(procrustes_refined, "arXiv:2510.02348", seeded=True),
}
