"""Whatever a loader raises is a BadItem of one line, and a batch goes on without the item."""

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from exmcr import media
from exmcr.banks.extraction import extract
from exmcr.common.errors import BadItem, ConfigError
from exmcr.corpora.items import load_item
from exmcr.media.guard import MESSAGE, bad_items, one_line
from exmcr.model.encoded import load_items
from exmcr.spaces.base import Space

ERRORS = [
    MemoryError(),
    RecursionError("too deep"),
    struct.error("unpack requires 4 bytes"),
    OverflowError("too large"),
    KeyError("xyz"),
    AttributeError("no such thing"),
    AssertionError(),
    SyntaxError("broken PNG file"),
    EOFError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    OSError("cannot identify image file"),
    ZeroDivisionError("division by zero"),
    StopIteration(),
    BadItem("two\nlines"),
]


@pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ for error in ERRORS])
def test_any_exception_of_a_loader_is_a_bad_item_of_one_line(error, monkeypatch):
    def load(item):
        raise error

    entry = media.Modality(load, lambda axis, item: None, "#000000", "o")
    monkeypatch.setitem(media.MODALITIES, "smell", entry)
    with pytest.raises(BadItem) as raised:
        media.load("smell", "rose")
    assert str(raised.value) == "two lines" or str(raised.value).startswith("unreadable smell: ")
    assert str(raised.value).isprintable() and raised.value.__cause__ is error


def test_config_errors_and_interrupts_pass():
    for error in (ConfigError("no such modality"), KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(error)), bad_items("smell"):
            raise error


def test_messages_are_short_and_printable():
    assert one_line("a\n b\t\x00\x1b[31mc") == "a b [31mc"
    assert one_line("caf\udce9") == "caf\\udce9"
    assert len(one_line("x" * 10_000)) == MESSAGE


TABLES = {
    "image": "test_image_inputs.py",
    "audio": "test_sound_inputs.py",
    "points": "test_point_inputs.py",
    "text": "test_text_inputs.py",
}


def table(modality):
    path = Path(__file__).with_name(TABLES[modality])
    spec = importlib.util.spec_from_file_location(f"table_of_{modality}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TABLE


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("modality", TABLES)
def test_a_batch_skips_and_names_the_refused_inputs_and_keeps_the_others(modality, tmp_path):
    items, refused = [], []
    for n, entry in enumerate(table(modality)):
        (tmp_path / str(n)).mkdir()
        items.append(entry.make(tmp_path / str(n)))
        if not entry.accepted:
            refused.append(len(items) - 1 + 100)
    skipped: list = []
    loaded = list(load_items(modality, items, 100, skipped, {}))
    assert [place for _, place, _ in skipped] == refused
    assert len(loaded) == len(items) - len(refused) > 10
    assert all(reason.isprintable() and len(reason) < 700 for _, _, reason in skipped)


def test_the_message_of_a_refused_item_names_place_and_item():
    with pytest.raises(BadItem, match=r"text item 7 \(\): empty text"):
        list(load_items("text", [" "], 7, None, {}))
    name = Path("folder/caf\udce9.wav")
    with pytest.raises(BadItem, match=r"audio item 0 \(folder/caf.*wav\): .*no file") as raised:
        list(load_items("audio", [name], 0, None, {}))
    str(raised.value).encode()
    with pytest.raises(BadItem, match=r"points item 1 \(ndarray\): empty cloud"):
        list(load_items("points", [np.eye(3), np.zeros((0, 3))], 0, None, {}))


class Lengths(Space):
    """Every item as the same vector, whatever it is."""

    name, dim, modalities, fingerprint = "lengths", 4, ("audio", "text"), "lengths, version 1"

    def encode_batch(self, modality, items):
        return np.ones((len(items), 4), np.float32)


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_extraction_skips_and_names_clicks_and_invisible_captions(tmp_path, modality):
    tone = 0.5 * np.sin(np.arange(4000) / 3)
    soundfile.write(tmp_path / "good.wav", tone, 8000)
    soundfile.write(tmp_path / "bad.wav", tone[7:8], 192_000)
    captions = {"good": "a dog \ud83d", "bad": "\u200b"}
    rows = [
        {
            "id": f"{n}/{name}",
            "modality": modality,
            "caption": captions[name] if modality == "text" else "",
            "path": f"{name}.wav" if modality == "audio" else "",
            "start": 0.0,
            "seconds": 0.0,
        }
        for n, name in enumerate(["good", "bad", "good", "good"])
    ]
    if modality == "text":  # a table of texts is UTF-8, in which a lone surrogate cannot stand
        rows = [row | {"caption": row["caption"].replace("\ud83d", "\ufffd")} for row in rows]
    load = lambda item: load_item(item, tmp_path)
    table = pd.DataFrame(rows)
    bank = extract(Lengths(), modality, table, tmp_path / "bank", load, max_bad=0.5, progress=False)
    assert list(bank.ids) == ["0/good", "2/good", "3/good"]
    [skipped] = bank.meta["skipped"]
    reason = {"audio": "too short", "text": "empty text"}[modality]
    assert skipped["id"] == "1/bad" and reason in skipped["reason"]
