"""Every figure, one function each. Each returns the matplotlib figure and, with `path`, stores it as PNG."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

COLOUR = {"text": "#4c78a8", "image": "#f58518", "audio": "#54a24b", "points": "#b279a2"}
METHOD_COLOUR = {"exmcr": "#d62728", "hop": "#4c78a8", "procrustes": "#72b7b2", "lstsq": "#9ecae9", "direct": "#bab0ac", "leaf": "#8c6d31", "base": "#8c6d31"}
MARK = {"text": "o", "image": "s", "audio": "^", "points": "D"}
plt.rcParams.update({"figure.dpi": 100, "savefig.dpi": 120, "font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def _keep(figure, path: Path | None):
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight")
    return figure


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
    return _keep(figure, path)


def training_losses(table: pd.DataFrame, path=None):
    """Losses of the projectors: the inter-space and the intra-space term, one panel per leaf."""
    long = table.melt(id_vars=["leaf", "seed", "epoch"], value_vars=["inter", "intra"], var_name="term", value_name="loss")
    return losses(long, "leaf", "term", "loss", "Projectors: the loss per epoch, band over seeds", path)


def counts(items: pd.DataFrame, path=None):
    """How many items of each modality come from where, and what they are for: one panel per modality."""
    table = items[items.modality != "text"].groupby(["modality", "source", "split"]).size().unstack(fill_value=0)
    table = table.reindex(columns=["train", "val", "test"], fill_value=0)
    modalities = list(dict.fromkeys(table.index.get_level_values(0)))
    heights = [len(table.loc[m]) + 1 for m in modalities]
    figure, axes = plt.subplots(len(modalities), 1, figsize=(8, 0.36 * sum(heights)), height_ratios=heights, squeeze=False, constrained_layout=True)
    for axis, modality in zip(axes[:, 0], modalities, strict=True):
        part, left = table.loc[modality], np.zeros(len(table.loc[modality]))
        for split, colour in zip(table.columns, ("#4c78a8", "#eeca3b", "#e45756"), strict=True):
            axis.barh(part.index, part[split], left=left, color=colour, label=split)
            left += part[split].to_numpy()
        axis.set_title(f"{modality}: {int(left.sum())} items", fontsize=10, loc="left")
        axis.invert_yaxis()
    axes[0, 0].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)  # above the bars, however long they are
    return _keep(figure, path)


def cosines(values: dict[str, dict[str, np.ndarray]], path=None):
    """Histograms of cosines, one panel per space, one line per two modalities."""
    figure, axes = plt.subplots(1, len(values), figsize=(4.2 * len(values), 3.2), constrained_layout=True, squeeze=False)
    for axis, (space, found) in zip(axes[0], values.items(), strict=True):
        for label, cosine in found.items():
            axis.hist(cosine, bins=np.linspace(-0.6, 1, 81), density=True, histtype="step", lw=1.4, label=label)
        axis.set(title=space, xlabel="cosine of two random items", yticks=[])
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle("How the training banks fill the sphere")
    return _keep(figure, path)


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
    return _keep(figure, path)


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
    return _keep(figure, path)


def results(table: pd.DataFrame, metric: str = "map", split: str = "all", path=None):
    """The results table as bars: one group per task, one bar per method, seeds as whiskers, chance as a line."""
    from exmcr.evaluation.table import over_seeds

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
    return _keep(figure, path)


def compare(table: pd.DataFrame, ranking: pd.DataFrame, split: str = "all", path=None):
    """Methods, best first: mean mAP over the emergent tasks with its interval (left), and mAP on every task (right).

    table: the comparison, in the columns of the results table; ranking: method, map, map_low, map_high, chance_map."""
    from exmcr.evaluation.table import over_seeds
    from exmcr.evaluation.tasks import EMERGENT

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
    return _keep(figure, path)


def seen_unseen(table: pd.DataFrame, path=None):
    """mAP of seen against unseen concepts, where a task has both, Ex-MCR beside the best baseline."""
    from exmcr.evaluation.table import over_seeds

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
    axes[0].legend(frameon=False, fontsize=8)
    return _keep(figure, path)


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
    return _keep(figure, path)


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
    return _keep(figure, path)


def concept_scores(table: pd.DataFrame, title: str, path=None, most: int = 24):
    """Mean average precision per concept, best and worst first. table: columns concept, map, n."""
    ordered = table.sort_values("map", ascending=False)
    if len(ordered) > most:
        ordered = pd.concat([ordered.head(most // 2), ordered.tail(most // 2)])
    figure, axis = plt.subplots(figsize=(9, 3.4), constrained_layout=True)
    axis.bar([f"{r.concept} ({r.n})" for r in ordered.itertuples()], 100 * ordered["map"], color=np.where(ordered.seen, "#54a24b", "#e45756"))
    axis.tick_params(axis="x", labelrotation=70, labelsize=8)
    axis.set(ylabel="mAP (%)", title=title)
    handles = [plt.Rectangle((0, 0), 1, 1, color=c, label=l) for c, l in (("#54a24b", "heard in training"), ("#e45756", "never heard"))]
    axis.legend(handles=handles, frameon=False)
    return _keep(figure, path)


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
    return _keep(figure, path)


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
            axis.annotate(_short(row["concept"], 16), 100 * place, fontsize=8, textcoords="offset points", xytext=(4, 4))
    for scale in (axis.set_xscale, axis.set_yscale):
        scale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))  # most concepts crowd near zero
    ticks = [t for t in (0, 1, 5, 10, 20, 40, 60, 80, 100) if t <= top]
    axis.set(xlabel=f"{one}: mAP (%)", ylabel=f"{other}: mAP (%)", xlim=(0, top), ylim=(0, top), xticks=ticks, yticks=ticks, title=title)
    names = {True: f"heard in training: {table.seen.sum()} concepts", False: f"never heard: {(~table.seen).sum()}"}
    handles = [plt.Line2D([], [], ls="", marker="o", color=colour[seen], label=names[seen]) for seen in colour]
    figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    return _keep(figure, path)


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
    return _keep(figure, path)


def item(axis, row, raw) -> None:
    """Draw one raw item: picture, waveform, cloud or words."""
    if row.modality == "image":
        axis.imshow(raw)
    elif row.modality == "audio":
        seconds = np.arange(len(raw.samples)) / raw.rate
        step = max(1, len(seconds) // 2000)
        axis.plot(seconds[::step], raw.samples[::step], color=COLOUR["audio"], lw=0.5)
        axis.set_ylim(-1, 1)
    elif row.modality == "points":
        from exmcr.spaces.mini.views import render

        axis.imshow(render(raw)[0])
    else:
        axis.text(0.5, 0.5, textwrap.fill(row.caption, 15), ha="center", va="center", fontsize=9)
    axis.set(xticks=[], yticks=[])


def gallery(queries: list, answers: list[list], right: list[list[bool]] | None, load, title: str, path=None):
    """Queries (rows of the item table) on the left, their best answers to the right; green is right, red is wrong.

    With right=None the lines just show items."""
    width = 1 + max(len(a) for a in answers)
    figure, axes = plt.subplots(len(queries), width, figsize=(1.55 * width, 1.75 * len(queries)), squeeze=False, constrained_layout=True)
    for line, (query, found, good) in enumerate(zip(queries, answers, right or [[None] * len(a) for a in answers], strict=True)):
        item(axes[line][0], query, load(query))
        axes[line][0].set_title(_short(query.caption), fontsize=8, fontweight="bold" if right else "normal")
        for place in range(1, width):
            axis = axes[line][place]
            if place > len(found):
                axis.set_visible(False)
                continue
            row = found[place - 1]
            item(axis, row, load(row))
            colour = {None: "black", True: "#2ca02c", False: "#d62728"}[good[place - 1]]
            axis.set_title(_short(row.caption), fontsize=8 if right is None else 7, color=colour)
            if right:
                for spine in axis.spines.values():
                    spine.set(visible=True, color=colour, lw=1.5)
    figure.suptitle(title)
    return _keep(figure, path)


def answers(lines: dict[str, pd.DataFrame], load, title: str, path=None):
    """One line per question: its words on the left, what was found to the right. lines: {question: rows of the item table with `score`}."""
    width = max(len(rows) for rows in lines.values())
    figure, axes = plt.subplots(len(lines), width, figsize=(1.55 * width, 1.85 * len(lines)), squeeze=False, constrained_layout=True)
    for line, (question, rows) in zip(axes, lines.items(), strict=True):
        for axis, row in zip(line, rows.itertuples(), strict=False):
            item(axis, row, load(row))
            axis.set_title(f"{_short(row.caption, 20) if row.modality != 'text' else 'text'}\n{row.score:.2f}", fontsize=7)
        for axis in line[len(rows) :]:
            axis.set_visible(False)
        line[0].set_ylabel(textwrap.fill(question, 22), fontsize=8, fontweight="bold")
    figure.suptitle(title)
    return _keep(figure, path)


def turnable(rows: pd.DataFrame, load, title: str, most: int = 2000):
    """Clouds of points side by side, to be turned with the mouse: a plotly figure, at most `most` points of each."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    names = [f"{_short(row.caption)}{f' ({row.score:.2f})' if 'score' in rows else ''}" for row in rows.itertuples()]
    figure = make_subplots(1, len(rows), specs=[[{"type": "scene"}] * len(rows)], subplot_titles=names, horizontal_spacing=0.01)
    for column, row in enumerate(rows.itertuples(), 1):
        cloud = load(row)
        cloud = cloud[np.linspace(0, len(cloud) - 1, min(most, len(cloud))).astype(int)]
        x, y, z = np.round(cloud, 4).T
        marker = {"size": 2, "color": z, "colorscale": "Viridis"}
        figure.add_trace(graph_objects.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, hoverinfo="skip"), 1, column)
    camera = {"up": {"x": 0, "y": 1, "z": 0}, "eye": {"x": 0.9, "y": 0.7, "z": 1.5}}  # y is up
    figure.update_scenes(aspectmode="data", camera=camera, xaxis_visible=False, yaxis_visible=False, zaxis_visible=False)
    figure.update_layout(title=title, showlegend=False, height=320, margin={"l": 0, "r": 0, "t": 70, "b": 0})
    return figure


