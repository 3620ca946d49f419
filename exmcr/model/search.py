"""What 06_search asks and shows: the nearest items of a bank, what to ask about, players for sounds."""

import html

import numpy as np
import pandas as pd

from exmcr.banks.bank import Bank
from exmcr.model.exmcr import ExMCR
from exmcr.project import Project


def nearest(
    project: Project,
    model: ExMCR,
    query: np.ndarray,
    modality: str,
    k: int = 6,
    split: str = "test",
    seed: int | None = None,
) -> pd.DataFrame:
    """The k best items of a modality for one query (1, d) in the base space: rows of the item table, best first, with `score`, a cosine."""
    leaf = model.leaf_of(modality)
    bank = Bank(project.root / "banks" / (leaf or model.base).space / modality / split)
    found = model.search(query, bank, min(k, len(bank)), seed)
    return (
        project.items.set_index("id", drop=False)
        .loc[bank.ids[found.indices[0]]]
        .assign(score=found.scores[0])
    )


def familiar_concepts(project: Project, modality: str, n: int) -> list[str]:
    """The concepts with most training items of a modality, of those that test items of it and test pictures show, most first."""
    rows = project.items[(project.items.concept != "") & (project.items["of"] == "")]
    count = rows.groupby(["concept", "split", "modality"]).size()
    shown = [
        set(count.xs(("test", m), level=["split", "modality"]).index) for m in (modality, "image")
    ]
    trained = count.xs(("train", modality), level=["split", "modality"])
    return (
        trained[trained.index.isin(shown[0] & shown[1])]
        .sort_values(ascending=False, kind="stable")
        .head(n)
        .index.tolist()
    )


def example(project: Project, modality: str, concept: str, split: str = "test") -> pd.Series:
    """The first item of this modality that is an instance of `concept`; of any, when there is none."""
    rows = project.items[(project.items.modality == modality) & (project.items.split == split)]
    return rows.loc[(rows.concept != concept).sort_values(kind="stable").index[0]]


def listen(project: Project, rows: pd.DataFrame):
    """Players for the sounds among these rows of the item table, each under its caption (and its score, if it has one)."""
    from IPython.display import HTML, Audio

    players = []
    for row in rows[rows.modality == "audio"].itertuples():
        sound = project.load_item(row)
        score = f" ({row.score:.2f})" if "score" in rows else ""
        player = Audio(sound.samples, rate=sound.rate, normalize=False)._repr_html_()
        players.append(f"<div>{html.escape(row.caption)}{score}{player}</div>")
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(players)}</div>')
