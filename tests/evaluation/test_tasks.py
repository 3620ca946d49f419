"""What is asked: right answers, galleries and halves on an item table small enough to check by eye."""

import numpy as np
import pandas as pd
import pytest

from exmcr.corpora import items as table
from exmcr.evaluation.tasks import GALLERY, halves, tasks


def item(id, modality, caption, concept, split, of="", source="box"):
    return table.row(
        id, modality, [caption], concept, source, "free", f"g:{id}", split=split, of=of
    )


ROWS = [
    # training: dogs are heard, chairs are shaped
    item("a0", "audio", "a dog barks", "dog", "train"),
    item("p0", "points", "red chair", "chair", "train"),
    item("i0", "image", "icon of red chair", "chair", "train", of="p0"),
    item("i9", "image", "a dog", "dog", "train"),
    item("t0", "text", "a dog barks", "dog", "train"),
    # test
    item("a1", "audio", "dog howls", "dog", "test"),
    item("a2", "audio", "piano chord", "piano", "test"),
    item("a3", "audio", "a strange hum", "", "test"),
    item("p1", "points", "blue chair", "chair", "test"),
    item("p2", "points", "grand piano", "piano", "test"),
    item("i1", "image", "blue chair", "chair", "test", of="p1"),
    item("i2", "image", "grand piano", "piano", "test", of="p2"),
    item("i3", "image", "puppy", "dog", "test"),
    item("i4", "image", "old dog", "dog", "test"),
    item("i5", "image", "a stool-like chair", "chair", "test"),
    item("i6", "image", "piano keys", "piano", "test"),
    item("i7", "image", "something", "", "test"),
    # validation: never in a test gallery, except models as distractors
    item("a8", "audio", "dog whines", "dog", "val"),
    item("i8", "image", "val dog", "dog", "val"),
    item("p8", "points", "green chair", "chair", "val"),
]


@pytest.fixture(scope="module")
def made():
    return {t.name: t for t in tasks(pd.DataFrame(ROWS), "test")}


def answers(task, key="id"):
    return {
        q: set(task.gallery[key].to_numpy()[row])
        for q, row in zip(task.queries[key], task.positive)
    }


def test_every_task_the_table_has_data_for_is_asked(made):
    pairs = [
        ("audio", "image"),
        ("audio", "text"),
        ("audio", "points"),
        ("points", "image"),
        ("image", "text"),
    ]
    assert set(made) == {f"{a}->{b}" for x, y in pairs for a, b in ((x, y), (y, x))} | {
        "points->text",
        "points->icon",
    }
    for name, task in made.items():
        source, target = name.replace("icon", "image").split("->")
        assert (task.from_modality, task.to_modality) == (source, target)
        assert task.positive.shape == (len(task.queries), len(task.gallery))
        assert task.positive.any(axis=1).all() and len(task.seen) == len(task.queries)


def test_sounds_are_answered_by_pictures_of_their_concept(made):
    assert answers(made["audio->image"]) == {"a1": {"i3", "i4"}, "a2": {"i6"}}
    assert answers(made["image->audio"]) == {"i3": {"a1"}, "i4": {"a1"}, "i6": {"a2"}}


def test_galleries_hold_wrong_answers_of_the_split_and_nothing_of_training(made):
    assert set(made["audio->image"].gallery.id) == {"i3", "i4", "i5", "i6", "i7"}
    assert set(made["image->audio"].gallery.id) == {"a1", "a2", "a3"}
    assert set(made["points->audio"].gallery.id) == {"a1", "a2", "a3"}


def test_a_model_is_not_answered_by_its_own_icon(made):
    assert answers(made["points->image"]) == {"p1": {"i5"}, "p2": {"i6"}}
    assert not {"i1", "i2"} & set(made["points->image"].gallery.id)
    assert answers(made["image->points"]) == {"i5": {"p1"}, "i6": {"p2"}}


def test_an_icon_answers_its_own_model_only(made):
    assert answers(made["points->icon"]) == {"p1": {"i1"}, "p2": {"i2"}}
    assert len(made["points->icon"].gallery) == 2


def test_a_model_is_named_among_all_names_of_the_catalog(made):
    task = made["points->text"]
    assert answers(task, "caption") == {
        "blue chair": {"blue chair"},
        "grand piano": {"grand piano"},
    }
    assert set(task.gallery.caption) == {"red chair", "blue chair", "grand piano", "green chair"}


def test_sounds_are_answered_by_the_noun(made):
    assert answers(made["audio->text"], "concept") == {"dog": {"dog"}, "piano": {"piano"}}
    assert set(made["text->audio"].queries.caption) == {"dog", "piano"}


def test_an_item_without_a_noun_answers_nothing_and_is_not_a_word(made):
    for name in ("audio->image", "image->audio", "audio->text", "text->audio", "image->points"):
        assert "" not in set(made[name].queries.concept)
    assert (
        set(made["audio->text"].gallery.caption)
        == set(made["text->audio"].queries.caption)
        == {"dog", "piano"}
    )


def test_sounds_and_models_meet_over_the_whole_catalog(made):
    assert answers(made["audio->points"]) == {"a2": {"p2"}}
    assert set(made["audio->points"].gallery.id) == {"p0", "p1", "p2", "p8"}
    assert answers(made["points->audio"]) == {"p2": {"a2"}}


def test_halves_divide_by_what_the_leaf_heard_in_training(made):
    task = made["audio->image"]
    parts = {name: set(task.queries.id.to_numpy()[which]) for name, which in halves(task)}
    assert parts == {"all": {"a1", "a2"}, "seen": {"a1"}, "unseen": {"a2"}}
    task = made["points->image"]
    parts = {name: set(task.queries.id.to_numpy()[which]) for name, which in halves(task)}
    assert parts == {"all": {"p1", "p2"}, "seen": {"p1"}, "unseen": {"p2"}}
    assert [name for name, _ in halves(made["points->text"])] == ["all"], (
        "no name of a test model was trained"
    )


def test_the_audio_gallery_is_filled_up_to_its_size_and_always_the_same():
    spare = [item(f"s{i:03d}", "image", "spare", "", "test") for i in range(2 * GALLERY)]
    first = next(t for t in tasks(pd.DataFrame(ROWS + spare), "test") if t.name == "audio->image")
    again = next(
        t for t in tasks(pd.DataFrame(ROWS + spare[::-1]), "test") if t.name == "audio->image"
    )
    assert len(first.gallery) == GALLERY and {"i3", "i4", "i6"} <= set(first.gallery.id)
    assert set(first.gallery.id) == set(again.gallery.id)


def test_captions_are_judged_on_tuxpaint_where_there_is_any():
    stamps = [
        item(f"x{i}", "image", f"stamp {i}", "stamp", "test", source="tuxpaint") for i in range(3)
    ]
    task = next(t for t in tasks(pd.DataFrame(ROWS + stamps), "test") if t.name == "image->text")
    assert np.array_equal(task.positive, np.eye(3, dtype=bool))


def test_a_split_without_data_asks_nothing():
    assert tasks(pd.DataFrame(ROWS[:5]), "test") == []
