"""`make lab` as a student sees it: every notebook in a browser, Run All, and nothing else changes."""

import os
from pathlib import Path

import pytest
from chromium import needs_chromium

from exmcr.common.hashing import sha256
from exmcr.common.paths import project_root

pytestmark = needs_chromium
NAMES = [path.stem for path in sorted((project_root() / "notebooks").glob("*.ipynb"))]
NAMES.sort(key=lambda name: name != "start")
SHOTS = os.environ.get("EXMCR_SHOTS")  # a folder for pictures of the pages

WIDGET = "window.widget"
OPEN = """jupyterapp.commands.execute('docmanager:open', {{path: '{path}', factory: 'Notebook'}})
    .then(async widget => {{
        await widget.context.ready;
        await widget.sessionContext.ready;
        jupyterapp.shell.activateById(widget.id);
        window.widget = widget;
    }}); 1"""
CLOSE = """(async () => {
    const widget = window.widget;
    window.widget = window.ran = undefined;
    if (widget) {
        await widget.context.save();
        await widget.sessionContext.shutdown();
    }
    await jupyterapp.commands.execute('application:close-all');
})()"""
RUN = "jupyterapp.commands.execute('notebook:run-all-cells').then(ok => window.ran = ok); 1"
OUTPUTS = f"""[...{WIDGET}.content.widgets].filter(c => c.model.type == 'code').flatMap(c => {{
    const found = [];
    for (let i = 0; i < c.model.outputs.length; i++) {{
        const output = c.model.outputs.get(i).toJSON();
        if (output.output_type == 'error') found.push('error: ' + output.evalue);
        if (output.name == 'stderr') found.push('stderr: ' + [output.text].flat().join(''));
    }}
    return found;
}})"""
PLOTS = f"""[...{WIDGET}.content.widgets].filter(c => c.model.type == 'code').flatMap(c => {{
    const found = [];
    for (let i = 0; i < c.model.outputs.length; i++)
        if ('application/vnd.plotly.v1+json' in (c.model.outputs.get(i).toJSON().data ?? {{}}))
            found.push(1);
    return found;
}}).length"""
DRAWN = f"[...{WIDGET}.node.querySelectorAll('.js-plotly-plot .main-svg')].length"
AUDIO = f"""[...{WIDGET}.node.querySelectorAll('audio')].map(a => {{
    a.preload = 'auto'; a.load();
    return new Promise(done => {{
        if (a.readyState) done(a.duration);
        a.onloadedmetadata = () => done(a.duration);
        a.onerror = () => done(0);
        setTimeout(() => done(0), 20000);
    }});
}})"""
GRIP = f"{WIDGET}.node.querySelector('.slider-grip-rect').getAttribute('transform')"
RAIL = f"""(() => {{
    const rail = {WIDGET}.node.querySelector('.slider-rail-touch-rect');
    rail.scrollIntoView({{block: 'center'}});
    const box = rail.getBoundingClientRect();
    return [box.x + 0.8 * box.width, box.y + box.height / 2];
}})()"""


def files(folder: Path) -> dict[str, str]:
    """{path: hash} of everything outside build/."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    return {
        name: sha256(path)
        for name, path in zip(names, paths, strict=True)
        if not name.startswith("build/")
    }


@pytest.fixture(scope="module")
def before(project):
    return files(project)


@pytest.fixture(scope="module")
def jupyter(browser, address):
    """The browser, with JupyterLab opened."""
    browser.open(f"{address}/lab")
    browser.until("window.jupyterapp && jupyterapp.shell", 120)
    browser.run("jupyterapp.restored.then(() => true)")
    return browser


@pytest.fixture
def run_all(jupyter):
    """run_all(path): open a notebook and run all of its cells; it is closed at the end."""

    def run(path, change=None):
        jupyter.run(CLOSE)
        jupyter.run(OPEN.format(path=path))
        jupyter.until("window.widget && jupyterapp.shell.currentWidget == window.widget", 120)
        if change:
            assert jupyter.run(change) is True
        jupyter.run(RUN)
        jupyter.until("window.ran !== undefined", 300)
        return jupyter

    yield run
    jupyter.run(CLOSE)


# One notebook by default, since nbmake runs the cells of all; the others by `make test-slow`.
@pytest.mark.parametrize(
    "name", [n if n == "start" else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_every_cell_of_a_notebook_runs_and_what_it_shows_is_alive(before, run_all, project, name):
    browser = run_all(f"build/lab/{name}.ipynb")
    assert browser.run(OUTPUTS) == []
    assert browser.run("window.ran") is True
    assert "Jupyter news" not in browser.run("document.body.innerText"), "nothing is asked"
    plots = browser.run(PLOTS)
    if plots:
        browser.until(f"{DRAWN} >= {plots}", 30)
    durations = browser.run(f"Promise.all({AUDIO})")
    assert all(duration > 0 for duration in durations), durations
    sounds = {"00_spaces", "02_pair", "04_evaluate", "05_visualize", "06_search"}
    assert bool(durations) or name not in sounds
    if browser.run(f"!!{WIDGET}.node.querySelector('.slider-rail-touch-rect')"):
        at = browser.run(GRIP)
        browser.click(*browser.run(RAIL))
        browser.until(f"{GRIP} != '{at}'", 10)
    if SHOTS:
        browser.shot(Path(SHOTS) / f"{name}.png")
    assert files(project) == before, "a notebook that is played with changes nothing outside build/"


CHANGE = """(() => {
    const cell = window.widget.content.widgets.find(c => /toy_project.change\\(/.test(c.model.sharedModel.source));
    const source = cell.model.sharedModel.source;
    cell.model.sharedModel.setSource(source.replace(/("pair.tau1": )None/, '$10.5'));
    return cell.model.sharedModel.source != source;
})()"""
TEXT = """[...window.widget.node.querySelectorAll('.jp-OutputArea-output')].map(o => o.innerText).join('\\n')"""


def test_the_notebook_that_puts_everything_back_runs_and_deletes_the_toy_project(
    before, run_all, project
):
    toy = project / "build/lab/toy"
    toy.mkdir(exist_ok=True)
    browser = run_all("build/lab/put_everything_back.ipynb")
    assert browser.run(OUTPUTS) == []
    assert "as they were" in browser.run(TEXT) and not toy.exists()
    assert files(project) == before


@pytest.mark.slow
def test_a_change_in_02_is_in_force_in_03_and_said_there(before, run_all, jupyter, project):
    browser = run_all("build/lab/02_pair.ipynb", change=CHANGE)
    assert "changed: pair.tau1 = 0.5" in browser.run(TEXT)
    browser = run_all("build/lab/03_train.ipynb")
    assert browser.run(OUTPUTS) == []
    assert "changed: pair.tau1 = 0.5" in browser.run(TEXT)
    browser = run_all("build/lab/put_everything_back.ipynb")
    assert "as they were" in browser.run(TEXT)
    assert not (project / "build/lab/toy").exists()
    assert files(project) == before
