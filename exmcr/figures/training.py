"""Projectors: what they are made of, their losses, and what training gains."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.figures.style import BLACK, BLUE, GRAY, ORANGE, SKY, panels, store

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project


def loss_curves(table: pd.DataFrame, by: str, lines: str, title: str, path=None):
    """Loss against epoch: one panel per value of the column `by`, one line per value of `lines`.

    table: columns epoch, loss, `by`, `lines` and, if there are several seeds, seed; then a line is
    their mean and a band reaches from their least to their greatest loss.
    """
    groups = list(table[by].unique())
    figure, axes = panels(len(groups), len(groups), 4.6 * len(groups), 3.4)
    for axis, group in zip(axes, groups, strict=True):
        for name, part in table[table[by] == group].groupby(lines, sort=False):
            over = part.groupby("epoch").loss
            mean = over.mean()
            (line,) = axis.plot(mean.index, mean, label=str(name))
            if "seed" in part and part.seed.nunique() > 1:
                band = {"color": line.get_color(), "alpha": 0.2, "lw": 0}
                axis.fill_between(mean.index, over.min(), over.max(), **band)
        axis.set(title=str(group), xlabel="epoch", ylabel="loss")
        axis.locator_params(axis="x", integer=True)
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    return store(figure, path)


def training_losses(table: pd.DataFrame, path=None, batches: dict[str, int] | None = None):
    """Inter-space and intra-space loss of the projectors per epoch, one panel per leaf, titled with
    how far both have come.

    table: columns leaf, seed, epoch, inter, intra, as `exmcr.pipeline.train` returns it. batches:
    {leaf: batch size}; a dotted line is drawn at its logarithm, the inter-space loss of a projector
    to which all items look alike.
    """
    terms, names = ["inter", "intra"], ["leaf", "seed", "epoch"]
    long = table.melt(id_vars=names, value_vars=terms, var_name="term", value_name="loss")
    title = "Projectors: loss per epoch (band: range over seeds)"
    figure = loss_curves(long, "leaf", "term", title)
    for axis, leaf in zip(figure.axes, table.leaf.unique(), strict=True):
        mean = table[table.leaf == leaf].groupby("epoch")[terms].mean()
        first, last = mean.iloc[0], mean.iloc[-1]
        changes = [f"{term} {first[term]:.2f} → {last[term]:.2f}" for term in terms]
        axis.set_title(f"{leaf} leaf: {', '.join(changes)}")
        if batches:
            height = math.log(batches[leaf])
            axis.axhline(height, color=BLACK, lw=0.9, ls=":")
            axis.text(mean.index[-1], height, f"ln {batches[leaf]}", ha="right", va="top")
    return store(figure, path)


def scheme(modality: str, overlap: str, other: str, path=None):
    """The two parts of a projector, and what is compared with what in the base.

    modality: of the leaf; overlap: shared with the base; other: of the base.
    """
    figure, axis = plt.subplots(figsize=(9.6, 3.4), constrained_layout=True)
    boxes = {
        (0.0, 1.0): (f"x\n{modality}", SKY),
        (0.0, 0.0): (f"o\n{overlap}", SKY),
        (1.5, 1.0): ("f_l\nlinear, starts\nas identity", GRAY),
        (3.0, 0.5): ("f_m\ntwo blocks of\na small MLP", GRAY),
        (4.5, 1.0): (f"x′\n{modality}", SKY),
        (4.5, 0.0): (f"o′\n{overlap}", SKY),
        (6.3, 1.0): (f"o (base)\n{overlap}", ORANGE),
        (6.3, 0.0): (f"y (base)\n{other}", ORANGE),
    }
    for (x, y), (text, color) in boxes.items():
        style = {"boxstyle": "round,pad=0.4", "fc": color, "ec": "none", "alpha": 0.55}
        axis.text(x, y, text, ha="center", va="center", bbox=style)
    ways = [(0.0, 1.0, 1.5, 1.0), (1.5, 1.0, 3.0, 0.5), (0.0, 0.0, 3.0, 0.5)]
    ways += [(3.0, 0.5, 4.5, 1.0), (3.0, 0.5, 4.5, 0.0)]
    for x, y, to_x, to_y in ways:
        arrow = {"arrowstyle": "->", "color": BLACK, "shrinkA": 34, "shrinkB": 34}
        axis.annotate("", (to_x, to_y), (x, y), arrowprops=arrow)
    for start in ((4.5, 1), (4.5, 0)):
        for end in ((6.3, 1), (6.3, 0)):
            line = {"arrowstyle": "<->", "color": BLUE, "shrinkA": 34, "shrinkB": 36, "lw": 1.5}
            axis.annotate("", end, start, arrowprops=line)
    axis.annotate("", (0.75, 0.12), (0.75, 0.88), arrowprops={"arrowstyle": "<->", "color": BLUE})
    axis.text(0.8, 0.5, "intra: closes\nthe gap", color=BLUE, fontsize=9, va="center")
    axis.text(5.4, 1.32, "inter: dense, four terms", color=BLUE, fontsize=9, ha="center")
    axis.text(0.75, -0.42, "leaf (frozen)", ha="center", color=GRAY)
    axis.text(6.3, -0.42, "base (frozen)", ha="center", color=GRAY)
    axis.text(3.0, -0.42, "projector (trained)", ha="center", color=GRAY)
    axis.set(xlim=(-0.6, 7.0), ylim=(-0.55, 1.5))
    axis.set_axis_off()
    return store(figure, path)


def validation_map(
    project: "Project", leaf: "Leaf", to_base: Callable[[np.ndarray], np.ndarray]
) -> float:
    """Mean average precision, in [0, 1], of validation items of a leaf that search items of the
    other modality of the base; an item with the query's concept is right.

    to_base: unit rows of the leaf (n, d) -> unit rows of the base. NaN if there are no such items.
    """
    own, base, other = (
        project.params.leaf_space(leaf),
        project.params.base_space,
        project.other_modality(leaf),
    )
    places = project.bank_path(own, leaf.modality, "val"), project.bank_path(base, other, "val")
    if not all((place / "manifest.json").is_file() for place in places):
        return math.nan
    queries, gallery = project.bank(own, leaf.modality, "val"), project.bank(base, other, "val")
    concept = project.items.set_index("id").concept
    a, b = (concept.loc[bank.ids].to_numpy() for bank in (queries, gallery))
    cosines = to_base(np.asarray(queries.vectors)) @ np.asarray(gallery.vectors).T
    return mean_average_precision(cosines, (a[:, None] == b) & (a != "")[:, None])


def mean_average_precision(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean over queries with a right answer of the precision at the rank of each right answer.

    scores (n, m), right (n, m) of bool. NaN if no query has a right answer.
    """
    asked = right.any(axis=1)
    order = np.argsort(-scores[asked], axis=1, kind="stable")
    hits = np.take_along_axis(right[asked], order, axis=1)
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return (
        float(((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean()) if len(hits) else math.nan
    )
