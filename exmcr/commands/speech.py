"""`exmcr speech`."""

import typer

from exmcr.commands.options import ProjectFolder, open_project


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(speech)


def speech(project: ProjectFolder = None) -> None:
    """Score spoken queries by word and language, trained or not. Writes reports/speech.csv.

    Needs the speech leaf, which is off by default: docs/speech.md.

    Example: `exmcr speech`
    """
    from exmcr.common.files import atomic_write
    from exmcr.experiments import speech as experiment

    opened = open_project(project)
    table = experiment.table(opened)
    with atomic_write(opened.reports / "speech.csv") as draft:
        table.to_csv(draft, index=False, float_format="%.6f")
    print(experiment.markdown(table))
