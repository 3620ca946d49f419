"""Every retrieval metric, defined here and nowhere else.

A metric is one entry of METRICS; it then appears in the results tables, in `exmcr results` and in
figures. All metrics are functions of the ranks of the right answers (exmcr/evaluation/ranking.py);
a query has one or more right answers in the gallery. `mean_rank_variance` compares the ranks of
several queries, and so stands beside METRICS; `exmcr compare` has it as a column.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.evaluation.matching import right_answers

BOOTSTRAP = 1000  # resamples
DRAWS = 10_000_000  # values of resamples in memory at once

Ranks = list[np.ndarray]  # for each query the sorted ranks, from 1, of its right answers


@dataclass(frozen=True)
class Metric:
    """A metric of ranked galleries.

    name       column of the results tables
    label      in figures and printed tables
    per_query  (ranks of n queries, gallery size) -> (n,), a value in [0, 1] for each query
    chance     (number of right answers of each query (n,), gallery size) -> (n,), the expected
               value if the gallery is in random order
    """

    name: str
    label: str
    per_query: Callable[[Ranks, int], np.ndarray]
    chance: Callable[[np.ndarray, int], np.ndarray]


def recall_at(k: int) -> Metric:
    """R@k: 1 if a right answer is among the first k, else 0."""

    def per_query(ranks: Ranks, n: int) -> np.ndarray:
        return np.array([float(r[0] <= k) for r in ranks])

    def chance(right: np.ndarray, n: int) -> np.ndarray:
        # 1 - C(n - m, k) / C(n, k): one or more of m right answers among the first k of n.
        place = np.arange(min(k, n))
        missed = np.clip(n - right[:, None] - place, 0, None) / (n - place)
        return 1 - missed.prod(axis=1)

    return Metric(f"r{k}", f"R@{k}", per_query, chance)


def average_precision(ranks: Ranks, n: int) -> np.ndarray:
    """Mean over the right answers of (right answers up to and including it) / (its rank)."""
    return np.array([np.mean(np.arange(1, len(r) + 1) / r) for r in ranks])


def expected_precision(right: np.ndarray, n: int) -> np.ndarray:
    """Expected average precision of n items in random order, m of them right:
    (H_n + (m - 1) (n - H_n) / (n - 1)) / n with H_n = 1 + 1/2 + ... + 1/n."""
    harmonic = (1 / np.arange(1, n + 1)).sum()
    return (harmonic + (right - 1) * (n - harmonic) / max(n - 1, 1)) / n


METRICS: dict[str, Metric] = {
    "r1": recall_at(1),
    "r5": recall_at(5),
    "r10": recall_at(10),
    "map": Metric("map", "mAP", average_precision, expected_precision),
}


def metric(name: str) -> Metric:
    """A registered metric. Raises ConfigError, listing the known names."""
    if name not in METRICS:
        raise ConfigError(f"unknown metric '{name}'; known: {', '.join(METRICS)}")
    return METRICS[name]


def per_query(ranks: Ranks, n_gallery: int) -> dict[str, np.ndarray]:
    """{metric: (n,)}, one value per query."""
    return {name: m.per_query(ranks, n_gallery) for name, m in METRICS.items()}


def chance(positive) -> dict[str, float]:
    """{metric: expected mean over queries if galleries are in random order}.

    positive: bool (n, m), or a sparse array of this shape, true for right answers.
    """
    right = right_answers(positive)
    return {name: float(m.chance(right, positive.shape[1]).mean()) for name, m in METRICS.items()}


def mean_rank_variance(ranks: Ranks, groups: Sequence[str], n_gallery: int) -> float:
    """How much the rank depends on which query of a group is used: 0 if not at all.

    groups: one name per query; queries of a group have the same right answers, such as the sounds
    of one concept. The variance within each group of (rank of the first right answer) / n_gallery,
    mean over groups of two or more queries; NaN if there is none. Random orders with one right
    answer give about 1/12.

    Mean Rank Variance of arXiv:2406.18254, where a group is one text in several languages. Ranks
    are scaled by the size of the gallery, so that tasks can be averaged [ours].
    """
    first = pd.Series([r[0] / n_gallery for r in ranks], dtype=np.float64)
    names = pd.Series(list(groups))
    grouped = first.groupby(names.where(names != "").to_numpy())
    return float(grouped.var(ddof=0)[grouped.size() > 1].mean())


def interval(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """95 % bootstrap interval of a mean over queries: values (n,) or (n, k) -> (2,) or (2, k)."""
    rng = np.random.default_rng(seed)
    means = np.empty((BOOTSTRAP, *values.shape[1:]))
    step = max(1, DRAWS // values.size)
    for i in range(0, BOOTSTRAP, step):
        draws = rng.integers(len(values), size=(min(step, BOOTSTRAP - i), len(values)))
        means[i : i + step] = values[draws].mean(axis=1)
    return np.quantile(means, [0.025, 0.975], axis=0)


def summary(ranks: Ranks, positive) -> dict[str, float]:
    """One row of a results table: sizes, then for each metric its chance, mean and interval.

    positive: as for `chance`; row i belongs to ranks[i].
    """
    n_queries, n_gallery = positive.shape
    values, expected = per_query(ranks, n_gallery), chance(positive)
    low, high = interval(np.stack(list(values.values()), axis=1))
    row: dict[str, float] = {"n_queries": n_queries, "n_gallery": n_gallery}
    for place, (name, scores) in enumerate(values.items()):
        row |= {f"chance_{name}": expected[name], name: float(scores.mean())}
        row |= {f"{name}_low": float(low[place]), f"{name}_high": float(high[place])}
    return row


def columns() -> list[str]:
    """The columns of `summary`, in order."""
    parts = ("chance_{}", "{}", "{}_low", "{}_high")
    return ["n_queries", "n_gallery", *(part.format(name) for name in METRICS for part in parts)]
