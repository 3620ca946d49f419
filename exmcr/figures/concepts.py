"""Figures of single concepts: where a method works, where another is better, and its answers.

The functions that score take an exmcr.evaluation.bench.Bench of the test split, which fits every
method with the settings of params.yaml.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.evaluation import matching
from exmcr.evaluation.matching import right_answers
from exmcr.evaluation.meeting import dense
from exmcr.evaluation.metrics import METRICS
from exmcr.figures.items import as_gallery
from exmcr.figures.style import SEEN_COLOR, panels, short, store
from exmcr.figures.tasks import find_task, task_named
from exmcr.methods.registry import after_of, seeds_of

if TYPE_CHECKING:
    from exmcr.evaluation.bench import Bench, MapsOfLeaves
    from exmcr.evaluation.tasks import Task
    from exmcr.methods.registry import Similarity

COMPARED = ("hop", "procrustes", "exmcr")
SEEN_MARKER = {True: "o", False: "^"}
TICKS = (0, 1, 5, 10, 20, 40, 60, 80, 100)  # per cent


def fitted(bench: "Bench", names: Sequence[str] = COMPARED) -> dict[str, list["MapsOfLeaves"]]:
    """{method: its maps with each seed}. Raises ConfigError for an unknown method."""
    return {
        name: [bench.fit(name, seed) for seed in seeds_of(bench.params, name)] for name in names
    }


def average_precision(
    bench: "Bench", task: "Task", maps: "MapsOfLeaves", after: "Similarity | None" = None
) -> np.ndarray:
    """Average precision of each query of a task, (n,) in [0, 1], by these maps and a
    post-processor."""
    return METRICS["map"].per_query(bench.ranks(task, maps, after), len(task.gallery))


def mean_precision(
    bench: "Bench", task: "Task", method: str, seeds: Sequence["MapsOfLeaves"]
) -> np.ndarray:
    """Average precision of each query of a task, (n,) in [0, 1]: mean over the seeds of a method.

    seeds: maps with each seed; the post-processor of the method, if it has one, is applied.
    """
    after = after_of(bench.params, method)
    return np.mean([average_precision(bench, task, maps, after) for maps in seeds], axis=0)


def by_concept(bench: "Bench", name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of Ex-MCR (first seed) per concept of a task, and its wrong first answers.

    Returns two tables: concept, map (mean average precision, in [0, 1]), n (queries), seen (whether
    the concept occurs in training); and asked, answered (concepts), times, the most frequent first.
    Raises ConfigError if there is no such task.
    """
    task = task_named(bench, name)
    maps = bench.fit("exmcr", bench.params.seeds[0])
    asked, (first, wrong) = task.queries.concept.to_numpy(), _first_answers(bench, task, maps)
    ap = average_precision(bench, task, maps)
    table = pd.DataFrame({"concept": asked, "map": ap, "seen": task.seen})
    found = {"map": ("map", "mean"), "n": ("map", "size"), "seen": ("seen", "first")}
    scores = table.groupby("concept").agg(**found).reset_index()
    answered = task.gallery.concept.to_numpy()[first]
    taken = pd.DataFrame({"asked": asked[wrong], "answered": answered[wrong]})
    return scores, taken.value_counts().rename("times").reset_index()


