"""The rules of train, val and test, on a synthetic corpus of every kind of item."""

import copy
import random
from collections import defaultdict

import pandas as pd
import pytest

from exmcr.common.hashing import stable_uniform
from exmcr.corpora import items, splits
from exmcr.corpora.mini import soundfonts


def item(id, modality, concept, source, group, **more):
    return items.row(id, modality, [concept], concept, source, "free", group, **more)


def corpus():
    rng = random.Random(0)
    rows, digests = [], {}
    for c in range(120):  # sounds: 1 to 5 packages per concept, some concepts are large families
        for s in range(1 + c % 5):
            for k in range(6 if c % 7 == 0 else 1 + c % 2):
                rows.append(
                    item(f"s/{c}/{s}/{k}", "audio", f"noun{c}", f"package{s}", f"sound:{c}:{s}:{k}")
                )
        if c % 4 == 0:  # and one package that is held out for every concept
            for k in range(2):
                rows.append(item(f"h/{c}/{k}", "audio", f"noun{c}", "wesnoth", f"held:{c}:{k}"))
    for k in range(50):  # sounds and pictures of the training pool
        rows.append(items.row(f"u/{k}", "audio", [], "", "wesnoth", "free", f"pool:{k}"))
        rows.append(items.row(f"p/{k}", "image", [], "", "wesnoth", "free", f"pool image:{k}"))
    for n in range(20):
        rows.append(item(f"g/{n}", "points", f"noun{n}", "flightgear", f"game:{n // 2}"))
    for n in range(80):  # shapes: several of one name, each with its icon, in the group of the name
        for k in range(1 + n % 3):
            rows.append(item(f"m/{n}/{k}", "points", f"noun{n}", "shapes", f"name:{n}"))
            rows.append(
                item(f"icon/{n}/{k}", "image", f"noun{n}", "shapes", f"name:{n}", of=f"m/{n}/{k}")
            )
    for p in range(900):  # pictures in title series; some files are in several series and packages
        source = rng.choice(["openclipart", "tuxpaint"])
        rows.append(item(f"i/{p}", "image", f"noun{p // 2 % 150}", source, f"series:{p // 2}"))
        digests[f"i/{p}"] = f"file{rng.randrange(4000)}"  # fewer would join most series
    digests["icon/3/0"] = digests["i/0"]
    return rows, digests


@pytest.fixture(scope="module")
def divided():
    rows, digests = corpus()
    splits.merge_duplicates(rows, digests)
    splits.assign(rows)
    return rows, digests


def of(rows, **fixed):
    return [r for r in rows if all(r[k] == v for k, v in fixed.items())]


def straddling(rows, key):
    splits_of = defaultdict(set)
    for r in rows:
        if key(r):
            splits_of[key(r)].add(r["split"])
    return [k for k, names in splits_of.items() if len(names) > 1]


def test_every_item_has_a_split_and_every_split_has_items(divided):
    rows, _ = divided
    assert {r["split"] for r in rows} == {"train", "val", "test"}
    for modality in ("audio", "points", "image"):
        counts = {s: len(of(rows, modality=modality, split=s)) for s in ("train", "val", "test")}
        assert counts["train"] > counts["test"] / 2 and min(counts.values()) > 0, (modality, counts)


def test_the_same_items_are_always_divided_in_the_same_way(divided):
    rows, digests = corpus()
    splits.merge_duplicates(rows, digests)
    splits.assign(rows)
    assert rows == divided[0]


def test_the_order_of_rows_does_not_matter_if_a_group_has_one_concept():
    rows, _ = corpus()
    shuffled = copy.deepcopy(rows)
    random.Random(5).shuffle(shuffled)
    splits.assign(rows)
    splits.assign(shuffled)
    assert {r["id"]: r["split"] for r in rows} == {r["id"]: r["split"] for r in shuffled}


def test_the_hash_is_stable_and_uniform():
    values = sorted(stable_uniform(f"key{i}") for i in range(2000))
    assert all(abs(v - i / 2000) < 0.04 for i, v in enumerate(values))
    assert stable_uniform("sound:dog") == pytest.approx(0.0534405574807, abs=1e-12), (
        "the splits of every user would change"
    )


def test_groups_and_duplicate_files_never_straddle(divided):
    rows, digests = divided
    assert len(set(digests.values())) < len(digests), "there are duplicate files"
    assert straddling(rows, lambda r: r["group"]) == []
    assert straddling(rows, lambda r: digests.get(r["id"])) == []


def test_groups_that_share_files_through_a_third_are_merged():
    rows = [
        item(i, "image", "x", "box", g)
        for i, g in (("1", "a"), ("2", "b"), ("3", "b"), ("4", "c"), ("5", "d"))
    ]
    splits.merge_duplicates(rows, {"1": "f", "2": "f", "3": "h", "4": "h", "5": "k"})
    assert [r["group"] for r in rows] == ["a", "a", "a", "a", "d"]


def test_unseen_concepts_have_no_training_sound_and_seen_ones_other_recordings(divided):
    audio = of(divided[0], modality="audio")
    trained = {r["concept"] for r in audio if r["split"] == "train"}
    queries = [r for r in audio if r["split"] == "test"]
    seen = [r for r in queries if r["concept"] in trained]
    unseen = [r for r in queries if r["concept"] not in trained]
    assert seen and unseen
    trains = {(r["concept"], r["source"]) for r in audio if r["split"] == "train"}
    for r in seen:
        assert (r["concept"], r["source"]) not in trains
    for r in unseen:
        assert {o["split"] for o in of(audio, concept=r["concept"])} == {"test"}


