"""Figures of scores: methods against each other on tasks and on concepts, and the ablation."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.evaluation.table import over_seeds
from exmcr.evaluation.tasks import EMERGENT
from exmcr.plot_style import COLOUR, short, store

METHOD_COLOUR = {"exmcr": "#d62728", "hop": "#4c78a8", "procrustes": "#72b7b2", "lstsq": "#9ecae9", "direct": "#bab0ac", "leaf": "#8c6d31", "base": "#8c6d31"}


def results(table: pd.DataFrame, metric: str = "map", split: str = "all", path=None):
    """The results table as bars: one group per task, one bar per method, seeds as whiskers, chance as a line."""
    mean = over_seeds(table[table.split == split])
    names = list(dict.fromkeys(mean.task))
    order = [m for m in METHOD_COLOUR if m in set(mean.method)]
    columns = 3
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(10, 2.3 * lines), constrained_layout=True, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        part = mean[mean.task == name].set_index("method")
        shown = [m for m in order if m in part.index]
        spread = 100 * part.loc[shown, f"{metric}_sd"] if f"{metric}_sd" in part else None
        axis.bar(shown, 100 * part.loc[shown, metric], yerr=spread, color=[METHOD_COLOUR[m] for m in shown], capsize=2)
        chance = 100 * part[f"chance_{metric}"].iloc[0]
        axis.axhline(chance, color="black", lw=1, ls=":")
        first = part.iloc[0]
        axis.set_title(f"{name}\n{int(first.n_queries)} queries, gallery {int(first.n_gallery)}, chance {chance:.1f}", fontsize=9)
        axis.tick_params(axis="x", labelrotation=35, labelsize=8)
        axis.set_ylabel(f"{'mAP' if metric == 'map' else 'R@1'} (%)", fontsize=8)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    figure.suptitle(f"Every method on every task ({'mAP' if metric == 'map' else 'R@1'}, {split} test queries; dotted: chance)")
    return store(figure, path)


def compare(table: pd.DataFrame, ranking: pd.DataFrame, split: str = "all", path=None):
    """Methods, best first: mean mAP over the emergent tasks with its interval (left), and mAP on every task (right).

    table: the comparison, in the columns of the results table; ranking: method, map, map_low, map_high, chance_map."""
    mean = over_seeds(table[table.split == split])
    tasks = [t for t in EMERGENT if t in set(mean.task)] + [t for t in dict.fromkeys(mean.task) if t not in EMERGENT]
    cells = 100 * mean.pivot(index="method", columns="task", values="map").reindex(index=[*ranking.method, "leaf"], columns=tasks)
    chance = 100 * mean.groupby("task").chance_map.first().reindex(tasks)
    cells.loc["chance"] = chance
    lines = len(cells)
    figure, (dots, heat) = plt.subplots(1, 2, figsize=(11, 0.3 * lines + 1.6), width_ratios=(1, 2.1), constrained_layout=True)
    y = np.arange(len(ranking))
    colour = [METHOD_COLOUR.get(m.split("+")[0].split("-")[0], "#7f7f7f") for m in ranking.method]
    dots.hlines(y, 100 * ranking.map_low, 100 * ranking.map_high, color=colour, lw=2)
    dots.scatter(100 * ranking["map"], y, color=colour, zorder=3)
    dots.axvline(100 * ranking.chance_map.iloc[0], color="black", lw=1, ls=":")
    dots.set_yticks(range(lines), [*ranking.method, "frozen leaf", "chance"])
    dots.set(ylim=(lines - 0.5, -0.5), xlim=(0, None), xlabel="mean mAP over emergent tasks (%), 95 %\ndotted: chance")
    # A task's colours run from its chance to its best, so that tasks of different difficulty can be read side by side.
    values = cells.to_numpy()
    share = (values - chance.to_numpy()) / np.maximum(np.nanmax(values[: len(ranking)], axis=0) - chance.to_numpy(), 1e-9)
    heat.imshow(np.clip(share, 0, 1), aspect="auto", cmap="YlGnBu", vmin=0, vmax=1.15)
    for (line, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            best = line < len(ranking) and value == np.nanmax(values[: len(ranking), column])
            heat.text(column, line, f"{value:.1f}", ha="center", va="center", fontsize=8, fontweight="bold" if best else "normal",
                      color="white" if share[line, column] > 0.7 else "black")  # fmt: skip
    emergent = sum(t in EMERGENT for t in tasks)
    heat.axvline(emergent - 0.5, color="white", lw=4)
    heat.axhline(len(ranking) - 0.5, color="white", lw=4)
    heat.set_xticks(range(len(tasks)), [t.replace("->", " to\n") for t in tasks], fontsize=8)
    heat.set_yticks([])  # the lines are those on the left
    heat.tick_params(length=0)
    heat.set_title("mAP (%), mean over seeds; left of the white line: emergent tasks; bold: best of the methods", fontsize=9)
    figure.suptitle("Every method on frozen embeddings, fitted on the same unpaired pools")
    return store(figure, path)


def seen_unseen(table: pd.DataFrame, path=None):
    """mAP of seen against unseen concepts, where a task has both, Ex-MCR beside the best baseline."""
    mean = over_seeds(table[table.split != "all"])
    names = [t for t in dict.fromkeys(mean.task) if t in set(mean[mean.method == "exmcr"].task)]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, constrained_layout=True)
    for axis, split in zip(axes, ("seen", "unseen"), strict=True):
        part = mean[mean.split == split]
        for offset, method in zip((-0.27, 0, 0.27), ("exmcr", "hop", "procrustes"), strict=True):
            values = part[part.method == method].set_index("task").reindex(names)
            axis.bar(np.arange(len(names)) + offset, 100 * values["map"], 0.25, color=METHOD_COLOUR[method], label=method)
        values = part[part.method == "exmcr"].set_index("task").reindex(names)
        axis.plot(np.arange(len(names)), 100 * values.chance_map, "k_", ms=22, label="chance")
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
        axis.set(title=f"{split} concepts", ylabel="mAP (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside upper center", ncols=4)
    return store(figure, path)


def kept(table: pd.DataFrame, methods: list[str], path=None):
    """How much of a frozen space's own mAP each method keeps, one group of bars per task: table of looks.kept."""
    names, shown = list(dict.fromkeys(table.task)), [m for m in methods if m in set(table.method)]
    figure, axis = plt.subplots(figsize=(10, 3.4), constrained_layout=True)
    width = 0.8 / len(shown)
    spare = plt.get_cmap("Dark2")
    for place, method in enumerate(shown):
        share = table[table.method == method].set_index("task").share.reindex(names)
        left = np.arange(len(names)) + (place - (len(shown) - 1) / 2) * width
        axis.bar(left, 100 * share, width, color=METHOD_COLOUR.get(method, spare(place)), label=method)
    axis.axhline(100, color="black", lw=1, ls=":")
    axis.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axis.set(ylabel="% of the frozen mAP", title="What is kept of what one frozen space can do alone (dotted: that space)")
    axis.legend(frameon=False, fontsize=8, ncols=len(shown))
    return store(figure, path)


