"""The trained methods on two rotated, shifted, noisy views of one latent, and the particular claims of each."""

import numpy as np
import pytest
import torch
from synthetic import r1, world

from exmcr.common.errors import ConfigError
from exmcr.methods.baselines import procrustes
from exmcr.methods.freebind import freebind
from exmcr.methods.maps import Maps, identity
from exmcr.methods.networks import Head
from exmcr.methods.omnibind import Router, mix, omnibind
from exmcr.methods.oneencoder import Newcomer, Universal, oneencoder
from exmcr.methods.unimodal import unimodal
from exmcr.methods.xbt import xbt

SMALL = {"hidden": 64, "batch": 128, "steps": 80, "lr": 0.003}
TRAINED = {"unimodal": unimodal, "xbt": xbt, "oneencoder": oneencoder, "freebind": freebind}


@pytest.fixture(scope="module")
def known():
    return world()


@pytest.fixture(scope="module")
def maps(known):
    return {name: fit(known.pools, 0, **SMALL) for name, fit in TRAINED.items()}


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


def test_freebind_adds_up_the_cosines_of_both_spaces(known):
    fits = {
        factor: freebind(
            known.pools, 0, factor=factor, centers=("overlap",), **SMALL | {"steps": 10}
        )
        for factor in (0, 0.25)
    }
    both = fits[0.25].leaf(known.x) @ fits[0.25].base(known.y).T
    in_base = fits[0].leaf(known.x) @ fits[0].base(known.y).T
    in_leaf = known.x @ (fits[0.25].base(known.y)[:, 32:] / 0.25**0.5).T
    assert fits[0].base is identity
    assert np.allclose(both, 0.75 * in_base + 0.25 * in_leaf, atol=1e-5)


def test_freebind_refuses_a_factor_out_of_range(known):
    with pytest.raises(ConfigError, match="factor"):
        freebind(known.pools, factor=1.0)


def noise_copy(pools, seed=0):
    """A space to bind that is unrelated to the base."""
    blind = np.random.default_rng(9).normal(size=(pools.o_leaf.shape[1], pools.o_base.shape[1]))
    first = np.linalg.qr(blind)[0].astype(np.float32)
    return Maps(leaf=lambda x: x @ first)


def test_the_router_of_omnibind_picks_the_better_space(known):
    members = {"good": procrustes, "blind": noise_copy}
    bound = omnibind(known.pools, 0, members=members, batch=128, steps=150, lr=0.01)
    good, plain = procrustes(known.pools), noise_copy(known.pools)
    mixed = bound.leaf(known.x)
    to_good, to_blind = (
        (mixed * good.leaf(known.x)).sum(1).mean(),
        (mixed * plain.leaf(known.x)).sum(1).mean(),
    )
    averaged = Maps(
        leaf=lambda x: mix(
            torch.full((len(x), 2), 0.5),
            torch.from_numpy(np.stack([good.leaf(x), plain.leaf(x)], axis=1)),
        ).numpy()
    )
    print(f"cosine to the good copy {to_good:.2f}, to the blind one {to_blind:.2f}")
    assert to_good > 0.95 > to_blind
    assert r1(bound, known.x, known.y) > max(0.95, r1(averaged, known.x, known.y))


def test_the_router_starts_with_equal_weights_that_sum_to_one():
    weights = Router(8, 4, 16)(torch.randn(5, 8))
    assert torch.allclose(weights, torch.full((5, 4), 0.25))


@pytest.mark.parametrize(
    "members",
    [("nonsense",), {"cca": lambda pools, seed: Maps(leaf=identity, base=lambda y: y * 2)}],
)
def test_omnibind_refuses_what_it_cannot_average(known, members):
    with pytest.raises(ConfigError, match="omnibind"):
        omnibind(known.pools, members=members)


def test_an_unknown_setting_of_training_is_refused(known):
    with pytest.raises(ConfigError, match="stepz"):
        xbt(known.pools, stepz=3)
