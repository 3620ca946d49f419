"""A sample of a corpus is still a corpus: reproducible, with tasks, partners and texts."""

import pandas as pd
import pytest

from exmcr import corpora
from exmcr.corpora import items as item_table
from exmcr.corpora.sampling import draw, draw_and_make
from exmcr.evaluation.tasks import tasks


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def items(root):
    return pd.read_parquet(corpora.build("toy", root))


def sizes(items):
    own = items[(items.of == "") & (items.modality != "text")]
    return own.groupby(["modality", "split"]).size()


def test_a_sample_has_at_most_the_limit_and_what_belongs_to_it(items):
    kept = draw(items, 3)
    assert (sizes(kept) == 3).all() and len(sizes(kept)) == 9
    # Every shape has its icon, and no icon is without its shape.
    assert set(kept.of) - {""} == set(kept.id[kept.modality == "points"])
    texts = kept[kept.modality == "text"]
    known = set(zip(texts.split, texts.caption))
    for item in kept[kept.modality != "text"].itertuples():
        assert {(item.split, item.caption), (item.split, item.concept)} <= known
    # Rows are unchanged and in their order.
    assert kept.equals(items[items.id.isin(kept.id)].reset_index(drop=True))


def test_a_sample_is_reproducible_and_a_larger_one_contains_it(items):
    shuffled = items.sample(frac=1, random_state=0)
    small, large = draw(items, 3), draw(items, 5)
    assert set(draw(shuffled, 3).id) == set(small.id)
    own = small[small.modality != "text"]
    assert set(own.id) < set(large.id)
    assert draw(items, 10_000).equals(items)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_sample_has_every_task(items, split):
    assert {t.name for t in tasks(draw(items, 4), split)} == {t.name for t in tasks(items, split)}


def test_concepts_in_more_modalities_come_first_and_sources_take_turns():
    def item(id, modality, concept, source):
        return item_table.row(
            id, modality, [f"{id} in words"], concept, source, "CC0-1.0", id, split="test"
        )

    rows = [item(f"a/{k}", "image", f"alone {k}", "many") for k in range(50)]
    rows += [item("a/dog", "image", "dog", "many"), item("b/0", "image", "tree", "few")]
    rows += [item(f"c/{k}", "audio", "dog", "sounds") for k in range(9)]
    rows += [item("c/cat", "audio", "cat", "sounds")]
    kept = draw(pd.DataFrame(rows), 2)
    assert set(kept.id[kept.modality == "image"]) == {"a/dog", "b/0"}
    assert set(kept.concept[kept.modality == "audio"]) == {"dog", "cat"}  # not two dogs


def test_a_benchmark_keeps_partners_and_the_prompts_of_its_classes():
    def item(id, modality, source, concept="", **more):
        return item_table.row(id, modality, [id], concept, source, "MIT", id, split="test", **more)

    rows = [item(f"clip {k}", "audio", "audiocaps") for k in range(6)]
    rows += [
        item(f"clip {k}, caption {n}", "text", "audiocaps", of=f"clip {k}")
        for k in range(6)
        for n in range(5)
    ]
    rows += [
        item(f"{name} {k}", "points", "modelnet40", name)
        for name in ("desk", "lamp")
        for k in range(3)
    ]
    rows += [
        item(f"a {name}, prompt {n}", "text", "modelnet40", name)
        for name in ("desk", "lamp", "sofa")
        for n in range(8)
    ]
    kept = draw(pd.DataFrame(rows), 2)
    assert (sizes(kept) == 2).all()
    texts = kept[kept.modality == "text"]
    assert set(texts.of) - {""} == set(kept.id[kept.modality == "audio"])
    assert (texts.source == "audiocaps").sum() == 10
    # One shape of each class is kept, and none of a sofa.
    counts = texts[texts.source == "modelnet40"].concept.value_counts().to_dict()
    assert counts == {"desk": 8, "lamp": 8}


