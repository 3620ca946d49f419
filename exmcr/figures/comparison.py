"""Figures of the experiments: all methods side by side, and one parameter of Ex-MCR at a time."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.evaluation.metrics import metric
from exmcr.evaluation.tables import over_seeds
from exmcr.evaluation.tasks import EMERGENT
from exmcr.figures.style import FROZEN, GRAY, METHOD_COLOR, method_colors, panels, store
from exmcr.media import modality


def compare(table: pd.DataFrame, ranking: pd.DataFrame, subset: str = "all", path=None):
    """Methods, best first: mean mAP over the emergent tasks (left) and mAP on every task (right).

    table    the comparison, with the columns of the results table
    ranking  columns method, map, map_low, map_high (95 % interval), chance_map
    subset   a value of the column `concept_subset`
    """
    label = metric("map").label
    mean = over_seeds(table[table.concept_subset == subset])
    emergent = emergent_tasks(mean)
    tasks = emergent + [name for name in dict.fromkeys(mean.task) if name not in emergent]
    cells = 100 * mean.pivot(index="method", columns="task", values="map")
    cells = cells.reindex(index=[*ranking.method, "leaf"], columns=tasks)
    cells.loc["chance"] = 100 * mean.groupby("task").chance_map.first().reindex(tasks)
    size = (11, 0.3 * len(cells) + 1.6)
    figure, (dots, heat) = plt.subplots(
        1, 2, figsize=size, width_ratios=(1, 2.1), constrained_layout=True
    )
    _ranking(dots, ranking, label)
    lines = [*ranking.method, "frozen leaf", "chance"]
    dots.set_yticks(range(len(lines)), lines)
    dots.set(ylim=(len(lines) - 0.5, -0.5))
    _cells(heat, cells, len(ranking))
    heat.axvline(len(emergent) - 0.5, color="white", lw=4)
    heat.axhline(len(ranking) - 0.5, color="white", lw=4)
    heat.set_xticks(range(len(tasks)), [name.replace("->", " to\n") for name in tasks], fontsize=8)
    heat.set_yticks([])  # the lines are those on the left
    heat.tick_params(length=0)
    title = f"{label} (%), mean over seeds; left of the white line: emergent tasks; bold: best"
    heat.set_title(f"{title} of the methods", fontsize=9)
    figure.suptitle("Every method on frozen embeddings, fitted on the same unpaired pools")
    return store(figure, path)


def emergent_tasks(table: pd.DataFrame) -> list[str]:
    """The emergent tasks of a comparison (exmcr.evaluation.tasks.emergent): those of EMERGENT, and
    those that no frozen space has scores on, because none has both modalities."""
    frozen = set(table[table.method.isin(FROZEN)].task)
    further = [task for task in dict.fromkeys(table.task) if task not in (*frozen, *EMERGENT)]
    return [task for task in EMERGENT if task in set(table.task)] + further


def _ranking(axis, ranking: pd.DataFrame, label: str) -> None:
    """Mean over the emergent tasks with its interval, one line per method."""
    # A variant such as "exmcr-cwcl" or "hop+invgc" has the color of its method.
    families = [name.split("+")[0].split("-")[0] for name in ranking.method]
    colors = [METHOD_COLOR.get(family, GRAY) for family in families]
    place = np.arange(len(ranking))
    axis.hlines(place, 100 * ranking.map_low, 100 * ranking.map_high, color=colors, lw=2)
    axis.scatter(100 * ranking["map"], place, color=colors, zorder=3)
    axis.axvline(100 * ranking.chance_map.iloc[0], color="black", lw=1, ls=":")
    axis.set_xlim(0, None)
    axis.set_xlabel(f"mean {label} over emergent tasks (%), 95 %\ndotted: chance")


def _cells(axis, cells: pd.DataFrame, methods: int) -> None:
    """A heat map with numbers; the first `methods` lines are methods, the last one is chance.

    The colors of a task run from its chance to its best method, so that tasks of different
    difficulty can be read side by side.
    """
    values = cells.to_numpy()
    best, chance = np.nanmax(values[:methods], axis=0), values[-1]
    share = (values - chance) / np.maximum(best - chance, 1e-9)
    axis.imshow(np.clip(share, 0, 1), aspect="auto", cmap="YlGnBu", vmin=0, vmax=1.15)
    for (line, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            weight = "bold" if line < methods and value == best[column] else "normal"
            color = "white" if share[line, column] > 0.7 else "black"
            style = {"ha": "center", "va": "center", "fontsize": 8}
            axis.text(column, line, f"{value:.1f}", fontweight=weight, color=color, **style)


POOLS = {
    "x": "sounds, shapes (the leaf's own modality)",
    "o": "overlap (texts, images)",
    "y": "the other modality of the base",
}


def growth(table: pd.DataFrame, path=None):
    """Mean mAP over the emergent tasks against the size of each unpaired pool, one line per method.

    table: that of exmcr.experiments.growth.growth. A line is the mean over seeds; a band reaches
    from the least to the greatest seed. One panel per pool; the others are whole.
    """
    pools = list(dict.fromkeys(table.pool))
    colors = method_colors(table.method)
    figure, axes = panels(len(pools), len(pools), 4 * len(pools), 3.6, sharey=True)
    for axis, pool in zip(axes, pools, strict=True):
        part = table[table.pool == pool]
        for name, own in part.groupby("method", sort=False):
            over = (100 * own.set_index("items")["map"]).groupby(level=0)
            mean = over.mean()
            axis.plot(mean.index, mean, "o-", ms=4, color=colors[str(name)], label=name)
            band = {"color": colors[str(name)], "alpha": 0.15, "lw": 0}
            axis.fill_between(mean.index, over.min(), over.max(), **band)
        axis.axhline(100 * part.chance_map.iloc[0], color="black", lw=1, ls=":")
        axis.set_xscale("log")
        sizes = sorted(part["items"].unique())
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8)
        axis.minorticks_off()
        axis.set_xlabel("items in the pool, both leaves", fontsize=9)
        axis.set_title(POOLS[pool], fontsize=10)
    axes[0].set_ylabel(f"mean {metric('map').label} over emergent tasks (%)", fontsize=9)
    axes[0].set_ylim(0, None)
    axes[-1].legend(frameon=False, fontsize=8)
    figure.suptitle("One unpaired pool cut at a time (dotted: chance)", fontsize=11)
    return store(figure, path)


def leaf_colors(leaves: list[str], modalities: dict[str, str] | None = None) -> dict[str, str]:
    """{leaf: color}: that of its modality if given and not yet taken, else one of a cycle.

    modalities: {leaf: modality}. Raises ConfigError for a modality that is not registered.
    """
    found: dict[str, str] = {}
    for n, leaf in enumerate(leaves):
        name = (modalities or {}).get(leaf)
        own = f"C{n}" if name is None else modality(name).color
        found[leaf] = f"C{n}" if own in found.values() else own
    return found


def ablation(
    table: pd.DataFrame,
    steps: int | None = None,
    modalities: dict[str, str] | None = None,
    path=None,
):
    """mAP against the value of each factor: one panel per factor, one line per leaf.

    table       that of exmcr.experiments.ablation.report
    steps       the most training steps of any run, for the title
    modalities  {leaf: modality}, for the colors

    A point is the mean over a leaf's validation tasks and over seeds; bars reach from the least to
    the greatest seed; a ring marks a leaf's own value. Raises ConfigError for a modality that is
    not registered.
    """
    factors, leaves = list(dict.fromkeys(table.factor)), list(dict.fromkeys(table.leaf))
    colors = leaf_colors(leaves, modalities)
    grouped = table.groupby(["factor", "value", "leaf", "seed"], sort=False)
    per_seed = grouped.agg(map=("map", "mean"), default=("default", "first")).reset_index()
    figure, axes = panels(len(factors), 3, 10, 2.5, sharey=True)
    for axis, factor in zip(axes, factors, strict=True):
        part = per_seed[per_seed.factor == factor]
        values = list(dict.fromkeys(part.value))
        for n, leaf in enumerate(leaves):
            over = part[part.leaf == leaf].groupby("value", sort=False)
            mean, least, most = (100 * over["map"].agg(how) for how in ("mean", "min", "max"))
            at = np.array([values.index(value) for value in mean.index])
            at = at + 0.1 * (n - (len(leaves) - 1) / 2)
            line = "o-" if all(map(_is_number, values)) else "o"  # categories have no order
            style = {"fmt": line, "ms": 4, "lw": 1, "capsize": 2, "color": colors[leaf]}
            spread = [mean - least, most - mean]
            axis.errorbar(at, mean, yerr=spread, label=f"{leaf} leaf", **style)
            own = over["default"].first().to_numpy(bool)
            ring = {"ms": 11, "mfc": "none", "mec": colors[leaf], "mew": 1.4}
            axis.plot(at[own], mean[own], "o", **ring)
        long = max(map(len, values)) > 6
        turn = {"rotation": 30, "ha": "right"} if long else {}
        axis.set_xticks(range(len(values)), values, fontsize=8, **turn)
        axis.set_title(factor, fontsize=10)
    for axis in axes[::3]:
        axis.set_ylabel(f"mean {metric('map').label} (%)", fontsize=9)
    axes[0].legend(frameon=False, fontsize=8)
    limit = f", at most {steps} steps" if steps else ""
    how = "ring: the default; bars: least and greatest over seeds"
    title = f"One parameter at a time{limit}, on validation concepts ({how})"
    figure.suptitle(title, fontsize=11)
    return store(figure, path)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
