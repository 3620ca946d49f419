"""The mini corpus from a few planned items: rendering in workers, what is skipped, dropped or limited."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from exmcr.common.hashing import sha256
from exmcr.corpora import items, splits
from exmcr.corpora.mini import build as mini
from exmcr.corpora.mini import pictures, render, soundfonts


def planned(n, modality, source, group, job):
    name = f"{source}/{group}/{n}"
    return items.row(name, modality, [group], group, source, "free", f"{source}:{group}"), job


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """30 drawings, a sound under two names, and a file that is not a sound."""
    good, bad = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(good, 0.5 * np.sin(np.arange(8000) * 0.3), 8000)
    bad.write_bytes(b"nonsense")
    drawings = [Image.new("RGBA", (400, 40 + k), (0, 0, 0, 0)) for k in range(30)]
    for k, drawing in enumerate(drawings):
        drawing.paste((5 * k, 0, 0, 255), (10, 10, 100, 30))
    tasks = [
        planned(k, "image", "drawings", f"thing {k}", ("drawing", drawing))
        for k, drawing in enumerate(drawings)
    ]
    tasks += [
        planned(1, "audio", "sounds", "ram", ("sound", good, ".wav")),
        planned(2, "audio", "sounds", "goat", ("sound", good, ".wav")),
        planned(3, "audio", "sounds", "mule", ("sound", bad, ".wav")),
    ]
    monkeypatch.setattr(mini, "_plan", lambda raw: iter(tasks))


def test_a_build_renders_every_item_and_lists_the_unusable_ones(tmp_path, plan, capsys):
    table = pd.read_parquet(mini.build(tmp_path))
    own = table[table.modality != "text"]
    assert own.modality.value_counts().to_dict() == {"image": 30, "audio": 1}
    assert "sounds/ram/1" in set(own.id) and "sounds/goat/2" not in set(own.id)
    for path in own.path:
        assert (tmp_path / "data" / path).is_file()
    skipped = json.loads((tmp_path / "data/skipped.json").read_text())
    assert [item["id"] for item in skipped] == ["sounds/mule/3"]
    assert "unreadable sound" in skipped[0]["reason"]
    assert "32 items, 1 unusable" in capsys.readouterr().out
    assert not list((tmp_path / "data").rglob("*.part"))
    texts = table[table.modality == "text"]
    assert {"thing 3", "ram", "tench"} <= set(texts.caption)

    # A second run keeps what is rendered.
    first = tmp_path / "data" / own.path.iloc[0]
    stamp, content = first.stat().st_mtime_ns, (tmp_path / "data/items.parquet").read_bytes()
    mini.build(tmp_path)
    assert first.stat().st_mtime_ns == stamp
    assert (tmp_path / "data/items.parquet").read_bytes() == content


def test_too_many_unusable_items_are_an_error(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(mini, "_render", lambda jobs: [("", "no reason")] * len(jobs))
    with pytest.raises(RuntimeError, match="33 of 33 items are unusable, more than 5%"):
        mini.build(tmp_path)


def test_val_and_test_have_one_pitch_and_few_sounds_per_concept_and_package():
    rows = []
    for split in ("train", "test"):
        for key in soundfonts.KEYS:
            id = f"font/sound/program-{split}/key-{key}"
            rows.append(items.row(id, "audio", ["x"], split, "font", "free", id, split=split))
        for k in range(9):
            for package in ("a", "b"):
                id = f"{package}/{split}/{k}"
                rows.append(items.row(id, "audio", ["x"], "dog", package, "free", id, split=split))
    kept = mini._without_surplus_sounds(rows)
    assert [row["id"] for row in kept] == sorted(row["id"] for row in kept)
    count = pd.DataFrame(kept).groupby(["split", "source"]).size().to_dict()
    limit = splits.MAX_HELD_OUT
    assert count == {
        ("train", "font"): 5,
        ("train", "a"): 9,
        ("train", "b"): 9,
        ("test", "font"): 1,
        ("test", "a"): limit,
        ("test", "b"): limit,
    }
    played = [row["id"] for row in kept if row["source"] == "font" and row["split"] == "test"]
    assert played == [f"font/sound/program-test/key-{soundfonts.KEYS[0]}"]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="9" height="9"/></svg>'


@pytest.mark.parametrize("kind", ["image", "file", "bytes", "svg file", "svg bytes"])
def test_pictures_of_any_kind_become_png(tmp_path, kind):
    image = Image.new("RGB", (512, 256), "white")
    image.paste((0, 0, 0), (0, 0, 200, 200))
    image.save(tmp_path / "a.png")
    (tmp_path / "a.svg").write_bytes(SVG)
    source = {
        "image": image,
        "file": tmp_path / "a.png",
        "bytes": (tmp_path / "a.png").read_bytes(),
        "svg file": tmp_path / "a.svg",
        "svg bytes": SVG,
    }[kind]
    target = tmp_path / "media/deep/b.png"
    pictures.store(source, target, svg="svg" in kind)
    with Image.open(target) as stored:
        assert (stored.format, stored.mode, stored.size) == ("PNG", "RGB", (256, 128))
    assert [path.name for path in target.parent.iterdir()] == ["b.png"]


@pytest.mark.parametrize(
    "source, svg, reason",
    [
        (Image.new("RGB", (9, 9), "gray"), False, "blank image"),
        (b"nonsense", False, "unreadable image"),
        (b"<svg", True, "unreadable SVG"),
    ],
)
def test_a_picture_that_cannot_be_used_is_given_a_reason_and_no_file(tmp_path, source, svg, reason):
    kind = ("picture", source, ".svg" if svg else ".png")
    job = ("drawing", source) if isinstance(source, Image.Image) else kind
    digest, said = render.make((job, tmp_path / "a.png"))
    assert digest == "" and said.startswith(reason)
    assert not list(tmp_path.iterdir())


def test_a_long_sound_is_cut(tmp_path):
    samples = (0.5 * np.sin(np.arange(12 * 8000) * 0.3)).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", samples, 8000)
    for source in (tmp_path / "a.flac", (tmp_path / "a.flac").read_bytes()):
        target = tmp_path / "media/b.wav"
        target.unlink(missing_ok=True)
        digest, reason = render.make((("sound", source, ".flac"), target))
        assert (digest, reason) == (sha256(target), "")
        info = soundfile.info(target)
        assert (info.frames, info.format, info.subtype) == (80_000, "WAV", "PCM_16")
