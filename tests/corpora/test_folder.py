"""A user's own folder as a corpus: modalities by suffix, captions by metadata, .txt or name."""

import json
import os

import pandas as pd
import pytest
from stub_model import fill, picture, sound

from exmcr.common.errors import ConfigError
from exmcr.corpora import build, folder
from exmcr.corpora.folder import scan, words


def by_path(listing):
    return {row["id"]: row for row in listing.rows}


def test_captions_come_from_metadata_then_a_txt_file_then_the_name(tmp_path):
    rows = by_path(scan(fill(tmp_path)))
    captions = {path: row["captions"] for path, row in rows.items()}
    assert captions == {
        "bell.wav": ["a bell, ringing"],
        "broken.png": ["broken"],
        "captions.txt:1": ["a dog barks"],
        "captions.txt:2": ["a red car"],
        "chair.npy": ["a wooden chair"],
        "dog/0001.wav": ["dog"],  # a name without letters gives way to that of the folder
        "lamp.npy": ["lamp"],
        "red_car-01.png": ["red car 01"],
        "sub/sea.jpg": ["the sea at night", "waves"],
    }
    assert rows["bell.wav"]["license"] == "CC0-1.0" and rows["chair.npy"]["license"] == "unknown"
    modalities = [rows[path]["modality"] for path in ("bell.wav", "chair.npy", "sub/sea.jpg")]
    assert modalities == ["audio", "points", "image"]
    assert all(row["modality"] == "text" and not row["path"] for row in list(rows.values())[2:4])


def test_files_of_other_kinds_are_counted(tmp_path):
    assert scan(fill(tmp_path)).others == {".pdf": 1}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("red_car-01.png", "red car 01"),
        ("a.b.c.wav", "a b c"),
        ("dogs/0001.png", "dogs"),
        ("7/0001.png", "0001"),
        ("Straße_1.png", "Straße 1"),
    ],
)
def test_a_file_name_in_words(name, expected):
    assert words(name) == expected


METADATA = {
    "csv": ("metadata.csv", "file_name,caption\nx/a.png,one\n"),
    "csv with a byte order mark": ("metadata.csv", "\ufefffile_name,caption\nx/a.png,one\n"),
    "jsonl": ("metadata.jsonl", '{"file_name": "x/a.png", "text": "one"}\n\n'),
    "jsonl with several captions": (
        "metadata.jsonl",
        json.dumps({"file_name": "x/a.png", "captions": ["one", "two"]}),
    ),
    "a label": ("metadata.csv", "file_name,label\nx/a.png,one\n"),
    "beside the file": ("x/metadata.csv", "file_name,caption\na.png,one\n"),
    "a path with dots": ("metadata.csv", "file_name,caption\n./x/../x/a.png,one\n"),
}


@pytest.mark.parametrize(("name", "content"), METADATA.values(), ids=METADATA)
def test_metadata_are_read_as_the_folder_builders_of_datasets_read_them(tmp_path, name, content):
    picture(tmp_path / "x/a.png")
    (tmp_path / name).write_text(content, encoding="utf-8")
    (row,) = scan(tmp_path).rows
    assert row["caption"] == "one" and len(row["captions"]) == (2 if "two" in content else 1)


def test_metadata_as_parquet_and_the_nearest_file_counts(tmp_path):
    picture(tmp_path / "x/a.png")
    table = pd.DataFrame({"file_name": ["x/a.png"], "caption": [["far", "away"]]})
    table.to_parquet(tmp_path / "metadata.parquet")
    assert scan(tmp_path).rows[0]["captions"] == ["far", "away"]
    (tmp_path / "x/metadata.csv").write_text("file_name,caption\na.png,near\n")
    assert scan(tmp_path).rows[0]["captions"] == ["near"]


