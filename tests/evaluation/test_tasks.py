"""Tasks: right answers, galleries and concept subsets on an item table small enough to check by eye, the tasks of the toy
and synthetic projects as they have always been, and those of a further modality."""

import numpy as np
import pandas as pd
import pytest
import synthetic

from exmcr import corpora
from exmcr.common.errors import ConfigError
from exmcr.corpora import items as table
from exmcr.evaluation.tasks import EMERGENT, GALLERY, concept_subsets, emergent, tasks
from exmcr.media import MODALITIES


def item(id, modality, caption, concept, split, of="", source="box"):
    return table.row(
        id, modality, [caption], concept, source, "free", f"g:{id}", split=split, of=of
    )


ROWS = [
    # training: sounds of dogs, shapes of chairs
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
    # validation: never in a test gallery, except shapes as distractors
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


def test_there_is_a_task_for_everything_that_the_table_has_data_for(made):
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


def test_sounds_match_images_of_their_concept(made):
    assert answers(made["audio->image"]) == {"a1": {"i3", "i4"}, "a2": {"i6"}}
    assert answers(made["image->audio"]) == {"i3": {"a1"}, "i4": {"a1"}, "i6": {"a2"}}


def test_galleries_hold_wrong_answers_of_the_split_and_nothing_of_training(made):
    assert set(made["audio->image"].gallery.id) == {"i3", "i4", "i5", "i6", "i7"}
    assert set(made["image->audio"].gallery.id) == {"a1", "a2", "a3"}
    assert set(made["points->audio"].gallery.id) == {"a1", "a2", "a3"}


def test_a_shape_does_not_match_its_own_icon_as_an_image(made):
    assert answers(made["points->image"]) == {"p1": {"i5"}, "p2": {"i6"}}
    assert not {"i1", "i2"} & set(made["points->image"].gallery.id)
    assert answers(made["image->points"]) == {"i5": {"p1"}, "i6": {"p2"}}


def test_an_icon_matches_its_own_shape_only(made):
    assert answers(made["points->icon"]) == {"p1": {"i1"}, "p2": {"i2"}}
    assert len(made["points->icon"].gallery) == 2


def test_a_shape_is_classified_among_all_names_of_the_catalog(made):
    task = made["points->text"]
    assert answers(task, "caption") == {
        "blue chair": {"blue chair"},
        "grand piano": {"grand piano"},
    }
    assert set(task.gallery.caption) == {"red chair", "blue chair", "grand piano", "green chair"}


def test_names_that_differ_in_case_are_one_name():
    rows = [
        item("p0", "points", "Bus", "bus", "train"),
        item("p1", "points", "bus", "bus", "test"),
        item("p2", "points", "tram", "train", "test"),
    ]
    task = {t.name: t for t in tasks(pd.DataFrame(rows), "test")}["points->text"]
    assert list(task.gallery.caption) == ["Bus", "tram"]
    assert answers(task) == {"p1": {"word/Bus"}, "p2": {"word/tram"}}
    assert list(task.seen) == [True, False]


def test_sounds_match_their_noun(made):
    assert answers(made["audio->text"], "concept") == {"dog": {"dog"}, "piano": {"piano"}}
    assert set(made["text->audio"].queries.caption) == {"dog", "piano"}


def test_an_item_without_a_noun_matches_nothing_and_gives_no_word(made):
    for name in ("audio->image", "image->audio", "audio->text", "text->audio", "image->points"):
        assert "" not in set(made[name].queries.concept)
    assert (
        set(made["audio->text"].gallery.caption)
        == set(made["text->audio"].queries.caption)
        == {"dog", "piano"}
    )


def test_sounds_and_shapes_are_matched_over_the_whole_catalog(made):
    assert answers(made["audio->points"]) == {"a2": {"p2"}}
    assert set(made["audio->points"].gallery.id) == {"p0", "p1", "p2", "p8"}
    assert answers(made["points->audio"]) == {"p2": {"a2"}}


def test_subsets_divide_queries_by_the_concepts_of_the_training_items_of_the_leaf(made):
    task = made["audio->image"]
    parts = {name: set(task.queries.id.to_numpy()[which]) for name, which in concept_subsets(task)}
    assert parts == {"all": {"a1", "a2"}, "seen": {"a1"}, "unseen": {"a2"}}
    task = made["points->image"]
    parts = {name: set(task.queries.id.to_numpy()[which]) for name, which in concept_subsets(task)}
    assert parts == {"all": {"p1", "p2"}, "seen": {"p1"}, "unseen": {"p2"}}
    assert [name for name, _ in concept_subsets(made["points->text"])] == ["all"], (
        "no name of a test shape is in training"
    )


def test_the_audio_gallery_is_filled_up_to_its_size_and_always_the_same():
    spare = [item(f"s{i:03d}", "image", "spare", "", "test") for i in range(2 * GALLERY)]
    first = next(t for t in tasks(pd.DataFrame(ROWS + spare), "test") if t.name == "audio->image")
    again = next(
        t for t in tasks(pd.DataFrame(ROWS + spare[::-1]), "test") if t.name == "audio->image"
    )
    assert len(first.gallery) == GALLERY and {"i3", "i4", "i6"} <= set(first.gallery.id)
    assert set(first.gallery.id) == set(again.gallery.id)


def test_captions_are_those_of_tuxpaint_if_there_are_any():
    stamps = [
        item(f"x{i}", "image", f"stamp {i}", "stamp", "test", source="tuxpaint") for i in range(3)
    ]
    task = next(t for t in tasks(pd.DataFrame(ROWS + stamps), "test") if t.name == "image->text")
    assert np.array_equal(task.positive, np.eye(3, dtype=bool))


def test_captions_that_differ_in_case_are_one_caption():
    stamps = [
        item(id, "image", caption, "duck", "test", source="tuxpaint")
        for id, caption in (("x0", "A duck"), ("x1", "a Duck"), ("x2", "A drake"))
    ]
    found = {t.name: t for t in tasks(pd.DataFrame(stamps), "test")}
    assert found["image->text"].positive.tolist() == [[True, False], [True, False], [False, True]]
    assert found["text->image"].positive.tolist() == [[True, True, False], [False, False, True]]


def test_a_split_without_data_has_no_tasks():
    assert tasks(pd.DataFrame(ROWS[:5]), "test") == []


# The tasks of the four modalities, as they have always been: name, queries, gallery, seen queries.

TOY = {
    "val": [
        ("audio->image", 8, 8, 6),
        ("image->audio", 8, 8, 6),
        ("audio->text", 8, 8, 6),
        ("text->audio", 8, 8, 6),
        ("points->text", 8, 30, 0),
        ("points->image", 8, 8, 6),
        ("image->points", 8, 8, 6),
        ("points->icon", 8, 8, 6),
        ("audio->points", 8, 8, 6),
        ("points->audio", 8, 8, 6),
        ("image->text", 8, 8, 8),
        ("text->image", 8, 8, 8),
    ],
    "test": [
        ("audio->image", 16, 16, 12),
        ("image->audio", 16, 16, 12),
        ("audio->text", 16, 8, 12),
        ("text->audio", 8, 16, 6),
        ("points->text", 16, 30, 0),
        ("points->image", 16, 16, 12),
        ("image->points", 16, 16, 12),
        ("points->icon", 16, 16, 12),
        ("audio->points", 16, 54, 12),
        ("points->audio", 16, 16, 12),
        ("image->text", 16, 16, 16),
        ("text->image", 16, 16, 16),
    ],
}
SYNTHETIC = {
    "val": [
        ("audio->image", 40, 40, 40),
        ("image->audio", 40, 40, 40),
        ("audio->text", 40, 40, 40),
        ("text->audio", 40, 40, 40),
        ("points->text", 40, 40, 40),
        ("points->image", 40, 40, 40),
        ("image->points", 40, 40, 40),
        ("audio->points", 40, 40, 40),
        ("points->audio", 40, 40, 40),
        ("image->text", 40, 40, 40),
        ("text->image", 40, 40, 40),
    ],
    "test": [
        ("audio->image", 80, 80, 80),
        ("image->audio", 80, 80, 80),
        ("audio->text", 80, 40, 80),
        ("text->audio", 40, 80, 40),
        ("points->text", 80, 40, 80),
        ("points->image", 80, 80, 80),
        ("image->points", 80, 80, 80),
        ("audio->points", 80, 280, 80),
        ("points->audio", 80, 80, 80),
        ("image->text", 80, 40, 80),
        ("text->image", 40, 80, 40),
    ],
}


@pytest.fixture(scope="module")
def toy_items(tmp_path_factory):
    return pd.read_parquet(corpora.build("toy", tmp_path_factory.mktemp("toy")))


@pytest.fixture(scope="module")
def synthetic_items(tmp_path_factory):
    return synthetic.project(tmp_path_factory.mktemp("synthetic")).items


def sizes(found):
    return [(t.name, len(t.queries), len(t.gallery), int(t.seen.sum())) for t in found]


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_tasks_of_the_toy_corpus_are_unchanged(toy_items, split):
    assert sizes(tasks(toy_items, split)) == TOY[split]


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_tasks_of_the_synthetic_project_are_unchanged(synthetic_items, split):
    assert sizes(tasks(synthetic_items, split)) == SYNTHETIC[split]


def test_shapes_count_as_seen_for_sounds_if_the_concept_was_heard_in_training(made):
    """In both directions between two leaves, the first of them decides."""
    assert made["audio->points"].seen.tolist() == [False]
    assert made["points->audio"].seen.tolist() == [False]
    more = ROWS + [item("a9", "audio", "a piano", "piano", "train")]
    found = {t.name: t for t in tasks(pd.DataFrame(more), "test")}
    assert found["audio->points"].seen.all() and found["points->audio"].seen.all()


# A further leaf modality, registered as a user would.

DEPTH = [
    item("d0", "depth", "depth of a dog", "dog", "train"),
    item("d1", "depth", "depth of a chair", "chair", "test"),
    item("d2", "depth", "depth of a dog", "dog", "test"),
    item("d3", "depth", "", "", "test"),
    item("d8", "depth", "depth of a dog", "dog", "val"),
]


@pytest.fixture
def with_depth(monkeypatch):
    monkeypatch.setitem(MODALITIES, "depth", MODALITIES["image"])
    return {t.name: t for t in tasks(pd.DataFrame(ROWS + DEPTH), "test")}


def test_a_further_modality_has_tasks_against_all_others(with_depth, made):
    others = ("image", "text", "audio", "points")
    added = {f"{a}->{b}" for m in others for a, b in (("depth", m), (m, "depth"))}
    assert with_depth.keys() == made.keys() | added
    assert list(with_depth)[-12:] == [
        "depth->image",
        "image->depth",
        "depth->text",
        "text->depth",
        "audio->points",
        "points->audio",
        "audio->depth",
        "depth->audio",
        "points->depth",
        "depth->points",
        "image->text",
        "text->image",
    ]
    for name, task in with_depth.items():
        source, target = name.replace("icon", "image").split("->")
        assert (task.from_modality, task.to_modality) == (source, target)


def test_a_further_modality_changes_no_other_task(with_depth, made):
    for name, task in made.items():
        assert answers(with_depth[name]) == answers(task)
        assert list(with_depth[name].gallery.id) == list(task.gallery.id)


def test_a_further_modality_is_matched_by_concept(with_depth):
    assert answers(with_depth["depth->image"]) == {"d1": {"i5"}, "d2": {"i3", "i4"}}
    assert answers(with_depth["image->depth"]) == {"i3": {"d2"}, "i4": {"d2"}, "i5": {"d1"}}
    assert answers(with_depth["depth->text"], "concept") == {"chair": {"chair"}, "dog": {"dog"}}
    assert set(with_depth["text->depth"].queries.caption) == {"chair", "dog"}
    assert answers(with_depth["audio->depth"]) == {"a1": {"d2"}}
    assert answers(with_depth["depth->audio"]) == {"d2": {"a1"}}
    assert answers(with_depth["points->depth"]) == {"p1": {"d1"}}
    assert answers(with_depth["depth->points"]) == {"d1": {"p0", "p1", "p8"}}, "the whole catalog"
    assert set(with_depth["audio->depth"].gallery.id) == {"d1", "d2", "d3"}
    assert with_depth["depth->image"].seen.tolist() == [False, True]


def test_a_modality_that_is_not_registered_is_an_error():
    with pytest.raises(ConfigError, match="unknown modality 'depth'; known: text, image, audio"):
        tasks(pd.DataFrame(ROWS + DEPTH), "test")


SPACES = [("image", "text"), ("audio", "text"), ("points", "image", "text")]


def test_the_emergent_tasks_of_the_four_modalities_are_those_of_the_list(made):
    found = [task.name for task in emergent(made.values(), SPACES)]
    assert sorted(found) == sorted(EMERGENT)
    assert found == [name for name in made if name in EMERGENT], "in the order of the tasks"


@pytest.mark.parametrize(
    "space, not_emergent",
    [
        (("depth", "text"), {"depth->text", "text->depth"}),
        (("depth", "image"), {"depth->image", "image->depth"}),
    ],
)
def test_tasks_of_a_further_leaf_are_emergent_unless_a_space_has_both_modalities(
    with_depth, space, not_emergent
):
    added = {name for name in with_depth if "depth" in name}
    found = {task.name for task in emergent(with_depth.values(), [*SPACES, space])}
    assert found == set(EMERGENT) | added - not_emergent


def test_benchmarks_are_emergent_if_no_space_has_both_modalities():
    rows = [
        item("v1", "audio", "", "Bark", "test", source="ave"),
        item("v1/frame", "image", "", "Bark", "test", of="v1", source="ave"),
        item("c1", "image", "", "", "test", source="coco"),
        item("c1/text", "text", "a dog", "", "test", of="c1", source="coco"),
    ]
    found = tasks(pd.DataFrame(rows), "test")
    names = ["audio->image (ave)", "image->audio (ave)"]
    assert [task.name for task in found] == [*names, "image->text (coco)", "text->image (coco)"]
    assert [task.name for task in emergent(found, SPACES)] == names
    assert not any(task.seen.any() for task in found)


def test_a_benchmark_with_prompts_has_a_zero_shot_task_over_its_classes():
    rows = [item(f"s{n}", "points", "", c, "test", source="modelnet40") for n, c in enumerate("ab")]
    rows += [
        item(f"prompt/{c}/{k}", "text", f"a {k} {c}", c, "test", source="modelnet40")
        for c in "ab"
        for k in range(2)
    ]
    (task,) = tasks(pd.DataFrame(rows), "test")
    assert task.name == "points->text (modelnet40)"
    assert answers(task) == {"s0": {"class/a"}, "s1": {"class/b"}}
    assert task.gallery.captions.tolist() == [["a 0 a", "a 1 a"], ["a 0 b", "a 1 b"]]
