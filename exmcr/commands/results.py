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
    project: ProjectFolder = None,
) -> None:
    """Print the results table of a project as Markdown, in per cent.

    Example: `exmcr results --subset unseen --metric r5`
    """
    import pandas as pd

    from exmcr.evaluation import tables
    from exmcr.project import Project

    check_choice("subset", subset, SUBSETS)
    path = Project(project).reports / "results.csv"
    if not path.is_file():
        raise ConfigError(f"no results at {path}; run `exmcr evaluate` or `make repro`")
    table = pd.read_csv(path)
    if lacking := [name for name in tables.COLUMNS if name not in table]:
        raise ConfigError(
            f"{path} is damaged or of an older version: it has no column {', '.join(lacking)}; "
            "run `exmcr evaluate` again"
        )
    print(tables.markdown(table, subset, metrics or ("r1", "map")))
