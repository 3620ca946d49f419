"""The results table: one row per task, split of concepts, method and seed."""

from pathlib import Path

import pandas as pd

from exmcr.evaluation.retrieval import score, score_vectors
from exmcr.evaluation.tasks import Task, halves

WHOLE = 50_000_000  # similarities up to which they are held and sorted as a whole (some 1 GB); above, by tiles
COLUMNS = ["task", "split", "method", "seed", "n_queries", "n_gallery", "chance_r1", "r1", "r5", "r10", "map", "chance_map", "r1_low", "r1_high"]


def rows(task: Task, method: str, seed: int, queries, gallery) -> list[dict]:
    """Score unit vectors queries (n, d) against gallery (m, d): one row per split of concepts. `task.positive` may be sparse."""
    if len(queries) * len(gallery) > WHOLE:
        found = ((split, score_vectors(queries[which], gallery, task.positive[which])) for split, which in halves(task))
        return [{"task": task.name, "split": split, "method": method, "seed": seed, **scores} for split, scores in found]
    similarity = queries @ gallery.T
    return [
        {"task": task.name, "split": split, "method": method, "seed": seed, **score(similarity[which], task.positive[which])}
        for split, which in halves(task)
    ]


def write(rows: list[dict], path: Path) -> pd.DataFrame:
    """Store as CSV in the fixed order of columns, six digits."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6f")
    return table


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, and the spread (standard deviation) of r1 and map as r1_sd and map_sd (0 for a single seed)."""
    keys = ["task", "split", "method"]
    grouped = table.groupby(keys, sort=False)
    mean = grouped.mean(numeric_only=True).drop(columns="seed")
    spread = grouped[["r1", "map"]].std().fillna(0).add_suffix("_sd")
    return mean.join(spread).join(grouped.size().rename("seeds")).reset_index()
