"""`exmcr sweep`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, open_project


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(sweep)


def sweep(
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods to try (default: all).", show_default=False)
    ] = None,
    chosen: Annotated[
        bool, typer.Option("--chosen", help="No sweep: the settings of params.yaml, all seeds.")
    ] = False,
    project: ProjectFolder = None,
) -> None:
    """Try settings of the compared methods on validation concepts.

    Writes reports/compare_sweep.csv and prints the best three settings of each method.

    Example: `exmcr sweep hop asif`
    """
    from exmcr.experiments import sweep as experiment

    opened = open_project(project)
    if chosen:
        table = experiment.chosen(opened, methods or None)
        columns = ["method", "seeds", "map", "map_low", "map_high"]
        print(table[columns].to_string(index=False, float_format="%.4f"))
    else:
        table = experiment.sweep(opened, methods or None)
        print(experiment.best(table).to_string(index=False))
