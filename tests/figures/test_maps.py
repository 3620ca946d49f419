"""UMAP and modality gaps: every registered modality is drawn, in its color and with its marker."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from exmcr.common.errors import ConfigError
from exmcr.figures import gaps, maps
from exmcr.media import MODALITIES

SPACES = {"text": "base", "image": "base", "audio": "leaf", "smell": "leaf", "points": "shapes"}


class Embeddings:
    """Every item at (1, 0, 0) before extension, leaves in two dimensions; at the unit vector of its modality after it."""

    def __init__(self, project):
        pass

    def own_space(self, modality):
        return SPACES[modality]

    def own(self, rows):
        dim = 3 if rows.modality.iloc[0] in ("text", "image") else 2
        return np.tile(np.eye(dim)[0], (len(rows), 1))

    def common(self, rows, maps):
        assert maps == "maps of the first seed"
        return np.tile(np.eye(8)[len(rows.modality.iloc[0])], (len(rows), 1))


def project(*modalities, data=None):
    rows = [
        (f"{m}/{n}", m, f"c{n}", split, "one", "")
        for split in ("train", "test")
        for m in modalities
        for n in range(4)
    ]
    items = pd.DataFrame(rows, columns=["id", "modality", "concept", "split", "source", "of"])
    params = SimpleNamespace(seeds=[5, 6], visualize=SimpleNamespace(umap_items=9))
    return SimpleNamespace(usable_items=items, params=params, data=data)


@pytest.fixture(autouse=True)
def spaces(monkeypatch):
    trained = {("exmcr", 5): "maps of the first seed", ("exmcr", 6): "others"}
    for module in (maps, gaps):
        monkeypatch.setattr(module, "Embeddings", Embeddings)
        monkeypatch.setattr(module, "trained_maps", lambda project: trained)

    class Umap:
        def __init__(self, n_neighbors, **options):
            assert (
                options == {"metric": "cosine", "random_state": 0, "n_jobs": 1, "n_epochs": 200}
                and n_neighbors == 8
            )

        def fit_transform(self, vectors):
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))


def test_a_known_map_is_read_and_a_damaged_one_is_made_again(tmp_path, monkeypatch):
    made = []

    class Umap:
        def __init__(self, **options):
            made.append(options["random_state"])

        def fit_transform(self, vectors):
            return vectors[:, :2] + 1

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    vectors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    first = maps.flatten(vectors, 3, tmp_path)
    assert np.array_equal(maps.flatten(vectors, 3, tmp_path), first) and made == [3]
    maps.flatten(vectors, 4, tmp_path)
    maps.flatten(2 * vectors, 3, tmp_path)
    assert made == [3, 4, 3], "another seed, other vectors"
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-5])
    assert np.array_equal(maps.flatten(vectors, 3, tmp_path), first) and made == [3, 4, 3, 3]


def test_umap_has_equally_many_items_of_each_modality(smell, tmp_path):
    before, after, rows = maps.map_2d(project("smell", "text", "audio", data=tmp_path))
    assert rows.modality.tolist() == ["text"] * 3 + ["audio"] * 3 + ["smell"] * 3 and set(
        rows.split
    ) == {"test"}
    assert before.shape == after.shape == (9, 2)
    np.testing.assert_array_equal(before, [[1, 0]] * 9)


def test_umap_draws_a_registered_modality(smell, tmp_path):
    before, after, rows = maps.map_2d(project("smell", "text", "audio", data=tmp_path))
    shown = maps.frequent_concepts(rows, 2)
    assert len(shown) == 2
    figure = maps.before_and_after(before, after, rows, shown, tmp_path / "umap.png")
    assert (tmp_path / "umap.png").is_file()
    for axis in (figure.axes[0], figure.axes[2]):
        assert [text.get_text() for text in axis.get_legend().get_texts()] == [
            "text",
            "audio",
            "smell",
        ]
        colors = [tuple(part.get_facecolor()[0][:3]) for part in axis.collections]
        assert colors == [
            to_rgba(MODALITIES[name].color)[:3] for name in ("text", "audio", "smell")
        ]
        assert [len(part.get_offsets()) for part in axis.collections] == [3, 3, 3]
    named = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert named == [*shown, "text", "audio", "smell"]


def test_gaps_are_between_all_modalities_in_the_order_of_the_registry(smell):
    before, after = gaps.modality_gaps(project("smell", "audio", "image", "text"))
    names = ["text", "image", "audio", "smell"]
    for table in (before, after):
        assert table.index.tolist() == table.columns.tolist() == names
    assert np.isnan(before.loc["text", "audio"]) and before.loc["audio", "smell"] == 0, (
        "only vectors of one space are compared"
    )
    assert after.loc["text", "text"] == 0 and after.loc["text", "image"] == pytest.approx(
        np.sqrt(2)
    )
    figure = gaps.gap(before, after)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == names
    assert "–" in [text.get_text() for text in figure.axes[0].texts] and "1.41" in [
        text.get_text() for text in figure.axes[1].texts
    ]


def test_a_modality_that_is_not_registered_is_an_error():
    given = project("taste", "text")
    rows = given.usable_items
    for draw in (
        lambda: maps.map_2d(given),
        lambda: gaps.modality_gaps(given),
        lambda: maps.scatter(np.zeros((len(rows), 2)), rows, [], "title"),
    ):
        with pytest.raises(
            ConfigError, match="unknown modality 'taste'; known: text, image, audio, points"
        ):
            draw()


def test_without_test_items_there_is_nothing_to_draw():
    given = project("text")
    given.usable_items = given.usable_items[given.usable_items.split == "train"]
    with pytest.raises(ConfigError, match="no test items"):
        maps.map_2d(given)
