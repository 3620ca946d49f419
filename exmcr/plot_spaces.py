"""Figures of vectors: how banks fill a space, what pairs are averaged from, how training went, and the space before and after."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.plot_style import COLOUR, store

MARK = {"text": "o", "image": "s", "audio": "^", "points": "D"}


def cosines(values: dict[str, dict[str, np.ndarray]], path=None):
    """Histograms of cosines, one panel per space, one line per two modalities."""
    figure, axes = plt.subplots(1, len(values), figsize=(4.2 * len(values), 3.2), constrained_layout=True, squeeze=False)
    for axis, (space, found) in zip(axes[0], values.items(), strict=True):
        for label, cosine in found.items():
            axis.hist(cosine, bins=np.linspace(-0.6, 1, 81), density=True, histtype="step", lw=1.4, label=label)
        axis.set(title=space, xlabel="cosine of two random items", yticks=[])
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle("How the training banks fill the sphere")
    return store(figure, path)


def neighbours(table: pd.DataFrame, path=None):
    """How many neighbours each aggregation averages, effectively: one panel per leaf, one line per centre."""
    leaves = list(table.leaf.unique())
    figure, axes = plt.subplots(1, len(leaves), figsize=(4.6 * len(leaves), 3.2), constrained_layout=True, squeeze=False)
    bins = np.geomspace(1, max(2.0, table.neighbours.max()), 40)
    for axis, leaf in zip(axes[0], leaves, strict=True):
        for centre, part in table[table.leaf == leaf].groupby("centre", sort=False):
            axis.hist(part.neighbours, bins=bins, histtype="step", density=False, weights=np.full(len(part), 100 / len(part)), lw=1.6, label=centre)
        axis.set(xscale="log", title=f"{leaf} leaf", xlabel="effective number of neighbours", ylabel="% of queries")
        axis.legend(frameon=False, title="centre", fontsize=8)
    return store(figure, path)


def top_mass(table: pd.DataFrame, path=None):
    """Share of a query's weight that its k heaviest keys hold: one panel per leaf, one line per centre and bank, mean over queries."""
    leaves = list(table.leaf.unique())
    figure, axes = plt.subplots(1, len(leaves), figsize=(4.8 * len(leaves), 3.6), constrained_layout=True, squeeze=False, sharey=True)
    for axis, leaf in zip(axes[0], leaves, strict=True):
        for number, ((centre, bank, size), part) in enumerate(table[table.leaf == leaf].groupby(["centre", "bank", "size"], sort=False)):
            line = dict(color=f"C{number // 2}", ls="-" if number % 2 == 0 else "--")  # two banks to a centre
            axis.plot(part.k, 100 * part.mass, label=f"{centre} asks {bank}, {size}", lw=1.6, **line)
        axis.axhline(99, color="grey", lw=0.8, ls=":")
        axis.set(xscale="log", title=f"{leaf} leaf", xlabel="k")
        axis.legend(frameon=False, fontsize=8)
    axes[0, 0].set(ylabel="% of the weight in the top k (dotted: 99)", ylim=(0, 102))
    figure.suptitle("How concentrated the weights of the aggregation are")
    return store(figure, path)


def losses(table: pd.DataFrame, by: str, lines: str, value: str, title: str, path=None):
    """One panel per `by`, one line per `lines`: `value` against epoch; the seeds' spread as a band."""
    groups = list(table[by].unique())
    figure, axes = plt.subplots(1, len(groups), figsize=(4.2 * len(groups), 3.2), squeeze=False, constrained_layout=True)
    for axis, group in zip(axes[0], groups, strict=True):
        for name, part in table[table[by] == group].groupby(lines, sort=False):
            over = part.groupby("epoch")[value]
            line = axis.plot(over.mean().index, over.mean(), label=str(name))[0]
            if "seed" in part and part.seed.nunique() > 1:
                axis.fill_between(over.mean().index, over.min(), over.max(), color=line.get_color(), alpha=0.2, lw=0)
        axis.set(title=str(group), xlabel="epoch", ylabel=value)
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    return store(figure, path)


def training_losses(table: pd.DataFrame, path=None):
    """Losses of the projectors: the inter-space and the intra-space term, one panel per leaf."""
    long = table.melt(id_vars=["leaf", "seed", "epoch"], value_vars=["inter", "intra"], var_name="term", value_name="loss")
    return losses(long, "leaf", "term", "loss", "Projectors: the loss per epoch, band over seeds", path)


