"""Relative representations and ASIF: where they differ, and descriptions against a plain reference."""

import numpy as np
import pytest
from synthetic import world

from exmcr.methods.relative import asif, described, relative
from exmcr.pairing.pools import Pools


def plain(vectors, anchors, keep, power):
    """The definition, similarity by similarity, in float64."""
    made = np.zeros((len(vectors), len(anchors)))
    for row, vector in zip(made, vectors.astype(float), strict=True):
        similarity = [float((vector * anchor).sum()) for anchor in anchors.astype(float)]
        for place in sorted(range(len(anchors)), key=similarity.__getitem__, reverse=True)[:keep]:
            row[place] = max(similarity[place], 1e-6) ** power
        row /= sum(value**2 for value in row) ** 0.5
    return made


@pytest.mark.parametrize(
    "keep, power", [(1, 4.0), (5, 1.0), (40, 8.0), (60, 2.0), (90, 4.0)]
)  # of 60 anchors, half of them on the other side
def test_a_description_equals_its_definition(keep, power):
    w = world(n=60, held=20)
    found = described(w.x, w.pools.o_leaf, keep, power)
    assert found.nnz == min(keep, 60) * 20
    assert np.allclose(found.toarray(), plain(w.x, w.pools.o_leaf, keep, power), rtol=0, atol=1e-6)


def test_asif_describes_both_sides_by_the_same_anchors():
    """In any order of the anchors."""
    w = world(n=60, held=20)
    maps = asif(w.pools, keep=15, power=4.0)
    wanted = plain(w.x, w.pools.o_leaf, 15, 4.0) @ plain(w.y, w.pools.o_base, 15, 4.0).T
    assert np.allclose(maps.leaf(w.x) @ maps.base(w.y).T, wanted, rtol=0, atol=1e-6)


def test_a_row_that_resembles_nothing_has_a_direction():
    w = world(n=20)
    opposite = -w.pools.o_leaf.mean(axis=0, keepdims=True)
    assert (opposite @ w.pools.o_leaf.T).max() < 0
    kept = asif(w.pools, keep=5, power=8.0).leaf(opposite)
    assert np.allclose(np.sort(kept[0])[-6:], [0, *[5**-0.5] * 5])


def test_relative_does_not_depend_on_the_orientation_of_a_space():
    """Leaf and base equal up to a rotation: identical representations."""
    w = world(n=300)
    o = w.pools.o_leaf
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(32, 32)))[0].astype(np.float32)
    maps = relative(Pools(o, o, o @ turn, o @ turn), anchors=100)
    assert np.allclose(maps.leaf(w.x), maps.base(w.x @ turn), atol=1e-5)


def test_relative_anchors_are_drawn_by_seed():
    w = world(n=100)
    first, again, other = (relative(w.pools, seed, anchors=20).leaf(w.x) for seed in (0, 0, 1))
    assert first.shape == (100, 20)
    assert np.array_equal(first, again) and not np.allclose(first, other)


def test_asif_keeps_the_largest_similarities():
    w = world(n=100)
    kept = asif(w.pools, keep=5, power=2.0).leaf(w.x)
    assert ((kept > 1e-4).sum(axis=1) <= 5).all()
    similarity = w.x @ w.pools.o_leaf[np.random.default_rng(0).permutation(100)].T
    assert (kept.argmax(axis=1) == similarity.argmax(axis=1)).all()
