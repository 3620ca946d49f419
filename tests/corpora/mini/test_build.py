"""The mini corpus from a few planned items: rendering, what is skipped, dropped or limited."""

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from exmcr import corpora
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.corpora import items
from exmcr.corpora.mini import build as mini
from exmcr.corpora.mini import pictures, render, wordnet, workers


def planned(n, modality, source, group, job):
    name = f"{source}/{group}/{n}"
    return items.row(name, modality, [group], group, source, "free", f"{source}:{group}"), job


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """30 drawings, a sound under two names, and a file that is not a sound."""
    good, bad = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(good, 0.5 * np.sin(np.arange(8000) * 0.3), 8000)
    bad.write_bytes(b"nonsense")
    tasks = []
    for k in range(30):
        drawing, file = Image.new("RGBA", (400, 40 + k), (0, 0, 0, 0)), io.BytesIO()
        drawing.paste((5 * k, 0, 0, 255), (10, 10, 100, 30))
        drawing.save(file, "PNG")
        job = ("picture", file.getvalue(), ".png")
        tasks.append(planned(k, "image", "drawings", f"thing {k}", job))
    tasks += [
        planned(1, "audio", "sounds", "ram", ("sound", good, ".wav")),
        planned(2, "audio", "sounds", "goat", ("sound", good, ".wav")),
        planned(3, "audio", "sounds", "mule", ("sound", bad, ".wav")),
    ]
    monkeypatch.setattr(mini, "_plan", lambda raw: iter(tasks))
    monkeypatch.setattr(wordnet, "texts", lambda raw: ["thing 3", "fir tree"])


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
    assert {"thing 3", "ram", "tench", "fir tree"} <= set(texts.caption)
    assert texts[texts.caption == "fir tree"].split.tolist() == ["train"]

    # A second run keeps what is rendered.
    first = tmp_path / "data" / own.path.iloc[0]
    stamp, content = first.stat().st_mtime_ns, (tmp_path / "data/items.parquet").read_bytes()
    mini.build(tmp_path)
    assert first.stat().st_mtime_ns == stamp
    assert (tmp_path / "data/items.parquet").read_bytes() == content


def test_too_many_unusable_items_are_an_error(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(workers, "run", lambda jobs, names: [("", "no reason")] * len(jobs))
    with pytest.raises(ConfigError, match="33 of 33 items are unusable, more than 5%"):
        mini.build(tmp_path)


@pytest.fixture
def one_process(monkeypatch):
    """Items are rendered in this process. Returns the ids that each call renders, and a set of ids
    that are unusable."""
    rendered, bad = [], set()

    def run(jobs, names):
        rendered.append(names)
        results = [render.make(job) for job in jobs]
        return [("", "odd") if n in bad else r for n, r in zip(names, results, strict=True)]

    monkeypatch.setattr(workers, "run", run)
    return rendered, bad


def test_only_the_items_of_a_sample_are_rendered_and_later_runs_render_the_rest(
    tmp_path, plan, one_process, capsys
):
    stamps = []
    for limit in (2, 4, None):
        one_process[0].clear()
        corpora.build("mini", tmp_path / "a", limit)
        table = pd.read_parquet(tmp_path / "a/data/items.parquet")
        media = (tmp_path / "a/data/media").rglob("*.*")
        stamps.append({path: path.stat().st_mtime_ns for path in media})
        assert {tmp_path / "a/data" / path for path in table.path if path} <= stamps[-1].keys()
        output = capsys.readouterr().out
        if limit:
            assert (
                table[table.modality != "text"].groupby(["modality", "split"]).size() <= limit
            ).all()
            assert len(one_process[0][0]) <= 6 * limit
            assert f"rendering {len(one_process[0][0])} of 33 items" in output
    assert "rendering" not in output
    assert stamps[0].items() < stamps[1].items() < stamps[2].items(), "no file is made twice"

    # The table of all items is the same, whatever was rendered before, and so is a sample.
    corpora.build("mini", tmp_path / "b")
    corpora.build("mini", tmp_path / "c", 2)
    for name in ("items.parquet", "skipped.json", "near_duplicates.json", "media.json"):
        content = (tmp_path / "b/data" / name).read_bytes()
        assert (tmp_path / "a/data" / name).read_bytes() == content
    corpora.build("mini", tmp_path / "b", 2)
    for name in ("items.parquet", "skipped.json", "near_duplicates.json", "media.json"):
        content = (tmp_path / "c/data" / name).read_bytes()
        assert (tmp_path / "b/data" / name).read_bytes() == content


def test_a_sample_holds_one_of_two_copies_that_it_draws(tmp_path, plan, one_process):
    table = pd.read_parquet(mini.build(tmp_path, sample=4))
    rendered = set().union(*one_process[0])
    assert {"sounds/ram/1", "sounds/goat/2", "sounds/mule/3"} <= rendered
    assert table[table.modality == "audio"].id.tolist() == ["sounds/ram/1"]


def test_a_small_sample_may_have_a_few_unusable_items_but_not_many(tmp_path, plan, one_process):
    rendered, bad = one_process
    mini.build(tmp_path, sample=2)
    pictures = [name for name in rendered[0] if name.startswith("drawings/")]
    bad |= set(pictures[: mini.BAD_FEW - 1])  # beside the sound that is none
    table = pd.read_parquet(mini.build(tmp_path, sample=2))
    assert not bad & set(table.id) and set(pictures) - bad <= set(table.id)
    assert (table.modality == "image").sum() == len(pictures), "others took their places"
    skipped = json.loads((tmp_path / "data/skipped.json").read_text())
    assert {item["id"] for item in skipped} == bad | {"sounds/mule/3"}
    bad.add(next(id for id in table.id if id.startswith("drawings/")))
    with pytest.raises(ConfigError, match=r"4 of \d+ items are unusable, more than 5%"):
        mini.build(tmp_path, sample=2)


def _png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


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
        (_png(Image.new("RGB", (9, 9), "gray")), False, "blank image"),
        (b"nonsense", False, "unreadable image"),
        (b"<svg", True, "unreadable SVG"),
        (SVG.replace(b"<rect", b"<g>" * 5000 + b"<rect"), True, "an SVG with more than 200 nested"),
        (
            SVG.replace(b"</svg>", b"<g>" * 300 + b"</g>" * 300 + b"</svg>"),
            True,
            "an SVG with more",
        ),
        (SVG + b" " * pictures.MAX_SVG, True, "an SVG of 16777"),
    ],
)
def test_a_picture_that_cannot_be_used_is_given_a_reason_and_no_file(tmp_path, source, svg, reason):
    kind = ("picture", source, ".svg" if svg else ".png")
    digest, said = render.make((kind, tmp_path / "a.png"))
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


