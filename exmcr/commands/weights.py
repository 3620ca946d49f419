"""`exmcr weights`."""

from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, weights_folder
from exmcr.common.errors import ConfigError


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(weights)


def weights(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="File names from the table (default: all).", show_default=False),
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download what is missing; resumes, checks hashes.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Verify the hashes of files that are here.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Weights folder (default: EXMCR_WEIGHTS, the project's weights/, the user cache).",
            show_default=False,
        ),
    ] = None,
    project: ProjectFolder = None,
) -> None:
    """List the weights of the real spaces: where they come from, and which are here.

    Exit status 1 if a named file is missing, cannot be fetched, or has another hash than expected.

    Example: `exmcr weights --fetch 630k-fusion-best`
    """
    from exmcr.spaces import weights as published

    where = folder or weights_folder(project)
    chosen = [published.named(file) for file in files or ()] or list(published.WEIGHTS)
    failed = False
    for weight in chosen if fetch or check else ():
        try:
            print(f"{weight.file}: {_state(weight, where, fetch, check)}")
            failed |= bool(files) and published.locate(weight, where) is None
        except ConfigError as error:
            print(error)
            failed = True
    print(published.table(where))
    for weight in chosen:
        if published.locate(weight, where) is None:
            print(f"Put {weight.file} at {where / weight.file}")
    if failed:
        raise typer.Exit(1)


def _state(weight, where: Path, fetch: bool, check: bool) -> str:
    from exmcr.spaces import weights as published

    path = published.locate(weight, where)
    if path is None and not fetch:
        return "not here"
    if path is None:
        path = published.fetch(weight, where)
        if weight.sha256 or weight.git:
            return "fetched, and equal to the published hash"
        return "fetched; no hash is published, so that of this file was recorded"
    return published.check(weight, path, where) if check else "was here"
