"""`exmcr search`."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder, check_choice
from exmcr.common.errors import ConfigError
from exmcr.common.names import SPLITS


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(search)


def search(
    query: Annotated[str, typer.Argument(help="A text, the path of a file, or with --id an item.")],
    modality: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="Modality of the query (default: that of the file QUERY, else text).",
            show_default=False,
        ),
    ] = None,
    gallery: Annotated[
        str, typer.Option("--in", help="Modality of the project, or a folder (`exmcr index`).")
    ] = "image",
    only: Annotated[
        str | None,
        typer.Option(
            help="In a folder: the modality to search (default: each).", show_default=False
        ),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", "--k", min=1, help="How many items of a modality to print.")
    ] = 10,
    split: Annotated[
        str, typer.Option(help="Items of the project to search: train, val or test.")
    ] = "test",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Which projector of the project (default: the first).", show_default=False
        ),
    ] = None,
    by_id: Annotated[
        bool, typer.Option("--id", help="The query is the id of an item of the project.")
    ] = False,
    invert: Annotated[
        bool,
        typer.Option(
            "--invert",
            help="Pictures by a picture through the text tower, or texts by a text through the "
            "image tower (Cross the Gap, 2025).",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder that `exmcr export` wrote, or user/name on the hub (default: the project, "
            "or the model of the index).",
            show_default=False,
        ),
    ] = None,
    project: ProjectFolder = None,
) -> None:
    """Find the nearest items of any modality for one query of any modality.

    Prints cosine, caption and id, or path, of each.

    Example: `exmcr search "a dog" --in audio`

    Example: `exmcr search bark.wav --in my-folder --k 5`
    """
    from exmcr import media

    if gallery in media.MODALITIES:
        _in_project(query, modality, gallery, k, split, seed, by_id, invert, model, project)
        return
    if by_id or seed is not None or project is not None or split != "test":
        raise ConfigError("--id, --seed, --split and --project are for searches in a project")
    _in_folder(query, modality, Path(gallery), only, k, invert, model)


def _in_project(
    query: str,
    modality: str | None,
    gallery: str,
    k: int,
    split: str,
    seed: int | None,
    by_id: bool,
    invert: bool,
    model: str | None,
    project: Path | None,
) -> None:
    from exmcr.model.exmcr import ExMCR
    from exmcr.model.inputs import guess
    from exmcr.model.search import nearest, vector_of_item
    from exmcr.project import Project

    check_choice("split", split, SPLITS)
    opened = Project(project)
    extended = ExMCR.from_pretrained(model) if model else ExMCR.from_project(opened)
    own = modality or ("text" if by_id else guess(query)) or "text"
    for name in (own, gallery):
        extended.leaf_of(name)  # an unknown one is an error before an encoder is loaded
    if invert:
        _check_inversion(own, [gallery])
    if by_id:
        vector = vector_of_item(opened, extended, query, own, seed)
    else:
        vector = extended.encode({own: [query]}, seed=seed, progress=False)[own]
    if invert:
        from exmcr.model.inversion import invert_in_base

        vector = invert_in_base(extended, own, vector)
    for row in nearest(opened, extended, vector, gallery, k, split, seed).itertuples():
        print(f"{row.score:.3f}  {row.caption}  {row.id}")


def _check_inversion(modality: str, galleries: Collection[str]) -> None:
    """Raises ConfigError unless the query is of a modality that is searched."""
    if modality not in galleries:
        raise ConfigError(
            f"--invert is for items of the query's own modality, {modality}; searched: "
            f"{', '.join(galleries)}"
        )


def _in_folder(
    query: str,
    modality: str | None,
    folder: Path,
    only: str | None,
    k: int,
    invert: bool,
    model: str | None,
) -> None:
    """Answers of each modality by themselves: cosines of two modalities are not comparable."""
    from exmcr.index.source import open_model
    from exmcr.index.storage import Index
    from exmcr.model.identity import fingerprint
    from exmcr.model.inputs import guess

    if not folder.exists():
        from exmcr.media import MODALITIES

        known = ", ".join(MODALITIES)
        raise ConfigError(f"no modality '{folder}', only {known}, and no folder of this name")
    index = Index(folder)
    names = [only] if only else [*index.parts]
    check_choice("modality of the index", names[0], index.parts)
    extended, source = open_model(model or index.source)
    index.check(fingerprint(extended, index.seed), source)
    own = modality or guess(query) or "text"
    if invert:
        _check_inversion(own, names)
    vector = extended.encode({own: [query]}, seed=index.seed, progress=False)[own]
    vectors = dict.fromkeys(names, vector)
    if invert:
        from exmcr.model.inversion import invert_in_base

        vectors[own] = invert_in_base(extended, own, vector)
    for name in names:
        if len(names) > 1:
            print(f"{name}:")
        for row in index.nearest(vectors[name], name, k).itertuples():
            print(
                f"{row.score:.3f}  {row.caption}  {index.root / row.path if row.path else row.id}"
            )
