"""Methods that are fitted on the overlap alone: CSA, TextME, SAIL, whitened ASIF, balanced hop."""

import numpy as np
import pytest
import torch
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods.baselines import hop
from exmcr.methods.csa import csa
from exmcr.methods.maps import identity
from exmcr.methods.relative import asif
from exmcr.methods.sail import Gated, sail, sigmoid_loss
from exmcr.methods.sinkhorn import log_factors, sinkhorn_hop
from exmcr.methods.textme import textme
from exmcr.methods.whitened import whitened_asif
from exmcr.methods.xbt import xbt
from exmcr.pairing.pools import Pools

SMALL = {"hidden": 48, "batch": 128, "steps": 50, "lr": 0.003}


@pytest.fixture(scope="module")
def known():
    return world()


def test_csa_is_a_cosine_weighted_by_canonical_correlations(known):
    maps, o = csa(known.pools, dims=4), known.pools.o_leaf.astype(np.float64)
    b = known.pools.o_base.astype(np.float64)
    inside = [v - v.mean(axis=0) for v in (o, b)]
    coordinates = [np.linalg.qr(v)[0] for v in inside]
    u, rho, vt = np.linalg.svd(coordinates[0].T @ coordinates[1])
    weight = rho[:4] ** 0.5
    left, right = coordinates[0] @ u[:, :4] * weight, coordinates[1] @ vt[:4].T * weight
    cosine = left @ right.T / np.linalg.norm(left, axis=1)[:, None] / np.linalg.norm(right, axis=1)
    assert np.allclose(
        maps.leaf(known.pools.o_leaf) @ maps.base(known.pools.o_base).T, cosine, atol=1e-4
    )


def test_csa_finds_the_shared_directions_and_fails_if_noise_is_kept_too(known):
    """Without shrinkage, directions of noise count by chance correlations."""
    few, all_of_them = (csa(known.pools, dims=dims) for dims in (8, 400))
    assert r1(few, known.x, known.y) > 0.95
    assert r1(all_of_them, known.x, known.y) < 0.3


def test_centering_carries_a_head_of_texts_over_a_wide_gap():
    """TextME's claim, against the same training without centering."""
    w = world(gap=1.2)
    settings = SMALL | {"noise": 0.0}
    with_means, without = textme(w.pools, 0, **settings), xbt(w.pools, 0, regress=0.0, **settings)
    assert with_means.base is identity
    assert r1(with_means, w.x, w.o_base) > r1(without, w.x, w.o_base) + 0.05


def test_textme_fails_if_the_pool_of_a_modality_is_one_sided(known):
    """Its mean is then that of a few things, not of the gap."""
    first = known.pools.x_leaf[0]
    near = known.pools.x_leaf[np.argsort(-known.pools.x_leaf @ first)[:3]]
    p = known.pools
    lopsided = Pools(near, p.o_leaf, p.o_base, p.y_base)
    fair, poor = (textme(pools, 0, **SMALL) for pools in (p, lopsided))
    assert r1(poor, known.x, known.y) < r1(fair, known.x, known.y) - 0.1


def test_the_sigmoid_loss_and_its_gradient_equal_loops_and_finite_differences():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))

    def literal(a, scale, bias):
        total = 0.0
        for i in range(4):
            for j in range(4):
                z = (1 if i == j else -1) * (scale * a[i] @ b[j] + bias)
                total += np.log(1 + np.exp(-z))
        return total / 4

    given = torch.tensor(a, requires_grad=True)
    scale, bias = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (3.0, -2.0))
    value = sigmoid_loss(given, torch.tensor(b), scale, bias)
    assert value.item() == pytest.approx(literal(a, 3.0, -2.0))
    value.backward()
    up, down = a.copy(), a.copy()
    up[1, 2] += 1e-5
    down[1, 2] -= 1e-5
    slope = (literal(up, 3.0, -2.0) - literal(down, 3.0, -2.0)) / 2e-5
    assert given.grad[1, 2].item() == pytest.approx(slope, rel=1e-4)
    slope = (literal(a, 3.0 + 1e-5, -2.0) - literal(a, 3.0 - 1e-5, -2.0)) / 2e-5
    assert scale.grad.item() == pytest.approx(slope, rel=1e-4)


def test_a_gated_layer_is_swiglu():
    torch.manual_seed(0)
    layer, x = Gated(4, 3, 5), torch.randn(6, 4)
    v = 2 * x
    gate = layer.gate(v)
    expected = layer.out(gate * torch.sigmoid(gate) * layer.value(v))
    assert torch.allclose(layer(x), expected / expected.norm(dim=1, keepdim=True), atol=1e-6)


