"""Methods that describe items by words of a vocabulary: VLAP, Ovis, FDT, LexVLA."""

import numpy as np
import pytest
import torch
from synthetic import World, r1, world
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.methods import fdt as fdt_module
from exmcr.methods import lexvla as lexvla_module
from exmcr.methods.baselines import hop, procrustes, rotation
from exmcr.methods.fdt import fdt, sparsemax
from exmcr.methods.lexvla import lexvla, overuse, strongest
from exmcr.methods.maps import identity
from exmcr.methods.ovis import ovis
from exmcr.methods.vlap import assignment, vlap
from exmcr.methods.vocabulary import Linear, drawn
from exmcr.pairing.pools import Pools

SMALL = {"batch": 64, "steps": 25, "lr": 0.003, "tau1": 0.05, "tau2": 0.05}
METHODS = {"vlap": vlap, "ovis": ovis, "fdt": fdt, "lexvla": lexvla}


@pytest.fixture(scope="module")
def known():
    return world(n=300)


@pytest.fixture(scope="module")
def maps(known):
    return {name: fit(known.pools, 0, **SMALL) for name, fit in METHODS.items()}


def folded(n=400, held=60, seed=0) -> World:
    """The base sees the absolute values of what the leaf sees: no linear map leads there."""
    rng = np.random.default_rng(seed)
    turn = [np.linalg.qr(rng.normal(size=(32, 32)))[0][:8] for _ in "LB"]

    def rows(z, space):
        v = (z if space == 0 else np.abs(z) - 0.8) @ turn[space]
        v = v + 0.01 * rng.normal(size=v.shape)
        return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)

    # Few kinds of thing, so that a bank has several of each.
    kinds = rng.normal(size=(held, 8))
    x, o, y = (np.concatenate([kinds, kinds[rng.integers(held, size=n)]]) for _ in range(3))
    pools = Pools(rows(x, 0), rows(o, 0), rows(o, 1), rows(y, 1), {"leaf": "folded"})
    return World(pools, rows(kinds, 0), rows(kinds, 0), rows(kinds, 1), rows(kinds, 1))


@pytest.mark.parametrize("name", METHODS)
def test_matching_items_are_found_across_rotation_gap_and_noise(known, maps, name):
    assert r1(maps[name], known.x, known.y) > {"fdt": 0.6, "lexvla": 0.6}.get(name, 0.8)


@pytest.mark.parametrize("name", METHODS)
def test_rows_are_float32_of_unit_norm(known, maps, name):
    for rows in (maps[name].leaf(known.x), maps[name].base(known.y)):
        assert rows.dtype == np.float32 and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_result_depends_on_the_seed_only(known, name):
    quick = SMALL | {"steps": 2, "words": 50} | ({} if name != "fdt" else {"codes": 50})
    quick.pop("words" if name == "fdt" else "codes", None)
    first, again, other = (METHODS[name](known.pools, s, **quick).leaf(known.x) for s in (0, 0, 1))
    assert np.array_equal(first, again) and not np.allclose(first, other)


def test_vlap_and_ovis_leave_the_base_unchanged(maps):
    assert maps["vlap"].base is maps["ovis"].base is identity


def test_the_trainable_hop_bends_where_a_linear_map_cannot():
    spaces = folded()
    bent = r1(ovis(spaces.pools, 0, tau=0.02, **SMALL), spaces.x, spaces.y)
    straight = r1(vlap(spaces.pools, 0, **SMALL), spaces.x, spaces.y)
    assert bent > 0.9 and straight < 0.5 * bent


def test_the_trainable_hop_fails_with_few_words_and_a_linear_map_does_not():
    few = world(overlap=40)
    assert r1(ovis(few.pools, 0, words=6, **SMALL), few.x, few.y) < 0.4
    assert r1(vlap(few.pools, 0, **SMALL), few.x, few.y) > 0.8


def test_ovis_starts_as_the_hop(known):
    start = ovis(known.pools, 0, tau=0.05, **SMALL | {"steps": 1, "lr": 1e-9})
    expected = hop(known.pools, tau=0.05).leaf(known.x)
    assert np.allclose(start.leaf(known.x), expected, atol=1e-4)


def test_vlap_starts_as_procrustes(known):
    start = vlap(known.pools, 0, **SMALL | {"steps": 1, "lr": 1e-9})
    assert np.allclose(start.leaf(known.x), procrustes(known.pools).leaf(known.x), atol=1e-4)
    layer = Linear(rotation(known.pools.o_leaf, known.pools.o_base))
    assert layer(torch.from_numpy(known.x)).shape == known.x.shape


