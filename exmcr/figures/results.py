"""Figures of the results table: methods on tasks, and what extension keeps of the frozen spaces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.evaluation import metrics
from exmcr.evaluation.tables import over_seeds
from exmcr.figures.style import FROZEN, method_colors, panels, store

if TYPE_CHECKING:
    from exmcr.project import Project


def _metric(table: pd.DataFrame, name: str) -> metrics.Metric:
    """A registered metric that the table has. Raises ConfigError otherwise."""
    found = metrics.metric(name)
    if name not in table or f"chance_{name}" not in table:
        raise ConfigError(f"the results have no metric '{name}'; run `exmcr evaluate` again")
    return found


def bars(table: pd.DataFrame, metric: str = "map", subset: str = "all", path=None):
    """The results table as bars: one panel per task, one bar per method.

    Bars are means over seeds; whiskers are the 95 % interval over queries, mean over seeds; the
    dotted line is chance; all in per cent. The easiest tasks come first, and panels of one row
    share their axis. subset: a value of the column `concept_subset`. Raises ConfigError for a
    metric that is not registered or not in the table.
    """
    label = _metric(table, metric).label
    mean = over_seeds(table[table.concept_subset == subset])
    top = mean.groupby("task", sort=False)[metric].max()
    names = top.sort_values(ascending=False, kind="stable").index.tolist()
    colors = method_colors(mean.method)
    figure, axes = panels(len(names), 3, 10, 2.3, sharey="row")
    for axis, name in zip(axes, names, strict=True):
        part = mean[mean.task == name].set_index("method")
        shown = [method for method in colors if method in part.index]
        height, low, high = (
            100 * part.loc[shown, column] for column in (metric, f"{metric}_low", f"{metric}_high")
        )
        whiskers = np.clip([height - low, high - height], 0, None)
        axis.bar(shown, height, yerr=whiskers, color=[colors[m] for m in shown], capsize=2)
        chance, first = 100 * part[f"chance_{metric}"].iloc[0], part.iloc[0]
        axis.axhline(chance, color="black", lw=1, ls=":")
        sizes = f"{int(first.n_queries)} queries, gallery {int(first.n_gallery)}"
        axis.set_title(f"{name}\n{sizes}, chance {chance:.1f}", fontsize=9)
        axis.tick_params(axis="x", labelrotation=35, labelsize=8)
    for axis in axes[::3]:
        axis.set_ylabel(f"{label} (%)", fontsize=8)
    title = finding(mean, metric)
    figure.suptitle(
        f"{title}\n({label}, {subset} test queries; whiskers: 95 % interval; dotted: chance)"
    )
    return store(figure, path)


def finding(mean: pd.DataFrame, metric: str = "map", method: str = "exmcr") -> str:
    """On how many tasks a method is the best one, and how often its interval reaches the best.

    mean: the results table over seeds, one row per task and method. Frozen spaces, and tasks that
    no other method has, do not count.
    """
    own = mean[~mean.method.isin(FROZEN)]
    own = own[own.groupby("task").method.transform("nunique") > 1]
    mine = own[own.method == method].set_index("task")
    if mine.empty:
        return "Every method on every task"
    best = own.loc[own.groupby("task", sort=False)[metric].idxmax()].set_index("task")
    best = best.loc[mine.index]
    first, n = int((best.method == method).sum()), len(mine)
    open_ = int(((best.method != method) & (mine[f"{metric}_high"] >= best[metric])).sum())
    return (
        f"{method} is the best of {own.method.nunique()} methods on {first} of {n} tasks; "
        f"on {open_} others its interval contains the best score"
    )


def seen_unseen(
    table: pd.DataFrame,
    metric: str = "map",
    methods: Sequence[str] = ("exmcr", "hop", "procrustes"),
    path=None,
):
    """A metric on seen and on unseen concepts, for the tasks that have both; in per cent.

    table: the results table. Raises ConfigError for a metric that is not registered or not in the
    table.
    """
    label = _metric(table, metric).label
    mean = over_seeds(table[table.concept_subset != "all"])
    names = list(dict.fromkeys(mean[mean.method == methods[0]].task))
    colors, place, width = method_colors(methods), np.arange(len(names)), 0.8 / len(methods)
    figure, axes = panels(2, 2, 10, 3.4, sharey=True)
    for axis, subset in zip(axes, ("seen", "unseen"), strict=True):
        part = mean[mean.concept_subset == subset]
        for n, method in enumerate(methods):
            values = 100 * part[part.method == method].set_index("task")[metric].reindex(names)
            left = place + (n - (len(methods) - 1) / 2) * width
            axis.bar(left, values, 0.93 * width, color=colors[method], label=method)
        chance = part.groupby("task")[f"chance_{metric}"].first().reindex(names)
        axis.plot(place, 100 * chance, "k_", ms=22, label="chance")
        axis.set_xticks(place, names, rotation=35, ha="right", fontsize=8)
        axis.set(title=f"{subset} concepts", ylabel=f"{label} (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    where = "outside lower center"
    figure.legend(handles, labels, loc=where, ncols=len(labels), frameon=False, fontsize=8)
    figure.suptitle(_seen_and_unseen(mean, metric, methods[0]), fontsize=10)
    return store(figure, path)


def _seen_and_unseen(mean: pd.DataFrame, metric: str, method: str) -> str:
    own = mean[mean.method == method].pivot(index="task", columns="concept_subset", values=metric)
    easier = int((own.seen > own.unseen).sum())
    return f"{method} is better on seen than on unseen concepts in {easier} of {len(own)} tasks"


def with_compared(project: "Project", results: pd.DataFrame) -> pd.DataFrame:
    """The results table, followed by the rows of reports/compare.csv of other methods, if that file
    has been made.

    They are left out, which is printed, if methods that are in both tables have other scores, or if
    none is in both: then the comparison is of an earlier run. Raises ConfigError if it was made by
    another version, with other columns.
    """
    path = project.reports / "compare.csv"
    if not path.is_file():
        return results
    compared = pd.read_csv(path)
    if missing := [name for name in results if name not in compared]:
        raise ConfigError(f"{path} has no column {', '.join(missing)}; run `exmcr compare` again")
    both = results.merge(compared, on=["task", "concept_subset", "method", "seed"])
    if both.empty or not np.allclose(both.map_x, both.map_y, atol=1e-4):
        print("reports/compare.csv is of an earlier run and left out; run `exmcr compare` again")
        return results
    other = compared[~compared.method.isin(set(results.method))]
    return pd.concat([results, other], ignore_index=True)


def share_kept(results: pd.DataFrame, subset: str = "all") -> pd.DataFrame:
    """Share of the mAP of a frozen space that each method keeps, on tasks whose two modalities one
    frozen space has.

    Returns columns task, method, frozen (mAP of the frozen base or leaf), map, share (map /
    frozen). On tasks of the base alone, a method that leaves the base unchanged keeps exactly 1.
    """
    mean = over_seeds(results[results.concept_subset == subset])
    is_frozen = mean.method.isin(FROZEN)
    frozen = mean[is_frozen].groupby("task", sort=False)["map"].max().rename("frozen")
    made = mean[~is_frozen].merge(frozen, on="task")
    made["share"] = made["map"] / made.frozen
    return made[["task", "method", "frozen", "map", "share"]]


def kept(table: pd.DataFrame, methods: Sequence[str], path=None):
    """The table of `share_kept` as bars: one group per task, one bar per method that it has."""
    names = list(dict.fromkeys(table.task))
    shown = [method for method in methods if method in set(table.method)]
    colors, width = method_colors(shown), 0.8 / len(shown)
    figure, axis = plt.subplots(figsize=(10, 3.4), constrained_layout=True)
    for n, method in enumerate(shown):
        share = table[table.method == method].set_index("task").share.reindex(names)
        left = np.arange(len(names)) + (n - (len(shown) - 1) / 2) * width
        axis.bar(left, 100 * share, width, color=colors[method], label=method)
    axis.axhline(100, color="black", lw=1, ls=":")
    axis.set_xticks(range(len(names)), names, rotation=20, ha="right")
    least = table[table.method == shown[0]].sort_values("share").iloc[0]
    said = (
        f"{shown[0]} keeps {least.share:.0%} or more of a frozen space's mAP (least: {least.task})"
    )
    axis.set(ylabel="% of the frozen mAP", title=said)
    figure.legend(
        *axis.get_legend_handles_labels(),
        loc="outside lower center",
        frameon=False,
        fontsize=8,
        ncols=len(shown),
    )
    return store(figure, path)


def base_before_and_after(results: pd.DataFrame) -> pd.DataFrame:
    """Scores of the base on its own tasks before extension, and after it with Ex-MCR.

    Returns one row per task and concept subset: map and r1 before and after (mean over seeds), and
    the largest difference of any registered metric with any seed.
    """
    names, keys = list(metrics.METRICS), ["task", "concept_subset"]
    before = results[results.method == "base"].set_index(keys)
    rows = []
    for key, after in results[results.method == "exmcr"].groupby(keys, sort=False):
        if key not in before.index:
            continue
        own = before.loc[key, names].astype(float)
        scores = [x for name in ("map", "r1") for x in (own[name], after[name].mean())]
        largest = float((after[names] - own).abs().to_numpy().max())
        rows.append((*key, *scores, largest))
    shown = ["map before", "map after", "r1 before", "r1 after", "largest difference"]
    return pd.DataFrame(rows, columns=keys + shown)
