"""Notebooks to play with: `make lab` opens copies of notebooks/ in build/lab with JupyterLab.

JupyterLab writes outputs into the notebooks that it runs. The originals are dependencies of DVC
stages and are committed without outputs, so copies are opened. They have a toy project of their
own, build/lab/toy: nothing that is changed there reaches git, DVC or a test.
"""

import os
import shutil
import sys
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import digest
from exmcr.common.paths import project_root

FOLDER = "build/lab"
TOY = f"{FOLDER}/toy"  # the environment variable EXMCR_TOY tells exmcr.toy_project
PUT_BACK = "put_everything_back.ipynb"
NEWER = " (newer version)"
SETTINGS = ".jupyter"  # in FOLDER
# Without a setting JupyterLab asks whether to fetch news from the network. A student's own setting
# takes precedence.
DEFAULTS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}

TEXT = """# Put everything back

Run the cell below. It replaces the notebooks in this folder by fresh copies, and deletes the toy
project with every change that was made to it. Notebooks of other names are kept. Close the other
notebooks first, and open them again afterwards."""
CODE = """from exmcr import lab

print(lab.put_back())"""


def prepare(root: Path) -> Path:
    """Copy the notebooks of a project to build/lab. Returns that folder.

    A copy that was edited is kept; if its original has changed since, the new one is put beside it
    as "<name> (newer version).ipynb", or with a number if that is taken. A copy that was only run
    is replaced by a newer original.
    Raises ConfigError if the project has no notebooks.
    """
    originals = sorted((root / "notebooks").glob("*.ipynb"))
    if not originals:
        raise ConfigError(f"no notebooks in {root / 'notebooks'}")
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    seen = _copied(folder)
    for original in originals:
        _offer(original, folder / original.name, seen.get(original.name))
    write_json(_note(folder), {path.name: _code(path) for path in originals})
    write_json(folder / SETTINGS / "labconfig/default_setting_overrides.json", DEFAULTS)
    _write_put_back(folder / PUT_BACK)
    return folder


def put_back(root: Path | None = None) -> str:
    """Replace the copies by the originals and delete the toy project of the lab.

    Returns what was done, in a sentence. Notebooks of other names stay.
    """
    root = root or project_root()
    folder = root / FOLDER
    shutil.rmtree(root / TOY, ignore_errors=True)
    for original in (root / "notebooks").glob("*.ipynb"):
        for copy in (folder / original.name, *folder.glob(f"{original.stem}{NEWER}*.ipynb")):
            copy.unlink(missing_ok=True)
    _note(folder).unlink(missing_ok=True)
    prepare(root)
    return "The notebooks and the toy project are as they were. Open the notebooks again."


def _offer(original: Path, copy: Path, code_at_copy: str | None) -> None:
    """Make or renew one copy. code_at_copy: digest of the original when it was copied."""
    if not copy.exists():
        return _copy(original, copy)
    new = _code(original)
    if new in (code_at_copy, own := _code(copy)):
        return None
    if own == code_at_copy:  # run, but not edited
        return _copy(original, copy)
    beside = _beside(copy)
    _copy(original, beside)
    print(f"{copy.name} was edited and is kept; the newer version is {beside.name}")


def _beside(copy: Path) -> Path:
    """A name for a newer version that no file has."""
    numbers = ["", *(f" {n}" for n in range(2, 1000))]
    paths = (copy.with_name(f"{copy.stem}{NEWER}{number}.ipynb") for number in numbers)
    return next(path for path in paths if not path.exists())


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as draft:
        shutil.copyfile(source, draft)


def _code(notebook: Path) -> str:
    """Digest of the cells of a notebook, without outputs and counts; of its bytes if it is
    damaged."""
    import nbformat

    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except Exception:  # a notebook that a student has damaged counts as edited
        return digest(notebook)
    return digest(*(f"{cell.cell_type}:{cell.source}" for cell in cells))


def _note(folder: Path) -> Path:
    return folder / ".originals.json"


def _copied(folder: Path) -> dict[str, str]:
    """{name of a notebook: digest of its cells when it was copied}."""
    import json

    try:
        seen = json.loads(_note(folder).read_text())
    except (OSError, ValueError):
        return {}
    return seen if isinstance(seen, dict) else {}


def _write_put_back(path: Path) -> None:
    import nbformat.v4 as nb

    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [nb.new_markdown_cell(TEXT, id="text"), nb.new_code_cell(CODE, id="code")]
    notebook = nb.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    with atomic_write(path) as draft:
        draft.write_text(nb.writes(notebook), encoding="utf-8")


def command(root: Path, arguments: list[str]) -> list[str]:
    """The command that starts JupyterLab in a project, at its notebooks, without news from the
    network. arguments: further ones of `jupyter lab`."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{FOLDER}/start.ipynb",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *arguments,
    ]


def main() -> None:
    """`python -m exmcr.lab`, with options of `jupyter lab`."""
    root = project_root()
    paths = [str(prepare(root) / SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    os.environ["EXMCR_TOY"] = TOY
    os.chdir(root)
    os.execv(sys.executable, command(root, sys.argv[1:]))


if __name__ == "__main__":
    main()
