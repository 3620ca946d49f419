"""Cards of items that need no other file, and the static page of a run."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
import soundfile
from chromium import Chromium, needs_chromium
from PIL import Image
from stored import store
from stub_model import picture, shape, sound
from synthetic import project as synthetic_project

from exmcr.commands.main import main
from exmcr.figures import cards
from exmcr.media.sounds import Sound
from exmcr.project import Project


def content(html):
    """The bytes of the data URI in some HTML."""
    return base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])


def test_a_picture_becomes_a_small_jpeg_of_its_shape():
    image = Image.open(io.BytesIO(content(cards.show(np.full((900, 600, 3), 200, np.uint8)))))
    assert image.format == "JPEG" and image.size == (149, 224)
    assert np.abs(np.asarray(image).astype(int) - 200).max() < 3


@pytest.mark.parametrize(("rate", "kept"), [(8000, 8000), (48000, 24000)])
def test_a_sound_becomes_a_wav_of_its_first_seconds(rate, kept):
    samples = (0.5 * np.sin(np.arange(20 * rate) * 2 * np.pi * 440 / rate)).astype(np.float32)
    again, found = soundfile.read(io.BytesIO(content(cards.show(Sound(samples, rate)))))
    assert found == kept and len(again) == 8 * kept
    peak = np.abs(np.fft.rfft(again[:kept])).argmax()
    assert peak == 440 and np.abs(again).max() == pytest.approx(0.5, abs=0.02)


def test_a_shape_becomes_a_rendering_and_a_text_stays_text():
    cloud = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    assert Image.open(io.BytesIO(content(cards.show(cloud)))).size == (224, 224)
    assert cards.show("<b> & co") == "<blockquote>&lt;b&gt; &amp; co</blockquote>"


def test_cards_have_captions_scores_and_marks_that_cannot_break_the_page():
    rows = pd.DataFrame(
        {"modality": ["image"] * 2, "caption": ["<i>one", "two"], "score": [0.5, -0.25]}
    )
    html = cards.cards(rows, lambda row: np.zeros((4, 4, 3), np.uint8), [True, None])
    assert html.count('class="card"') == 2 and "<i>" not in html
    assert "✓ &lt;i&gt;one" in html and "0.50" in html and "? two" in html and "-0.25" in html
    assert "score" not in cards.cards(rows.drop(columns="score"), lambda row: "text")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with media, projectors, results and a figure."""
    root = tmp_path_factory.mktemp("run")
    opened = synthetic_project(root, concepts=4)
    items = pd.read_parquet(opened.items_path)
    kinds = {"image": (picture, ".png"), "audio": (sound, ".wav"), "points": (shape, ".npy")}
    for place, row in items[items.split == "test"].iterrows():
        if row.modality in kinds:
            make, suffix = kinds[row.modality]
            items.loc[place, "path"] = f"own/{row.id}{suffix}"
            make(root / "data/own" / f"{row.id}{suffix}")
    items.to_parquet(opened.items_path)
    for leaf in opened.leaves:
        for seed in (0, 1):
            store(opened, leaf, seed, (16, 16, 8), ("synthetic", "synthetic"))
    picture(root / "reports/figures/04_results.png")
    (root / "reports/notebooks").mkdir()
    (root / "reports/notebooks/04_evaluate.ipynb").write_text("{}")
    keys = "task,concept_subset,method,seed,n_queries,n_gallery,chance_r1,r1,r1_low,r1_high"
    lines = [f"{keys},chance_map,map,map_low,map_high"]
    for subset in ("all", "seen"):
        lines.append(f"audio->image,{subset},exmcr,0,10,20,0.05,0.5,0.4,0.6,0.1,0.6,0.5,0.7")
    (root / "reports/results.csv").write_text("\n".join(lines) + "\n")
    return Project(root)


def test_the_page_of_a_run_has_results_figures_notebooks_and_galleries(run, capsys):
    assert main(["report", "--project", str(run.root)]) == 0
    assert capsys.readouterr().out.endswith("index.html: 6 galleries\n")
    page = (run.reports / "index.html").read_text()
    assert "<td>5.0 / 10.0</td><td>50.0 / 60.0</td>" in page
    assert page.count("<details") == 2 and "<summary>Seen concepts</summary>" in page
    assert 'src="figures/04_results.png"' in page and 'href="notebooks/04_evaluate.ipynb"' in page
    assert page.count("<audio controls") > 8 and "✓" in page and "audio → image" in page
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    outside = re.findall(r'(?:src|href)="(?!data:|figures/|notebooks/)[^"]*"', markup)
    assert outside == []
    assert str(run.root) not in page.replace(f"exmcr: {run.root.name}", "")


@needs_chromium
def test_the_page_opens_from_the_disk_and_plays_and_turns(run, tmp_path):
    main(["report", "--project", str(run.root)])
    with Chromium(tmp_path) as browser:
        browser.open((run.reports / "index.html").as_uri())
        browser.until("document.querySelectorAll('.js-plotly-plot').length > 0")
        players = "[...document.querySelectorAll('audio')]"
        browser.until(f"{players}.length > 8 && {players}.every(a => a.duration > 0.4)")
        images = "[...document.querySelectorAll('.card img')]"
        browser.until(f"{images}.length > 0 && {images}.every(i => i.naturalWidth > 0)")


def test_a_run_without_projectors_has_a_page_without_galleries(tmp_path, capsys):
    opened = synthetic_project(tmp_path, concepts=3)
    assert main(["report", "--project", str(opened.root)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("no galleries: no projector at") and said[1].endswith("0 galleries")
    page = (opened.reports / "index.html").read_text()
    assert "<h2>" not in page and "mini-audio-text" in page
