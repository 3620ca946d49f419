"""`exmcr verify`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, weights_folder


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(verify)


def verify(
    items: Annotated[
        Path | None,
        typer.Option(
            help="Demo items of the authors, assets/ of MCR-PEFT/Ex-MCR (default: authors-demo in "
            "the weights folder).",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="torch device (default: the GPU if there is one).", show_default=False),
    ] = None,
    results: Annotated[
        bool,
        typer.Option(
            "--results",
            help="Compare results of the project with published benchmark results instead.",
        ),
    ] = False,
    project: ProjectFolder = None,
) -> None:
    """Compare the authors' models, or the results of a project, with what was published.

    Without --results: the authors' demo items. Exit status 0 if everything that can be compared
    agrees, 1 if a table does not, 2 if nothing can be compared.

    With --results: the last run of `exmcr evaluate`, row by row, and which rows were run as
    published. Exit status 0, or 2 if no published benchmark was run.

    Example: `exmcr verify --items Ex-MCR/assets`
    """
    if results:
        _print_results(project)
        return
    from exmcr.model.verify import not_published, verify

    where = weights_folder(project)
    items = items or Path(os.environ.get("EXMCR_AUTHORS_DEMO") or where / "authors-demo")
    rows, lacking = verify(items, where, device, root=project)
    for model, what, verdict, difference in rows:
        print(
            f"{verdict}  {model}, softmax(10 cos) {what}: at most {difference:.4f} from the "
            "published numbers"
        )
    for file in not_published(where):
        print(f"not the authors' file, though compared: {file} (`exmcr weights --check {file}`)")
    for what, files in lacking.items():
        print(f"not compared: {what}; missing: {', '.join(files)}")
    if lacking:
        print(
            f"Weights belong in {where} (`exmcr weights` says where they come from), the demo "
            f"items in {items} (assets/ of https://github.com/MCR-PEFT/Ex-MCR)"
        )
    if any(row[2] == "FAIL" for row in rows):
        raise typer.Exit(1)
    if not rows:
        raise typer.Exit(2)


def _print_results(project: Path | None) -> None:
    from exmcr.model.verify_results import beside, markdown, summary
    from exmcr.project import Project

    table = beside(Project(project))
    print(f"{markdown(table)}\n\n{summary(table)}")
    if table.ours.isna().all():
        print("These benchmarks need `corpora: paper` in params.yaml (docs/real-encoders.md)")
        raise typer.Exit(2)
