"""`exmcr downstream`."""

import typer

from exmcr.commands.options import ProjectFolder, open_project


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(downstream)


def downstream(project: ProjectFolder = None) -> None:
    """Score the other two tasks of C-MCR: sound localization and counterfactual recognition.

    Writes reports/downstream.csv and a figure.

    Example: `exmcr downstream`
    """
    from exmcr.experiments import downstream as experiment

    table = experiment.run(open_project(project))
    if table.empty:
        print("no leaf has the modality audio: reports/downstream.csv is empty")
        return
    own = table[(table.concept_subset == "all") & (table.sound == "own")]
    mean = own.groupby(["task", "metric", "method"], sort=False)[["value", "chance"]].mean()
    print(mean.round(3))
