"""Copies of the notebooks: a student's edits are kept, and one call puts everything back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jupyterlab
import nbformat
import pytest

from exmcr import lab
from exmcr.common.errors import ConfigError


def write(path, *cells, output=None):
    notebook = nbformat.v4.new_notebook()
    for n, source in enumerate(cells):
        cell = nbformat.v4.new_code_cell(source, id=f"c{n}")
        if output:
            cell.outputs = [nbformat.v4.new_output("stream", text=output)]
        notebook.cells.append(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def code(path):
    return [cell.source for cell in nbformat.read(path, 4).cells]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "params.yaml").write_text("")
    for name in ("start", "02_pair"):
        write(tmp_path / f"notebooks/{name}.ipynb", "tau = 1")
    return tmp_path


@pytest.fixture
def folder(root):
    return lab.prepare(root)


def test_copies_stand_beside_a_notebook_that_puts_everything_back(folder):
    names = {path.name for path in folder.glob("*.ipynb")}
    assert names == {"start.ipynb", "02_pair.ipynb", lab.PUT_BACK}
    assert "lab.put_back()" in code(folder / lab.PUT_BACK)[1]


def test_a_project_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no notebooks in"):
        lab.prepare(tmp_path)


def newer(root):
    write(root / "notebooks/02_pair.ipynb", "tau = 1", "new")


@pytest.mark.parametrize(
    "edit, original, copy, beside",
    [
        (None, None, ["tau = 1"], None),
        (["tau = 5"], None, ["tau = 5"], None),
        (None, newer, ["tau = 1", "new"], None),
        (["tau = 5"], newer, ["tau = 5"], ["tau = 1", "new"]),
    ],
    ids=["nothing happened", "edited", "newer original", "edited, and newer original"],
)
def test_edits_are_kept_and_newer_originals_are_offered(root, folder, edit, original, copy, beside):
    path = folder / "02_pair.ipynb"
    write(path, *(edit or ["tau = 1"]), output="it ran")
    if original:
        original(root)
    for _ in range(2):  # the second start changes nothing more
        lab.prepare(root)
        assert code(path) == copy
        offered = folder / f"02_pair{lab.NEWER}.ipynb"
        assert (code(offered) if offered.exists() else None) == beside


def test_a_newer_version_that_was_edited_is_not_overwritten(root, folder):
    write(folder / "02_pair.ipynb", "mine")
    newer(root)
    lab.prepare(root)
    write(folder / f"02_pair{lab.NEWER}.ipynb", "mine too")
    write(root / "notebooks/02_pair.ipynb", "newest")
    lab.prepare(root)
    kept = {tuple(code(path)) for path in folder.glob("02_pair*.ipynb")}
    assert kept == {("mine",), ("mine too",), ("newest",)}


def test_a_run_without_edits_does_not_count_as_an_edit(root, folder):
    write(folder / "start.ipynb", "tau = 1", output="it ran")
    write(root / "notebooks/start.ipynb", "tau = 2")
    lab.prepare(root)
    assert code(folder / "start.ipynb") == ["tau = 2"]


@pytest.mark.parametrize("damage", ["", "{", '{"cells": 3}', "not a notebook"])
def test_damaged_copies_and_notes_are_kept_and_do_not_stop_the_start(root, folder, damage):
    (folder / "start.ipynb").write_text(damage)
    (folder / ".originals.json").write_text(damage)
    lab.prepare(root)
    assert (folder / "start.ipynb").read_text() == damage


def test_put_back_restores_notebooks_and_forgets_the_toy_project(root, folder):
    write(folder / "02_pair.ipynb", "tau = 5")
    newer(root)
    lab.prepare(root)
    write(folder / "own.ipynb", "mine")
    (root / lab.TOY).mkdir()
    (root / lab.TOY / "params.yaml").write_text("pair: {tau1: 5}")
    said = lab.put_back(root)
    assert "as they were" in said and not (root / lab.TOY).exists()
    names = {path.name for path in folder.glob("*.ipynb")}
    assert names == {"start.ipynb", "02_pair.ipynb", "own.ipynb", lab.PUT_BACK}
    assert code(folder / "02_pair.ipynb") == ["tau = 1", "new"]


def test_originals_are_never_written(root, folder):
    before = {path: path.read_bytes() for path in (root / "notebooks").iterdir()}
    write(folder / "start.ipynb", "other")
    lab.prepare(root)
    lab.put_back(root)
    assert {path: path.read_bytes() for path in (root / "notebooks").iterdir()} == before


def test_the_server_shows_the_whole_project_and_has_a_toy_project_of_its_own(root, monkeypatch):
    calls = []
    monkeypatch.setattr(lab.os, "execv", lambda program, command: calls.append(command))
    monkeypatch.setattr(lab.os, "environ", {})
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["lab", "--no-browser"])
    lab.main()
    assert f"--ServerApp.root_dir={root}" in calls[0] and calls[0][-1] == "--no-browser"
    own = str(root / "build/lab/.jupyter")
    assert lab.os.environ == {"EXMCR_TOY": "build/lab/toy", "JUPYTER_CONFIG_PATH": own}


def test_the_toy_project_of_the_lab_is_that_of_the_environment():
    script = "from exmcr import toy_project; print(toy_project.FOLDER)"
    for value, folder in ((None, "build/toy"), (lab.TOY, lab.TOY)):
        own = {"EXMCR_TOY": value} if value else {}
        said = subprocess.run(
            [sys.executable, "-c", script],
            env={"PATH": "", **own},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == folder


def test_the_note_names_every_original(folder):
    assert set(json.loads((folder / ".originals.json").read_text())) == {
        "start.ipynb",
        "02_pair.ipynb",
    }


def test_jupyterlab_fetches_no_news_and_does_not_ask(root, monkeypatch):
    from jupyterlab_server.settings_utils import get_settings

    monkeypatch.setattr(lab.os, "execv", lambda program, command: None)
    monkeypatch.setenv("EXMCR_TOY", "")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(root / "own"))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(root / "of the system"))
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["lab"])
    lab.main()
    assert lab.os.environ["JUPYTER_CONFIG_PATH"].endswith(f"{os.pathsep}{root / 'of the system'}")
    schemas = Path(jupyterlab.__file__).parent / "schemas"
    name = "@jupyterlab/apputils-extension:notification"
    settings, _ = get_settings(root, schemas, root / "own/user-settings", schema_name=name)
    properties = settings["schema"]["properties"]
    assert properties["fetchNews"]["default"] == "false"
    assert properties["checkForUpdates"]["default"] is False
