"""The upper bound that is trained on true pairs."""

import numpy as np
import pytest
from synthetic import world

from exmcr.methods.maps import NotApplicable, identity
from exmcr.methods.paired import paired, true_quadruples

TRAIN = {
    "steps": 60,
    "batch": 64,
    "lr": 0.003,
    "weight_decay": 0.01,
    "lambda": 1.0,
    "tau2": 0.05,
    "noise": 0.0,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
    "hidden": 32,
}


def labelled(x, o, y):
    pools = world(n=6).pools
    pools.concepts = {
        part: np.array(list(names), dtype=object) for part, names in (("x", x), ("o", o), ("y", y))
    }
    return pools


def test_every_quadruple_is_of_one_concept():
    pools = labelled("aabbcc", "abcabc", "ccbbaa")
    made = true_quadruples(pools, 5, seed=0)
    assert len(made["x_leaf"]) == 6 * 5

    def concepts(rows, bank, part):
        found = [np.flatnonzero((bank == row).all(axis=1))[0] for row in rows]
        return pools.concepts[part][found]

    of_x = concepts(made["x_leaf"], pools.x_leaf, "x")
    assert np.array_equal(of_x, concepts(made["o_leaf"], pools.o_leaf, "o"))
    assert np.array_equal(of_x, concepts(made["o_base"], pools.o_base, "o"))
    assert np.array_equal(of_x, concepts(made["y_base"], pools.y_base, "y"))


def test_items_without_concept_or_partner_are_left_out():
    pools = labelled(["a", "", "b", "c", "a", ""], "abbc" + "aa", "aab" + "bbb")
    made = true_quadruples(pools, 1, seed=0)  # no y is a "c"
    kept = [np.flatnonzero((pools.x_leaf == row).all(axis=1))[0] for row in made["x_leaf"]]
    assert kept == [0, 2, 4]


def test_pools_without_known_concepts_are_not_applicable():
    with pytest.raises(NotApplicable, match="partner"):
        paired(world(n=6).pools, 0, pair={}, train=TRAIN)
    with pytest.raises(NotApplicable, match="partner"):
        true_quadruples(labelled("aaaaaa", "bbbbbb", "aaaaaa"), 1, seed=0)


def test_true_pairs_teach_what_no_overlap_could():
    """x and y meet although the overlap of the two spaces is shuffled, and so says nothing."""
    known = world(n=400, held=100, latent=6)
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(20, known.pools.x_leaf.shape[1]))

    def view(labels, turn, seed):
        rows = centers[labels] @ turn
        rows = rows + 0.3 * np.random.default_rng(seed).normal(size=rows.shape)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    turns = [np.linalg.qr(rng.normal(size=(32, 32)))[0] for _ in range(2)]
    labels = {part: rng.integers(20, size=400) for part in "xoy"}
    pools = known.pools
    pools.x_leaf, pools.y_base = view(labels["x"], turns[0], 1), view(labels["y"], turns[1], 2)
    pools.o_leaf, pools.o_base = view(labels["o"], turns[0], 3), view(labels["o"], turns[1], 4)
    names = np.array([f"c{n}" for n in range(20)], dtype=object)
    pools.concepts = {part: names[rows] for part, rows in labels.items()}
    pools.o_base = pools.o_base[rng.permutation(400)]
    pools.concepts["o"] = np.array([""] * 380 + [f"c{n}" for n in range(20)], dtype=object)
    maps = paired(pools, 0, pair={}, train=TRAIN | {"terms": ["x-y"]})
    test = rng.integers(20, size=200)
    x, y = view(test, turns[0], 5), view(test, turns[1], 6)
    nearest = test[(maps.leaf(x) @ maps.base(y).T).argmax(axis=1)]
    assert maps.base is identity
    assert (nearest == test).mean() > 0.8
