"""A part of a corpus is still a corpus: drawn the same each time, with tasks, partners and words."""

import pandas as pd
import pytest

from exmcr import corpora
from exmcr.corpora import items as table
from exmcr.corpora.sampling import draw
from exmcr.evaluation.tasks import tasks


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def items(root):
    return pd.read_parquet(corpora.build("toy", root))


def sizes(items):
    return (
        items[(items.of == "") & (items.modality != "text")].groupby(["modality", "split"]).size()
    )


def test_at_most_so_many_and_what_belongs_to_them(items):
    kept = draw(items, 3)
    assert (sizes(kept) == 3).all() and len(sizes(kept)) == 9
    assert set(kept.of) - {""} == set(
        kept.id[kept.modality == "points"]
    )  # every model has its icon, and no icon is alone
    texts = kept[kept.modality == "text"]
    known = set(zip(texts.split, texts.caption))
    for thing in kept[kept.modality != "text"].itertuples():
        assert {(thing.split, thing.caption), (thing.split, thing.concept)} <= known
    assert kept.equals(
        items[items.id.isin(kept.id)].reset_index(drop=True)
    )  # rows as they were, in their order


def test_the_draw_is_fixed_and_grows(items):
    shuffled = items.sample(frac=1, random_state=0)
    few, more = draw(items, 3), draw(items, 5)
    assert set(draw(shuffled, 3).id) == set(few.id)
    things = few[few.modality != "text"]
    assert set(things.id) < set(more.id)
    assert draw(items, 10_000).equals(items)


@pytest.mark.parametrize("split", ["val", "test"])
def test_every_task_is_still_there(items, split):
    assert {t.name for t in tasks(draw(items, 4), split)} == {t.name for t in tasks(items, split)}


def test_concepts_in_more_modalities_come_first_and_sources_take_turns():
    def item(id, modality, concept, source):
        return table.row(
            id, modality, [f"{id} in words"], concept, source, "CC0-1.0", id, split="test"
        )

    rows = [item(f"a/{k}", "image", f"alone {k}", "many") for k in range(50)] + [
        item("a/dog", "image", "dog", "many"),
        item("b/0", "image", "tree", "few"),
    ]
    rows += [item(f"c/{k}", "audio", "dog", "sounds") for k in range(9)] + [
        item("c/cat", "audio", "cat", "sounds")
    ]
    kept = draw(pd.DataFrame(rows), 2)
    assert set(kept.id[kept.modality == "image"]) == {"a/dog", "b/0"}
    assert set(kept.concept[kept.modality == "audio"]) == {"dog", "cat"}  # not two dogs


def test_a_benchmark_keeps_partners_and_the_sentences_of_its_classes():
    def item(id, modality, source, concept="", **more):
        return table.row(id, modality, [id], concept, source, "MIT", id, split="test", **more)

    rows = [item(f"clip {k}", "audio", "audiocaps") for k in range(6)]
    rows += [
        item(f"clip {k}, said {n} times", "text", "audiocaps", of=f"clip {k}")
        for k in range(6)
        for n in range(5)
    ]
    rows += [
        item(f"{name} {k}", "points", "modelnet40", name)
        for name in ("desk", "lamp")
        for k in range(3)
    ]
    rows += [
        item(f"a {name}, said in way {n}", "text", "modelnet40", name)
        for name in ("desk", "lamp", "sofa")
        for n in range(8)
    ]
    kept = draw(pd.DataFrame(rows), 2)
    assert (sizes(kept) == 2).all()
    texts = kept[kept.modality == "text"]
    assert (
        set(texts.of) - {""} == set(kept.id[kept.modality == "audio"])
        and (texts.source == "audiocaps").sum() == 10
    )
    assert texts[texts.source == "modelnet40"].concept.value_counts().to_dict() == {
        "desk": 8,
        "lamp": 8,
    }  # one of each; nobody asks for sofas


def test_words_make_up_the_number(items):
    spare = [
        table.row(
            f"text/train/spare {k}",
            "text",
            [f"spare {k}"],
            "",
            "names",
            "MIT",
            f"spare {k}",
            split="train",
        )
        for k in range(200)
    ]
    kept = draw(pd.concat([items, pd.DataFrame(spare)], ignore_index=True), 100)
    texts = kept[kept.modality == "text"].groupby("split").size()
    assert (
        texts["train"] == 100
        and texts["test"] == (items[items.split == "test"].modality == "text").sum()
    )


def test_the_table_on_disk_is_the_draw(items, root, capsys):
    path = corpora.build("toy", root, sample=3)
    assert list(pd.read_parquet(path).id) == list(draw(items, 3).id)
    assert "sample: 3 keeps" in capsys.readouterr().out
