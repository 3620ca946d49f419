"""`exmcr cones`."""

import typer

from exmcr.commands.options import ProjectFolder, open_project
from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(cones)


def cones(project: ProjectFolder = None) -> None:
    """Methods on synthetic spaces with gaps, cones and noise, plain and centered; draw them, print
    the table.

    Also measures the cones of this project's spaces, if there are banks. About three minutes.

    Example: `exmcr cones`
    """
    from exmcr.experiments import cones as experiment
    from exmcr.figures import cones as figure

    opened = open_project(project)
    try:
        real = experiment.measured(opened)
    except ConfigError as error:
        print(f"the spaces of this project are left out: {error}")
        real = None
    table = experiment.cones(opened)
    figure.cones(table, real, path=opened.figures / "cones.png")
    text = experiment.markdown(table, real)
    write_text(opened.reports / "cones.md", text + "\n")
    print(text)