def test_an_assignment_equals_loops_and_gives_words_their_share():
    draw = torch.Generator().manual_seed(0)
    scores = torch.rand(5, 3, generator=draw, dtype=torch.float64)
    share = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    plan = [[float((scores[i, j] / 0.2).exp()) for j in range(3)] for i in range(5)]
    for _ in range(3):
        sums = [sum(plan[i][j] for i in range(5)) for j in range(3)]
        plan = [[plan[i][j] / sums[j] * float(share[j]) for j in range(3)] for i in range(5)]
        plan = [[v / sum(row) for v in row] for row in plan]
    got = assignment(scores, share, 0.2)
    assert torch.allclose(got, torch.tensor(plan, dtype=torch.float64))
    many = assignment(scores, share, 0.2, rounds=200)
    assert torch.allclose(many.mean(dim=0), share, atol=1e-6)


def test_a_low_epsilon_does_not_overflow():
    plan = assignment(torch.tensor([[0.9, -0.9], [0.8, 0.1]]), torch.tensor([0.5, 0.5]), 0.005)
    assert torch.isfinite(plan).all() and torch.allclose(plan.sum(dim=1), torch.ones(2))


def literal_sparsemax(row):
    """By bisection on the threshold."""
    low, high = min(row) - 1, max(row)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(max(v - middle, 0) for v in row) > 1 else (low, middle)
    return [max(v - low, 0) for v in row]


def test_sparsemax_equals_a_search_and_has_the_right_gradients():
    scores = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.tensor([literal_sparsemax(row.tolist()) for row in scores])
    assert torch.allclose(sparsemax(scores), expected.double(), atol=1e-9)
    assert torch.autograd.gradcheck(sparsemax, (scores.requires_grad_(),))


def test_tokens_are_few_and_two_of_them_cannot_tell_items_apart(known, maps, monkeypatch):
    used = []
    original = sparsemax
    monkeypatch.setattr(
        fdt_module, "sparsemax", lambda scores: used.append(original(scores)) or used[-1]
    )
    maps["fdt"].leaf(known.x)
    assert (used[-1] > 0).sum(dim=1).float().mean() < 100, "of 300 codes"
    assert r1(fdt(known.pools, 0, codes=2, **SMALL | {"lr": 1e-4}), known.x, known.y) < 0.3


def test_a_lexical_code_names_the_words_that_describe_an_item(known, maps):
    codes = maps["lexvla"].leaf(known.x)
    assert (codes >= 0).all() and ((codes > 0).sum(axis=1) <= 64).all()
    rows = drawn(known.pools, 4096, 0)
    named = strongest(codes, rows.astype(str), most=1)
    best = [int(words[0]) for words in named]
    likeness = (known.o_base * known.pools.o_base[best]).sum(axis=1)
    assert likeness.mean() > 0.7, "the strongest word is near the item in the base"


def test_one_word_per_item_cannot_tell_items_apart(known):
    one = lexvla(known.pools, 0, words=20, keep=1, **SMALL | {"steps": 2})
    assert r1(one, known.x, known.y) < 0.3


def test_strongest_words_come_first_and_zeros_are_left_out():
    codes = np.array([[0.0, 0.5, 0.8], [1.0, 0.0, 0.0]])
    assert strongest(codes, np.array(["a", "b", "c"])) == [["c", "b"], ["a"]]


def test_overuse_equals_loops_and_falls_as_words_are_used_evenly():
    codes = torch.rand(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    share = [[float(v) / float(row.sum()) for v in row] for row in codes]
    literal = 3 * sum((sum(row[j] for row in share) / 4) ** 2 for j in range(3))
    assert float(overuse(codes)) == pytest.approx(literal)
    assert float(overuse(torch.eye(3))) == pytest.approx(1)
    assert float(overuse(torch.tensor([[1.0, 0, 0]] * 4))) == pytest.approx(3)
    assert torch.autograd.gradcheck(overuse, (codes.requires_grad_(),))


def test_the_penalty_drives_out_a_word_that_applies_to_everything():
    draw = torch.Generator().manual_seed(0)
    common = torch.ones(8) / 8**0.5
    x = normalize(common + 0.3 * torch.randn(200, 8, generator=draw), dim=1)
    keys = normalize(torch.cat([common[None], x[:30]]), dim=1)
    model = lexvla_module.Lexicon(keys.clone(), keys.clone(), scale=10.0, keep=10)
    share = lambda: (model.leaf(x)[:, 0] ** 2).mean().item()
    before, optimizer = share(), torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        overuse(model.leaf(x)).backward()
        optimizer.step()
    assert before > 1 / 31 and share() < 0.5 * before


def test_codes_have_gradients_through_the_trained_side_alone():
    keys = normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    model = lexvla_module.Lexicon(keys.clone(), keys.clone(), scale=5.0, keep=3)
    model.leaf(keys[:2]).square().sum().backward()
    assert model.keys.grad is not None and not model.frozen.requires_grad
    assert torch.allclose(model.leaf(keys), model.base(keys)), "both start with the same words"


def test_a_vocabulary_needs_words(known):
    with pytest.raises(ConfigError, match="at least one word"):
        ovis(known.pools, words=0)
    assert len(drawn(known.pools, 10**6, 0)) == len(known.pools.o_leaf)