def test_other_texts_fill_up_the_limit(items):
    names = [f"spare {k}" for k in range(200)]
    spare = [
        item_table.row(
            f"text/train/{name}", "text", [name], "", "names", "MIT", name, split="train"
        )
        for name in names
    ]
    kept = draw(pd.concat([items, pd.DataFrame(spare)], ignore_index=True), 100)
    texts = kept[kept.modality == "text"].groupby("split").size()
    assert texts["train"] == 100
    assert texts["test"] == (items[items.split == "test"].modality == "text").sum()


class Unmade:
    """Items of two modalities whose files turn out to be good, unusable, or another item's."""

    def __init__(self, bad=(), copies=None):
        self.bad, self.copies, self.made = set(bad), copies or {}, []

    def list_items(self):
        made = set().union(*self.made)
        gone = (self.bad & made) | {b for b, a in self.copies.items() if {a, b} <= made}
        rows = [
            item_table.row(
                f"{modality}/{k}",
                modality,
                [f"thing {k}"],
                f"thing {k % 15}",
                f"source {k % 2}",
                "MIT",
                f"{modality}/{k}",
                split=split,
                path=f"media/{modality}/{k}",
            )
            for modality in ("image", "audio")
            for k in range(40)
            for split in [("train", "test")[k % 3 == 0]]
        ]
        rows += [
            item_table.row(f"{row['id']}/icon", "image", ["icon"], "", "icons", "MIT", "i",
                           split=row["split"], path=f"{row['path']}/icon", of=row["id"])
            for row in rows
            if row["modality"] == "audio"
        ]  # fmt: skip
        rows += [
            item_table.row(f"t{k}", "text", [f"thing {k}"], "", "words", "MIT", f"t{k}", split=s)
            for k in range(40)
            for s in [("train", "test")[k % 3 == 0]]
        ]
        return pd.DataFrame([row for row in rows if row["id"] not in gone])

    def make(self, ids):
        self.made.append(set(ids))

    def sample(self, limit):
        return draw_and_make(limit, self.list_items, self.make)


def test_only_the_files_of_a_sample_are_made():
    corpus = Unmade()
    sample = corpus.sample(3)
    assert sample.equals(draw(corpus.list_items(), 3))
    assert corpus.made == [set(sample.id[sample.modality != "text"])]
    assert len(corpus.made[0]) == 3 * 2 * 2 + 3 * 2, "3 of each pool, and icons of the sounds"


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_unusable_item_gives_way_to_the_next_and_nothing_else_is_made(bad):
    first = sorted(Unmade().sample(3).query("modality == 'image' and of == ''").id)
    corpus = Unmade(bad={first[bad]})
    sample = corpus.sample(3)
    assert (sizes(sample) == 3).all() and first[bad] not in set(sample.id)
    assert [len(ids) for ids in corpus.made] == [18, 1]
    assert set().union(*corpus.made) == set(sample.id[sample.path != ""]) | {first[bad]}


def test_of_two_copies_that_are_drawn_one_stays_and_the_sample_is_filled_up():
    a, b, *_ = Unmade().sample(3).query("modality == 'audio' and split == 'test'").id
    corpus = Unmade(copies={b: a})
    sample = corpus.sample(3)
    assert (sizes(sample) == 3).all() and a in set(sample.id)
    assert not {b, f"{b}/icon"} & set(sample.id)
    assert [len(ids) for ids in corpus.made] == [18, 2], "the next sound and its icon"


def test_a_larger_sample_of_unmade_items_keeps_a_smaller_one_and_a_corpus_may_be_too_small():
    everything = {*Unmade().list_items().query("path != ''").id}
    bad = {name for name in everything if name.endswith("7")}
    kept = [set(Unmade(bad).sample(limit).query("path != ''").id) for limit in (1, 2, 5, 9, 99)]
    assert all(small < large for small, large in zip(kept, kept[1:], strict=False))
    assert kept[-1] == {n for n in everything - bad if n.removesuffix("/icon") not in bad}
    assert Unmade(bad=everything).sample(3).query("path != ''").empty


def test_the_table_on_disk_is_the_sample(items, root, capsys):
    path = corpora.build("toy", root, sample=3)
    assert list(pd.read_parquet(path).id) == list(draw(items, 3).id)
    assert "sample: 3 keeps" in capsys.readouterr().out
