"""The toy run: a whole project on the toy corpus in a folder of its own, made in seconds.

Notebooks work on it unless they are given a project, so each of them runs alone. A stage runs again
only if its parameters or its code changed, or those of a stage before it. What a student changes
therefore stays in force in the notebooks that follow, until `reset`.
"""

import fcntl
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from exmcr import pipeline
from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text
from exmcr.common.hashing import code_digest, digest
from exmcr.common.paths import project_root
from exmcr.config import changed, read
from exmcr.corpora import build
from exmcr.project import Project

# tqdm wants a widget in notebooks, which nothing here uses.
warnings.filterwarnings("ignore", message="IProgress not found")

FOLDER = os.environ.get("EXMCR_TOY", "build/toy")  # exmcr/lab.py has a toy project of its own
# {stage: (blocks of params.yaml it reads, folders of its code)}, in order. A result also depends on
# everything that stands before it.
STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fit_spaces": (
        ("spaces", "base", "leaves", "encoders", "fit_spaces"),
        ("common", "media", "corpora", "kernels", "spaces"),
    ),
    "extract": (("extract",), ("banks",)),
    "pair": (("pair",), ("pairing",)),
    "train": (("seeds", "train"), ("training",)),
    "evaluate": (("compare", "visualize"), ("methods", "evaluation")),
}


class ToyProject(Project):
    """A Project that records which of its stages are done, and with which inputs."""

    @contextmanager
    def running(self, stage: str, group: distributed.Group = None) -> Iterator[None]:
        with super().running(stage, group):
            note = self.root / f".{stage}"
            note.unlink(missing_ok=True)
            yield
            if stage in STAGES:
                write_text(note, self.key(stage))

    def key(self, stage: str) -> str:
        """Digest of the parameters and the code on which the result of a stage depends."""
        names = list(STAGES)[: list(STAGES).index(stage) + 1]
        content = self.params.model_dump(by_alias=True, mode="json")
        blocks = {block: content[block] for name in names for block in STAGES[name][0]}
        folders = [folder for name in names for folder in STAGES[name][1]]
        return digest(json.dumps(blocks, sort_keys=True), code_digest(*folders))

    def is_done(self, stage: str) -> bool:
        note = self.root / f".{stage}"
        return note.is_file() and note.read_text() == self.key(stage)


def open_project(folder: str, needs: str | None = None) -> Project:
    """The project that a notebook works on: "toy", or a folder with params.yaml such as ".".

    "toy" is made in build/toy from params.yaml, with the toy corpus, one seed and few steps. Stages
    up to and including `needs` that are not done there are run first, so that a notebook does not
    depend on another having been opened. Values that `change` wrote are printed.
    """
    root = project_root()
    if folder != "toy":
        return Project(root / folder)
    with _one_at_a_time(root / "build"):
        project = _make(root)
        for line in changes(project):
            print(f"changed: {line}")
        for stage in list(STAGES)[: list(STAGES).index(needs) + 1] if needs else ():
            if not project.is_done(stage):
                getattr(pipeline, stage)(project)
    return project


def change(project: Project, values: dict[str, Any]) -> Project:
    """The toy project with other values in its params.yaml; every later notebook uses them.

    values: {"pair.tau1": 0.5, ...}; None keeps the present value. Returns the project opened again,
    or `project` itself if there is nothing to change. Raises ConfigError for an impossible value,
    and for a project that is not the toy project: its params.yaml is edited by hand.
    """
    wanted = {path: value for path, value in values.items() if value is not None}
    if not wanted:
        return project
    if not isinstance(project, ToyProject):
        raise ConfigError(f"only the toy project is changed here; edit {project.root}/params.yaml")
    params = changed(project.params, wanted)
    text = yaml.safe_dump(params.model_dump(by_alias=True, exclude_unset=True, mode="json"))
    write_text(project.root / "params.yaml", text)
    project = ToyProject(project.root)
    for line in changes(project):
        print(f"changed: {line}")
    return project


def changes(project: Project) -> list[str]:
    """What differs from the default values of the toy run: ["pair.tau1 = 0.5 (default 0.02)"].

    Empty for any other project.
    """
    if not isinstance(project, ToyProject):
        return []
    default = yaml.safe_load((project.root / ".defaults.yaml").read_text())
    own, standard = _flat(read(project.root / "params.yaml")), _flat(default)
    paths = [path for path in own | standard if own.get(path) != standard.get(path)]
    return [f"{path} = {own.get(path)} (default {standard.get(path)})" for path in paths]


def reset() -> Project:
    """The toy project with its default values; stages with changed results run again when a
    notebook needs them."""
    root = project_root()
    with _one_at_a_time(root / "build"):
        (root / FOLDER / "params.yaml").unlink(missing_ok=True)
        return _make(root)


def toy_params(full: dict) -> dict:
    """The content of params.yaml with the toy corpus, one seed, and as few steps as still show
    something."""
    small = yaml.safe_load(yaml.safe_dump(full))
    small |= {"corpora": "toy", "sample": None, "spaces": "mini", "seeds": [0]}
    small["train"] |= {"steps": 100, "batch": 64, "hidden": 256, "leaves": {}}
    small["visualize"] |= {"umap_items": 120, "questions": 3}
    small["fit_spaces"] |= {"base_sources": ["toy"], "points_sources": ["toy"]}
    return small


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two notebooks that are opened at once do not make the toy project twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".toy.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
        yield


def _make(root: Path) -> ToyProject:
    """The toy project in `root`, with its corpus. A student's values are kept until the defaults
    themselves change; spaces, banks and results are kept as long as their keys hold."""
    folder = root / FOLDER
    defaults, params = folder / ".defaults.yaml", folder / "params.yaml"
    standard = yaml.safe_dump(toy_params(read(root / "params.yaml")))
    same = defaults.is_file() and defaults.read_text() == standard
    if not same or not params.is_file():
        write_text(defaults, standard)
        write_text(params, standard)
    corpus, code = folder / ".corpus", code_digest("corpora", "media")
    if not (corpus.is_file() and corpus.read_text() == code and (folder / "data").is_dir()):
        build("toy", folder)
        write_text(corpus, code)
    return ToyProject(folder)


def _flat(content: Any, path: str = "") -> dict[str, Any]:
    """{"pair.tau1": 0.02, ...} of nested blocks."""
    if not isinstance(content, dict) or not content:
        return {path: content}
    inner = [_flat(value, f"{path}.{key}" if path else str(key)) for key, value in content.items()]
    return {name: value for part in inner for name, value in part.items()}
