"""`exmcr compare`."""

import sys
from typing import Annotated

import typer

from exmcr.commands.options import SUBSETS, ProjectFolder, Subset, check_choice, open_project
from exmcr.common.files import write_text


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(compare)


def compare(
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods to run (default: all).", show_default=False)
    ] = None,
    subset: Subset = "all",
    project: ProjectFolder = None,
) -> None:
    """Fit and score every method of the comparison, draw them, print the table as Markdown.

    Finished fits are kept. If a method fails, the others are finished, the failed ones are named at
    the end, and the exit status is 1.

    Example: `exmcr compare hop exmcr asif`
    """
    import pandas as pd

    from exmcr.experiments import compare as experiment
    from exmcr.figures import comparison

    check_choice("subset", subset, SUBSETS)
    opened = open_project(project)
    results, ranking, failures = experiment.compare(opened, methods or None)
    comparison.compare(results, ranking, path=opened.figures / "compare.png")
    table = experiment.markdown(results, ranking, subset)
    write_text(opened.reports / "compare.md", table + "\n")
    print(table)
    paired = pd.read_csv(opened.reports / "compare_differences.csv")
    if said := experiment.compared(paired):
        print(f"\nPaired differences, 95 % over queries:\n{said}")
    if failures:
        lines = ["exmcr compare: the table is without methods that failed:", *failures]
        print("\n  ".join(lines), file=sys.stderr)
        raise typer.Exit(1)
