"""`exmcr compare`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, Subset, check_subset


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

    Finished fits are kept. Example: `exmcr compare hop exmcr asif`
    """
    from exmcr.experiments.compare import compare, markdown
    from exmcr.figures import comparison
    from exmcr.project import Project

    check_subset(subset)
    opened = Project(project)
    results, ranking = compare(opened, methods or None)
    comparison.compare(results, ranking, path=opened.figures / "compare.png")
    table = markdown(results, ranking, subset)
    (opened.reports / "compare.md").write_text(table + "\n")
    print(table)
