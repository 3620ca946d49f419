"""`exmcr demo`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, open_project


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(demo)


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
    project: ProjectFolder = None,
) -> None:
    """Search in the browser: type, drop or record; add queries up; compare methods.

    The page is at 127.0.0.1 only and needs no network.

    Example: `exmcr demo --port 7861`
    """
    from exmcr.demo.serving import serve

    serve(open_project(project), port)
