"""`exmcr ablate`."""

from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, open_project


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Experiments")(ablate)


def ablate(
    factor: Annotated[
        str,
        typer.Argument(help="A factor under `ablate` in params.yaml, 'default', or 'report'."),
    ],
    project: ProjectFolder = None,
) -> None:
    """Train with every value of one factor; 'report' puts all factors into one table and figure.

    `make ablate` runs all of them, two at a time.

    Example: `exmcr ablate tau2`
    """
    from exmcr.experiments import ablation

    opened = open_project(project)
    if factor != "report":
        print(ablation.ablate(opened, factor).to_string(index=False))
        return
    from exmcr.figures import comparison

    table = ablation.report(opened)
    modalities = {leaf.name: leaf.modality for leaf in opened.leaves}
    path, steps = opened.figures / "ablation.png", opened.params.ablate.steps
    comparison.ablation(table, steps, modalities, path=path)
    print(f"{opened.reports / 'ablation.csv'}: {len(table)} rows; {path}")
