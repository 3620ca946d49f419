"""The results table: one row per task, subset of concepts, method and seed."""

from pathlib import Path

import pandas as pd

from exmcr.common.files import atomic_write
from exmcr.evaluation.metrics import METRICS, columns, metric, summary
from exmcr.evaluation.ranking import ranks_by_tiles, ranks_of_positives
from exmcr.evaluation.tasks import Task, concept_subsets

WHOLE = 50_000_000  # similarities up to which the matrix is held (about 1 GB); above it, tiles
COLUMNS = ["task", "concept_subset", "method", "seed", *columns()]
SHOWN = ("direct", "lstsq", "procrustes", "hop", "exmcr", "leaf", "base")


def rows_of_vectors(task: Task, method: str, seed: int, queries, gallery) -> list[dict]:
    """Score unit vectors queries (n, d) against gallery (m, d): one row per concept subset.

    `task.positive` may be sparse. Large tasks are ranked tile by tile.
    """
    if len(queries) * len(gallery) <= WHOLE:
        return rows_of_similarity(task, method, seed, queries @ gallery.T)
    ranks = ranks_by_tiles(queries, gallery, task.positive)
    return _rows(task, method, seed, ranks)


def rows_of_similarity(task: Task, method: str, seed: int, similarity) -> list[dict]:
    """Score a similarity matrix (n, m): one row per concept subset."""
    return _rows(task, method, seed, ranks_of_positives(similarity, task.positive))


def _rows(task: Task, method: str, seed: int, ranks) -> list[dict]:
    names = {"task": task.name, "method": method, "seed": seed}
    return [
        names
        | {"concept_subset": subset}
        | summary([ranks[i] for i in which], task.positive[which])
        for subset, which in concept_subsets(task)
    ]


def write(rows: list[dict], path: Path) -> pd.DataFrame:
    """Store rows as CSV in the fixed order of columns, six digits. Returns the table."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    with atomic_write(path) as draft:
        table.to_csv(draft, index=False, float_format="%.6f")
    return table


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds; for each metric its standard deviation <metric>_sd (0 for one seed), and
    the number of seeds."""
    grouped = table.groupby(["task", "concept_subset", "method"], sort=False)
    mean = grouped.mean(numeric_only=True).drop(columns="seed")
    spread = grouped[list(METRICS)].std().fillna(0).add_suffix("_sd")
    return mean.join(spread).join(grouped.size().rename("seeds")).reset_index()


def markdown(table: pd.DataFrame, subset: str = "all", metrics=("r1", "map")) -> str:
    """One line per task: the chosen metrics in per cent for each method, with the standard
    deviation over seeds where there are several. Raises ConfigError for an unknown metric."""
    names = [metric(name).name for name in metrics]
    mean = over_seeds(table[table.concept_subset == subset])
    methods = [m for m in SHOWN if m in set(mean.method)]
    lines = [
        f"| task | queries x gallery | chance | {' | '.join(methods)} |",
        "|---" * (3 + len(methods)) + "|",
    ]
    for task, part in mean.groupby("task", sort=False):
        first = part.iloc[0]
        cells = [str(task), f"{first.n_queries:.0f} x {first.n_gallery:.0f}"]
        cells.append(" / ".join(f"{100 * first[f'chance_{name}']:.1f}" for name in names))
        by_method = part.set_index("method")
        for method in methods:
            row = by_method.loc[method] if method in by_method.index else None
            cells.append("" if row is None else " / ".join(_cell(row, name) for name in names))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: pd.Series, name: str) -> str:
    spread = f"±{100 * row[f'{name}_sd']:.1f}" if row.seeds > 1 else ""
    return f"{100 * row[name]:.1f}{spread}"
