"""The toy run: a whole project on the toy corpus in a folder of its own, made in seconds.

Notebooks work on it unless they are given a project; so each of them runs alone.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from exmcr import pipeline
from exmcr.common.paths import project_root
from exmcr.config import read
from exmcr.corpora import build
from exmcr.project import Project

STEPS = ("fit_spaces", "extract", "pair", "train", "evaluate")
FOLDER = "build/toy"


def open_project(folder: str, needs: str | None = None) -> Project:
    """The project that a notebook works on: "toy", or a folder with params.yaml such as ".".

    "toy" is made in build/toy from params.yaml, with the toy corpus, one seed and a few steps.
    Steps up to and including `needs` that have not been run there are run first, so that a notebook
    does not depend on another having been opened.
    """
    root = project_root()
    if folder != "toy":
        return Project(root / folder)
    with _one_at_a_time(root / "build"):
        project = _make(root)
        for step in STEPS[: STEPS.index(needs) + 1] if needs else ():
            done = project.root / f".{step}"
            if not done.exists():
                getattr(pipeline, step)(project)
                done.touch()
    return project


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two notebooks that are opened at once do not make the toy project twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".toy.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
        yield


def toy_params(full: dict) -> dict:
    """The content of params.yaml with the toy corpus, one seed, and as few steps as still show
    something."""
    small = yaml.safe_load(yaml.safe_dump(full))
    small |= {"corpora": "toy", "sample": None, "spaces": "mini", "seeds": [0]}
    small["train"] |= {"steps": 20, "batch": 64, "leaves": {}}
    small["visualize"] |= {"umap_items": 120, "questions": 3}
    small["fit_spaces"] |= {"base_sources": ["toy"], "points_sources": ["toy"]}
    return small


def _make(root: Path) -> Project:
    folder = root / FOLDER
    wanted = yaml.safe_dump(toy_params(read(root / "params.yaml")))
    note = folder / "params.yaml"
    made = note.is_file() and note.read_text() == wanted
    if not made or not (folder / "data/items.parquet").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(wanted)
        build("toy", folder)
    return Project(folder)
