"""`exmcr compare`."""

from typing import Annotated

import typer

from exmcr.commands.options import SUBSETS, ProjectFolder, Subset, check_choice, open_project
from exmcr.common.errors import ConfigError
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

    Finished fits are kept. If a method fails, the others are finished, and the exit status is 2.

    Example: `exmcr compare hop exmcr asif`
    """
    from exmcr.experiments import compare as experiment
    from exmcr.figures import comparison

    check_choice("subset", subset, SUBSETS)
    opened = open_project(project)
    results, ranking, failures = experiment.compare(opened, methods or None)
    comparison.compare(results, ranking, path=opened.figures / "compare.png")
    table = experiment.markdown(results, ranking, subset)
    write_text(opened.reports / "compare.md", table + "\n")
    print(table)
    if failures:
        raise ConfigError("\n  ".join(["the table is without methods that failed:", *failures]))
