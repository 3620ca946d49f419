"""The item table: what it refuses, and how the item of a row is loaded."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from paper_trees import picture, shard, sound

from exmcr.common.errors import BadItem, ConfigError
from exmcr.corpora import items
from exmcr.media import MODALITIES, Modality


def row(id="box/1", modality="image", group="g", **more):
    return items.row(id, modality, ["a dog"], "dog", "box", "free", group, **more)


def load(data, **row_values):
    return items.load_item(SimpleNamespace(**row(**row_values)), data)


def test_a_table_is_stored_with_its_columns_in_order(tmp_path):
    path = tmp_path / "new/items.parquet"
    table = items.write([dict(reversed(row(split="train").items()))], path)
    assert list(table.columns) == items.COLUMNS == list(pd.read_parquet(path).columns)
    assert sorted(f.name for f in path.parent.iterdir()) == ["items.json", "items.parquet"]


def test_captions_have_single_spaces_and_the_first_is_the_caption():
    made = items.row("1", "text", [" ", "a  big\ndog", "dog"], "dog", "box", "free", "g")
    assert (made["caption"], made["captions"]) == ("a big dog", ["a big dog", "dog"])
    unknown = items.row("1", "image", [""], "", "box", "free", "g")
    assert (unknown["caption"], unknown["captions"]) == ("", [""])


def test_the_table_refuses_repeated_ids_and_straddling_groups(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(ValueError, match="twice, e.g. box/1"):
        items.write([row(split="train"), row(split="train")], path)
    with pytest.raises(ValueError, match="straddle.*g"):
        items.write([row(split="train"), row("box/2", split="test")], path)
    assert not list(tmp_path.iterdir())


def test_counts_have_one_column_per_split():
    table = pd.DataFrame(
        [row(split="train"), row("2", split="test"), row("3", "audio", split="test")]
    )
    assert items.counts(table).to_dict("index") == {
        "image": {"train": 1, "test": 1},
        "audio": {"train": 0, "test": 1},
    }


def test_items_are_loaded_from_captions_files_and_tars(tmp_path):
    assert load(tmp_path, modality="text") == "a dog"
    picture(tmp_path / "media/a.png")
    assert load(tmp_path, path="media/a.png").shape == (6, 8, 3)
    assert load(tmp_path / "elsewhere", path=str(tmp_path / "media/a.png")).shape == (6, 8, 3)
    shard(tmp_path / "b.tar", **{"a.png": (tmp_path / "media/a.png").read_bytes()})
    assert load(tmp_path, path="b.tar::a.png").shape == (6, 8, 3)


def test_the_window_of_a_sound_is_loaded(tmp_path):
    sound(tmp_path / "a.wav", seconds=2, rate=8000)
    whole = load(tmp_path, modality="audio", path="a.wav").samples
    part = load(tmp_path, modality="audio", path="a.wav", start=0.5, seconds=0.25).samples
    rest = load(tmp_path, modality="audio", path="a.wav", start=0.5).samples
    assert len(whole) == 16_000
    assert np.array_equal(part, whole[4000:6000]) and np.array_equal(rest, whole[4000:])


def test_a_missing_file_is_bad_and_an_unknown_modality_an_error(tmp_path):
    with pytest.raises(BadItem, match="file is missing: media/a.png"):
        load(tmp_path, path="media/a.png")
    picture(tmp_path / "media/a.png")
    with pytest.raises(ConfigError, match="unknown modality 'depth'; known: text, image"):
        load(tmp_path, modality="depth", path="media/a.png")


def test_an_item_of_a_registered_modality_is_loaded(tmp_path, monkeypatch):
    entry = Modality(lambda path: path.read_text(), lambda axis, item: None, "#56B4E9", "v")
    monkeypatch.setitem(MODALITIES, "depth", entry)
    (tmp_path / "a.depth").write_text("1 2")
    assert load(tmp_path, modality="depth", path="a.depth") == "1 2"
