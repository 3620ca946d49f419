"""`exmcr results`."""

from typing import Annotated

import typer

from exmcr.commands.options import SUBSETS, ProjectFolder, Subset, check_choice
from exmcr.common.errors import ConfigError


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(results)


def results(
    subset: Subset = "all",
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="A metric to show, repeatable (default: r1 and map)."),
    ] = None,
    times: Annotated[
        bool, typer.Option("--times", help="Instead: time and memory of each stage, last run.")
    ] = False,
    project: ProjectFolder = None,
) -> None:
    """Print the results table of a project as Markdown, in per cent.

    Example: `exmcr results --subset unseen --metric r5`
    """
    from exmcr.commands.times import markdown as times_of
    from exmcr.evaluation import tables
    from exmcr.project import Project

    check_choice("subset", subset, SUBSETS)
    if times:
        print(times_of(Project(project).root))
        return
    path = Project(project).reports / "results.csv"
    table = tables.read(path)
    try:
        print(tables.markdown(table, subset, metrics or ("r1", "map")))
    except (TypeError, KeyError, IndexError) as error:
        raise ConfigError(f"{path} is damaged: {error}; run `exmcr evaluate` again") from error
