"""The trained methods on two rotated, shifted, noisy views of one latent, and the particular claims of each."""

import numpy as np
import pytest
import torch
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods import freebind as freebind_module
from exmcr.methods.baselines import procrustes
from exmcr.methods.freebind import Bond, freebind, subsets
from exmcr.methods.maps import identity
from exmcr.methods.networks import Head
from exmcr.methods.omnibind import Router, mix, omnibind, retrieved
from exmcr.methods.oneencoder import Newcomer, Universal, oneencoder
from exmcr.methods.unimodal import unimodal
from exmcr.methods.xbt import xbt
from exmcr.pairing.pools import PARTS, Pools
from exmcr.training.objectives import infonce

SMALL = {"hidden": 64, "batch": 128, "steps": 80, "lr": 0.003}
TRAINED = {"unimodal": unimodal, "xbt": xbt, "oneencoder": oneencoder}
TRAINED |= {"freebind": freebind, "omnibind": omnibind}
STEPS = {"freebind": 30, "omnibind": 30}  # of each of their bonds


@pytest.fixture(scope="module")
def known():
    return world()


@pytest.fixture(scope="module")
def maps(known):
    return {
        name: fit(known.pools, 0, **SMALL | {"steps": STEPS.get(name, SMALL["steps"])})
        for name, fit in TRAINED.items()
    }


@pytest.mark.parametrize("name", TRAINED)
def test_matching_items_are_found_across_rotation_gap_and_noise(known, maps, name):
    found = r1(maps[name], known.x, known.y)
    print(f"{name}: R@1 {found:.2f} among 100")
    assert found > 0.9


@pytest.mark.parametrize("name", TRAINED)
def test_rows_are_float32_of_unit_norm(known, maps, name):
    for rows in (maps[name].leaf(known.x), maps[name].base(known.y)):
        assert rows.dtype == np.float32 and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_result_depends_on_the_seed_only(known):
    quick = SMALL | {"steps": 3}
    first, again, other = (xbt(known.pools, seed, **quick).leaf(known.x) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.allclose(first, other)


def test_xbt_leaves_the_base_unchanged(maps):
    assert maps["xbt"].base is identity


def test_xbt_reproduces_the_old_vectors_of_held_out_items(known):
    """Backward compatible: the vectors themselves agree, not only their ranking."""
    cosine = (xbt(known.pools, 0, regress=10.0, **SMALL).leaf(known.o_leaf) * known.o_base).sum(
        axis=1
    )
    assert cosine.mean() > 0.9


def test_a_head_starts_as_a_linear_map():
    torch.manual_seed(0)
    head, x = Head(6, 4, 8), torch.randn(5, 6)
    assert torch.allclose(head(x), torch.nn.functional.normalize(head.linear(x), dim=1))


def test_oneencoder_freezes_the_universal_projector_in_step_two():
    newcomer = Newcomer(Universal(8, 16), 6, 8)
    torch.manual_seed(0)
    before = {k: v.clone() for k, v in newcomer.universal.state_dict().items()}
    optimizer = torch.optim.AdamW(newcomer.parameters(), lr=0.1)
    newcomer(torch.randn(4, 6)).sum().backward()
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in newcomer.universal.state_dict().items())
    assert newcomer.token.abs().sum() > 0, "its own token is trained"


def test_freebind_has_a_bond_for_every_subset_of_the_centers(known, monkeypatch):
    assert subsets(["a", "b", "c"]) == [
        *(("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c"))
    ]
    bonds = []

    def fixed(pool, seed, hidden, settings):
        bonds.append((len(pool["x_leaf"]), seed))
        torch.manual_seed(len(bonds))
        return Bond(32, 32, hidden).eval()

    monkeypatch.setattr(freebind_module, "bond_on", fixed)
    maps = freebind(known.pools, 3, hidden=8)
    assert [n for n, _ in bonds] == [500, 500, 500, 1000, 1000, 1000, 1500]
    assert len({seed for _, seed in bonds}) == 7, "no two bonds start alike"
    assert maps.base is identity
    rows = []
    for number in range(1, 8):
        torch.manual_seed(number)
        with torch.no_grad():
            rows.append(Bond(32, 32, 8).eval()(torch.from_numpy(known.x)))
    mean = torch.stack(rows).mean(dim=0)
    assert np.allclose(maps.leaf(known.x), mean / mean.norm(dim=1, keepdim=True), atol=1e-6)


def test_omnibind_is_trained_on_the_items_that_are_retrieved(known):
    p = known.pools
    for center in ("overlap", "leaf", "base"):
        pairs = retrieved(p, center)
        n = 5  # a row by hand
        if center == "overlap":
            o, x, y = n, (p.o_leaf[n] @ p.x_leaf.T).argmax(), (p.o_base[n] @ p.y_base.T).argmax()
        elif center == "leaf":
            x, o = n, (p.x_leaf[n] @ p.o_leaf.T).argmax()
            y = (p.o_base[o] @ p.y_base.T).argmax()
        else:
            y, o = n, (p.y_base[n] @ p.o_base.T).argmax()
            x = (p.o_leaf[o] @ p.x_leaf.T).argmax()
        expected = (p.x_leaf[x], p.o_leaf[o], p.o_base[o], p.y_base[y])
        assert all(np.array_equal(pairs[k][n], row) for k, row in zip(PARTS, expected))


def test_a_router_prefers_the_better_expert(known):
    """Trained alone, on the right expert and a blind one."""
    torch.manual_seed(0)
    good = torch.from_numpy(procrustes(known.pools).leaf(known.x))
    blind = torch.nn.functional.normalize(torch.randn(*good.shape), dim=1)
    experts, target = torch.stack([good, blind], dim=1), torch.from_numpy(known.y)
    router, x = Router(32, 2, (16, 8)), torch.from_numpy(known.x)
    optimizer = torch.optim.AdamW(router.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        infonce(mix(router(x), experts), target, 0.05).backward()
        optimizer.step()
    weights = router.eval()(x).mean(dim=0)
    assert weights[0] > 0.65, weights


def test_the_weights_of_a_router_are_positive_and_sum_to_one():
    weights = Router(8, 4, (16, 8)).eval()(torch.randn(5, 8))
    assert (weights > 0).all() and torch.allclose(weights.sum(dim=1), torch.ones(5))


def test_bonds_fail_without_overlap_that_both_spaces_agree_on(known):
    """FreeBind and OmniBind learn from the overlap alone which things are the same."""
    p, rng = known.pools, np.random.default_rng(0)
    wrong = Pools(p.x_leaf, p.o_leaf, p.o_base[rng.permutation(len(p.o_base))], p.y_base)
    quick = SMALL | {"steps": 5}
    assert all(r1(fit(wrong, 0, **quick), known.x, known.y) < 0.2 for fit in (freebind, omnibind))


def test_an_unknown_setting_of_training_is_refused(known):
    with pytest.raises(ConfigError, match="stepz"):
        xbt(known.pools, stepz=3)
