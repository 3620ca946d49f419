"""Two methods task by task: which is better, by how much, and what geometry says about it.

The functions that score take an exmcr.evaluation.bench.Bench of the test split.
"""

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from exmcr.evaluation.geometry import alone, between
from exmcr.evaluation.metrics import interval
from exmcr.figures.concepts import mean_precision
from exmcr.figures.style import METHOD_COLOR, store
from exmcr.methods.registry import after_of

if TYPE_CHECKING:
    from exmcr.evaluation.bench import Bench, MapsOfLeaves

MEASURES = ("alignment", "effective_rank", "hubness")
MEANING = {  # of a measure that is greater for the method that scores better
    "alignment": "queries farther from their right answers",
    "effective_rank": "more directions in use",
    "hubness": "more answers that many queries share",
}
CLEAR = 0.6  # rank correlation from which a measure counts as an explanation [assumed]


def differences(
    bench: "Bench", one: str, other: str, methods: dict[str, list["MapsOfLeaves"]]
) -> pd.DataFrame:
    """Two methods on every task that both can serve: mAP, and its paired difference one - other.

    methods: {method: maps with each seed}, as exmcr.figures.concepts.fitted returns them.

    Returns columns task, n (queries), <one>, <other>, difference, low, high (95 % interval of the
    difference, over queries), and for each of MEASURES the difference of the first seeds.
    """
    after = {name: after_of(bench.params, name) for name in (one, other)}
    rows = []
    for task in bench.tasks:
        if not all(
            bench.serves(task, maps, after[name]) for name in after for maps in methods[name]
        ):
            continue
        own = {name: mean_precision(bench, task, name, methods[name]) for name in (one, other)}
        difference = own[one] - own[other]
        low, high = interval(difference)
        row = {"task": task.name, "n": len(difference)}
        row |= {name: float(values.mean()) for name, values in own.items()}
        row |= {"difference": float(difference.mean()), "low": float(low), "high": float(high)}
        shape = {name: _shape(bench, task, methods[name][0]) for name in (one, other)}
        rows.append(row | {key: shape[one][key] - shape[other][key] for key in MEASURES})
    columns = ["task", "n", one, other, "difference", "low", "high", *MEASURES]
    return pd.DataFrame(rows, columns=columns)


def _shape(bench: "Bench", task, maps: "MapsOfLeaves") -> dict[str, float]:
    queries, gallery = bench.common(task, maps)
    return alone(queries) | between(queries, gallery, task.positive)


def decided(table: pd.DataFrame) -> pd.Series:
    """1 where the first method is better, -1 where the second is, 0 where the interval has 0."""
    return np.sign(table.low).where(np.sign(table.low) == np.sign(table.high), 0).astype(int)


def sentence(table: pd.DataFrame) -> str:
    """Who wins where, in words. table: that of `differences`."""
    one, other = table.columns[2:4]
    won, lost = (table.task[decided(table) == sign].tolist() for sign in (1, -1))
    parts = [f"{one} is better on {_names(won)}"] if won else []
    parts += [f"{other} is better on {_names(lost)}"] if lost else []
    open_ = len(table) - len(won) - len(lost)
    parts += [f"on {open_} of {len(table)} tasks the queries do not decide"] if open_ else []
    return "; ".join(parts) + "."


def _names(tasks: list[str]) -> str:
    return ", ".join(tasks) if len(tasks) <= 3 else f"{len(tasks)} tasks"


def reasons(table: pd.DataFrame) -> pd.DataFrame:
    """How the difference in mAP goes with the difference of each measure, over tasks.

    Returns one row per measure: correlation (Spearman, NaN for fewer than 3 tasks or a constant),
    verdict (a sentence).
    """
    rows = {}
    for name in MEASURES:
        pair = table[["difference", name]].dropna()
        varied = len(pair) >= 3 and (pair.nunique() > 1).all()
        value = float(pair.corr("spearman").iloc[0, 1]) if varied else np.nan
        rows[name] = {"correlation": value, "verdict": _verdict(name, value)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _verdict(name: str, value: float) -> str:
    if np.isnan(value):
        return "too few tasks to say"
    if abs(value) < CLEAR:
        return "does not explain the differences"
    if value > 0:
        return f"the better method has {MEANING[name]}"
    return f"the worse method has {MEANING[name]}"


def forest(table: pd.DataFrame, path=None):
    """The differences of `differences` with their 95 % intervals, one line per task, on one axis.

    The title says who wins where.
    """
    one, other = table.columns[2:4]
    ordered = table.sort_values("difference", kind="stable").reset_index(drop=True)
    figure, axis = plt.subplots(figsize=(9, 0.36 * len(ordered) + 1.6), constrained_layout=True)
    for place, sign in decided(ordered).items():
        row = ordered.loc[place]
        color = {1: METHOD_COLOR.get(one), -1: METHOD_COLOR.get(other), 0: "#7f7f7f"}[sign]
        axis.hlines(place, 100 * row.low, 100 * row.high, color=color, lw=2)
        style = {"color": color, "ms": 8, "mfc": color if sign else "white"}
        axis.plot(100 * row.difference, place, {1: ">", -1: "<", 0: "o"}[sign], **style)
    axis.axvline(0, color="black", lw=1)
    axis.set_yticks(range(len(ordered)), [f"{r.task} ({r.n})" for r in ordered.itertuples()])
    label = f"← {other} is better      difference in mAP, percentage points      {one} is better →"
    axis.set_xlabel(label)
    axis.set_title(_folded(sentence(table)), fontsize=10)
    return store(figure, path)


def _folded(text: str, width: int = 100) -> str:
    import textwrap

    return textwrap.fill(text, width)