DAMAGED = {
    "no file_name": ("metadata.csv", b"path,text\na.png,one\n", "needs a column file_name"),
    "an empty name": ("metadata.csv", b"file_name,text\n,one\n", "needs a column file_name"),
    "no JSON": ("metadata.jsonl", b"{nope", "cannot be read"),
    "no object": ("metadata.jsonl", b"[1]", "line 1 is no JSON object"),
    "not UTF-8": ("metadata.csv", b"file_name,text\n\xff\xfe,one\n", "cannot be read"),
    "empty": ("metadata.csv", b"", "cannot be read"),
    "no Parquet": ("metadata.parquet", b"PAR1", "cannot be read"),
    "ragged": ("metadata.csv", b"file_name,text\na,b\na,b,c,d\n", "cannot be read"),
}


@pytest.mark.parametrize(("name", "content", "says"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_metadata_are_one_line_that_names_the_file(tmp_path, name, content, says):
    picture(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        scan(tmp_path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_rows_of_metadata_without_a_file_are_named(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,x\ngone.png,y\n../../up.png,z\n")
    skipped = dict(scan(tmp_path).skipped)
    assert "no such file" in skipped["gone.png"] and "outside" in skipped["../../up.png"]


def test_hidden_files_linked_folders_and_indexes_are_left_out(tmp_path):
    picture(tmp_path / "mine/a.png")
    picture(tmp_path / "mine/.hidden/b.png")
    picture(tmp_path / "mine/.c.png")
    picture(tmp_path / "elsewhere/d.png")
    (tmp_path / "mine/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine/loop").symlink_to(tmp_path / "mine")
    picture(tmp_path / "mine/index/e.png")
    (tmp_path / "mine/index/exmcr-index.json").write_text("{}")
    assert [row["id"] for row in scan(tmp_path / "mine").rows] == ["a.png"]


def test_a_name_that_is_not_utf8_is_left_out_and_named(tmp_path):
    picture(tmp_path / "a.png")
    os.rename(os.fsencode(tmp_path / "a.png"), os.fsencode(tmp_path) + b"/\xff.png")
    picture(tmp_path / "b.png")
    listing = scan(tmp_path)
    assert [row["id"] for row in listing.rows] == ["b.png"]
    assert listing.skipped[0][1] == "its name is not UTF-8" and listing.skipped[0][0].isascii()


def test_texts_that_are_not_utf8_are_left_out_and_named(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    listing = scan(tmp_path)
    assert [row["caption"] for row in listing.rows] == ["a"]
    assert [path for path, _ in listing.skipped] == ["a.txt", "b.txt"]


@pytest.mark.parametrize("content", [[], ["report.pdf"], [".hidden.png"]])
def test_a_folder_without_an_item_is_one_line(tmp_path, content):
    for name in content:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"holds nothing that can be read; known kinds: .*\.wav"):
        scan(tmp_path)


def test_no_folder_is_one_line(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    for path in (tmp_path / "gone", tmp_path / "a.png"):
        with pytest.raises(ConfigError, match="is not a folder"):
            scan(path)


def test_the_corpus_has_splits_and_captions_as_an_overlap(tmp_path):
    mine = tmp_path / "data/folder"
    for n in range(40):
        picture(mine / f"thing {'ab'[n % 2]}{n}.png", (n, n, n))
    picture(mine / "test/a.png")
    sound(mine / "validation/b.wav")
    table = pd.read_parquet(build("folder", tmp_path))
    rows = table.set_index("id")
    assert rows.split["test/a.png"] == "test" and rows.split["validation/b.wav"] == "val"
    assert set(rows.split) == {"train", "val", "test"}
    assert rows.split.value_counts()["train"] > 40
    text = rows.loc["validation/b.wav/text"]
    assert (text.modality, text.caption, text.of, text.split) == (
        "text",
        "b",
        "validation/b.wav",
        "val",
    )
    assert (table.groupby("concept").split.nunique() == 1).all()
    from exmcr.corpora.items import load_item

    raw = load_item(rows.loc["test/a.png"], tmp_path / "data")
    assert raw.shape == (10, 12, 3)


def test_the_corpus_without_a_folder_says_where_it_belongs(tmp_path):
    with pytest.raises(ConfigError, match="data/folder"):
        folder.build(tmp_path)
