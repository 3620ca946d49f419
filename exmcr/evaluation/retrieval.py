"""Scores of a ranked gallery, defined here and nowhere else.

A query has one or more right answers in the gallery; queries without any are not asked.
R@k  share of queries with a right answer among the first k
AP   mean over the right answers of (right answers up to and including it / its rank); mAP is the mean over queries
Ties are broken against us: a wrong answer with the same similarity ranks first."""

import numpy as np

BOOTSTRAP = 1000


def ranks_of_positives(similarity: np.ndarray, positive: np.ndarray) -> list[np.ndarray]:
    """similarity float (n, m), positive bool (n, m) -> per query the sorted ranks (from 1) of its right answers.

    Raises ValueError when a query has no right answer or a similarity is NaN."""
    if not positive.any(axis=1).all():
        raise ValueError(f"{int((~positive.any(axis=1)).sum())} queries have no right answer in the gallery")
    if np.isnan(similarity).any():
        raise ValueError("similarity has NaN")
    # Sorting on (similarity descending, wrong answers first) makes every rank the worst among its ties.
    order = np.lexsort((positive, -similarity), axis=1)
    hits = np.take_along_axis(positive, order, axis=1)
    return [np.flatnonzero(row) + 1 for row in hits]


def per_query(ranks: list[np.ndarray]) -> dict[str, np.ndarray]:
    """{"r1", "r5", "r10", "map"}: one float per query."""
    best = np.array([r[0] for r in ranks])
    ap = np.array([np.mean(np.arange(1, len(r) + 1) / r) for r in ranks])
    return {"r1": (best <= 1).astype(float), "r5": (best <= 5).astype(float), "r10": (best <= 10).astype(float), "map": ap}


def chance(positive: np.ndarray) -> dict[str, float]:
    """Expected R@1 and mAP of a random order, from the number of right answers of each query.

    A random ranking of n with m right answers has E[AP] = (H_n + (m - 1) (n - H_n) / (n - 1)) / n, H_n = 1 + 1/2 + ... + 1/n."""
    n = positive.shape[1]
    m = positive.sum(axis=1)
    harmonic = (1 / np.arange(1, n + 1)).sum()
    expected = (harmonic + (m - 1) * (n - harmonic) / max(n - 1, 1)) / n
    return {"chance_r1": float((m / n).mean()), "chance_map": float(expected.mean())}


def interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of a mean over queries."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(BOOTSTRAP, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def score(similarity: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Every number of one row of the results table, as fractions."""
    scores = per_query(ranks_of_positives(similarity, positive))
    low, high = interval(scores["r1"])
    return {
        "n_queries": len(similarity),
        "n_gallery": similarity.shape[1],
        **chance(positive),
        **{k: float(v.mean()) for k, v in scores.items()},
        "r1_low": low,
        "r1_high": high,
    }
