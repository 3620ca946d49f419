"""Pseudo-pairs: each center against the formula written out, and on pools with known answers."""

from contextlib import nullcontext

import forked
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from exmcr import config, kernels
from exmcr.common.errors import ConfigError
from exmcr.pairing import pairs
from exmcr.pairing.pools import PARTS, Pools

CENTERS = ["overlap", "leaf", "base"]


def units(rng, n, d):
    v = rng.normal(size=(n, d))
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def pools():
    rng = np.random.default_rng(0)
    return Pools(
        units(rng, 30, 8),
        units(rng, 40, 8),
        units(rng, 40, 6),
        units(rng, 50, 6),
        {"leaf": "audio"},
    )


def literal(query, keys, values, tau, normalized=True):
    """normalize(softmax(query keys^T / tau) values), one query at a time in float64."""
    rows = []
    for q in query.astype(np.float64):
        scores = [sum(a * b for a, b in zip(q, k)) / tau for k in keys.astype(np.float64)]
        weights = np.exp(np.array(scores) - max(scores))
        mean = sum(w * v for w, v in zip(weights / weights.sum(), values.astype(np.float64)))
        rows.append(mean / np.linalg.norm(mean) if normalized else mean)
    return np.array(rows)


def reference(p, center, tau, between=True):
    if center == "overlap":
        return dict(
            x_leaf=literal(p.o_leaf, p.x_leaf, p.x_leaf, tau),
            o_leaf=p.o_leaf,
            o_base=p.o_base,
            y_base=literal(p.o_base, p.y_base, p.y_base, tau),
        )
    if center == "leaf":
        o_base = literal(p.x_leaf, p.o_leaf, p.o_base, tau)
        return dict(
            x_leaf=p.x_leaf,
            o_leaf=literal(p.x_leaf, p.o_leaf, p.o_leaf, tau),
            o_base=o_base,
            y_base=literal(
                literal(p.x_leaf, p.o_leaf, p.o_base, tau, between), p.y_base, p.y_base, tau
            ),
        )
    o_leaf = literal(p.y_base, p.o_base, p.o_leaf, tau)
    query = literal(p.y_base, p.o_base, p.o_leaf, tau, between)
    return dict(
        x_leaf=literal(query, p.x_leaf, p.x_leaf, tau),
        o_leaf=o_leaf,
        o_base=literal(p.y_base, p.o_base, p.o_base, tau),
        y_base=p.y_base,
    )


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("tau", [0.05, 0.5])
@pytest.mark.parametrize("center", CENTERS)
def test_each_center_equals_the_formula(pools, center, tau, between, plain):
    with kernels.plain() if plain else nullcontext():
        got = pairs.quadruples(pools, center, tau, normalize_between=between)
    expected = reference(pools, center, tau, between)
    assert set(got) == set(PARTS)
    for part in PARTS:
        assert got[part].dtype == np.float32
        assert np.allclose(np.linalg.norm(got[part], axis=1), 1, atol=1e-5)
        assert np.abs(got[part] - expected[part]).max() < 3e-5, part


def test_a_mean_that_is_not_normalized_queries_at_a_higher_temperature(pools):
    """Of two overlap items at a right angle the mean has norm 0.71: as if tau were 1.41 times as high."""
    pair = np.eye(8, dtype=np.float32)[:2]
    query = (pair.sum(axis=0, keepdims=True) / np.sqrt(2)).astype(np.float32)
    p = Pools(query, pair, pair[:, :6], pools.y_base)
    short = pairs.quadruples(p, "leaf", 0.1, normalize_between=False)
    unit = pairs.quadruples(p, "leaf", 0.1)
    warmer = literal(unit["o_base"], p.y_base, p.y_base, 0.1 * np.sqrt(2))
    assert np.allclose(short["y_base"], warmer, atol=1e-5)
    assert np.abs(short["y_base"] - unit["y_base"]).max() > 0.01
    for part in ("x_leaf", "o_leaf", "o_base"):
        assert np.allclose(short[part], unit[part], atol=1e-6)


def test_opposite_overlap_items_have_no_mean(pools):
    pair = np.eye(8, dtype=np.float32)[:1] * np.array([[1], [-1]], np.float32)
    query = np.eye(8, dtype=np.float32)[1:2]
    for between in (True, False):
        with pytest.raises(ConfigError, match="direction"):
            pairs.quadruples(
                Pools(query, pair, pools.o_base[:2], pools.y_base),
                "leaf",
                0.1,
                normalize_between=between,
            )


