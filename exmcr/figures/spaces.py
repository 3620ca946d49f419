"""Figures of the frozen spaces: how the mini spaces were fitted, and how banks fill the sphere."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.figures.style import BLUE, GRAY, modality_order, panels, store
from exmcr.media import modality

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project

POINTS = 300  # at most, per bank in a scatter plot
SAME = 0.9999  # above this cosine, an item was compared with itself


def captioned(project: "Project", n: int) -> pd.DataFrame:
    """n test items of the base with a caption and n concepts: rows of the item table.

    They have the modality of the base that the first leaf lacks, such as images. The draw is fixed;
    there are fewer if the split has fewer concepts.
    """
    items, params, overlap = project.items, project.params, project.leaves[0].overlap
    shown = next(m for m in params.modalities_of(params.base_space) if m != overlap)
    rows = items[(items.modality == shown) & (items.split == "test") & (items.caption != "")]
    return rows.sample(frac=1, random_state=0).drop_duplicates("concept").head(n)


def space_losses(table: pd.DataFrame, path=None):
    """Distance of training items and captions in the mini spaces: one panel per space, a pair of
    bars per pair of modalities, for the class names alone and for the fitted tower.

    table: columns space, step, pair, loss, as `exmcr.pipeline.fit_spaces` returns it.
    """
    groups = list(table.space.unique())
    figure, axes = panels(len(groups), len(groups), 4.2 * len(groups), 3.2)
    for axis, group in zip(axes, groups, strict=True):
        part = table[table.space == group]
        losses = part.pivot(index="pair", columns="step", values="loss")[["names", "fitted"]]
        losses.plot.bar(ax=axis, rot=0, color=[GRAY, BLUE], xlabel="", ylabel="1 - cosine")
        axis.set(title=str(group), ylim=(0, 1.1))
        axis.legend(frameon=False, fontsize=8, ncols=2)
    mean = table.groupby("step").loss.mean()
    title = "Distance of training items and their captions"
    figure.suptitle(f"{title}: {mean['names']:.2f} by names alone, {mean['fitted']:.2f} fitted")
    return store(figure, path)


def bank_cosines(
    project: "Project", pairs_per_bank: int = 4000
) -> dict[str, dict[str, np.ndarray]]:
    """Cosines of random pairs of items, within each training bank and between banks of a space.

    Returns {space: {"modality – modality": values}}. The draw is fixed. Raises ConfigError for a
    bank of a modality that is not registered.
    """
    rng = np.random.default_rng(0)
    made: dict[str, dict[str, np.ndarray]] = {}
    for space in project.spaces:
        manifests = (project.banks / space).glob("*/train/manifest.json")
        names = modality_order(path.parent.parent.name for path in manifests)
        opened = {name: project.bank(space, name, "train") for name in names}
        banks = {name: np.asarray(bank.vectors) for name, bank in opened.items()}
        found = {}
        for a, b in itertools.combinations_with_replacement(banks, 2):
            left = banks[a][rng.integers(len(banks[a]), size=pairs_per_bank)]
            right = banks[b][rng.integers(len(banks[b]), size=pairs_per_bank)]
            cosine = (left * right).sum(axis=1)
            found[f"{a} – {b}"] = cosine[cosine < SAME]
        made[space] = found
    return made


def cosines(values: dict[str, dict[str, np.ndarray]], path=None):
    """Histograms of `bank_cosines`: one panel per space, one line per pair of modalities."""
    figure, axes = panels(len(values), len(values), 4.2 * len(values), 3.2)
    bins = np.linspace(-0.6, 1, 81)
    for axis, (space, found) in zip(axes, values.items(), strict=True):
        for label, cosine in found.items():
            axis.hist(cosine, bins=bins, density=True, histtype="step", lw=1.4, label=label)
        axis.set(title=space, xlabel="cosine of two random items", yticks=[])
        axis.legend(frameon=False, fontsize=8)
    labeled = [(label.split(" – "), c) for found in values.values() for label, c in found.items()]
    within = [c.mean() for (a, b), c in labeled if a == b and len(c)]
    between = [c.mean() for (a, b), c in labeled if a != b and len(c)]
    if within and between:
        means = f"{np.mean(within):.2f} within a modality, {np.mean(between):.2f} between two"
        figure.suptitle(f"Mean cosine of two random items: {means}")
    return store(figure, path)


def free_pairs(project: "Project", leaf: "Leaf", n: int) -> tuple[list, np.ndarray, np.ndarray]:
    """n training items of the overlap, at even distances, embedded by the leaf and by the base.

    Returns rows of the item table, (n, d_leaf) and (n, d_base): row by row the same item. There are
    fewer if the banks have fewer items in common.
    """
    from exmcr.banks import common_ids

    params = project.params
    own = project.bank(params.leaf_space(leaf), leaf.overlap, "train")
    base = project.bank(params.base_space, leaf.overlap, "train")
    in_leaf, in_base = common_ids(own, base)
    chosen = np.linspace(0, len(in_leaf) - 1, min(n, len(in_leaf))).astype(int)
    ids = [in_leaf[i] for i in chosen]
    rows = project.items.set_index("id", drop=False).loc[ids]
    return list(rows.itertuples()), own.take(ids), base.take([in_base[i] for i in chosen])


def neighbors_in_common(a: np.ndarray, b: np.ndarray, k: int) -> float:
    """Mean share of the k nearest rows of a row in `a` that are also nearest in `b`.

    a (n, d), b (n, e): unit rows of the same n items; k < n. Chance is k / (n - 1).
    """
    near = []
    for rows in (a, b):
        cosine = rows @ rows.T
        np.fill_diagonal(cosine, -np.inf)
        near.append(np.argsort(-cosine, axis=1)[:, :k])
    return float(np.mean([len(np.intersect1d(x, y)) / k for x, y in zip(*near, strict=True)]))


def banks_of_leaf(project: "Project", leaf: "Leaf", split: str = "train") -> dict[str, np.ndarray]:
    """{modality: unit vectors (n, d)} of the two modalities of a leaf, inside the leaf."""
    own = project.params.leaf_space(leaf)
    names = (leaf.modality, leaf.overlap)
    return {name: np.asarray(project.bank(own, name, split).vectors) for name in names}


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the centroids of two modalities in one space; 0 if they coincide, at most 2."""
    return float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))


