"""`exmcr search`."""

from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, check_choice
from exmcr.common.names import SPLITS


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(search)


def search(
    query: Annotated[str, typer.Argument(help="A text, the path of a file, or with --id an item.")],
    modality: Annotated[
        str, typer.Option("--as", help="Modality of the query: text, image, audio or points.")
    ] = "text",
    gallery: Annotated[str, typer.Option("--in", help="Modality to search.")] = "image",
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="How many items to print.")] = 10,
    split: Annotated[str, typer.Option(help="Items to search: train, val or test.")] = "test",
    seed: Annotated[
        int | None, typer.Option(help="Which projector (default: the first).", show_default=False)
    ] = None,
    by_id: Annotated[
        bool, typer.Option("--id", help="The query is the id of an item that has been extracted.")
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `exmcr export` wrote (default: the projectors of the project).",
            show_default=False,
        ),
    ] = None,
    project: ProjectFolder = None,
) -> None:
    """Find the nearest items of any modality for one query of any modality.

    Prints cosine, caption and id of each.

    Example: `exmcr search "a dog" --in audio`

    Example: `exmcr search bark.wav --as audio --in points`
    """
    from exmcr.model.exmcr import ExMCR
    from exmcr.model.search import nearest, vector_of_item
    from exmcr.project import Project

    check_choice("split", split, SPLITS)
    opened = Project(project)
    extended = ExMCR.load(model) if model else ExMCR.from_project(opened)
    for name in (modality, gallery):
        extended.leaf_of(name)  # an unknown one is an error before an encoder is loaded
    if by_id:
        vector = vector_of_item(opened, extended, query, modality, seed)
    else:
        vector = extended.encode({modality: [query]}, seed=seed, progress=False)[modality]
    for row in nearest(opened, extended, vector, gallery, k, split, seed).itertuples():
        print(f"{row.score:.3f}  {row.caption}  {row.id}")
