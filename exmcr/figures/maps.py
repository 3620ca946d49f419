"""The space as a picture: UMAP of test items, before and after extension."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.common.hashing import digest
from exmcr.corpora.paper import PAPER_CORPORA
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.stage import trained_maps
from exmcr.figures.neighbors import kept, neighbors
from exmcr.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    modality_order,
    short,
    store,
)
from exmcr.media import modality

if TYPE_CHECKING:
    from exmcr.project import Project

NEIGHBORS = 20  # of UMAP
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, BLACK)  # of concepts


def shown_items(project: "Project") -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The test items of a map, before and after extension: at most visualize.umap_items items,
    equally many of each modality, by a fixed draw.

    Before: every item in the frozen space of its own modality, where only distances within a space
    mean anything; narrower spaces are filled with zeros, which keep these distances. After: Ex-MCR,
    first seed.

    Returns n rows of the item table, and unit rows (n, widest d) and (n, d of the base). Raises
    ConfigError without test items, without projectors, or for a modality that is not registered.
    """
    items = project.usable_items
    # An icon only repeats its shape; in the paper's corpora `of` names true counterparts.
    shown = (items.of == "") | items.source.isin(PAPER_CORPORA)
    test = items[(items.split == "test") & shown]
    names = modality_order(test.modality)
    if not names:
        raise ConfigError("there are no test items to draw")
    share = max(1, project.params.visualize.umap_items // len(names))
    embeddings = Embeddings(project)
    maps = trained_maps(project)["exmcr", project.params.seeds[0]]
    parts = [test[test.modality == name] for name in names]
    parts = [part.sample(min(share, len(part)), random_state=0) for part in parts]
    before = [embeddings.own(part) for part in parts]
    after = [embeddings.common(part, maps) for part in parts]
    widest = max(part.shape[1] for part in before)
    before = [np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in before]
    return pd.concat(parts), np.concatenate(before), np.concatenate(after)


def flatten(vectors: np.ndarray, seed: int = 0, folder: Path | None = None) -> np.ndarray:
    """UMAP (arXiv:1802.03426) of unit rows (n, d) by cosine: (n, 2). Coordinates depend on the
    seed, and on the machine.

    folder: of finished maps, one file per set of vectors and options; they are never deleted. A
    known map is read from there, which saves the ten seconds in which umap-learn compiles itself.
    """
    options = {"metric": "cosine", "random_state": seed, "n_jobs": 1, "n_epochs": 200}
    options["n_neighbors"] = min(NEIGHBORS, len(vectors) - 1)
    content = f"{version('umap-learn')} {options} {vectors.shape} {vectors.dtype}"
    path = folder and folder / f"{digest(content, np.ascontiguousarray(vectors).tobytes())}.npy"
    if path and (known := _read(path, len(vectors))) is not None:
        return known
    import umap

    points = umap.UMAP(**options).fit_transform(vectors)
    if path:
        with atomic_write(path) as draft, draft.open("wb") as file:
            np.save(file, points)
    return points


def _read(path: Path, n: int) -> np.ndarray | None:
    """A finished map; None if it is missing or damaged."""
    try:
        points = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return points if points.shape == (n, 2) else None


def map_2d(project: "Project", seed: int = 0) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """The maps before and after extension, (n, 2) each, and the n rows of the item table.

    Raises ConfigError as `shown_items`.
    """
    rows, before, after = shown_items(project)
    folder = project.data / "maps"
    return flatten(before, seed, folder), flatten(after, seed, folder), rows


def frequent_concepts(rows: pd.DataFrame, n: int) -> list[str]:
    """The n concepts that occur in most modalities, and among these most often."""
    counted = rows[rows.concept != ""].groupby("concept").modality.agg(["nunique", "size"])
    return counted.sort_values(["nunique", "size"], ascending=False).head(n).index.tolist()


def scatter(points: np.ndarray, rows: pd.DataFrame, shown: list[str], title: str, axes=None):
    """A two-dimensional map, twice: colored by modality, and by a few concepts.

    points: (n, 2); rows: n rows of the item table; shown: the concepts to color. Markers tell the
    modalities in both. Returns the two axes. Raises ConfigError for a modality that is not
    registered.
    """
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(11, 5), constrained_layout=True)
    kinds = {name: modality(name) for name in modality_order(rows.modality)}
    member = {name: (rows.modality == name).to_numpy() for name in kinds}
    left, right = axes
    size = _size(points)
    for name, kind in kinds.items():
        style = {"color": kind.color, "marker": kind.marker, "lw": 0, "alpha": 0.7}
        left.scatter(*points[member[name]].T, s=size, label=name, **style)
    left.legend(frameon=False, markerscale=1.5, fontsize=8, title="modality", title_fontsize=8)
    right.scatter(*points.T, s=size / 2, color="#dddddd", lw=0)
    for n, concept in enumerate(shown):
        of_concept = (rows.concept == concept).to_numpy()
        for name, kind in kinds.items():
            which = of_concept & member[name]
            style = {"color": PALETTE[n % len(PALETTE)], "edgecolor": "black", "lw": 0.3}
            right.scatter(*points[which].T, s=26, marker=kind.marker, **style)
    colors = [PALETTE[n % len(PALETTE)] for n in range(len(shown))]
    entries = [("o", color, color, concept) for color, concept in zip(colors, shown, strict=True)]
    # Hollow, since a concept may be black.
    entries += [(kind.marker, "black", "none", name) for name, kind in kinds.items()]
    handles = [
        plt.Line2D([], [], ls="", marker=marker, color=color, mfc=inside, label=label)
        for marker, color, inside, label in entries
    ]
    right.legend(handles=handles, frameon=False, fontsize=7, ncols=2)
    for axis, what in zip(axes, ("by modality", "by concept"), strict=True):
        axis.set(title=f"{title}, {what}", xticks=[], yticks=[])
    return axes


