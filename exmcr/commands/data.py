"""`exmcr data`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder
from exmcr.common.errors import ConfigError


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(data)


def data(
    packages: Annotated[
        list[str] | None,
        typer.Argument(help="Packages of the data lock (default: all).", show_default=False),
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download the packages that are missing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file and compare it with its SHA-256.")
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Put the version in data/raw/debs, or else the current one of apt or npm, into "
            "the data lock. Adds a package that the lock lacks.",
        ),
    ] = False,
    project: ProjectFolder = None,
) -> None:
    """List the data packages of `corpora: mini`: version, size in MB, and state.

    Exit status 1 if --verify finds damage; the next run of the corpora stage mends it.

    Example: `exmcr data --verify`
    """
    from exmcr.corpora.mini import packages as store
    from exmcr.project import Project

    raw = Project(project).data / "raw"
    names = packages or []
    if accept:
        if not names:
            raise ConfigError("--accept needs the names of packages")
        for name in names:
            before, after = store.accept(name, raw)
            print(f"{name}: {before.version if before else 'new'} -> {after.version}")
        return
    entries = store.select(names)
    if fetch:
        store.download(raw, names)
    inspect = store.verify if verify else store.state
    states = [inspect(entry, raw) for entry in entries]
    width = max((len(entry.name) for entry in entries), default=0)
    for entry, state in zip(entries, states, strict=True):
        print(f"{entry.name:{width}}  {entry.version:22} {entry.size / 1e6:7.1f}  {state}")
    if any(state.startswith("damaged") for state in states):
        raise typer.Exit(1)
