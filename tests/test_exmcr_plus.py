"""exmcr+ on two rotated, gapped views of one latent, and its two steps against a plain reference."""

import numpy as np
import pytest

from exmcr.methods import identity
from exmcr.methods.baselines import hop
from exmcr.methods.exmcr_plus import exmcr_plus, two_steps
from synthetic import r1, world

TRAIN = {"steps": 60, "batch": 128, "lr": 0.003, "weight_decay": 0.01, "lambda": 1.0, "tau2": 0.05, "noise": 0.004,
         "terms": ["x-o", "o-o", "x-y", "o-y"], "overlap_through_fl": False}  # fmt: skip
PAIR = {"centres": ["overlap", "leaf", "base"], "tau1": 0.02}


@pytest.fixture(scope="module")
def known():
    return world()


def rows(v):
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def attend(queries, keys, values, tau):
    logits = queries.astype(float) @ keys.T.astype(float) / tau
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return rows(weights / weights.sum(axis=1, keepdims=True) @ values)


def test_two_steps_are_two_aggregations(known):
    p = known.pools
    o = attend(known.x, p.o_leaf, p.o_base, 0.01)
    expected = rows(0.7 * o + 0.3 * attend(o, p.y_base, p.y_base, 0.02))
    assert np.allclose(two_steps(p, 0.01, 0.02, 0.3).leaf(known.x), expected, atol=1e-5)


def test_without_the_second_step_it_is_the_hop(known):
    assert np.allclose(two_steps(known.pools, 0.01, 0.02, 0.0).leaf(known.x), hop(known.pools, tau=0.01).leaf(known.x), atol=1e-6)


def test_the_second_step_crosses_the_modality_gap(known):
    """Answers are things y; after the second step a sound lies nearer to where things of y lie."""
    centre = known.y.mean(axis=0)
    distance = [np.linalg.norm(two_steps(known.pools, 0.01, 0.02, share).leaf(known.x).mean(axis=0) - centre) for share in (0.0, 0.5, 1.0)]
    assert distance[0] > distance[1] > distance[2] and distance[2] < 0.5 * distance[0]


def test_matching_things_are_found_and_the_base_stays(known):
    maps = exmcr_plus(known.pools, 0, pair=PAIR, train=TRAIN, steps=80)
    assert maps.base is identity
    out = maps.leaf(known.x)
    assert out.dtype == np.float32 and np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    assert r1(maps, known.x, known.y) > 0.9


def test_a_seed_decides_everything(known):
    first, again, other = (exmcr_plus(known.pools, seed, pair=PAIR, train=TRAIN, steps=3).leaf(known.x) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
