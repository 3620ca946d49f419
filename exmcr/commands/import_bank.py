"""`exmcr import-bank`."""

from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, check_choice
from exmcr.common.names import SPLITS


def register(app: typer.Typer) -> None:
    app.command("import-bank", rich_help_panel="Models and embeddings")(import_bank)


def import_bank(
    source: Annotated[Path, typer.Argument(help="Vectors (n, d): .npy, .safetensors or .pt.")],
    space: Annotated[str, typer.Option(help="Name of the encoder, the same for all of its banks.")],
    modality: Annotated[str, typer.Option(help="A registered modality: text, image, audio, ...")],
    split: Annotated[str, typer.Option(help="train (the pools), val or test.")] = "train",
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the bank (default: banks/SPACE/MODALITY/SPLIT of the project).",
            show_default=False,
        ),
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            help="One id per row: .txt, .csv or .parquet (column id).", show_default=False
        ),
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(
            help="One text per row: .txt, .csv or .parquet (column caption).", show_default=False
        ),
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option(
            help="One noun per row, such as a class (column concept); default: the caption. Items "
            "of one concept match.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Name of the tensor, if the file holds several.", show_default=False),
    ] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(help="Of the encoder, if it is one of exmcr's.", show_default=False),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse rows that are not of unit norm.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a bank that is already there.")
    ] = False,
    project: ProjectFolder = None,
) -> None:
    """Make a bank of embeddings computed elsewhere.

    The overlap needs the same ids in both spaces.

    Example: `exmcr import-bank sounds.npy --space my-clap --modality audio`
    """
    from exmcr.banks import importing
    from exmcr.project import Project

    check_choice("split", split, SPLITS)
    if folder is None:
        folder = Project(project).bank_path(space, modality, split)
    bank, changed = importing.import_bank(
        source,
        folder,
        space,
        modality,
        fingerprint=fingerprint,
        key=key,
        ids=ids,
        captions=captions,
        concepts=concepts,
        strict=strict,
        replace=replace,
    )
    print(
        f"{folder}: {len(bank)} vectors of {bank.vectors.shape[1]} dimensions, "
        f"{changed} scaled to unit norm; fingerprint {bank.fingerprint}"
    )
