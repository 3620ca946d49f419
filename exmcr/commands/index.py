"""`exmcr index`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exmcr.commands.options import ProjectFolder, check_choice, open_project
from exmcr.common.errors import ConfigError

if TYPE_CHECKING:
    from exmcr.index.build import Report

KINDS = ("exact", "ivfpq")
SHOWN = 10  # unusable files that are printed


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(index)


def index(
    folder: Annotated[Path, typer.Argument(help="Your folder of pictures, sounds, shapes, texts.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder of `exmcr export`, or user/name on the hub (default: the project).",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the index (default: .exmcr-index in FOLDER).", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Which projectors (default: the first).", show_default=False)
    ] = None,
    kind: Annotated[
        str, typer.Option(help="exact, or ivfpq: approximate, by FAISS, for 10,000 items or more.")
    ] = "exact",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Embed every file again.")] = False,
    project: ProjectFolder = None,
) -> None:
    """Embed a folder of your own, for `exmcr search --in FOLDER`. Unchanged files are kept.

    Captions come from metadata.csv or .jsonl (column file_name), .txt files, or file names.

    Example: `exmcr index my-folder --model my-model`
    """
    from exmcr.index.build import build
    from exmcr.index.source import open_model

    check_choice("kind", kind, KINDS)
    if model and project:
        raise ConfigError("--model and --project both name the model; give one of them")
    if project:
        open_project(project)
    opened, source = open_model(model or project)
    report = build(folder, opened, source, place=to, seed=seed, kind=kind, rebuild=rebuild)
    for line in lines_of(report, source):
        print(line)


def lines_of(report: "Report", source: str) -> list[str]:
    """What was indexed, and what was left out, one line each."""
    counts = [
        f"{number} {modality} ({report.new[modality]} new)"
        for modality, number in report.items.items()
    ]
    lines = [f"{report.place}: {', '.join(counts)}; model {source}"]
    if report.skipped:
        lines.append(f"{len(report.skipped)} left out because they cannot be used:")
    lines += [f"  {path}: {reason}" for path, reason in report.skipped[:SHOWN]]
    if len(report.skipped) > SHOWN:
        lines.append(f"  ... and {len(report.skipped) - SHOWN} more (exmcr-index.json lists them)")
    if report.others:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(report.others.items()))
        lines.append(f"left out as of another kind: {kinds}")
    return lines
