"""SUMMIT: members fused by agreement or by entropy."""

import math

import numpy as np
import pytest
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods import summit as module
from exmcr.methods.maps import Maps, identity
from exmcr.methods.summit import agreed, entropy_weighted, summit


@pytest.fixture(scope="module")
def known():
    return world(n=300)


def rows(v):
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


def half_blind(known, half):
    """A member that is right for x whose first coordinate is positive (or negative), and unsure for
    the others: it maps them near the mean of the base."""
    good = module.procrustes(known.pools)
    middle = known.pools.o_base.mean(axis=0)

    def fit(pools, seed=0):
        def leaf(x):
            sure = (x[:, :1] > 0) == half
            return rows(np.where(sure, good.leaf(x), middle + 0.02 * good.leaf(x)[::-1]))

        return Maps(leaf=leaf)

    return fit


@pytest.mark.parametrize("rule", ["auto", "agreement", "entropy"])
def test_every_rule_finds_matching_items_and_leaves_the_base_unchanged(known, rule):
    maps = summit(known.pools, 0, rule=rule, tau=0.02)
    assert maps.base is identity and r1(maps, known.x, known.y) > 0.6
    vectors = maps.leaf(known.x)
    assert vectors.dtype == np.float32 and np.allclose(
        np.linalg.norm(vectors, axis=1), 1, atol=1e-5
    )


def test_entropy_picks_the_member_that_is_sure(known, monkeypatch):
    members = {"left": half_blind(known, True), "right": half_blind(known, False)}
    monkeypatch.setattr(module, "MEMBERS", members)
    fused = r1(
        summit(known.pools, 0, members=["left", "right"], rule="entropy", tau=0.05),
        known.x,
        known.y,
    )
    alone = [r1(fit(known.pools), known.x, known.y) for fit in members.values()]
    assert fused > max(alone) + 0.2, (fused, alone)


def test_a_member_that_is_sure_and_wrong_ruins_it(known, monkeypatch):
    good = module.procrustes(known.pools)
    wrong = lambda pools, seed=0: Maps(leaf=lambda x: rows(-good.leaf(x)))
    monkeypatch.setattr(module, "MEMBERS", {"good": module.procrustes, "wrong": wrong})
    fused = r1(summit(known.pools, 0, members=["good", "wrong"], rule="entropy"), known.x, known.y)
    assert fused < 0.8 * r1(good, known.x, known.y)


def test_auto_filters_by_agreement_only_if_members_agree(known, monkeypatch):
    def fit(switch):
        return summit(known.pools, 0, rule="auto", switch=switch).leaf(known.x)

    agreement, entropy = (
        summit(known.pools, 0, rule=rule).leaf(known.x) for rule in ("agreement", "entropy")
    )
    assert np.array_equal(fit(0.0), agreement) and np.array_equal(fit(1.0), entropy)


def test_entropy_weighting_equals_loops():
    rng = np.random.default_rng(0)
    outputs = rows(rng.normal(size=(6, 3))).reshape(2, 3, 3)
    labels = rng.dirichlet(np.ones(4), size=(2, 3))
    for i in range(3):
        total = np.zeros(3)
        for m in range(2):
            entropy = -sum(p * math.log(p) for p in labels[m, i])
            total += math.exp(-entropy) * outputs[m, i]
        expected = total / np.linalg.norm(total)
        assert np.allclose(entropy_weighted(outputs, labels)[i], expected, atol=1e-6)


def test_only_common_words_count_and_items_without_any_are_marked():
    words = np.eye(3)
    labels = np.array([[[0.6, 0.3, 0.1], [0.9, 0.1, 0.0]], [[0.5, 0.1, 0.4], [0.0, 0.1, 0.9]]])
    mean, found = agreed(labels, words, keep=1)
    assert found.tolist() == [True, False]
    assert np.allclose(mean, [[1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("wrong", [{"members": ["telepathy"]}, {"rule": "majority"}])
def test_unknown_members_and_rules_are_errors(known, wrong):
    with pytest.raises(ConfigError, match="summit"):
        summit(known.pools, **wrong)
