"""`exmcr export`."""

from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(export)


def export(
    folder: Annotated[Path, typer.Argument(help="Folder that the files are written to.")],
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seed", help="A seed to export, repeatable (default: all)."),
    ] = None,
    official: Annotated[
        bool,
        typer.Option(
            "--official",
            help="Write ex_clap.pt and ex_ulip.pt, of one seed, for the authors' code.",
        ),
    ] = False,
    project: ProjectFolder = None,
) -> None:
    """Write the trained projectors as one model for `ExMCR.load`, or as the authors' files.

    Example: `exmcr export my-model`
    """
    from exmcr.model.exmcr import ExMCR
    from exmcr.model.export import write_official
    from exmcr.project import Project

    model = ExMCR.from_project(Project(project), seeds or None, device="cpu")
    if official:
        for path in write_official(model, folder):
            print(path)
        return
    model.save(folder)
    leaves = ", ".join(leaf.name for leaf in model.leaves.values())
    print(f"{folder}: {leaves} into {model.base.space}; ExMCR.load reads it")
