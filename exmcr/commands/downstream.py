"""`exmcr downstream`."""

import typer

from exmcr.commands.options import ProjectFolder


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(downstream)


def downstream(project: ProjectFolder = None) -> None:
    """Score the other two tasks of C-MCR: sound localization and counterfactual recognition.

    Example: `exmcr downstream`
    """
    from exmcr.experiments import downstream
    from exmcr.project import Project

    result = downstream.run(Project(project))
    if result.empty:
        print("no leaf has the modality audio: reports/downstream.csv is empty")
        return
    own = result[(result.concept_subset == "all") & (result.sound == "own")]
    mean = own.groupby(["task", "metric", "method"], sort=False)[["value", "chance"]].mean()
    print(mean.round(3))
