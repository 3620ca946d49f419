"""Figures of the shape of a space; the measures are defined in exmcr.evaluation.geometry."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from exmcr.evaluation.geometry import alone, between
from exmcr.figures.concepts import average_precision
from exmcr.figures.style import SKY, VERMILLION, modality_order, panels, store
from exmcr.figures.tasks import task_named
from exmcr.methods.registry import after_of

if TYPE_CHECKING:
    from exmcr.evaluation.bench import Bench, MapsOfLeaves

STAGE_STYLE: dict[str, dict[str, Any]] = {  # an open circle, then a filled one
    "before": {"color": SKY, "mfc": "white", "mew": 2},
    "after": {"color": VERMILLION},
}


def by_method(bench: "Bench", name: str, methods: dict[str, list["MapsOfLeaves"]]) -> pd.DataFrame:
    """Geometry of the queries of a task against its gallery, in the space where each method (first
    seed) lets them meet.

    methods: {method: maps with each seed}, as exmcr.figures.concepts.fitted returns them. Returns
    one row per method: map, and the measures of exmcr.evaluation.geometry. Raises ConfigError if
    there is no such task.
    """
    task, rows = task_named(bench, name), []
    for method, (maps, *_) in methods.items():
        queries, gallery = bench.common(task, maps)
        score = float(average_precision(bench, task, maps, after_of(bench.params, method)).mean())
        measures = alone(queries) | between(queries, gallery, task.positive)
        rows.append({"method": method, "map": score} | measures)
    return pd.DataFrame(rows).set_index("method")


def before_and_after(table: pd.DataFrame, items: str = "test", path=None):
    """The geometry table before and after extension, one panel per measure.

    table: that of exmcr.evaluation.geometry; items: "test" or "pool". Measures that compare two
    modalities come first, measures of one modality last. Raises ConfigError for a modality that is
    not registered.
    """
    table = table[table["items"] == items]
    order = modality_order([*table["from"], *table["to"]])
    rank = {name: place for place, name in enumerate(order)}
    pairs = table.assign(
        undirected=table["from"] + " – " + table["to"], directed=table["from"] + " → " + table["to"]
    )
    once = pairs[pairs["from"].map(rank) < pairs["to"].map(rank)]
    single = table.drop_duplicates(["stage", "from"])
    measures = [
        (once, "undirected", "gap", "gap (before, of two spaces: no meaning)"),
        (once, "undirected", "alignment", "alignment of matching pairs (2: unrelated)"),
        (pairs, "directed", "hubness", "hubness: skewness (0: even)"),
        (single, "from", "uniformity", "uniformity (-4: fills the sphere)"),
        (single, "from", "effective_rank", "effective rank (directions in use)"),
    ]
    measures = [m for m in measures if m[0][m[2]].notna().any()]  # pools have no alignment
    figure, axes = panels(len(measures), 3, 11, 3.2)
    for axis, (part, by, value, label) in zip(axes, measures, strict=True):
        wide = part.pivot(index=by, columns="stage", values=value).reindex(part[by].unique())
        place = np.arange(len(wide))
        axis.hlines(place, wide.before, wide.after, color="#cccccc", lw=2)
        for stage, style in STAGE_STYLE.items():
            axis.plot(wide[stage], place, "o", label=stage, ms=6, **style)
        axis.set_yticks(place, wide.index, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(label, fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=2)
    what = {"test": "test items", "pool": "training pools"}[items]
    figure.suptitle(_finding(once, what))
    return store(figure, path)


def _finding(once: pd.DataFrame, what: str) -> str:
    """Whether extension brought matching items, or else the modalities, closer together."""
    value = "alignment" if once.alignment.notna().any() else "gap"
    wide = once.pivot(index="undirected", columns="stage", values=value).dropna()
    moved = wide[wide.before != wide.after]
    closer = int((moved.after < moved.before).sum())
    things = "matching items" if value == "alignment" else "centroids"
    return (
        f"Geometry of the {what}: extension brings the {things} closer together in {closer} of the "
        f"{len(moved)} pairs of modalities that it moves"
    )