def concept_scores(table: pd.DataFrame, title: str, path=None, most: int = 24):
    """Mean average precision per concept, best and worst first. table: columns concept, map, n."""
    ordered = table.sort_values("map", ascending=False)
    if len(ordered) > most:
        ordered = pd.concat([ordered.head(most // 2), ordered.tail(most // 2)])
    figure, axis = plt.subplots(figsize=(9, 3.4), constrained_layout=True)
    axis.bar([f"{r.concept} ({r.n})" for r in ordered.itertuples()], 100 * ordered["map"], color=np.where(ordered.seen, "#54a24b", "#e45756"))
    axis.tick_params(axis="x", labelrotation=70, labelsize=8)
    axis.set(ylabel="mAP (%)", title=title)
    handles = [plt.Rectangle((0, 0), 1, 1, color=c, label=l) for c, l in (("#54a24b", "concept in training"), ("#e45756", "not in training"))]
    axis.legend(handles=handles, frameon=False)
    return store(figure, path)


def concept_by_concept(table: pd.DataFrame, one: str, other: str, title: str, path=None, named: int = 8):
    """Mean AP per concept of two methods against each other: table of looks.concepts_by_method. Area: number of queries.

    The concepts on which they differ most are named."""
    figure, axis = plt.subplots(figsize=(6.4, 5.6), constrained_layout=True)
    colour = {True: "#54a24b", False: "#e45756"}
    axis.scatter(100 * table[one], 100 * table[other], s=14 * table.n, c=table.seen.map(colour), alpha=0.65, lw=0)
    top = 100 * max(table[one].max(), table[other].max(), 0.05) * 1.08
    axis.plot([0, top], [0, top], color="black", lw=1, ls=":")
    difference = (table[other] - table[one]).abs().sort_values(ascending=False, kind="stable")
    taken: list[np.ndarray] = []
    for row in table.loc[difference.index[: 3 * named]].to_dict("records"):
        place = np.array([row[one], row[other]])
        if len(taken) < named and all(np.abs(np.sqrt(place) - np.sqrt(t)).max() > 0.08 for t in taken):  # names must not overlap
            taken.append(place)
            axis.annotate(short(row["concept"], 16), 100 * place, fontsize=8, textcoords="offset points", xytext=(4, 4))
    for scale in (axis.set_xscale, axis.set_yscale):
        scale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))  # most concepts crowd near zero
    ticks = [t for t in (0, 1, 5, 10, 20, 40, 60, 80, 100) if t <= top]
    axis.set(xlabel=f"{one}: mAP (%)", ylabel=f"{other}: mAP (%)", xlim=(0, top), ylim=(0, top), xticks=ticks, yticks=ticks, title=title)
    names = {True: f"in training: {table.seen.sum()} concepts", False: f"not in training: {(~table.seen).sum()}"}
    handles = [plt.Line2D([], [], ls="", marker="o", color=colour[seen], label=names[seen]) for seen in colour]
    figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    return store(figure, path)


def ablation(table: pd.DataFrame, steps: int | None = None, path=None):
    """One panel per factor: mAP over a leaf's validation tasks against the value, a line per leaf, mean and spread over seeds.

    table: that of exmcr.ablation.report. A ring marks what the leaf uses by default. steps: how many all runs had at most, for the title."""
    factors, leaves = list(dict.fromkeys(table.factor)), list(dict.fromkeys(table.leaf))
    columns = 3
    lines = -(-len(factors) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(10, 2.5 * lines), sharey=True, squeeze=False, constrained_layout=True)
    per_seed = table.groupby(["factor", "value", "leaf", "seed"], sort=False).agg(map=("map", "mean"), default=("default", "first")).reset_index()
    for axis, factor in zip(axes.flat, factors, strict=False):
        part = per_seed[per_seed.factor == factor]
        values = list(dict.fromkeys(table[table.factor == factor].value))
        for n, leaf in enumerate(leaves):
            over = part[part.leaf == leaf].groupby("value", sort=False)
            mean = 100 * over["map"].mean()
            at = np.array([values.index(v) for v in mean.index]) + 0.1 * (n - (len(leaves) - 1) / 2)
            colour = list(COLOUR.values())[2 + n % 2]
            low, high = mean - 100 * over["map"].min(), 100 * over["map"].max() - mean
            axis.errorbar(at, mean, yerr=[low, high], fmt="o-", ms=4, lw=1, capsize=2, color=colour, label=f"{leaf} leaf")
            own = over["default"].first().to_numpy(bool)
            axis.plot(at[own], mean[own], "o", ms=11, mfc="none", mec=colour, mew=1.4)
        long = max(map(len, values)) > 6
        axis.set_xticks(range(len(values)), values, rotation=30 if long else 0, ha="right" if long else "center", fontsize=8)
        axis.set_title(factor, fontsize=10)
    for axis in axes.flat[len(factors) :]:
        axis.set_visible(False)
    for row in axes:
        row[0].set_ylabel("mean mAP (%)", fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=8)
    limit = f", at most {steps} steps" if steps else ""
    title = f"One parameter at a time{limit}, on validation concepts (ring: the default; bars: least and greatest over seeds)"
    figure.suptitle(title, fontsize=11)
    return store(figure, path)
