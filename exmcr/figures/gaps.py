"""The gaps between modalities, before and after extension."""

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.stage import trained_maps
from exmcr.figures.style import modality_order, store

if TYPE_CHECKING:
    from exmcr.project import Project


def modality_gaps(project: "Project") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Modality gap between test items of any two modalities, before and after extension (Ex-MCR,
    first seed).

    The gap is the distance between the two centroids, ||mean(a) - mean(b)||, from 0 to 2
    (arXiv:2203.02053). Returns two square tables, modalities in the order of the registry. Before
    extension it is defined inside one space only: NaN for modalities of two spaces. Raises
    ConfigError for a modality that is not registered.
    """
    embeddings = Embeddings(project)
    maps = trained_maps(project)["exmcr", project.params.seeds[0]]
    items = project.usable_items
    test = items[items.split == "test"]
    names = modality_order(test.modality)
    parts = {name: test[test.modality == name] for name in names}
    space = {name: embeddings.own_space(name) for name in names}
    before = {name: embeddings.own(part).mean(axis=0) for name, part in parts.items()}
    after = {name: embeddings.common(part, maps).mean(axis=0) for name, part in parts.items()}
    return _distances(before, space), _distances(after, dict.fromkeys(names, ""))


def _distances(centers: dict[str, np.ndarray], space: dict[str, str]) -> pd.DataFrame:
    def distance(a: str, b: str) -> float:
        same = space[a] == space[b]
        return float(np.linalg.norm(centers[a] - centers[b])) if same else np.nan

    values = [[distance(a, b) for b in centers] for a in centers]
    return pd.DataFrame(values, list(centers), list(centers))


def gap(before: pd.DataFrame, after: pd.DataFrame, path=None):
    """The two tables of `modality_gaps` as heat maps with one color scale."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
    top = np.nanmax([before, after])
    titles = ("before: inside one space only", "after: all in the base")
    for axis, table, title in zip(axes, (before, after), titles, strict=True):
        shown = axis.imshow(table, vmin=0, vmax=top, cmap="cividis")
        axis.set_xticks(range(len(table)), table.columns)
        axis.set_yticks(range(len(table)), table.index)
        for (i, j), value in np.ndenumerate(table.to_numpy()):
            label = "–" if np.isnan(value) else f"{value:.2f}"
            color = "white" if value < 0.6 * top else "black"
            axis.text(j, i, label, ha="center", va="center", color=color)
        axis.set_title(title, fontsize=10)
    figure.colorbar(shown, ax=axes, label="distance between centroids")
    figure.suptitle(_widest(after))
    return store(figure, path)


def _widest(after: pd.DataFrame) -> str:
    """Which two modalities are farthest apart after extension."""
    if len(after) < 2:
        return "Modality gap: distance between the centroids of two modalities"
    values = np.triu(after.to_numpy(), 1)
    i, j = np.unravel_index(values.argmax(), values.shape)
    pair = f"{after.index[i]} and {after.columns[j]}"
    return f"Modality gap after extension: widest between {pair} ({values[i, j]:.2f} of at most 2)"
