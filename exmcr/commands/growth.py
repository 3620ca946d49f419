"""`exmcr growth`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, open_project
from exmcr.common.files import write_text


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(growth)


def growth(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods to fit (default: six of them).", show_default=False),
    ] = None,
    project: ProjectFolder = None,
) -> None:
    """Fit methods on ever larger shares of each unpaired pool, draw them, print the table.

    Finished fits are kept.

    Example: `exmcr growth hop exmcr`
    """
    from exmcr.experiments import growth as experiment
    from exmcr.figures import comparison

    opened = open_project(project)
    table = experiment.growth(opened, methods or None)
    comparison.growth(table, path=opened.figures / "growth.png")
    text = experiment.markdown(table)
    write_text(opened.reports / "growth.md", text + "\n")
    print(text)
