"""`exmcr weights`."""

from pathlib import Path
from typing import Annotated

import typer

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
        bool, typer.Option("--check", help="Verify the hashes of what is here.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Weights folder (default: EXMCR_WEIGHTS, the project's weights/, the user cache).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the weights of the real spaces: where they come from, and which are here.

    Exit status 1 if a file that was asked for is not to be had. Example:
    `exmcr weights --fetch 630k-fusion-best`
    """
    from exmcr.spaces import weights as table

    where = folder or table.folder()
    chosen = [table.named(file) for file in files or ()] or list(table.WEIGHTS)
    failed = False
    for weight in chosen if fetch or check else ():
        try:
            print(f"{weight.file}: {_state(table, weight, where, fetch, check)}")
            failed |= bool(files) and table.locate(weight, where) is None
        except ConfigError as error:
            print(error)
            failed = True
    print(table.table(where))
    for weight in chosen:
        if table.locate(weight, where) is None:
            print(f"Put {weight.file} at {where / weight.file}")
    if failed:
        raise typer.Exit(1)


def _state(table, weight, where: Path, fetch: bool, check: bool) -> str:
    path = table.locate(weight, where)
    if path is None and not fetch:
        return "not here"
    if path is None:
        table.fetch(weight, where)
        return "fetched"
    return table.check(weight, path, where) if check else "was here"