def _size(points: np.ndarray) -> float:
    """Area of a marker that suits so many points."""
    return float(np.clip(6000 / len(points), 7, 30))


def before_and_after(
    before: np.ndarray, after: np.ndarray, rows: pd.DataFrame, shown: list[str], path=None
):
    """The maps of `map_2d`, (n, 2) each, with the concepts `shown` in color."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 10), constrained_layout=True)
    scatter(before, rows, shown, "Before: unrelated spaces in one map", axes[0])
    scatter(after, rows, shown, "After: leaves extended into the base", axes[1])
    return store(figure, path)


def two_seeds(
    points: dict[int, np.ndarray], vectors: np.ndarray, rows: pd.DataFrame, k: int = 10, path=None
):
    """Maps of the same vectors with different seeds, side by side, colored by modality.

    points: {seed: (n, 2)}; vectors: unit rows (n, d). The title says how many of the k nearest
    neighbors of an item in the space are its neighbors in the map.
    """
    figure, axes = plt.subplots(
        1, len(points), figsize=(5.2 * len(points), 4.6), constrained_layout=True
    )
    true = neighbors(vectors, k)
    for axis, (seed, places) in zip(np.atleast_1d(axes), points.items(), strict=True):
        for name in modality_order(rows.modality):
            kind, member = modality(name), (rows.modality == name).to_numpy()
            style = {"color": kind.color, "marker": kind.marker, "lw": 0, "alpha": 0.7}
            axis.scatter(*places[member].T, s=_size(places), label=name, **style)
        share = kept(true, neighbors(places, k, cosine=False))
        said = f"seed {seed}: {share:.0%} of the {k} nearest\nneighbors in the space are kept"
        axis.set(xticks=[], yticks=[], title=said)
    handles, labels = np.atleast_1d(axes)[0].get_legend_handles_labels()
    where = {"loc": "outside lower center", "ncols": len(labels), "frameon": False}
    figure.legend(handles, labels, markerscale=2, fontsize=8, **where)
    return store(figure, path)


def centers_moved(one: np.ndarray, other: np.ndarray, rows: pd.DataFrame) -> float:
    """Whether two maps, (n, 2) each, agree which modalities are far apart: Spearman correlation of
    the distances between their centroids, NaN for fewer than three modalities."""
    names = modality_order(rows.modality)
    if len(names) < 3:
        return float("nan")
    member = [(rows.modality == name).to_numpy() for name in names]
    distances = [pdist(np.stack([map_[m].mean(axis=0) for m in member])) for map_ in (one, other)]
    return float(pd.DataFrame(distances).T.corr("spearman").iloc[0, 1])


def hover_map(points: np.ndarray, rows: pd.DataFrame, title: str):
    """A map as a plotly figure: a point shows its caption and concept under the mouse."""
    from plotly import graph_objects

    signs = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down"}
    figure = graph_objects.Figure()
    for name in modality_order(rows.modality):
        kind, part = modality(name), rows[rows.modality == name]
        places = np.round(points[(rows.modality == name).to_numpy()], 2)
        marker = {"color": kind.color, "symbol": signs.get(kind.marker, "star"), "size": 6}
        text = [
            f"{short(row.caption, 60)}<br>concept: {row.concept or 'none'}"
            for row in part.itertuples()
        ]
        figure.add_scatter(
            x=places[:, 0],
            y=places[:, 1],
            mode="markers",
            marker=marker,
            name=name,
            text=text,
            hoverinfo="text+name",
        )
    hidden = {"visible": False}
    margin = {"l": 0, "r": 0, "t": 60, "b": 0}
    figure.update_layout(
        template="plotly_white",
        title={"text": title},
        xaxis=hidden,
        yaxis=hidden,
        height=520,
        margin=margin,
    )
    return figure
