"""Galleries and counts of raw items."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from exmcr.common.errors import ConfigError
from exmcr.figures import items
from exmcr.media import MODALITIES
from exmcr.media.sounds import Sound


def table(*kinds):
    rows = [
        (f"{m}/{n}", m, f"{m} {n}", "", "one", "train") for m, many in kinds for n in range(many)
    ]
    return pd.DataFrame(rows, columns=["id", "modality", "caption", "concept", "source", "split"])


def test_some_items_are_a_line_of_each_modality_that_can_be_shown():
    project = SimpleNamespace(items=table(("text", 9), ("audio", 2), ("image", 7)))
    first, others, right = items.some_items(project, 4)
    assert right is None and [row.modality for row in first] == ["image", "audio"], (
        "in the order of the registry"
    )
    assert [1 + len(line) for line in others] == [4, 2], "no more than there are"
    for row, line in zip(first, others, strict=True):
        assert len({row.id, *(one.id for one in line)}) == 1 + len(line) and {
            one.modality for one in line
        } == {row.modality}


def test_unusable_files_are_those_the_corpus_named(tmp_path):
    project = SimpleNamespace(data=tmp_path / "data")
    assert (
        list(items.unusable_files(project).columns) == ["id", "reason"]
        and items.unusable_files(project).empty
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data/skipped.json").write_text('[{"id": "a/1", "reason": "silent sound"}]')
    assert items.unusable_files(project).to_dict("records") == [
        {"id": "a/1", "reason": "silent sound"}
    ]


def test_an_answer_without_a_concept_is_neither_right_nor_wrong():
    asked = pd.DataFrame({"concept": ["dog", ""]})
    found = [pd.DataFrame({"concept": ["dog", "cat", ""]}), pd.DataFrame({"concept": ["dog", ""]})]
    assert items.as_gallery(asked, found)[2] == [[True, False, None], [None, None]]


RAW = {
    "text": "a word",
    "image": np.zeros((4, 4, 3), np.uint8),
    "audio": Sound(np.ones(100, np.float32), 100),
    "speech": Sound(np.ones(100, np.float32), 100),
    "points": np.eye(3, dtype=np.float32),
}


def test_every_registered_modality_is_drawn_in_its_color(smell):
    raw = RAW | {"smell": 0.5}
    assert set(raw) == set(MODALITIES)
    rows = list(table(*((m, 1) for m in raw)).itertuples())
    figure = items.gallery(
        rows, [[row] for row in rows], [[True]] * len(rows), lambda row: raw[row.modality], "title"
    )
    lines = [figure.axes[2 * n : 2 * n + 2] for n in range(len(rows))]
    for row, (query, answer) in zip(rows, lines, strict=True):
        assert query.get_title() == row.caption
        assert answer.get_title() == ("✓" if row.modality == "text" else f"✓ {row.caption}"), (
            "a text is its own caption"
        )
        if row.modality in ("audio", "speech", "smell"):
            assert {line.get_color() for axis in (query, answer) for line in axis.lines} == {
                MODALITIES[row.modality].color
            }
    assert smell == [0.5, 0.5]


def test_answers_and_counts_draw_a_registered_modality(smell):
    rows = table(("smell", 2), ("image", 1))
    figure = items.answers(
        {"a question": rows.assign(score=0.25)}, lambda row: RAW.get(row.modality, 1.0), "title"
    )
    assert smell == [1.0, 1.0] and [axis.get_title() for axis in figure.axes][0] == "smell 0\n0.25"
    assert [axis.get_title(loc="left") for axis in items.counts(rows).axes] == [
        "image: 1 items",
        "smell: 2 items",
    ]
    first, _, _ = items.some_items(SimpleNamespace(items=rows), 2)
    assert [row.modality for row in first] == ["image", "smell"]


def test_a_modality_that_is_not_registered_is_an_error():
    rows = table(("taste", 1), ("image", 1))
    lines = list(rows.itertuples())
    for draw in (
        lambda: items.gallery(lines, [[], []], None, lambda row: RAW["image"], "title"),
        lambda: items.gallery(lines[1:], [lines[:1]], None, lambda row: RAW["image"], "title"),
        lambda: items.answers({"q": rows.assign(score=0.0)}, lambda row: RAW["image"], "title"),
        lambda: items.counts(rows),
        lambda: items.some_items(SimpleNamespace(items=rows), 2),
    ):
        with pytest.raises(
            ConfigError, match="unknown modality 'taste'; known: text, image, audio, points"
        ):
            draw()


def test_the_colors_of_a_gallery_say_what_is_right():
    rows = list(table(("image", 4)).itertuples())
    load = lambda row: RAW["image"]
    figure = items.gallery(
        rows[:2], [rows[1:4], rows[2:3]], [[True, False, None], [None]], load, "title"
    )
    colors = [axis.title.get_color() for axis in figure.axes[1:4]]
    assert colors == [items.RIGHT, items.WRONG, items.GRAY]
    assert [axis.get_visible() for axis in figure.axes] == [True] * 6 + [False] * 2
    plain = items.gallery(rows[:1], [rows[1:3]], None, load, "title")
    assert {axis.title.get_color() for axis in plain.axes[1:]} == {items.BLACK}
    assert [axis.get_title() for axis in figure.axes[1:4]] == [
        "✓ image 1",
        "✗ image 2",
        "? image 3",
    ], "color is not needed"
    assert plain.axes[1].get_title() == "image 1"


def test_items_with_a_caption_are_shown_first():
    rows = table(("audio", 6), ("image", 2))
    rows.loc[[0, 2, 4], "caption"] = ""
    first, others, _ = items.some_items(SimpleNamespace(items=rows), 3)
    assert {row.caption for row in (first[1], *others[1])} == {"audio 1", "audio 3", "audio 5"}
    first, others, _ = items.some_items(SimpleNamespace(items=rows), 4)
    assert 1 + len(others[1]) == 4, "too few have one"


def test_small_sources_share_a_bar():
    sizes = {"large": 9, "middle": 5, **{f"small{n}": 1 for n in range(4)}}
    rows = [(f"{s}/{n}", "image", s, "train") for s, many in sizes.items() for n in range(many)]
    rows = pd.DataFrame(rows, columns=["id", "modality", "source", "split"])
    (axis,) = items.counts(rows, most=2).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["large", "middle", "4 others"]
    assert [bar.get_width() for bar in axis.containers[0]] == [9, 5, 4]
    assert axis.get_title(loc="left") == "image: 18 items"
    (axis,) = items.counts(rows, most=5).axes
    assert len(axis.get_yticklabels()) == 6, "a single small source keeps its name"


def test_a_flat_shape_that_can_be_turned_keeps_its_proportions_in_view():
    plate = np.float32([[0, 0, 0], [4, 0, 0], [0, 0, 2], [4, 0.1, 2]])
    figure = items.turnable(table(("points", 2)), lambda row: plate, "title")
    for scene in (figure.layout.scene, figure.layout.scene2):
        assert scene.aspectmode == "manual"
        ratio = scene.aspectratio
        assert (ratio.x, ratio.y, ratio.z) == pytest.approx((1, 0.025, 0.5), rel=1e-5)