@pytest.mark.parametrize("size", [(1, 100_000), (5000, 100), (30, 90)])
def test_an_svg_of_any_proportions_fits_into_the_limit(tmp_path, size):
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d">' % size
    pictures.store(svg + b'<rect width="100%" height="50%"/></svg>', tmp_path / "a.png", svg=True)
    with Image.open(tmp_path / "a.png") as stored:
        assert max(stored.size) == pictures.SIDE


@pytest.mark.parametrize(
    "reference",
    [
        '<image width="20" height="10" href="{}"/>',
        "<image width='20' height='10' xlink:href = '{}'/>",
        '<image width="20" height="10" x:href="{}"/>',
        '<image width="20" height="10" href="&#x2f;{}"/>',
        '<image width="20" height="10" href="&file;"/>',
        '<filter id="f"><feImage href="{}"/></filter><rect x="9" width="9" filter="url(#f)"/>',
    ],
)
def test_an_svg_draws_no_file_of_the_disk(tmp_path, reference):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "secret.png")
    secret = str(tmp_path / "secret.png")
    link = 'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:x="http://www.w3.org/1999/xlink"'
    entity = f'<!DOCTYPE svg [<!ENTITY file "{secret}">]>'
    svg = SVG.decode().replace("<svg", f"{entity}<svg {link}")
    svg = svg.replace("</svg>", reference.format(secret) + "</svg>").encode()
    pictures.store(svg, tmp_path / "b.png", svg=True)
    with Image.open(tmp_path / "b.png") as stored:
        red, green, blue = np.asarray(stored).astype(int).transpose(2, 0, 1)
    assert np.abs(red - green).max() < 30 and np.abs(red - blue).max() < 30


def test_references_inside_an_svg_are_kept(tmp_path):
    picture = base64.b64encode(_png(Image.new("RGB", (8, 8), "red"))).decode()
    parts = (
        '<defs><rect id="r" x="9" width="9" height="9" fill="blue"/></defs><use href="#r"/>'
        f'<image width="9" height="9" href="data:image/png;base64,{picture}"/></svg>'
    )
    pictures.store(SVG.replace(b"</svg>", parts.encode()), tmp_path / "a.png", svg=True)
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.getpixel((50, 50)) == (255, 0, 0)
        assert stored.getpixel((180, 50)) == (0, 0, 255)
