"""Options that several commands share, and the checks of their values."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exmcr.common.errors import ConfigError

if TYPE_CHECKING:
    from exmcr.project import Project

ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        help="Folder with params.yaml (default: the one at or above the current folder).",
        show_default=False,
    ),
]
Subset = Annotated[
    str, typer.Option("--subset", help="Which test queries: all, seen or unseen concepts.")
]
SUBSETS = ("all", "seen", "unseen")


def check_choice(what: str, value: str, known: Iterable[str]) -> None:
    """Raises ConfigError, listing the known values, for another one."""
    if value not in known:
        raise ConfigError(f"unknown {what} '{value}'; known: {', '.join(known)}")


def open_project(folder: Path | None) -> "Project":
    """The project of an experiment, every name in its parameters checked.

    Raises ConfigError for wrong parameters, with all mistakes listed.
    """
    from exmcr import config
    from exmcr.project import Project

    project = Project(folder)
    config.check_names(project.params)
    return project


def weights_folder(project: Path | None) -> Path:
    """Where weight files are looked up, optionally those of a project.

    Raises ConfigError if `project` has no params.yaml.
    """
    from exmcr.spaces import weights

    if project is not None and not (project / "params.yaml").is_file():
        raise ConfigError(f"no params.yaml in {project}")
    return weights.folder(project)
