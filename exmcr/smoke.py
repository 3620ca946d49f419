"""A whole project in a folder of its own on the tiny corpus, so that every notebook runs alone in seconds."""

import shutil
from pathlib import Path

import yaml

from exmcr import config, corpora, pipeline
from exmcr.pipeline import Project

STEPS = ("fit_spaces", "extract", "pair", "train", "evaluate")
FOLDER = "build/smoke"


def open_project(folder: str, needs: str | None = None) -> Project:
    """The project a notebook works on: "." (or any folder with params.yaml), or "smoke".

    "smoke" is made in build/smoke from params.yaml with the tiny corpus, one seed and a few steps, and every step before
    and including `needs` that it lacks is run first, so that a notebook does not depend on another having been opened."""
    root = config.project_root()
    if folder != "smoke":
        return Project(root / folder)
    project = _make(root)
    for step in STEPS[: STEPS.index(needs) + 1] if needs else ():
        done = project.root / f".{step}"
        if not done.exists():
            getattr(pipeline, step)(project)
            done.touch()
    return project


def params(full: dict) -> dict:
    """params.yaml with the tiny corpus, one seed, and as few steps as still show something."""
    small = yaml.safe_load(yaml.safe_dump(full))
    small |= {"corpora": "tiny", "sample": None, "spaces": "mini", "seeds": [0]}
    small["train"] |= {"steps": 20, "batch": 64, "leaves": {}}
    small["visualise"] |= {"umap_items": 120, "questions": 3}
    fit = small["fit_spaces"]
    fit |= {"base_sources": ["tiny"], "points_sources": ["tiny"]}
    for name in ("image_text", "audio_text", "points"):
        fit[name] |= {"epochs": 4, "batch": 16}
    return small


def _make(root: Path) -> Project:
    folder = root / FOLDER
    wanted = yaml.safe_dump(params(config.load(root / "params.yaml")))
    note = folder / "params.yaml"
    if not note.is_file() or note.read_text() != wanted or not (folder / "data/items.parquet").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(wanted)
        corpora.build("tiny", folder)
    return Project(folder)
