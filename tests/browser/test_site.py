"""`make site`: pages that live without a server, a kernel or a network."""

import base64
import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat.v4 as nb
import numpy as np
import pytest
from chromium import needs_chromium

from exmcr.common.paths import project_root

ROOT = project_root()
BUILD = ROOT / "docs/site/build.py"
FIGURE = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": {"height": 300}}
FIGURE_3D = {"data": [{"type": "scatter3d", "x": [1, 2], "y": [3, 4], "z": [5, 6]}], "layout": {}}


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_site", BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def player():
    import soundfile

    wav = io.BytesIO()
    soundfile.write(wav, np.zeros(800), 8000, format="WAV")
    return f'<audio controls src="data:audio/wav;base64,{base64.b64encode(wav.getvalue()).decode()}"></audio>'


def executed(name):
    """A notebook as papermill leaves it, with every kind of output that a page shows."""
    text = f"# {name}\n\nA formula $\\big(\\tau\\big)$ and\n\n$$\\mathrm{{agg}}(q) = \\frac{{1}}{{n}}$$\n\n"
    text += "[code](../exmcr/lab.py) [words](../docs/glossary.md)"
    injected = nb.new_code_cell("project = '.'", metadata={"tags": ["injected-parameters"]})
    code = nb.new_code_cell("figure")
    for data in (
        {"text/html": player()},
        {"application/vnd.plotly.v1+json": FIGURE},
        {"application/vnd.plotly.v1+json": FIGURE_3D},
    ):
        code.outputs.append(nb.new_output("display_data", data=data))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    cells = [nb.new_markdown_cell(text), injected, code]
    return nb.new_notebook(cells=cells, metadata=metadata)


def test_figures_become_pages_that_need_one_copy_of_the_script(build):
    notebook = executed("x")
    build.alive(notebook)
    pages = [output.data["text/html"] for output in notebook.cells[2].outputs]
    assert [page.count("<script src=") for page in pages] == [0, 1, 0]
    assert json.dumps(FIGURE["data"]) in pages[1] and "height:300px" in pages[1]


def test_a_closing_tag_in_a_caption_does_not_end_the_script(build):
    page = build._figure({"data": [{"text": "</script>"}], "layout": {}}, 1)
    assert page.count("</script>") == 1


def test_the_cell_of_papermill_is_left_out(build):
    notebook = executed("x")
    build.without_parameters(notebook)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code"]


@pytest.mark.parametrize(
    "link, folder, page",
    [
        ("[a](../exmcr/lab.py)", "docs", "[a](../code/exmcr/lab.py.md)"),
        ("[a](exmcr/lab.py)", "", "[a](code/exmcr/lab.py.md)"),
        ("[a](../params.yaml)", "notebooks", "[a](../code/params.yaml.md)"),
        ("[a](../missing.py)", "docs", "[a](../missing.py)"),
        ("[a](../../outside.py)", "docs", "[a](../../outside.py)"),
        ("[a](glossary.md)", "docs", "[a](glossary.md)"),
    ],
)
def test_links_to_code_lead_to_pages_that_show_it(build, tmp_path, link, folder, page):
    assert build.with_code_pages(link, Path(folder), tmp_path) == page
    made = [path for path in tmp_path.rglob("*.md")]
    assert len(made) == (page != link)
    if made:
        assert (ROOT / made[0].stem).name in made[0].read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of made-up executed notebooks."""
    folder = tmp_path_factory.mktemp("site")
    for original in (ROOT / "notebooks").glob("*.ipynb"):
        path = folder / "notebooks" / original.name
        path.parent.mkdir(exist_ok=True)
        path.write_text(nb.writes(executed(original.stem)))
    command = [sys.executable, BUILD, "--notebooks", folder / "notebooks", "--out", folder / "out"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "WARNING" not in run.stderr, run.stderr
    return folder / "out"


def test_pages_load_nothing_from_the_network(site):
    foreign = re.compile(r"""<(?:script|link|img|source|iframe)[^>]+(?:src|href)="(?:https?:)?//""")
    for page in site.rglob("*.html"):
        assert not foreign.search(page.read_text()), page


def test_every_notebook_and_document_has_a_page_and_local_links_lead_somewhere(site):
    for folder, pattern in (("notebooks", "*.ipynb"), ("docs", "*.md")):
        for path in (ROOT / folder).glob(pattern):
            assert (site / folder / f"{path.stem}.html").is_file(), path
    for page in [site / "index.html", *(site / "notebooks").glob("*.html")]:
        for link in re.findall(r'href="([^"#:]+)(?:#[^"]*)?"', page.read_text()):
            assert (page.parent / link.split("?")[0]).exists(), f"{page.name}: {link}"


def test_formulas_are_drawn_without_a_script(site):
    page = (site / "notebooks/06_search.html").read_text()
    assert page.count("<math") == 2 and not re.search("<script[^>]*mathjax", page.lower())


@needs_chromium
def test_sounds_and_figures_of_a_page_live_when_it_is_opened_from_disk(site, browser):
    browser.open((site / "notebooks/06_search.html").as_uri())
    browser.until("document.readyState == 'complete'")
    browser.until("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 2")
    browser.until("document.querySelectorAll('canvas').length >= 1")
    browser.until(
        "document.querySelector('audio').readyState >= 1 || "
        "(document.querySelector('audio').load(), false)"
    )
    assert browser.run("document.querySelector('audio').duration") == pytest.approx(0.1)
