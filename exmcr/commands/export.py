"""`exmcr export`."""

from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, check_choice
from exmcr.common.errors import ConfigError


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
    leaves: Annotated[
        list[str] | None,
        typer.Option(
            "--leaf", help="A leaf to export, repeatable (default: the first of each modality)."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(help="exmcr, or cmcr: train C-MCR with one leaf, now, and export its heads."),
    ] = "exmcr",
    project: ProjectFolder = None,
) -> None:
    """Write the trained projectors as one model for `ExMCR.load`, or as the authors' files.

    The folder holds what its encoders need: weights of mini spaces, options of others.

    Example: `exmcr export my-model`

    Example: `exmcr export connected --method cmcr --leaf audio`
    """
    from exmcr.model.cmcr import fit_model
    from exmcr.model.exmcr import ExMCR
    from exmcr.model.export import write_official
    from exmcr.project import Project

    check_choice("method", method, ("exmcr", "cmcr"))
    opened = Project(project)
    if method == "cmcr":
        if official or len(leaves or ()) > 1:
            raise ConfigError("--method cmcr takes one --leaf, and does not write --official files")
        leaf = leaves[0] if leaves else None
        model = fit_model(opened, leaf, seeds or None, device="cpu")
    else:
        chosen = leaves or None
        model = ExMCR.from_project(opened, seeds or None, device="cpu", leaves=chosen)
    if official:
        for path in write_official(model, folder):
            print(path)
        return
    model.save(folder)
    names = ", ".join(model.leaves)
    print(f"{folder}: {names} into {model.base.space}; ExMCR.load reads it")
