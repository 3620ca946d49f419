"""`exmcr report`."""

from typing import TYPE_CHECKING

import typer

from exmcr.commands.options import ProjectFolder, open_project
from exmcr.common.errors import BadItem, ConfigError

if TYPE_CHECKING:
    from exmcr.figures.report import Gallery
    from exmcr.project import Project

CONCEPTS, ANSWERS = 3, 4


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Models and embeddings")(report)


def report(project: ProjectFolder = None) -> None:
    """Write reports/index.html: results, figures, galleries that play and turn.

    The page opens without a server or a network.

    Example: `exmcr report`
    """
    from exmcr.figures.report import write

    opened = open_project(project)
    path = opened.reports / "index.html"
    try:
        galleries = galleries_of(opened)
    except (ConfigError, BadItem) as error:
        galleries = []
        print(f"no galleries: {error}")
    print(f"{write(opened, galleries, path)}: {len(galleries)} galleries")


def galleries_of(project: "Project") -> "list[Gallery]":
    """Queries of familiar concepts, from each modality that a leaf adds to every other one, and
    back."""
    from exmcr.figures.report import Gallery
    from exmcr.model.exmcr import ExMCR
    from exmcr.model.search import example, familiar_concepts, nearest, vector_of_item

    model, galleries = ExMCR.from_project(project, device="cpu"), []
    for leaf in model.leaves.values():
        concepts = familiar_concepts(project, leaf.modality, CONCEPTS)
        others = [name for name in model.modalities if name not in (leaf.modality, "text")]
        pairs = [(leaf.modality, other) for other in others] + [("image", leaf.modality)]
        for concept, (own, other) in zip(concepts, pairs, strict=False):
            query = example(project, own, concept)
            vector = vector_of_item(project, model, query.id, own)
            answers = nearest(project, model, vector, other, ANSWERS)
            galleries.append(Gallery(query, answers))
    return galleries
