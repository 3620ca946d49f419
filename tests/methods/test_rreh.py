"""RREH: 64 bits per item, from reconstruction by anchors."""

import numpy as np
import pytest
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods.rreh import _reconstruction, binary_rotation, rreh


@pytest.fixture(scope="module")
def known():
    return world(d=96, latent=40, n=800)


def test_codes_are_signs_whose_cosine_counts_equal_bits(known):
    maps = rreh(known.pools, 0, anchors=400)
    for codes in (maps.leaf(known.x), maps.base(known.y)):
        assert codes.dtype == np.float32 and codes.shape == (100, 64)
        assert set(np.unique(np.abs(codes))) == {np.float32(1 / 8)}
    a, b = maps.leaf(known.x[:1]), maps.base(known.y[:1])
    assert float((a @ b.T)[0, 0]) == pytest.approx(1 - 2 * (a != b).sum() / 64)


def test_most_items_are_found_by_their_bits(known):
    assert r1(rreh(known.pools, 0, anchors=400), known.x, known.y) > 0.7


def test_it_fails_with_few_anchors(known):
    assert r1(rreh(known.pools, 0, anchors=6, bits=6), known.x, known.y) < 0.5


def test_an_item_is_reconstructed_by_anchors():
    rng = np.random.default_rng(0)
    anchors = rng.normal(size=(6, 4))
    v = rng.normal(size=(3, 4))
    coefficients = v @ _reconstruction(anchors, 1e-9)
    assert coefficients.shape == (3, 6) and np.allclose(coefficients @ anchors, v, atol=1e-6)


def test_the_rotation_brings_rows_closer_to_signs():
    rng = np.random.default_rng(0)
    rows = np.sign(rng.normal(size=(200, 5))) @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    turn = binary_rotation(rows, 30, np.random.default_rng(1))
    assert np.allclose(turn @ turn.T, np.eye(5))
    error = np.square(np.abs(rows @ turn) - 1).mean()
    assert error < 0.7 * np.square(np.abs(rows) - 1).mean()


@pytest.mark.parametrize("bits", [0, 97])
def test_impossible_numbers_of_bits_are_errors(known, bits):
    with pytest.raises(ConfigError, match="between 1 and 96"):
        rreh(known.pools, bits=bits)