def scatter(points: np.ndarray, modality: np.ndarray, concept: np.ndarray, shown: list[str], title: str, axes=None):
    """A two-dimensional map, twice: coloured by modality, and by a few concepts (modality as the mark)."""
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(11, 5), constrained_layout=True)
    for name in MARK:
        which = modality == name
        if which.any():
            axes[0].scatter(*points[which].T, s=6, c=COLOUR[name], marker=MARK[name], label=name, lw=0, alpha=0.7)
    legend = axes[0].legend(frameon=False, markerscale=2.5, fontsize=8)
    legend.set_title("modality", {"size": 8})
    axes[1].scatter(*points.T, s=3, c="#dddddd", lw=0)
    palette = plt.get_cmap("tab10")
    for n, name in enumerate(shown):
        for kind in MARK:
            which = (concept == name) & (modality == kind)
            if which.any():
                axes[1].scatter(*points[which].T, s=26, color=palette(n % 10), marker=MARK[kind], edgecolor="black", lw=0.3)
    handles = [plt.Line2D([], [], ls="", marker="o", color=palette(n % 10), label=name) for n, name in enumerate(shown)]
    handles += [plt.Line2D([], [], ls="", marker=MARK[k], color="grey", label=k) for k in MARK if (modality == k).any()]
    axes[1].legend(handles=handles, frameon=False, fontsize=7, ncols=2)
    for axis, what in zip(axes, ("by modality", "by concept"), strict=True):
        axis.set(title=f"{title}, {what}", xticks=[], yticks=[])
    return axes


def before_after(before: np.ndarray, after: np.ndarray, modality, concept, shown, path=None):
    """UMAP of the spaces as they are and of the extended space: (n, 2) twice, same items."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 10), constrained_layout=True)
    scatter(before, modality, concept, shown, "Before: leaf and base vectors side by side", axes[0])
    scatter(after, modality, concept, shown, "After: leaves extended into the base", axes[1])
    return store(figure, path)


def gap(before: pd.DataFrame, after: pd.DataFrame, path=None):
    """Distances between the centroids of modalities, before and after: two square tables."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
    top = np.nanmax([before, after])
    for axis, table, title in zip(axes, (before, after), ("before", "after"), strict=True):
        shown = axis.imshow(table, vmin=0, vmax=top, cmap="viridis")
        axis.set_xticks(range(len(table)), table.columns)
        axis.set_yticks(range(len(table)), table.index)
        for i, row in enumerate(table.to_numpy()):
            for j, value in enumerate(row):
                axis.text(j, i, "–" if np.isnan(value) else f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 * top else "black")
        axis.set_title(title)
    figure.colorbar(shown, ax=axes, label="distance between centroids")
    figure.suptitle("Modality gap: distance between the centroids of modalities")
    return store(figure, path)


def geometry(table: pd.DataFrame, items: str = "test", path=None):
    """The geometry table before and after, on items "test" or "pool": what compares two modalities above, what one says alone below."""
    table = table[table["items"] == items]
    both = table.assign(pair=table["from"] + " – " + table["to"], one=table["from"])
    once = both[both["from"] < both["to"]]
    panels = [
        (once, "pair", "gap", "gap between centroids (0 to 2)"),
        (once, "pair", "alignment", "alignment: squared distance of pairs (2: unrelated)"),
        (both.assign(pair=table["from"] + " → " + table["to"]), "pair", "hubness", "hubness: skewness of how often found (0: fair)"),
        (both.drop_duplicates(["stage", "one"]), "one", "uniformity", "uniformity (-4: fills the sphere)"),
        (both.drop_duplicates(["stage", "one"]), "one", "effective_rank", "effective rank (directions in use)"),
    ]
    panels = [panel for panel in panels if panel[0][panel[2]].notna().any()]
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), constrained_layout=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (part, by, value, label) in zip(axes.flat, panels, strict=False):
        wide = part.pivot(index=by, columns="stage", values=value).reindex(part[by].drop_duplicates())
        place = np.arange(len(wide))
        axis.hlines(place, wide["before"], wide["after"], color="#cccccc", lw=2)
        for stage, colour in (("before", "#9ecae9"), ("after", "#d62728")):
            axis.plot(wide[stage], place, "o", color=colour, label=stage, ms=6)
        axis.set_yticks(place, wide.index, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(label, fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"Geometry of the {'test items' if items == 'test' else 'training pools'}, before and after extension")
    return store(figure, path)
