"""The results table: one row per task, subset of concepts, method and seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.evaluation.metrics import METRICS, Ranks, metric, summary
from exmcr.evaluation.metrics import columns as summary_columns
from exmcr.evaluation.tasks import Task, concept_subsets

KEYS = ("task", "concept_subset", "method", "seed")
FIRST = ("direct", "lstsq", "procrustes", "hop", "exmcr")  # order of methods in printed tables
LAST = ("leaf", "base")  # frozen spaces


def columns() -> list[str]:
    """The columns of the results table, in order, with all metrics registered so far."""
    return [*KEYS, *summary_columns()]


COLUMNS = columns()  # with the metrics of the library alone


def rows_of_ranks(task: Task, method: str, seed: int, ranks: Ranks) -> list[dict]:
    """Score the ranks of the right answers of all queries of a task: one row per concept subset."""
    rows = []
    for subset, which in concept_subsets(task):
        keys = dict(zip(KEYS, (task.name, subset, method, seed), strict=True))
        rows.append(keys | summary([ranks[i] for i in which], task.positive[which]))
    return rows


def rows_of_vectors(
    task: Task, method: str, seed: int, queries: np.ndarray, gallery: np.ndarray
) -> list[dict]:
    """Score unit vectors queries (n, d) against gallery (m, d): one row per concept subset.

    `task.positive` may be sparse. Large tasks are ranked tile by tile.
    """
    from exmcr.evaluation.ranking import ranks_of_vectors  # torch: a table is printed without it

    return rows_of_ranks(task, method, seed, ranks_of_vectors(queries, gallery, task.positive))


def rows_of_similarity(task: Task, method: str, seed: int, similarity: np.ndarray) -> list[dict]:
    """Score a similarity matrix (n, m): one row per concept subset."""
    from exmcr.evaluation.ranking import ranks_of_positives

    return rows_of_ranks(task, method, seed, ranks_of_positives(similarity, task.positive))


def write(rows: list[dict], path: Path) -> pd.DataFrame:
    """Store rows as CSV in the fixed order of columns, six digits. Returns the table."""
    table = pd.DataFrame(rows, columns=columns())
    with atomic_write(path) as draft:
        table.to_csv(draft, index=False, float_format="%.6f")
    return table


def read(path: Path) -> pd.DataFrame:
    """A stored results table.

    Raises ConfigError if it is missing, damaged, or of an older version.
    """
    if not path.is_file():
        raise ConfigError(f"no results at {path}; run `exmcr evaluate` or `make repro`")
    try:
        table = pd.read_csv(path)
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("its end is missing")
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path} is damaged: {error}; run `exmcr evaluate` again") from error
    if lacking := [name for name in columns() if name not in table]:
        raise ConfigError(
            f"{path} is damaged or of an older version: it has no column {', '.join(lacking)}; "
            "run `exmcr evaluate` again"
        )
    return table


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds; for each metric its standard deviation <metric>_sd (0 for one seed), and
    the number of seeds."""
    grouped = table.groupby(["task", "concept_subset", "method"], sort=False)
    mean = grouped.mean(numeric_only=True).drop(columns="seed")
    measured = [name for name in METRICS if name in table]
    spread = grouped[measured].std().fillna(0).add_suffix("_sd")
    return mean.join(spread).join(grouped.size().rename("seeds")).reset_index()


def markdown(
    table: pd.DataFrame, subset: str = "all", metrics: Sequence[str] = ("r1", "map")
) -> str:
    """One line per task: the chosen metrics in per cent for each method, with the standard
    deviation over seeds if there are several.

    Raises ConfigError for a metric that is not registered, or that the table lacks.
    """
    names = [metric(name).name for name in metrics]
    if missing := [name for name in names if name not in table]:
        raise ConfigError(f"the table has no metric '{missing[0]}'; run `exmcr evaluate` again")
    mean = over_seeds(table[table.concept_subset == subset])
    methods = _ordered(mean.method)
    lines = [
        f"| task | queries x gallery | chance | {' | '.join(methods)} |",
        "|---" * (3 + len(methods)) + "|",
    ]
    for task, part in mean.groupby("task", sort=False):
        first, by_method = part.iloc[0], part.set_index("method")
        cells = [str(task), f"{first.n_queries:.0f} x {first.n_gallery:.0f}"]
        cells.append(" / ".join(f"{100 * first[f'chance_{name}']:.1f}" for name in names))
        for method in methods:
            row = by_method.loc[method] if method in by_method.index else None
            cells.append("" if row is None else " / ".join(_cell(row, name) for name in names))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ordered(methods: pd.Series) -> list[str]:
    """Distinct methods: those of FIRST, others in the order of the table, those of LAST."""
    present = list(dict.fromkeys(methods))
    others = [name for name in present if name not in FIRST + LAST]
    return [name for name in (*FIRST, *others, *LAST) if name in present]


def _cell(row: pd.Series, name: str) -> str:
    spread = f"±{100 * row[f'{name}_sd']:.1f}" if row.seeds > 1 else ""
    return f"{100 * row[name]:.1f}{spread}"