def gap_maps(banks: dict[str, dict[str, np.ndarray]], path=None):
    """Two modalities of a space, seen along the line between their centroids: one panel per pair,
    titled with the gap.

    banks: {title: {modality: unit rows (n, d), other modality: ...}}, as of `banks_of_leaf`. The
    vertical axis is the direction of greatest variance at a right angle to that line; 0 on the
    horizontal axis is the middle of the two centroids.
    """
    columns = min(len(banks), 2)
    figure, axes = panels(len(banks), columns, 5.2 * columns, 3.2, sharex=True)
    for axis, (name_of_panel, vectors) in zip(axes, banks.items(), strict=True):
        a, b = vectors.values()
        between = a.mean(axis=0) - b.mean(axis=0)
        along = between / max(float(np.linalg.norm(between)), 1e-9)
        middle = (a.mean(axis=0) + b.mean(axis=0)) / 2
        some = {name: _spread(rows) - middle for name, rows in vectors.items()}
        rest = np.concatenate([rows - np.outer(rows @ along, along) for rows in some.values()])
        across = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)[2][0]
        for name, rows in some.items():
            how = modality(name)
            place = {"c": how.color, "marker": how.marker, "s": 14, "alpha": 0.6, "label": name}
            axis.scatter(rows @ along, rows @ across, **place)
        axis.set(title=f"{name_of_panel}: gap {gap(a, b):.2f}", yticks=[])
        axis.set_xlabel("along the line between the centroids")
        axis.legend(frameon=False, fontsize=8)
    return store(figure, path)


def _spread(rows: np.ndarray) -> np.ndarray:
    """At most POINTS rows, at even distances."""
    return rows[np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(int)]