def ablation(table: pd.DataFrame, path=None):
    """One panel per factor: mAP over a leaf's validation tasks against the value, a line per leaf, mean and spread over seeds.

    table: that of exmcr.ablation.report. A ring marks what the leaf uses by default."""
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
    figure.suptitle("One parameter at a time, on validation concepts (ring: the default; bars: least and greatest over seeds)", fontsize=11)
    return _keep(figure, path)


def localisation(scenes: list, heats: dict[str, np.ndarray], path=None):
    """Where each method hears the sound: one line per scene, the picture first, then the heat maps (n, g, g) of a method each.

    White box: what sounds. Cross: the hottest place, green inside the box, red outside."""
    figure, axes = plt.subplots(len(scenes), 1 + len(heats), figsize=(2.1 * (1 + len(heats)), 2.15 * len(scenes)), squeeze=False, constrained_layout=True)
    for n, scene in enumerate(scenes):
        height, width = scene.image.shape[:2]
        for axis, name in zip(axes[n], [None, *heats], strict=True):
            axis.imshow(scene.image)
            axis.set(xticks=[], yticks=[])
            if name is None:
                axis.set_ylabel(_short(scene.concept), fontsize=9, fontweight="bold")
            else:
                heat = heats[name][n]
                axis.imshow(heat, extent=(0, width, height, 0), cmap="inferno", alpha=0.6)
                row, column = np.unravel_index(heat.argmax(), heat.shape)
                x, y = (column + 0.5) / heat.shape[1], (row + 0.5) / heat.shape[0]
                hit = any(left <= x < right and top <= y < bottom for left, top, right, bottom in scene.boxes)
                axis.plot(x * width, y * height, "P", ms=9, color="#2ca02c" if hit else "#d62728", markeredgecolor="white")
            for left, top, right, bottom in scene.boxes:
                size = ((right - left) * width, (bottom - top) * height)
                colour = "black" if name is None else "white"
                axis.add_patch(plt.Rectangle((left * width, top * height), *size, fill=False, edgecolor=colour, lw=1.8))
            if n == 0:
                axis.set_title(name or "what sounds", fontsize=10)
    figure.suptitle("Which thing makes the sound? (box: the truth, cross: the hottest place)", fontsize=10)
    return _keep(figure, path)


def _short(text: str, most: int = 22) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
