"""Search in a project: the nearest items, example queries, and players for sounds."""

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.names import SPLITS
from exmcr.model.exmcr import ExMCR

if TYPE_CHECKING:
    from exmcr.project import Project


def nearest(
    project: "Project",
    model: ExMCR,
    query: np.ndarray,
    modality: str,
    k: int = 6,
    split: str = "test",
    seed: int | None = None,
) -> pd.DataFrame:
    """The k items of a modality nearest to one query, (1, d) in the base space.

    seed: which projector, if a leaf has this modality; default: the first. Returns rows of the
    item table, nearest first, with their cosine as `score`; fewer than k if the split has fewer.
    Raises ConfigError if there is no bank, or if it holds items that are not in the item table.
    """
    leaf = model.leaf_of(modality)
    bank = project.bank((leaf or model.base).space, modality, split)
    top = model.search(query, bank, min(k, len(bank)), seed)
    ids, items = bank.ids[top.indices[0]], project.items.set_index("id", drop=False)
    unknown = [i for i in ids if i not in items.index]
    if unknown:
        raise ConfigError(
            f"bank {bank.folder} holds items that are not in {project.items_path}, e.g. "
            f"{unknown[0]!r}; run `exmcr extract` again"
        )
    return items.loc[ids].assign(score=top.scores[0])


def vector_of_item(
    project: "Project", model: ExMCR, id: str, modality: str, seed: int | None = None
) -> np.ndarray:
    """The vector of an item that has been extracted, (1, d) in the space where all modalities meet.

    seed: which projector; default: the first. Raises ConfigError if it is in no bank.
    """
    space = (model.leaf_of(modality) or model.base).space
    for split in SPLITS:
        if (project.bank_path(space, modality, split) / "manifest.json").is_file():
            bank = project.bank(space, modality, split)
            if id in bank.row:
                rows = model.gallery(bank, seed)
                return np.asarray(rows[bank.row[id] : bank.row[id] + 1])
    raise ConfigError(f"no {modality} item '{id}' in the banks of '{space}'")


def familiar_concepts(project: "Project", modality: str, n: int) -> list[str]:
    """The n concepts with most training items of a modality, most first, among those that occur
    both in its test items and in the test images."""
    rows = project.items[(project.items.concept != "") & (project.items["of"] == "")]
    tested, pictured = (
        set(rows[(rows.split == "test") & (rows.modality == name)].concept)
        for name in (modality, "image")
    )
    trained = rows[(rows.split == "train") & (rows.modality == modality)].groupby("concept").size()
    usable = trained[trained.index.isin(tested & pictured)]
    return usable.sort_values(ascending=False, kind="stable").head(n).index.tolist()


def example(project: "Project", modality: str, concept: str, split: str = "test") -> pd.Series:
    """The first item of this modality that is an instance of `concept`, or, if there is none, the
    first item of the modality."""
    rows = project.items[(project.items.modality == modality) & (project.items.split == split)]
    return rows.loc[(rows.concept != concept).sort_values(kind="stable").index[0]]


def listen(project: "Project", rows: pd.DataFrame):
    """Players (IPython HTML) for the sounds among these rows of the item table.

    Each player is below its caption, and its score if the rows have one.
    """
    from IPython.display import HTML, Audio

    players = []
    for row in rows[rows.modality == "audio"].itertuples():
        sound = project.load_item(row)
        if isinstance(sound, str):  # it was imported without raw data
            continue
        score = f" ({row.score:.2f})" if "score" in rows else ""
        player = Audio(sound.samples, rate=sound.rate, normalize=False)._repr_html_()
        players.append(f"<div>{html.escape(str(row.caption))}{score}{player}</div>")
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(players)}</div>')