def test_sail_learns_from_many_pairs_and_not_from_few():
    for n, bound in ((500, lambda r: r > 0.7), (12, lambda r: r < 0.4)):
        w = world(n=500, overlap=n)
        assert bound(r1(sail(w.pools, 0, out=32, **SMALL | {"steps": 150}), w.x, w.y)), n


def stretched(w):
    """The leaf with one direction blown up, as in anisotropic spaces."""
    p = w.pools
    axis = np.linalg.svd(p.o_leaf - p.o_leaf.mean(axis=0))[2][0]

    def pulled(v):
        v = v + 6 * (v @ axis)[:, None] * axis
        return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)

    return Pools(pulled(p.x_leaf), pulled(p.o_leaf), p.o_base, p.y_base), pulled(w.x)


def test_whitened_inner_products_undo_a_stretched_direction(known):
    pools, x = stretched(known)
    plain, white = asif(pools, keep=60, power=4.0), whitened_asif(pools, keep=60, power=4.0)
    assert r1(white, x, known.y) > r1(plain, x, known.y) + 0.1


def test_whitening_loses_if_the_spaces_are_even_but_noisy():
    """Directions of noise count as much as others then."""
    w = world(n=300, noise=0.12)
    white = whitened_asif(w.pools, keep=60, power=4.0, shrink=1e-4)
    assert r1(white, w.x, w.y) < r1(asif(w.pools, keep=60, power=4.0), w.x, w.y)


@pytest.mark.parametrize("fit", [asif, whitened_asif])
def test_sparse_maps_have_the_same_rows(known, fit):
    maps = fit(known.pools, keep=20)
    for dense, sparse, rows in zip((maps.leaf, maps.base), maps.sparse, (known.x, known.y)):
        assert np.array_equal(dense(rows), sparse(rows).toarray())
        assert dense(rows).dtype == np.float32 and sparse(rows).nnz == 20 * len(rows)


def test_values_out_of_range_are_refused(known):
    with pytest.raises(ConfigError, match="asif-whitened needs keep >= 1"):
        whitened_asif(known.pools, keep=0)
    with pytest.raises(ConfigError, match="hop-sinkhorn needs tau > 0"):
        sinkhorn_hop(known.pools, tau=0.0)


def test_a_balanced_hop_takes_no_text_for_all_sounds():
    """A few texts lie where all sounds are, beyond a wide gap, and resemble every sound most."""
    w = world(n=300, gap=1.5)
    p, mean = w.pools, w.pools.x_leaf.mean(axis=0)
    o_leaf = p.o_leaf.copy()
    o_leaf[:10] = mean / np.linalg.norm(mean)
    pools = Pools(p.x_leaf, o_leaf, p.o_base, p.y_base)
    plain, balanced = hop(pools, tau=0.05), sinkhorn_hop(pools, tau=0.05, rounds=20)
    assert r1(plain, w.x, w.y) < 0.1 and r1(balanced, w.x, w.y) > 0.8


def test_balance_zero_is_the_hop_and_balancing_fails_if_texts_are_rare_for_a_reason(known):
    p = known.pools
    assert np.allclose(
        sinkhorn_hop(p, tau=0.05, balance=0.0).leaf(known.x),
        hop(p, tau=0.05).leaf(known.x),
        atol=1e-5,
    )
    rng = np.random.default_rng(0)  # texts of things that no sound shows, balanced in all the same
    other = rng.normal(size=p.o_leaf.shape)
    o_leaf = np.concatenate([p.o_leaf, other / np.linalg.norm(other, axis=1, keepdims=True)])
    o_base = np.concatenate([p.o_base, p.o_base[rng.permutation(len(p.o_base))]])
    foreign = Pools(p.x_leaf, o_leaf.astype(np.float32), o_base, p.y_base)
    plain, balanced = hop(foreign, tau=0.05), sinkhorn_hop(foreign, tau=0.05, rounds=20)
    assert r1(balanced, known.x, known.y) < r1(plain, known.x, known.y)


def test_the_factors_balance_the_texts_over_the_sounds():
    scores = torch.randn(9, 6, dtype=torch.float64)
    u, v = log_factors(scores, 0.5, 300)
    plan = (scores / 0.5 + u[:, None] + v).exp()
    assert torch.allclose(plan.sum(0), torch.full((6,), 1 / 6, dtype=torch.float64))
    assert torch.allclose(plan.sum(1), torch.full((9,), 1 / 9, dtype=torch.float64), atol=1e-6)
