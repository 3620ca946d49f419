"""exmcr+ on two rotated, gapped views of one latent, and its probes against a plain reference."""

import numpy as np
import pytest
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods import exmcr_plus as plus
from exmcr.methods.baselines import hop
from exmcr.methods.exmcr_plus import exmcr_plus, probed, probes
from exmcr.methods.maps import identity
from exmcr.methods.relative import described

TRAIN = {
    "steps": 60,
    "batch": 128,
    "lr": 0.003,
    "weight_decay": 0.01,
    "lambda": 1.0,
    "tau2": 0.05,
    "noise": 0.004,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}
PAIR = {"centers": ["overlap", "leaf", "base"], "tau1": 0.02}
UNTRAINED = {"keep": 60, "power": 4.0, "ridge": 0.05, "settle": 0.5, "tau": 0.05}


@pytest.fixture(scope="module")
def known():
    return world()


@pytest.mark.parametrize("block", [37, 8192])
def test_probes_are_ridge_regression(known, monkeypatch, block):
    """Against scikit-learn's, one regression for each overlap item."""
    from sklearn.linear_model import Ridge

    monkeypatch.setattr(plus, "BLOCK", block)
    p = known.pools
    v = np.concatenate([p.y_base, p.o_base]).astype(np.float64)
    labels = described(v.astype(np.float32), p.o_base, 60, 4.0).toarray()
    centered = v - v.mean(axis=0)
    plain = Ridge(alpha=0.05 * np.trace(centered.T @ centered) / v.shape[1]).fit(v, labels)
    assert np.allclose(probes(p, 60, 4.0, 0.05), plain.coef_, atol=1e-5)


def test_a_probe_detects_images_better_than_the_vector_of_the_text(known):
    """Retrieval of held-out images by the probes of the texts that an item resembles, against the vectors of these texts."""
    assert r1(probed(known.pools, **UNTRAINED | {"settle": 0.0}), known.x, known.y) > r1(
        hop(known.pools, tau=0.02), known.x, known.y
    )


def test_settling_moves_an_item_to_its_own_bank(known):
    """With settle 1 and a low temperature, an item becomes the training item nearest to it."""
    p = known.pools
    nearest = p.x_leaf[(known.x @ p.x_leaf.T).argmax(axis=1)]
    moved = probed(p, **UNTRAINED | {"settle": 1.0, "tau": 1e-5}).leaf(known.x)
    assert np.allclose(moved, probed(p, **UNTRAINED | {"settle": 0.0}).leaf(nearest), atol=1e-4)


def test_matching_items_are_found_and_the_base_is_unchanged(known):
    maps = exmcr_plus(known.pools, 0, pair=PAIR, train=TRAIN, steps=80)
    assert maps.base is identity
    out = maps.leaf(known.x)
    assert out.dtype == np.float32 and np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    assert r1(maps, known.x, known.y) > 0.9


def test_the_result_depends_on_the_seed_only(known):
    first, again, other = (
        exmcr_plus(known.pools, seed, pair=PAIR, train=TRAIN, steps=3).leaf(known.x)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("wrong", [{"settle": 1.5}, {"share_projector": -0.1}, {"ridge": 0.0}])
def test_values_out_of_range_are_refused(known, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        exmcr_plus(known.pools, 0, pair=PAIR, train=TRAIN, steps=1, **wrong)
