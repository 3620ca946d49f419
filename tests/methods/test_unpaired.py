"""Methods that align spaces by their own geometry: mini-vec2vec and SUE."""

import numpy as np
import pytest
import torch
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods.baselines import procrustes, rotation
from exmcr.methods.maps import identity
from exmcr.methods.sue import SCALES, mmd, spectral, sue
from exmcr.methods.vec2vec import centers_of, matched, procrustes_refined, refined, turn_of, vec2vec
from exmcr.pairing.pools import Pools


def clustered(count, seed, clusters=8, d=12, noise=0.15):
    """Unit rows about a few centers of unequal distances, so that they can be told apart."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(5).normal(size=(clusters, d)) * np.linspace(0.5, 2, d)
    rows = centers[rng.integers(clusters, size=count)] + noise * rng.normal(size=(count, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def turned(rows, seed=3):
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(rows.shape[1],) * 2))[0]
    return (rows @ turn).astype(np.float32)


def test_clusters_of_a_turned_space_are_matched():
    rng = np.random.default_rng(0)
    centers = clustered(8, 1)
    order = rng.permutation(8)
    found, agreement = matched(centers, turned(centers)[order], rng)
    assert (order[found] == np.arange(8)).all()
    assert agreement == pytest.approx(((centers @ centers.T) ** 2).sum(), rel=1e-5)


def test_k_means_finds_the_centers():
    rows = clustered(400, 1, clusters=4)
    centers = centers_of(rows, 4, np.random.default_rng(1))
    assert (rows @ centers.T).max(axis=1).mean() > 0.9


def test_without_overlap_a_rotation_of_clusters_is_found_and_an_even_sphere_is_not():
    """The claim holds if the geometry identifies the items; on an even sphere nothing does."""
    rows = clustered(600, 0)
    x, y = clustered(300, 1), clustered(300, 2)
    pools = Pools(x, rows, turned(rows), turned(y))
    maps = vec2vec(pools, 0, clusters=8, runs=2, neighbors=10)
    assert maps.base is identity
    held = clustered(100, 7)
    cosine = (maps.leaf(held) * turned(held)).sum(axis=1).mean()
    assert cosine > 0.8
    even = world(n=400)
    assert r1(vec2vec(even.pools, 0, clusters=8, runs=2), even.x, even.y) < 0.3
    assert r1(procrustes(even.pools), even.x, even.y) > 0.8, "what the overlap is worth"


def test_refinement_recovers_a_rotation_from_a_rough_one():
    rng, rows = np.random.default_rng(0), clustered(400, 0)
    target = turned(rows)
    true = turn_of(rows, target)
    rough = np.linalg.qr(true + 0.15 * rng.normal(size=true.shape))[0]
    rough = rough * np.sign((rough * true).sum(axis=0))
    better = refined(rough, rows, target, rounds=10, neighbors=5, step=0.5)
    assert np.linalg.norm(better - true) < 0.5 * np.linalg.norm(rough - true)


def test_refined_procrustes_starts_at_procrustes():
    w = world(n=200)
    start = procrustes_refined(w.pools, 0, rounds=0).leaf(w.x)
    moved = w.x - w.pools.x_leaf.mean(axis=0)
    expected = moved @ rotation(w.pools.o_leaf, w.pools.o_base)
    assert np.allclose(start, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    assert r1(procrustes_refined(w.pools, 0), w.x, w.y) > 0.9


def test_too_few_items_for_the_clusters_are_an_error():
    with pytest.raises(ConfigError, match="at least 40 overlap items for 20 clusters"):
        vec2vec(world(n=30).pools)


def test_spectral_coordinates_are_eigenvectors_of_the_random_walk():
    rows = clustered(60, 0)
    affinity = np.exp((rows.astype(np.float64) @ rows.T - 1) / 0.2)
    walk = affinity / affinity.sum(axis=1, keepdims=True)
    values, vectors = np.linalg.eig(walk)
    order = np.argsort(-values.real)[1:4]
    ours = spectral(rows, 3, 0.2)(rows)
    for k, place in enumerate(order):
        cosine = ours[:, k] @ vectors[:, place].real
        cosine /= np.linalg.norm(ours[:, k]) * np.linalg.norm(vectors[:, place].real)
        assert abs(cosine) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ConfigError, match="dims must be between 1 and 59"):
        spectral(rows, 60, 0.2)


def test_mmd_and_its_gradient_equal_loops_and_finite_differences():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(5, 3)) + 1
    width = np.mean([((u - v) ** 2).sum() for u in a for v in b])

    def literal(a):
        def mean(p, q):
            values = [
                np.exp(-((u - v) ** 2).sum() / (s * width)) for s in SCALES for u in p for v in q
            ]
            return np.mean(values)

        return mean(a, a) + mean(b, b) - 2 * mean(a, b)

    given = torch.tensor(a, requires_grad=True)
    value = mmd(given, torch.tensor(b))
    assert value.item() == pytest.approx(literal(a))
    value.backward()
    up, down = a.copy(), a.copy()
    up[1, 2] += 1e-5
    down[1, 2] -= 1e-5
    assert given.grad[1, 2].item() == pytest.approx((literal(up) - literal(down)) / 2e-5, rel=1e-4)


def test_sue_aligns_clusters_from_their_walks():
    rows, target = clustered(400, 0), turned(clustered(400, 0))
    pools = Pools(clustered(300, 1), rows, target, turned(clustered(300, 2)))
    maps = sue(pools, 0, dims=6, tau=0.1, landmarks=200, steps=20, batch=128)
    held, other = clustered(80, 7), turned(clustered(80, 7))
    left, right = maps.leaf(held), maps.base(other)
    assert left.dtype == right.dtype == np.float32
    assert (left * right).sum(axis=1).mean() > 0.8
    assert abs((left * np.roll(right, 1, axis=0)).sum(axis=1).mean()) < 0.5
