"""Spoken captions: which split a recording has, and what it says."""

import pandas as pd
import pytest

from exmcr.corpora import items
from exmcr.corpora.mini import speech


@pytest.mark.parametrize(
    "language, picture, split",
    [
        ("fr", "train", "train"),
        ("fr", "val", "val"),
        ("fr", "test", "test"),
        ("ca", "train", "test"),
        ("ca", "test", "test"),
        ("ca", "val", ""),
        ("be", "train", "val"),
        ("be", "val", "val"),
        ("be", "test", ""),
        ("ml", "train", ""),
    ],
)
def test_language_and_picture_decide_the_split(language, picture, split):
    assert speech.split_of(language, picture) == split


def picture(name: str, caption: str, concept: str, split: str) -> dict:
    group = f"tuxpaint:{caption}"
    return items.row(
        f"tuxpaint/{name}", "image", [caption], concept, "tuxpaint", "GPL-2", group, split=split
    )


@pytest.fixture
def corpus(tmp_path):
    """Item table, folder of the stamps, data folder."""
    table = pd.DataFrame(
        [
            picture("animals/frog", "A frog", "frog", "test"),
            picture("animals/frog-1", "A frog", "frog", "test"),
            picture("animals/dog", "A dog", "dog", "train"),
            picture("food/kiwi", "A kiwi fruit", "kiwi", "val"),
            picture("food/unspoken", "An apple", "apple", "train"),
            items.row("emoji/dog", "image", ["dog"], "dog", "emoji", "", "emoji", split="train"),
        ]
    )
    stamps = tmp_path / "data/raw/tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    for name, content in {
        "animals/frog_desc.ogg": b"frog en",
        "animals/frog_desc_fr.ogg": b"grenouille",
        "animals/frog-1_desc_fr.ogg": b"grenouille",  # the same file: kept once
        "animals/frog_desc_ca.ogg": b"granota",
        "animals/frog_desc_be.ogg": b"zhaba",
        "animals/dog_desc_fr.ogg": b"chien",
        "animals/dog_desc_ca.ogg": b"gos",
        "animals/dog_desc_be.ogg": b"sabaka",
        "animals/dog_desc_ml.ogg": b"naya",
        "animals/dog.ogg": b"a bark, not a voice",
        "food/kiwi_desc_ru.ogg": b"chien",  # the wrong recording: kept in val, not in train
        "food/kiwi_desc_el.ogg": b"aktinidio",
    }.items():
        path = stamps / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return table, stamps, tmp_path / "data"


def test_each_recording_is_an_item_with_the_caption_of_its_picture(corpus):
    rows = {row["id"].removeprefix("tuxpaint-speech/"): row for row in speech.rows(*corpus)}
    assert {id: row["split"] for id, row in rows.items()} == {
        "be/animals/dog": "val",
        "ca/animals/dog": "test",
        "ca/animals/frog": "test",
        "en/animals/frog": "test",
        "fr/animals/frog": "test",
        "ru/food/kiwi": "val",
    }
    frog = rows["ca/animals/frog"]
    assert (frog["modality"], frog["caption"], frog["concept"]) == ("speech", "A frog", "frog")
    assert frog["path"].startswith("raw/tuxpaint-stamps-default/usr/share/")
    assert frog["path"].endswith("/stamps/animals/frog_desc_ca.ogg")
    assert speech.language_of(frog["id"]) == "ca"


def test_no_training_recording_is_in_a_held_out_language_or_of_a_held_out_picture(corpus):
    held_out = {"A frog", "A kiwi fruit"}
    for row in speech.rows(*corpus):
        if row["split"] == "train":
            assert speech.language_of(row["id"]) in speech.TRAINED
            assert row["caption"] not in held_out


def test_the_noun_of_a_recording_is_a_text_of_its_split_once(corpus):
    table, stamps, data = corpus
    frog = items.row("t", "text", ["frog"], "frog", "other", "", "t", split="test")
    frog_in_train = items.row("u", "text", ["kiwi"], "kiwi", "other", "", "u", split="train")
    table = pd.concat([table, pd.DataFrame([frog, frog_in_train])])
    added = speech.nouns(table, speech.rows(table, stamps, data))
    assert [(row["split"], row["caption"]) for row in added] == [
        ("test", "dog"),
        ("val", "dog"),
        ("val", "kiwi"),
    ]
    assert {row["modality"] for row in added} == {"text"}


def test_the_table_gets_the_recordings_and_keeps_the_rest(corpus, monkeypatch, tmp_path):
    table, _, _ = corpus
    path = tmp_path / "data/items.parquet"

    def build_mini(root, paper, sample):
        samples.append(sample)
        items.write(table, path)
        return path

    samples = []

    monkeypatch.setattr(speech.mini, "build", build_mini)
    monkeypatch.setattr(speech.contents, "fetch", lambda name, raw: raw / name)
    assert speech.build(tmp_path) == path
    built = pd.read_parquet(path)
    assert built.modality.value_counts().to_dict() == {"image": 6, "speech": 6, "text": 4}
    rest = built[built.modality == "image"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, table[items.COLUMNS], check_dtype=False)
    speech.build(tmp_path, sample=24)
    assert samples == [None, 24], "the mini corpus renders no more than the sample"
