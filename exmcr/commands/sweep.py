"""`exmcr sweep`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder


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

    Writes reports/compare_sweep.csv and prints the best three settings of each method. Example:
    `exmcr sweep hop asif`
    """
    from exmcr.experiments import sweep
    from exmcr.project import Project

    opened = Project(project)
    if chosen:
        found = sweep.chosen(opened, methods or None)
        columns = ["method", "seeds", "map", "map_low", "map_high"]
        print(found[columns].to_string(index=False, float_format="%.4f"))
    else:
        print(sweep.best(sweep.sweep(opened, methods or None)).to_string(index=False))