@pytest.mark.parametrize("center", CENTERS)
def test_on_separate_clusters_every_part_belongs_to_the_class_of_the_query(center):
    """Ten classes, orthogonal in both spaces, the two modalities of a space apart by a gap; no item occurs twice."""
    rng, classes, d = np.random.default_rng(1), 10, 24
    leaf, base = np.linalg.qr(rng.normal(size=(d, d)))[0], np.linalg.qr(rng.normal(size=(d, d)))[0]

    def items(space, labels, gap):
        v = space[labels] + 0.7 * space[classes + gap] + 0.02 * rng.normal(size=(len(labels), d))
        return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)

    label = {
        "x": rng.integers(classes, size=200),
        "o": rng.integers(classes, size=300),
        "y": rng.integers(classes, size=250),
    }
    p = Pools(
        items(leaf, label["x"], 0),
        items(leaf, label["o"], 1),
        items(base, label["o"], 2),
        items(base, label["y"], 3),
    )
    got = pairs.quadruples(p, center, 0.01)
    expected = label[{"overlap": "o", "leaf": "x", "base": "y"}[center]]
    for part, space in (("x_leaf", leaf), ("o_leaf", leaf), ("o_base", base), ("y_base", base)):
        assert np.array_equal((got[part] @ space[:classes].T).argmax(1), expected), part


def test_a_small_tau_takes_the_nearest_neighbor(pools):
    tau = 1e-6
    got = pairs.quadruples(pools, "overlap", tau)
    assert np.allclose(
        got["x_leaf"], pools.x_leaf[(pools.o_leaf @ pools.x_leaf.T).argmax(1)], atol=1e-4
    )
    assert np.allclose(
        got["y_base"], pools.y_base[(pools.o_base @ pools.y_base.T).argmax(1)], atol=1e-4
    )
    got = pairs.quadruples(pools, "leaf", tau)
    nearest = (pools.x_leaf @ pools.o_leaf.T).argmax(1)
    assert np.allclose(got["o_leaf"], pools.o_leaf[nearest], atol=1e-4)
    assert np.allclose(got["o_base"], pools.o_base[nearest], atol=1e-4)


def test_both_overlap_vectors_of_a_query_come_from_the_same_weights():
    """With orthonormal overlap items the vectors are the weights themselves, up to length."""
    rng, n = np.random.default_rng(2), 12
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0].astype(np.float32)
    p = Pools(units(rng, 9, n), np.eye(n, dtype=np.float32), turn, units(rng, 9, n))
    leaf = pairs.quadruples(p, "leaf", 0.3)
    assert np.allclose(leaf["o_leaf"], leaf["o_base"] @ turn.T, atol=1e-5)
    base = pairs.quadruples(p, "base", 0.3)
    assert np.allclose(base["o_leaf"], base["o_base"] @ turn.T, atol=1e-5)


def test_impossible_requests_are_refused(pools):
    with pytest.raises(ConfigError, match="unknown center 'middle'"):
        pairs.quadruples(pools, "middle", 0.1)
    for tau in (0, -1, float("nan"), "0.1"):
        for center in CENTERS:
            with pytest.raises(ConfigError, match="tau"):
                pairs.quadruples(pools, center, tau)


def test_stored_pairs_are_loaded_unchanged(pools, tmp_path):
    assert pairs.build(pools, tmp_path / "a/b", CENTERS, 0.1) == {
        "overlap": 40,
        "leaf": 30,
        "base": 50,
    }
    assert not list(tmp_path.rglob("*.part"))
    loaded = pairs.load(tmp_path / "a/b", CENTERS)
    for part in PARTS:
        expected = np.concatenate([pairs.quadruples(pools, c, 0.1)[part] for c in CENTERS])
        assert torch.equal(loaded[part], torch.from_numpy(expected))
    assert len(pairs.load(tmp_path / "a/b", ["base"])["x_leaf"]) == 50


def test_building_again_replaces_files_and_deletes_those_of_other_centers(pools, tmp_path):
    pairs.build(pools, tmp_path, CENTERS, 0.1)
    pairs.build(pools, tmp_path, ["overlap"], 0.5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "overlap.safetensors"]
    assert np.array_equal(
        load_file(tmp_path / "overlap.safetensors")["x_leaf"],
        pairs.quadruples(pools, "overlap", 0.5)["x_leaf"],
    )
    with pytest.raises(ConfigError, match="run `exmcr pair`"):
        pairs.load(tmp_path, CENTERS)


