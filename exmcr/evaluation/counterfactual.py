"""Counterfactual recognition: does a sound belong to an image? A task of C-MCR
(arXiv:2305.14381).

Every image occurs twice: with a sound of what it shows, and with one of something that it does
not show. All pairs are ranked by one score, which gives

ap      average precision: mean over the matching pairs of (matching pairs up to and including it) /
        (its rank)
max_f1  the best F1 over all thresholds; 2/3 if every pair is accepted

Ties count against the method: a mismatched pair with the same score ranks first. The score of a
pair is the cosine of sound and image; for a composition, the largest over its regions.
"""

import numpy as np

from exmcr.evaluation.metrics import BOOTSTRAP


def average_precision(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """Scores of matching and of mismatched pairs, both 1-D and not empty -> ap in (0, 1]."""
    scores = np.concatenate([matched, mismatched])
    right = np.arange(len(scores)) < len(matched)
    rank = np.flatnonzero(right[np.lexsort((right, -scores))]) + 1
    return float(np.mean(np.arange(1, len(rank) + 1) / rank))


def max_f1(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """Scores of matching and of mismatched pairs, both 1-D and not empty -> best F1 in (0, 1].

    Pairs are accepted from a score on, so equal scores are accepted together.
    """
    values = np.unique(np.concatenate([matched, mismatched]))
    true = len(matched) - np.searchsorted(np.sort(matched), values)
    false = len(mismatched) - np.searchsorted(np.sort(mismatched), values)
    return float((2 * true / (len(matched) + true + false)).max())


def chance(n: int) -> dict[str, float]:
    """For n pairs of each kind, the expected ap of a random order and the F1 of accepting all."""
    total = 2 * n
    harmonic = (1 / np.arange(1, total + 1)).sum()
    ap = (harmonic + (n - 1) * (total - harmonic) / (total - 1)) / total
    return {"ap": float(ap), "max_f1": 2 / 3}


def score(
    matched: np.ndarray, mismatched: np.ndarray, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Score n images with a right and with a wrong sound each -> {metric: (value, low, high)}.

    matched, mismatched: scores, (n,) each. low, high: 95 % bootstrap interval over images; both
    pairs of an image are resampled together. Raises ValueError for NaN, unequal lengths, or n = 0.
    """
    n = len(matched)
    if n != len(mismatched) or n == 0 or np.isnan(matched).any() or np.isnan(mismatched).any():
        raise ValueError(
            f"{n} matched and {len(mismatched)} mismatched scores: "
            "equal numbers are needed, at least one of each, none NaN"
        )
    draws = np.random.default_rng(seed).integers(n, size=(BOOTSTRAP, n))
    scores = {}
    for name, metric in (("ap", average_precision), ("max_f1", max_f1)):
        resampled = [metric(matched[rows], mismatched[rows]) for rows in draws]
        low, high = np.quantile(resampled, [0.025, 0.975])
        scores[name] = (metric(matched, mismatched), float(low), float(high))
    return scores