def _first_answers(
    bench: "Bench", task: "Task", maps: "MapsOfLeaves"
) -> tuple[np.ndarray, np.ndarray]:
    """The best answer to each query, int (n,), and whether it is wrong, bool (n,)."""
    queries, gallery = bench.common(task, maps)
    step = max(1, matching.DENSE // len(task.gallery))
    first: list[np.ndarray] = []
    wrong: list[np.ndarray] = []
    for begin in range(0, len(task.queries), step):
        best = dense(queries[begin : begin + step] @ gallery.T).argmax(axis=1)
        right = task.right(range(begin, begin + len(best)))
        first.append(best)
        wrong.append(~right[np.arange(len(best)), best])
    return np.concatenate(first), np.concatenate(wrong)


def best_and_worst(bench: "Bench", name: str, n: int = 6) -> pd.DataFrame:
    """The n concepts of a task with the highest and the n with the lowest mAP of Ex-MCR.

    Indexed by concept: map, queries, training items (of the query's modality), right answers (in
    the gallery), mistaken for (concepts of the most frequent wrong first answers). Raises
    ConfigError if there is no such task.
    """
    task = task_named(bench, name)
    scores, taken = by_concept(bench, name)
    items = bench.project.items
    train = items[(items.modality == task.from_modality) & (items.split == "train")]
    positives = pd.Series(right_answers(task.positive), index=task.queries.concept.to_numpy())
    mistaken = taken.groupby("asked").answered.agg(
        lambda names: ", ".join([name or "(no concept)" for name in names][:3])
    )
    ordered = scores.sort_values("map", ascending=False, kind="stable").set_index("concept")
    ordered = pd.concat([ordered.head(n), ordered.iloc[max(n, len(ordered) - n) :]])
    counts = train.concept.value_counts().reindex(ordered.index).fillna(0).astype(int)
    return pd.DataFrame(
        {
            "map": ordered["map"],
            "queries": ordered.n,
            "training items": counts,
            "right answers": positives.groupby(level=0).first().reindex(ordered.index),
            "mistaken for": mistaken.reindex(ordered.index).fillna(""),
        }
    )


def by_method(bench: "Bench", name: str, methods: dict[str, list["MapsOfLeaves"]]) -> pd.DataFrame:
    """Mean average precision per concept of a task: columns concept, n (queries), seen, and one per
    method (mean over its seeds).

    methods: {method: maps with each seed}, as `fitted` returns them. Raises ConfigError if there is
    no such task.
    """
    task = task_named(bench, name)
    table = pd.DataFrame({"concept": task.queries.concept.to_numpy(), "seen": task.seen})
    for method, seeds in methods.items():
        table[method] = mean_precision(bench, task, method, seeds)
    found = {"n": ("seen", "size"), "seen": ("seen", "first")}
    found |= {method: (method, "mean") for method in methods}
    return table.groupby("concept").agg(**found).reset_index()


def few_decide(table: pd.DataFrame, one: str, other: str, few: int = 3) -> str:
    """On how many concepts each of two methods is better, and how much a few concepts decide.

    table: that of `by_method`; few: concepts whose share of the sum of differences is given.
    """
    size = ((table[other] - table[one]).abs() * table.n).sort_values(ascending=False)
    first, second = ((table[a] > table[b]).sum() for a, b in ((one, other), (other, one)))
    share = size.head(few).sum() / max(size.sum(), 1e-12)
    return (
        f"{one} is better on {first} concepts, {other} on {second};\n"
        f"{min(few, len(size))} of {len(size)} concepts make up {share:.0%} of the difference"
    )


def task_answers(bench: "Bench", name: str, n: int, most: int = 5):
    """n queries of a task, of different concepts, with their best answers by Ex-MCR (first seed).

    Returns the first three arguments of `exmcr.figures.items.gallery`, or None if there is no such
    task. The queries are a fixed random draw, not the best ones.
    """
    task = find_task(bench, name)
    if task is None:
        return None
    row = {id: k for k, id in enumerate(task.queries.id)}
    shuffled = task.queries.sample(frac=1, random_state=0)
    chosen = shuffled.drop_duplicates("concept").head(n)
    lines = [row[id] for id in chosen.id]
    # Only the chosen queries are compared with the gallery, which may be large.
    some = replace(task, queries=chosen, positive=task.right(lines), seen=task.seen[lines])
    similarity = bench.similarity(some, bench.fit("exmcr", bench.params.seeds[0]))
    best = np.argsort(-similarity, axis=1)[:, :most]
    right = np.take_along_axis(some.positive, best, axis=1).tolist()
    return as_gallery(chosen, [task.gallery.iloc[b] for b in best], right)


def concept_scores(table: pd.DataFrame, title: str, path=None, most: int = 24):
    """mAP per concept as bars: the best concepts on the left, the worst on the right.

    table: columns concept, map, n, seen, as `by_concept` returns it; most: concepts in all. A
    concept that occurs in training has a filled bar, another a hatched one.
    """
    ordered = table.sort_values("map", ascending=False, kind="stable")
    half = max(1, most // 2)
    parts = [ordered.head(half)]
    if len(ordered) > half:
        parts.append(ordered.iloc[max(half, len(ordered) - half) :])
    height = 0.24 * max(map(len, parts)) + 1.2
    figure, axes = panels(len(parts), len(parts), 5 * len(parts), height, sharex=True)
    for axis, part in zip(axes, parts, strict=True):
        names = [f"{short(row.concept)} ({row.n})" for row in part.itertuples()]
        colors = part.seen.map(SEEN_COLOR)
        hatches = ["" if seen else "///" for seen in part.seen]
        axis.barh(names, 100 * part["map"], color=colors, hatch=hatches, edgecolor="white")
        axis.invert_yaxis()
        axis.tick_params(axis="y", labelsize=8)
        axis.set(xlabel="mAP (%)", xlim=(0, 100))
    for axis, name in zip(axes, ("best", "worst"), strict=False):
        axis.set_title(f"the {name} concepts (number of queries)", fontsize=9)
    labels = {True: "concept in training", False: "not in training"}
    handles = [
        plt.Rectangle((0, 0), 1, 1, fc=SEEN_COLOR[key], ec="white", hatch="" if key else "///")
        for key in labels
    ]
    names = list(labels.values())
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11)
    return store(figure, path)


def concept_by_concept(
    table: pd.DataFrame, one: str, other: str, title: str, path=None, named: int = 8
):
    """mAP of two methods against each other, one point per concept; area: number of queries.

    table: that of `by_method`; one, other: two of its methods. The concepts on which the methods
    differ most are named, at most `named`. Both axes are scaled by the square root.
    """
    figure, axis = plt.subplots(figsize=(6.4, 5.6), constrained_layout=True)
    across, up = 100 * table[one], 100 * table[other]
    for key, marker in SEEN_MARKER.items():
        part = (table.seen == key).to_numpy()
        style = {"c": SEEN_COLOR[key], "marker": marker, "alpha": 0.65, "lw": 0}
        axis.scatter(across[part], up[part], s=14 * table.n[part], **style)
    top = 1.08 * max(across.max(), up.max(), 5)
    axis.plot([0, top], [0, top], color="black", lw=1, ls=":")
    for concept, place in _names(table, one, other, named):
        x, y = 100 * place
        axis.annotate(
            short(concept, 16), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8
        )
    for scale in (axis.set_xscale, axis.set_yscale):  # most concepts crowd near zero
        scale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
    ticks = [tick for tick in TICKS if tick <= top]
    axis.set(xlim=(0, top), ylim=(0, top), xticks=ticks, yticks=ticks, title=title)
    axis.set(xlabel=f"{one}: mAP (%)", ylabel=f"{other}: mAP (%)")
    seen = int(table.seen.sum())
    labels = {True: f"in training: {seen} concepts", False: f"not: {len(table) - seen} concepts"}
    handles = [
        plt.Line2D([], [], ls="", marker=SEEN_MARKER[key], color=SEEN_COLOR[key], label=label)
        for key, label in labels.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return store(figure, path)


def _names(table: pd.DataFrame, one: str, other: str, most: int) -> list[tuple[str, np.ndarray]]:
    """Concepts to name and their places, largest difference first, far enough apart that names do
    not overlap."""
    difference = (table[other] - table[one]).abs().sort_values(ascending=False, kind="stable")
    taken: list[tuple[str, np.ndarray]] = []
    for row in table.loc[difference.index[: 3 * most]].to_dict("records"):
        place = np.array([row[one], row[other]])
        far = all(np.abs(np.sqrt(place) - np.sqrt(at)).max() > 0.08 for _, at in taken)
        if len(taken) < most and far:
            taken.append((row["concept"], place))
    return taken
