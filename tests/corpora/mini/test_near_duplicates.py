"""Copies of a picture are found whatever their size, margin and compression; other pictures are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from exmcr.corpora.items import row
from exmcr.corpora.mini import near_duplicates


def drawing(color="red", shape="ellipse", size=(256, 200)):
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    width, height = size
    getattr(pen, shape)((0, 0, width - 1, height - 1), fill=color)
    pen.rectangle((width // 5, height // 4, width // 2, height // 2), fill="black")
    return image


def compressed(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


def mixed(image):
    noise = np.random.default_rng(0).normal(0, 6, (image.height, image.width, 3))
    ink = np.asarray(image) < 250
    return Image.fromarray((np.asarray(image) + ink * noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (drawing(), True),
        (ImageOps.expand(drawing(), (60, 10, 5, 90), "white"), True),
        (drawing(size=(128, 100)), True),
        (drawing(size=(254, 202)), True),
        (compressed(drawing()), True),
        (mixed(drawing()), True),
        (drawing("#e01010"), True),
        (drawing("blue"), False),
        (drawing("orange"), False),
        (drawing(shape="rectangle"), False),
        (ImageOps.mirror(drawing()), False),
        (drawing().rotate(90, expand=True, fillcolor="white"), False),
        (drawing(size=(256, 130)), False),
        (ImageOps.invert(drawing()), False),
    ],
)
def test_a_copy_is_told_from_another_picture(tmp_path, other, same):
    for name, image in (("a", drawing()), ("b", other)):
        image.save(tmp_path / f"{name}.png")
    looks = np.stack([near_duplicates.look(tmp_path / f"{name}.png") for name in "ab"])
    assert near_duplicates.pairs(looks) == ([(0, 1)] if same else [])


@pytest.mark.parametrize("color", ["white", "black", (250, 250, 250)])
def test_a_picture_of_one_color_has_a_look(tmp_path, color):
    Image.new("RGB", (40, 20), color).save(tmp_path / "a.png")
    values = near_duplicates.look(tmp_path / "a.png")
    assert np.isfinite(values).all() and values[-1] == pytest.approx(np.log(2))


def test_pairs_are_those_of_a_plain_loop_over_several_blocks(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    rng = np.random.default_rng(0)
    colors = np.repeat(rng.normal(size=(8, 12)), 3, axis=0) + 0.08 * rng.normal(size=(24, 12))
    colors /= np.linalg.norm(colors, axis=1, keepdims=True)
    looks = np.column_stack([colors, rng.choice([0, 0.09, 0.2], 24)]).astype(np.float32)
    wanted = [
        (i, j)
        for i in range(24)
        for j in range(i + 1, 24)
        if looks[i, :-1] @ looks[j, :-1] >= near_duplicates.ALIKE
        and abs(looks[i, -1] - looks[j, -1]) <= np.log(near_duplicates.STRETCH)
    ]
    assert sorted(near_duplicates.pairs(looks)) == wanted and 3 < len(wanted) < 24


def picture(id, concept, split="", of=""):
    return row(id, "image", [id], concept, "box", "free", id, path=f"{id}.png", split=split, of=of)


@pytest.fixture
def pictures(tmp_path):
    """Three red pictures, two blue ones and a green one; a red icon; a sound."""
    colors = {"a": "red", "b": "blue", "c": "red", "d": "green", "e": "red", "f": "blue"}
    for name, color in (colors | {"icon": "red"}).items():
        drawing(color).save(tmp_path / f"{name}.png")
    rows = [picture(name, name) for name in colors] + [picture("icon", "", of="shape")]
    return [*rows, row("s", "audio", ["s"], "s", "box", "free", "s", path="s.wav")]


def test_copies_form_clusters_and_icons_belong_to_none(pictures, tmp_path):
    found = near_duplicates.clusters(pictures, tmp_path)
    assert found == {"a": "a", "c": "a", "e": "a", "b": "b", "f": "b"}
    assert near_duplicates.clusters(pictures[-2:], tmp_path) == {}


def test_a_copy_of_a_copy_belongs_to_the_cluster(tmp_path, monkeypatch):
    rows = [picture(name, name) for name in "abcd"]
    monkeypatch.setattr(near_duplicates, "look", lambda path: np.zeros(2))
    monkeypatch.setattr(near_duplicates, "pairs", lambda looks: [(1, 2), (0, 2)])
    assert near_duplicates.clusters(rows, tmp_path) == dict.fromkeys("abc", "a")


def test_val_and_test_keep_one_of_each_cluster_and_training_all():
    cluster = dict.fromkeys("abc", "a") | dict.fromkeys("dek", "d") | dict.fromkeys("fg", "f")
    rows = [picture(name, "", "test") for name in "ab"] + [picture("c", "cat", "test")]
    rows += [picture(name, "dog", "val") for name in "ed"]
    rows += [picture(name, "sun", "train") for name in "fg"] + [picture("h", "", "test")]
    kept, gone = near_duplicates.held_out_once(rows, cluster)
    assert [row["id"] for row in kept] == ["c", "d", "f", "g", "h"], "one with a concept stays"
    assert gone == [
        {"id": "a", "split": "test", "like": "c"},
        {"id": "b", "split": "test", "like": "c"},
        {"id": "e", "split": "val", "like": "d"},
    ]
