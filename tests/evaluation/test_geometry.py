"""The geometry of a space against loops and cases whose answer is known."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy.sparse import csr_array
from scipy.stats import skew

from exmcr.common.errors import ConfigError
from exmcr.evaluation import geometry
from exmcr.methods.maps import Maps, identity


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def vectors(n, d, seed):
    return unit(np.random.default_rng(seed).normal(size=(n, d)))


def squared(u, v):
    return sum((float(p) - float(q)) ** 2 for p, q in zip(u, v))


def test_gap_equals_loops_and_spans_from_0_to_2():
    a, b = vectors(5, 3, 0), vectors(7, 3, 1)
    means = [[sum(float(v[k]) for v in side) / len(side) for k in range(3)] for side in (a, b)]
    assert geometry.gap(a, b) == pytest.approx(math.sqrt(squared(*means)))
    assert geometry.gap(a, a) == 0
    assert geometry.gap(np.tile(a[:1], (4, 1)), np.tile(-a[:1], (2, 1))) == pytest.approx(2)


def test_alignment_is_a_mean_over_the_pairs_that_belong_together():
    a, b = vectors(4, 3, 0), vectors(5, 3, 1)
    positive = np.random.default_rng(2).random((4, 5)) < 0.4
    literal = [squared(a[i], b[j]) for i in range(4) for j in range(5) if positive[i, j]]
    assert geometry.alignment(a, b, positive) == pytest.approx(sum(literal) / len(literal))
    assert math.isnan(geometry.alignment(a, b, np.zeros((4, 5), bool)))
    assert geometry.alignment(np.eye(3), -np.eye(3), np.eye(3, dtype=bool)) == 4


def test_uniformity_equals_loops_and_its_extremes():
    a = vectors(6, 4, 0)
    pairs = [math.exp(-2 * squared(a[i], a[j])) for i in range(6) for j in range(i)]
    assert geometry.uniformity(a) == pytest.approx(math.log(sum(pairs) / len(pairs)))
    assert geometry.uniformity(np.tile(a[:1], (5, 1))) == pytest.approx(0)
    assert geometry.uniformity(np.eye(6)) == pytest.approx(-4)
    with pytest.raises(ConfigError, match="at least two"):
        geometry.uniformity(a[:1])


def test_hubness_is_the_skewness_of_occurrences():
    similarity = np.random.default_rng(0).normal(size=(40, 25)) + np.random.default_rng(
        1
    ).exponential(size=25)
    count = [0] * 25
    for row in similarity:
        for j in sorted(range(25), key=lambda j: -row[j])[:3]:
            count[j] += 1
    assert geometry.occurrences(similarity, 3).tolist() == count
    assert geometry.hubness(similarity, 3) == pytest.approx(skew(count))


def test_hubness_is_zero_without_a_hub_and_large_with_one():
    assert geometry.hubness(np.eye(30), 1) == 0
    assert geometry.hubness(np.eye(30), 100) == 0, "k beyond the gallery counts every item"
    hub = np.eye(30)
    hub[:, 7] = 2
    assert geometry.hubness(hub, 1) > 5


def test_large_tasks_are_measured_some_queries_at_a_time_to_the_same_values(monkeypatch):
    # Small whole numbers: products are exact, so that blocks and the whole matrix agree.
    a, b = (
        np.random.default_rng(k).integers(-2, 3, size=(n, 4)) * 1.0 for k, n in ((0, 50), (1, 70))
    )
    positive = np.random.default_rng(2).random((50, 70)) < 0.1
    whole = geometry.between(a, b, positive)
    assert whole["hubness"] == geometry.hubness(a @ b.T)
    monkeypatch.setattr(geometry, "AT_ONCE", 12)  # two queries at a time
    assert geometry.between(a, b, positive) == whole
    a, b = unit(a + 0.1), unit(b + 0.1)
    close = pytest.approx(geometry.alignment(a, b, positive), rel=1e-9)
    assert geometry.alignment(a, b, csr_array(positive)) == close
    assert math.isnan(geometry.alignment(a, b, csr_array((50, 70), dtype=bool)))


def test_uniformity_of_many_vectors_is_that_of_a_fixed_sample(monkeypatch):
    a = vectors(600, 8, 0)
    whole = geometry.uniformity(a)
    monkeypatch.setattr(geometry, "AT_ONCE", 300)
    sample = geometry.uniformity(a)
    assert sample != whole and sample == pytest.approx(whole, rel=0.02)
    assert geometry.uniformity(a) == sample


def test_effective_rank_counts_directions():
    assert geometry.effective_rank(np.eye(6)) == pytest.approx(6)
    assert geometry.effective_rank(np.tile(vectors(1, 8, 0), (9, 1))) == pytest.approx(1)
    a = vectors(12, 5, 1)
    share = np.sqrt(np.linalg.eigvalsh(a.T @ a))
    share = [float(s) / float(share.sum()) for s in share]
    assert geometry.effective_rank(a) == pytest.approx(
        math.exp(-sum(s * math.log(s) for s in share))
    )


def test_spaces_of_unequal_dimension_are_not_compared():
    assert all(
        math.isnan(v)
        for v in geometry.between(
            vectors(8, 4, 0), vectors(9, 5, 1), np.ones((8, 9), bool)
        ).values()
    )


class Bank:
    def __init__(self, vectors, ids):
        self.vectors, self.ids = vectors, np.array(ids, dtype=object)

    def __len__(self):
        return len(self.vectors)


class FakeParams:
    base_space = "base"

    def leaf_of(self, modality):
        return SimpleNamespace(name="audio") if modality == "audio" else None

    def leaf_space(self, leaf):
        return "leaf"


class FakeProject:
    """Four test sounds and four test images, the sounds rotated by a quarter turn; as exmcr.project.Project."""

    params = FakeParams()

    def __init__(self, root):
        self.root, d = root, np.eye(4, dtype=np.float32)
        images, sounds = (
            Bank(d, ["i0", "i1", "i2", "i3"]),
            Bank(np.roll(d, 1, axis=1), ["a0", "a1", "a2", "a3"]),
        )
        single = Bank(d[:1], ["t0"])
        self.banks = {
            ("base", "image", "test"): images,
            ("leaf", "audio", "test"): sounds,
            ("base", "text", "test"): single,
        }
        for key in self.banks:
            self.bank_path(*key).mkdir(parents=True)
            (self.bank_path(*key) / "manifest.json").touch()
        concepts = {
            f"{kind}{k}": name for kind in "ia" for k, name in enumerate(["dog", "cat", "cow", ""])
        }
        self.items = pd.DataFrame({"id": list(concepts), "concept": list(concepts.values())})

    def bank_path(self, *key):
        return self.root / "banks" / "/".join(key)

    def bank(self, *key):
        return self.banks[key]


def test_the_table_measures_before_and_after_and_leaves_the_base_alone(tmp_path):
    maps = {"audio": Maps(leaf=lambda v: np.roll(v, -1, axis=1))}
    table = geometry.table(FakeProject(tmp_path), maps)
    assert list(table.columns) == geometry.COLUMNS
    assert set(table["from"]) == {"image", "audio"}, "a single vector has no shape"
    table = table.set_index(["items", "stage", "from", "to"])
    assert len(table) == 4 and set(table.index.get_level_values("items")) == {"test"}, (
        "there is no training pool here"
    )
    assert table.loc[("test", "before", "audio", "image"), "alignment"] == 2, (
        "three pairs of a concept; items without a concept have no pair"
    )
    assert table.loc[("test", "after", "audio", "image"), "alignment"] == 0
    assert table.loc[("test", "after", "image", "audio"), "effective_rank"] == pytest.approx(4)
    assert (table.n_from == 4).all() and (table.n_to == 4).all() and (table.gap == 0).all()


def test_pools_have_no_alignment_and_all_modalities_are_compared(tmp_path):
    project = synthetic.project(tmp_path, concepts=6)
    maps = {leaf.name: Maps(leaf=identity) for leaf in project.leaves}
    table = geometry.table(project, maps)
    assert len(table) == 2 * 2 * 4 * 3, "pools and test items, before and after, ordered pairs"
    pools = table[table["items"] == "pool"]
    assert (
        pools.alignment.isna().all() and not table[table["items"] == "test"].alignment.isna().any()
    )
    after = table.stage == "after"
    same = table[after].drop(columns="stage").reset_index(drop=True)
    pd.testing.assert_frame_equal(same, table[~after].drop(columns="stage").reset_index(drop=True))
