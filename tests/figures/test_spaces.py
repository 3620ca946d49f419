"""Cosines, free pairs and gaps of the banks, on vectors made by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from exmcr.common.errors import ConfigError
from exmcr.figures import spaces


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_losses_of_the_mini_spaces_are_bars_of_names_and_fitted():
    rows = [("s", step, "image-text", loss) for step, loss in (("names", 0.8), ("fitted", 0.2))]
    table = pd.DataFrame(rows, columns=["space", "step", "pair", "loss"])
    (axis,) = spaces.space_losses(table).axes
    assert axis.get_title() == "s"
    assert [bar.get_height() for bar in axis.patches] == [0.8, 0.2]


@pytest.fixture
def banks(tmp_path):
    """A project with two modalities in one space: all vectors of a modality coincide."""
    vectors = {
        "image": np.tile(np.float32([1, 0]), (5, 1)),
        "smell": np.tile(np.float32([0.6, 0.8]), (5, 1)),
    }
    for name in vectors:
        (tmp_path / "one" / name / "train").mkdir(parents=True)
        (tmp_path / "one" / name / "train/manifest.json").write_text("{}")
    (tmp_path / "one/text/test").mkdir(parents=True)  # no training bank
    bank = lambda space, modality, split: SimpleNamespace(vectors=vectors[modality])
    return SimpleNamespace(banks=tmp_path, spaces=["one"], bank=bank)


def test_cosines_are_within_and_between_the_training_banks(banks, smell):
    found = spaces.bank_cosines(banks, pairs_per_bank=50)
    assert list(found) == ["one"] and list(found["one"]) == [
        "image – image",
        "image – smell",
        "smell – smell",
    ]
    assert len(found["one"]["image – image"]) == 0, "an item and itself"
    assert found["one"]["image – smell"] == pytest.approx(np.full(50, 0.6))
    figure = spaces.cosines({"one": {"image – smell": found["one"]["image – smell"]}})
    assert figure.axes[0].get_title() == "one"


def test_a_bank_of_a_modality_that_is_not_registered_is_an_error(banks):
    with pytest.raises(ConfigError, match="unknown modality 'smell'"):
        spaces.bank_cosines(banks)


class Bank(SimpleNamespace):
    def __len__(self):
        return len(self.ids)

    def take(self, ids):
        return self.vectors[[list(self.ids).index(id) for id in ids]]


@pytest.fixture
def leaf():
    return SimpleNamespace(name="sounds", modality="audio", overlap="text")


@pytest.fixture
def project(leaf):
    vectors = unit(np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32))
    texts = ["t0", "t1", "t2", "t3"]
    banks = {
        ("own", "text"): Bank(ids=np.array(texts), vectors=vectors[:4], folder="a"),
        ("own", "audio"): Bank(ids=np.array(["s0", "s1"]), vectors=vectors[4:], folder="b"),
        ("base", "text"): Bank(ids=np.array(texts[::-1]), vectors=vectors[:4], folder="c"),
    }
    params = SimpleNamespace(
        base_space="base",
        leaf_space=lambda leaf: "own",
        modalities_of=lambda space: ("text", "image"),
    )
    rows = [(id, "text", "train", id, id) for id in texts]
    rows += [(f"i{n}", "image", "test", f"picture {n}", f"c{n % 3}") for n in range(6)]
    rows += [("i9", "image", "test", "", "c9"), ("i8", "image", "train", "seen", "c8")]
    items = pd.DataFrame(rows, columns=["id", "modality", "split", "caption", "concept"])
    return SimpleNamespace(
        params=params,
        items=items,
        leaves=[leaf],
        other_modality=lambda leaf: "image",
        bank=lambda space, modality, split: banks[space, modality],
    )


def test_a_free_pair_is_one_item_in_both_spaces(project, leaf):
    rows, a, b = spaces.free_pairs(project, leaf, 3)
    assert [row.id for row in rows] == ["t0", "t1", "t3"]
    own, base = (project.bank(space, "text", "train") for space in ("own", "base"))
    np.testing.assert_array_equal(a, own.take(["t0", "t1", "t3"]))
    np.testing.assert_array_equal(b, base.take(["t0", "t1", "t3"]))
    assert len(spaces.free_pairs(project, leaf, 99)[0]) == 4


def test_captioned_items_have_different_concepts_and_are_held_out(project):
    rows = spaces.captioned(project, 5)
    assert sorted(rows.concept) == ["c0", "c1", "c2"] and set(rows.split) == {"test"}
    assert len(spaces.captioned(project, 2)) == 2


def test_neighbors_in_common_do_not_depend_on_a_rotation_and_are_at_chance_for_noise():
    rng = np.random.default_rng(3)
    a = unit(rng.normal(size=(200, 8)))
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    assert spaces.neighbors_in_common(a, a @ turn, 5) == 1
    noise = unit(rng.normal(size=(200, 20)))
    assert spaces.neighbors_in_common(a, noise, 5) == pytest.approx(5 / 199, abs=0.02)


def test_the_gap_is_the_distance_of_the_centroids():
    north = np.float32([[0, 1], [0, 1]])
    assert spaces.gap(north, north) == 0 and spaces.gap(north, -north) == 2
    assert spaces.gap(north, np.float32([[1, 0]])) == pytest.approx(2**0.5)


def test_the_map_of_a_gap_shows_it_along_the_horizontal_axis(project, leaf):
    banks = spaces.banks_of_leaf(project, leaf)
    assert {name: len(rows) for name, rows in banks.items()} == {"audio": 2, "text": 4}
    figure = spaces.gap_maps(
        {"before": banks, "same": {"audio": banks["text"], "text": banks["text"]}}
    )
    before, same = figure.axes
    size = spaces.gap(*banks.values())
    assert before.get_title() == f"before: gap {size:.2f}" and same.get_title() == "same: gap 0.00"
    means = [part.get_offsets()[:, 0].mean() for part in before.collections]
    assert means == pytest.approx([size / 2, -size / 2], abs=1e-6)
