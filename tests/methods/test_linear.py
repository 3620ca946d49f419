"""Methods without training in cases where their claims hold; relative representations also in test_relative.py."""

import numpy as np
import pytest
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.baselines import lstsq, procrustes
from exmcr.methods.cca import canonical, cca
from exmcr.methods.relative import asif, relative
from exmcr.methods.ridge import ridge
from exmcr.methods.translation import translation
from exmcr.pairing.pools import Pools

LINEAR = {
    "ridge": ridge,
    "cca": lambda pools, seed=0: cca(pools, seed, dims=8),
    "relative": lambda pools, seed=0: relative(pools, seed, anchors=200),
    "asif": asif,
    "translation": translation,
}


def turned(pools: Pools, seed: int) -> tuple[Pools, np.ndarray]:
    """The same pools with a rotated leaf, and the rotation."""
    d = pools.o_leaf.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0].astype(np.float32)
    return Pools(pools.x_leaf @ turn, pools.o_leaf @ turn, pools.o_base, pools.y_base), turn


@pytest.mark.parametrize("name", LINEAR)
def test_matching_items_are_found_across_rotation_gap_and_noise(name):
    w = world()
    assert r1(LINEAR[name](w.pools), w.x, w.y) > 0.95


@pytest.mark.parametrize("name", LINEAR)
def test_rows_are_float32_of_unit_norm(name):
    w = world(n=100)
    maps = LINEAR[name](w.pools)
    for rows in (maps.leaf(w.x), maps.base(w.y)):
        assert rows.dtype == np.float32 and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "name", [n for n in LINEAR if n != "translation"]
)  # standard deviations per dimension depend on it
def test_the_orientation_of_the_leaf_does_not_matter(name):
    w = world(n=200)
    pools, turn = turned(w.pools, 5)
    assert np.allclose(
        LINEAR[name](w.pools).leaf(w.x), LINEAR[name](pools).leaf(w.x @ turn), atol=1e-3
    )


def test_translation_undoes_a_rotation_and_a_shift():
    """If the base is the leaf, rotated and shifted, exactly; it cannot undo standard deviations that differ between axes."""
    rng = np.random.default_rng(0)
    o, x = rng.normal(size=(500, 8)), rng.normal(size=(20, 8))
    turn, shift = np.linalg.qr(rng.normal(size=(8, 8)))[0], rng.normal(size=8)
    o /= o.std(axis=0)
    o = (o - o.mean(axis=0)) @ np.linalg.inv(
        np.linalg.cholesky(np.cov(o.T))
    ).T  # white, so that rotations keep standard deviations at 1
    pools = Pools(x.astype(np.float32), o, o @ turn + shift, o)
    assert np.allclose(
        translation(pools, center="overlap").leaf(x), unit(x @ turn + shift), atol=1e-2
    )


def test_translation_centered_at_its_own_pool_ignores_a_gap_inside_the_leaf():
    w = world(n=300)
    moved = Pools(w.pools.x_leaf + 0.5, w.pools.o_leaf, w.pools.o_base, w.pools.y_base)
    assert np.allclose(
        translation(moved).leaf(w.x + 0.5), translation(w.pools).leaf(w.x), atol=1e-4
    )


def test_ridge_beats_least_squares_with_few_noisy_pairs():
    w = world(overlap=40, noise=0.05)
    few, plain = r1(ridge(w.pools), w.x, w.y), r1(lstsq(w.pools), w.x, w.y)
    print(f"R@1 of 40 pairs: ridge {few:.2f}, least squares {plain:.2f}")
    assert few > plain + 0.05


def test_ridge_tends_to_least_squares():
    w = world(n=200)
    assert np.allclose(ridge(w.pools, alpha=1e-9).leaf(w.x), lstsq(w.pools).leaf(w.x), atol=1e-4)


def test_ridge_solves_its_normal_equations():
    w = world(n=60, d=12, latent=4)
    o, b = w.pools.o_leaf.astype(float), w.pools.o_base.astype(float)
    # Ridge is least squares on the pairs and sqrt(alpha) times the identity that should map to zero.
    stacked = np.linalg.lstsq(
        np.vstack([o, 0.5**0.5 * np.eye(12)]), np.vstack([b, np.zeros((12, 12))]), rcond=None
    )[0]
    assert np.allclose(ridge(w.pools, alpha=0.5).leaf(w.x), unit(w.x @ stacked), atol=1e-5)


def test_cca_finds_the_shared_subspace_under_private_noise():
    w = world(private=1.0)
    shared = {
        name: r1(fit(w.pools), w.x, w.y)
        for name, fit in {"cca": LINEAR["cca"], "procrustes": procrustes, "lstsq": lstsq}.items()
    }
    print(shared)
    assert shared["cca"] > 0.95
    assert shared["cca"] > max(shared["procrustes"], shared["lstsq"]) + 0.2


def test_canonical_directions_solve_the_generalized_eigenproblem():
    """Hotelling's own form: C_ab C_bb^-1 C_ba w = r^2 C_aa w, by another solver."""
    from scipy.linalg import eigh

    w = world(n=300, d=12, latent=4, noise=0.05)
    a, b = (
        v - v.mean(axis=0) for v in (w.pools.o_leaf.astype(float), w.pools.o_base.astype(float))
    )
    caa, cbb, cab = a.T @ a, b.T @ b, a.T @ b
    squares = eigh(cab @ np.linalg.solve(cbb, cab.T), caa, eigvals_only=True)[::-1][:4]
    to_leaf, to_base, correlation = canonical(a, b, 4, 0.0)
    assert np.allclose(correlation**2, squares, atol=1e-8)
    u, v = a @ to_leaf, b @ to_base
    assert np.allclose(u.T @ u / len(u), np.eye(4), atol=1e-6) and np.allclose(
        v.T @ v / len(v), np.eye(4), atol=1e-6
    )
    assert np.allclose(u.T @ v / len(u), np.diag(correlation), atol=1e-6)


def test_cca_without_power_weights_directions_equally():
    w = world(n=300)
    o = w.pools.o_leaf
    pools = Pools(o, o, w.pools.o_base, w.pools.y_base)
    flat, steep = cca(pools, dims=8, power=0.0), cca(pools, dims=8, power=4.0)
    assert steep.leaf(o).std(axis=0)[-1] < flat.leaf(o).std(axis=0)[-1]


@pytest.mark.parametrize(
    "call",
    [
        lambda p: ridge(p, alpha=0),
        lambda p: cca(p, dims=33),
        lambda p: relative(p, anchors=0),
        lambda p: asif(p, keep=0),
        lambda p: translation(p, center="base"),
    ],
)
def test_impossible_settings_are_refused(call):
    with pytest.raises(ConfigError):
        call(world(n=50).pools)