def test_the_digest_of_the_files_follows_their_content_and_order(pools, tmp_path):
    pairs.build(pools, tmp_path, CENTERS, 0.1)
    first = pairs.files_digest(tmp_path, CENTERS)
    assert pairs.files_digest(tmp_path, CENTERS[:2]) != first
    assert pairs.files_digest(tmp_path, CENTERS[::-1]) != first
    pairs.build(pools, tmp_path, CENTERS, 0.1)
    assert pairs.files_digest(tmp_path, CENTERS) == first
    pairs.build(pools, tmp_path, CENTERS, 0.2)
    assert pairs.files_digest(tmp_path, CENTERS) != first
    with pytest.raises(ConfigError, match="no pseudo-pairs at .*none; run `exmcr pair`"):
        pairs.files_digest(tmp_path / "none", CENTERS)


def test_params_and_code_know_the_same_centers():
    assert config.CENTERS == tuple(pairs.CENTERS)


BITS = [3, 90, 640, 2001, 8003, 15_000]


@pytest.mark.parametrize("name", ["leaf.safetensors", "overlap.safetensors", "manifest.json"])
@pytest.mark.parametrize("bit", BITS)
def test_a_flipped_bit_is_refused_and_mended_by_building_again(pools, tmp_path, name, bit):
    pairs.build(pools, tmp_path, CENTERS, 0.1, made_from={"a": "1"})
    whole = forked.tree(tmp_path)
    forked.flip(tmp_path / name, bit)
    with pytest.raises(ConfigError, match=f"{name} .*run `exmcr pair`") as error:
        pairs.load(tmp_path, CENTERS)
    assert "\n" not in str(error.value)
    pairs.build(pools, tmp_path, CENTERS, 0.1, made_from={"a": "1"})
    assert forked.tree(tmp_path) == whole
    pairs.load(tmp_path, CENTERS)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_a_broken_or_missing_manifest_is_one_line(pools, tmp_path, content):
    pairs.build(pools, tmp_path, CENTERS, 0.1)
    path = tmp_path / "manifest.json"
    path.unlink() if content is None else path.write_bytes(content)
    for read in (pairs.load, pairs.files_digest):
        with pytest.raises(ConfigError, match="run `exmcr pair`") as error:
            read(tmp_path, CENTERS)
        assert "\n" not in str(error.value)


def test_exchanged_and_missing_files_are_refused(pools, tmp_path):
    pairs.build(pools, tmp_path / "a", CENTERS, 0.1)
    pairs.build(pools, tmp_path / "b", CENTERS, 0.2)
    (tmp_path / "b/leaf.safetensors").rename(tmp_path / "a/leaf.safetensors")
    with pytest.raises(ConfigError, match=r"a/leaf.safetensors is damaged or was exchanged"):
        pairs.load(tmp_path / "a", CENTERS)
    with pytest.raises(ConfigError, match=r"b/leaf.safetensors cannot be read: No such file"):
        pairs.load(tmp_path / "b", CENTERS)
    assert len(pairs.load(tmp_path / "b", ["overlap", "base"])["x_leaf"]) == 90


def test_pairs_of_other_banks_or_settings_are_refused(pools, tmp_path):
    made_from = {"s/audio": "1", "s/text": "2"}
    pairs.build(pools, tmp_path, CENTERS, 0.1, made_from=made_from)
    pairs.check(tmp_path, CENTERS, 0.1, made_from)
    for centers, tau, banks, named in (
        (CENTERS, 0.2, made_from, r"\(tau1\)"),
        (CENTERS[:2], 0.1, made_from, r"\(centers\)"),
        (CENTERS, 0.1, made_from | {"s/text": "3"}, r"\(s/text\)"),
        (CENTERS, 0.2, {"t/audio": "1"}, r"\(t/audio, tau1\)"),
    ):
        with pytest.raises(ConfigError, match=f"of other inputs {named}; run `exmcr pair`"):
            pairs.check(tmp_path, centers, tau, banks)


def test_files_of_other_names_stay(pools, tmp_path):
    for name in ("mine.safetensors", "notes.txt"):
        (tmp_path / name).write_text("mine")
    pairs.build(pools, tmp_path, CENTERS, 0.1)
    pairs.build(pools, tmp_path, ["base"], 0.1)
    names = ["base.safetensors", "manifest.json", "mine.safetensors", "notes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_pairs_record_whether_means_were_normalized(pools, tmp_path):
    for made, wanted in ((True, False), (False, True)):
        pairs.build(pools, tmp_path, CENTERS, 0.1, normalize_between=made)
        pairs.check(tmp_path, CENTERS, 0.1, {}, normalize_between=made)
        with pytest.raises(ConfigError, match=r"of other inputs \(normalize_between\)"):
            pairs.check(tmp_path, CENTERS, 0.1, {}, normalize_between=wanted)