def test_a_large_family_always_has_training_sounds(divided):
    audio = [r for r in of(divided[0], modality="audio") if r["concept"]]
    count = defaultdict(int)
    for r in audio:
        count[r["concept"]] += 1
    families = {c for c, n in count.items() if n >= splits.FAMILY}
    assert families and families <= {r["concept"] for r in audio if r["split"] == "train"}


def test_the_recordings_of_a_concept_in_one_package_have_one_split(divided):
    assert straddling(of(divided[0], modality="audio"), lambda r: (r["concept"], r["source"])) == []


def test_names_of_test_shapes_have_no_training_shape(divided):
    rows, _ = divided
    points = of(rows, modality="points", source="shapes")
    name = lambda r: r["id"].split("/")[1]  # noqa: E731
    assert not {name(r) for r in points if r["split"] == "test"} & {
        name(r) for r in points if r["split"] == "train"
    }
    split_of = {r["id"]: r["split"] for r in points}
    assert all(r["split"] == split_of[r["of"]] for r in rows if r["of"])


def test_concepts_of_test_sounds_and_shapes_have_test_pictures():
    rows, _ = corpus()
    splits.assign(rows)
    pictures = [r for r in of(rows, modality="image") if not r["of"]]
    pictured = {r["concept"] for r in pictures}
    queried = {
        r["concept"] for r in rows if r["modality"] in ("audio", "points") and r["split"] == "test"
    } & pictured
    assert queried and queried <= {r["concept"] for r in pictures if r["split"] == "test"}


def test_a_sound_of_a_new_concept_moves_no_other_item():
    rows, digests = corpus()
    first = copy.deepcopy(rows)
    second = rows + [item("s/new", "audio", "novelty", "package9", "sound:new")]
    for r in (first, second):
        splits.merge_duplicates(r, digests)
        splits.assign(r)
    assert [r["split"] for r in first] == [r["split"] for r in second[:-1]]


def test_a_trained_concept_with_several_packages_has_held_out_ones(divided):
    audio = [r for r in of(divided[0], modality="audio") if r["concept"]]
    for concept in {r["concept"] for r in audio if r["split"] == "train"}:
        packages = {r["source"]: r["split"] for r in of(audio, concept=concept)}
        if packages.pop("wesnoth", "test") != "test":
            raise AssertionError("a held-out package is in training")
        held = sorted(s for s in packages.values() if s != "train")
        expected = {1: [[]], 2: [["test"], ["val"]]}.get(len(packages), [["test", "val"]])
        assert held in expected, (concept, packages)


def test_items_of_the_pool_are_training_items(divided):
    pool = [r for r in divided[0] if not r["caption"]]
    assert len(pool) == 100 and {r["split"] for r in pool} == {"train"}


def test_no_shape_of_a_held_out_package_is_trained_on(divided):
    games = of(divided[0], source="flightgear")
    assert {r["split"] for r in games} == {"val", "test"}
    assert straddling(games, lambda r: r["group"]) == []


def test_val_and_test_have_one_pitch_and_few_sounds_per_concept_and_package():
    rows = []
    for split in ("train", "test"):
        for key in soundfonts.KEYS:
            id = f"font/sound/program-{split}/key-{key}"
            rows.append(items.row(id, "audio", ["x"], split, "font", "free", id, split=split))
        for k in range(12):
            for package in ("a", "b"):
                id = f"{package}/{split}/{k}"
                rows.append(items.row(id, "audio", ["x"], "dog", package, "free", id, split=split))
        for k in range(4):
            id = f"drummer/sound/drums/key-{split}-{k}"
            rows.append(items.row(id, "audio", ["x"], "drum", "font", "free", id, split=split))
    kept = splits.without_surplus(rows)
    assert [row["id"] for row in kept] == sorted(row["id"] for row in kept)
    count = pd.DataFrame(kept).groupby(["split", "concept", "source"]).size().to_dict()
    limit = splits.MAX_HELD_OUT
    assert limit < 12 and count == {
        ("train", "train", "font"): 5,
        ("train", "dog", "a"): 12,
        ("train", "dog", "b"): 12,
        ("train", "drum", "font"): 4,
        ("test", "test", "font"): 1,
        ("test", "dog", "a"): limit,
        ("test", "dog", "b"): limit,
        ("test", "drum", "font"): splits.MAX_NOTES,
    }
    played = [row["id"] for row in kept if row["concept"] == "test"]
    assert played == [f"font/sound/program-test/key-{soundfonts.KEYS[0]}"]


def test_val_and_test_have_one_style_of_each_emoji():
    rows = [
        items.row(
            f"{split}{n}/{style}",
            "image",
            [f"{split} {n}"],
            "",
            "emoji",
            "free",
            f"{n}",
            split=split,
        )
        for split in ("train", "val", "test")
        for n in range(3)
        for style in "abcd"
    ]
    kept = pd.DataFrame(splits.without_surplus(rows))
    assert kept.groupby("split").size().to_dict() == {"train": 12, "val": 3, "test": 3}


def test_a_soundfont_and_its_copy_are_held_out_together_and_the_copy_has_no_queries():
    fonts = [*splits.COPIES, *splits.COPIES.values()]
    rows = [
        item(f"{font}/sound/program-{c}/key-60", "audio", f"n{c}", font, f"{font}:{c}")
        for c in range(60)
        for font in fonts
    ]
    splits.assign(rows)
    split_of = {(r["concept"], r["source"]): r["split"] for r in rows}
    for (concept, source), split in split_of.items():
        assert split == split_of[concept, splits.COPIES.get(source, source)]
    held_out = [r for r in splits.without_surplus(rows) if r["split"] != "train"]
    assert held_out and not {r["source"] for r in held_out} & splits.COPIES.keys()
