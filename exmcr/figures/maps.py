"""The space as a picture: UMAP of test items, and the gaps between modalities, before and after
extension."""

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper import PAPER_CORPORA
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.stage import trained_maps
from exmcr.figures.style import modality_order, store
from exmcr.media import modality

if TYPE_CHECKING:
    from exmcr.project import Project

NEIGHBORS = 20  # of UMAP


def _exmcr(project: "Project") -> dict:
    """Maps of the projectors of the first seed, {leaf name: Maps}."""
    return trained_maps(project)["exmcr", project.params.seeds[0]]


def map_2d(project: "Project") -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """UMAP of test items before and after extension.

    Before: every item in the frozen space of its own modality, where only distances within a space
    mean anything. After: Ex-MCR, first seed. At most visualize.umap_items items, equally many of
    each modality. The draw and UMAP are seeded, but coordinates differ between machines.

    Returns (n, 2), (n, 2) and the n rows of the item table. Raises ConfigError without test items,
    without projectors, or for a modality that is not registered.
    """
    import umap

    items = project.usable_items
    # An icon only repeats its shape; in the paper's corpora `of` names true counterparts.
    shown = (items.of == "") | items.source.isin(PAPER_CORPORA)
    test = items[(items.split == "test") & shown]
    names = modality_order(test.modality)
    if not names:
        raise ConfigError("there are no test items to draw")
    share = max(1, project.params.visualize.umap_items // len(names))
    embeddings, maps = Embeddings(project), _exmcr(project)
    parts = [test[test.modality == name] for name in names]
    parts = [part.sample(min(share, len(part)), random_state=0) for part in parts]
    before = [embeddings.own(part) for part in parts]
    after = [embeddings.common(part, maps) for part in parts]
    # Spaces of different dimensions cannot be compared; zeros keep the distances within each.
    widest = max(part.shape[1] for part in before)
    before = [np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in before]
    rows = pd.concat(parts)
    options = {"metric": "cosine", "random_state": 0, "n_jobs": 1}
    options["n_neighbors"] = min(NEIGHBORS, len(rows) - 1)
    old, new = (
        umap.UMAP(**options).fit_transform(np.concatenate(vectors)) for vectors in (before, after)
    )
    return old, new, rows


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
    for name, kind in kinds.items():
        style = {"color": kind.color, "marker": kind.marker, "lw": 0, "alpha": 0.7}
        left.scatter(*points[member[name]].T, s=6, label=name, **style)
    left.legend(frameon=False, markerscale=2.5, fontsize=8, title="modality", title_fontsize=8)
    right.scatter(*points.T, s=3, color="#dddddd", lw=0)
    palette = plt.get_cmap("tab10")
    for n, concept in enumerate(shown):
        of_concept = (rows.concept == concept).to_numpy()
        for name, kind in kinds.items():
            which = of_concept & member[name]
            style = {"color": palette(n % 10), "edgecolor": "black", "lw": 0.3}
            right.scatter(*points[which].T, s=26, marker=kind.marker, **style)
    entries = [("o", to_hex(palette(n % 10)), concept) for n, concept in enumerate(shown)]
    entries += [(kind.marker, "black", name) for name, kind in kinds.items()]
    handles = [
        plt.Line2D([], [], ls="", marker=marker, color=color, label=label)
        for marker, color, label in entries
    ]
    right.legend(handles=handles, frameon=False, fontsize=7, ncols=2)
    for axis, what in zip(axes, ("by modality", "by concept"), strict=True):
        axis.set(title=f"{title}, {what}", xticks=[], yticks=[])
    return axes


def before_and_after(
    before: np.ndarray, after: np.ndarray, rows: pd.DataFrame, shown: list[str], path=None
):
    """The maps of `map_2d`, (n, 2) each, with the concepts `shown` in color."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 10), constrained_layout=True)
    scatter(before, rows, shown, "Before: leaf and base vectors side by side", axes[0])
    scatter(after, rows, shown, "After: leaves extended into the base", axes[1])
    return store(figure, path)


def modality_gaps(project: "Project") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Modality gap between test items of any two modalities, before and after extension (Ex-MCR,
    first seed).

    The gap is the distance between the two centroids, ||mean(a) - mean(b)||, from 0 to 2
    (arXiv:2203.02053). Returns two square tables, modalities in the order of the registry; NaN
    where dimensions differ. Raises ConfigError for a modality that is not registered.
    """
    embeddings, maps = Embeddings(project), _exmcr(project)
    items = project.usable_items
    test = items[items.split == "test"]
    names = modality_order(test.modality)
    parts = {name: test[test.modality == name] for name in names}
    before = {name: embeddings.own(part).mean(axis=0) for name, part in parts.items()}
    after = {name: embeddings.common(part, maps).mean(axis=0) for name, part in parts.items()}
    return _distances(before), _distances(after)


def _distances(centers: dict[str, np.ndarray]) -> pd.DataFrame:
    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b)) if a.shape == b.shape else np.nan

    values = [[distance(a, b) for b in centers.values()] for a in centers.values()]
    return pd.DataFrame(values, list(centers), list(centers))


def gap(before: pd.DataFrame, after: pd.DataFrame, path=None):
    """The two tables of `modality_gaps` as heat maps with one color scale."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
    top = np.nanmax([before, after])
    for axis, table, title in zip(axes, (before, after), ("before", "after"), strict=True):
        shown = axis.imshow(table, vmin=0, vmax=top, cmap="viridis")
        axis.set_xticks(range(len(table)), table.columns)
        axis.set_yticks(range(len(table)), table.index)
        for (i, j), value in np.ndenumerate(table.to_numpy()):
            label = "–" if np.isnan(value) else f"{value:.2f}"
            color = "white" if value < 0.6 * top else "black"
            axis.text(j, i, label, ha="center", va="center", color=color)
        axis.set_title(title)
    figure.colorbar(shown, ax=axes, label="distance between centroids")
    figure.suptitle("Modality gap: distance between the centroids of two modalities")
    return store(figure, path)
