"""`exmcr results`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, Subset, check_subset
from exmcr.common.errors import ConfigError


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(results)


def results(
    subset: Subset = "all",
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="A metric to show, repeatable (default: r1 and map)."),
    ] = None,
    project: ProjectFolder = None,
) -> None:
    """Print the results table of a project as Markdown, in per cent.

    Example: `exmcr results --subset unseen --metric r5`
    """
    import pandas as pd

    from exmcr.evaluation.tables import markdown
    from exmcr.project import Project

    check_subset(subset)
    path = Project(project).reports / "results.csv"
    if not path.is_file():
        raise ConfigError(f"no results at {path}; run `exmcr evaluate` or `make repro`")
    print(markdown(pd.read_csv(path), subset, metrics or ("r1", "map")))
