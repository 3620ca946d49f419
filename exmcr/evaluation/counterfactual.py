"""Counterfactual recognition: does this sound belong to this picture? arXiv:2305.14381 asks it of audio and image.

Every picture comes twice: with a sound of what it shows, and with one of something it does not show. One score for all of these
pairs, best first, gives
ap      average precision: the mean over the matching pairs of (matching pairs up to and including it / its rank)
max_f1  the best F1 over all thresholds; 2/3 for whoever says yes to everything
Ties are broken against us: a mismatched pair with the same score ranks first. A pair's score is the cosine of sound and
picture; of a composition, the greatest over its regions."""

import numpy as np

from exmcr.evaluation.metrics import BOOTSTRAP


def average_precision(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """Scores of matching and of mismatched pairs, both 1-D, not empty -> ap in (0, 1]."""
    hits = _hits(matched, mismatched)
    rank = np.flatnonzero(hits) + 1
    return float(np.mean(np.arange(1, len(rank) + 1) / rank))


def max_f1(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """Scores of matching and of mismatched pairs, both 1-D, not empty -> best F1 in (0, 1]; a threshold parts no tie."""
    values = np.unique(np.concatenate([matched, mismatched]))
    true = len(matched) - np.searchsorted(np.sort(matched), values)  # kept at score >= value
    false = len(mismatched) - np.searchsorted(np.sort(mismatched), values)
    return float((2 * true / (len(matched) + true + false)).max())


def _hits(matched, mismatched):
    scores = np.concatenate([matched, mismatched])
    right = np.arange(len(scores)) < len(matched)
    return right[np.lexsort((right, -scores))]


def chance(n: int) -> dict[str, float]:
    """n pairs of each kind: the expected ap of a random order, and the F1 of always saying yes."""
    total = 2 * n
    harmonic = (1 / np.arange(1, total + 1)).sum()
    return {
        "ap": float((harmonic + (n - 1) * (total - harmonic) / (total - 1)) / total),
        "max_f1": 2 / 3,
    }


def score(
    matched: np.ndarray, mismatched: np.ndarray, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Scores (n,) and (n,) of the same n pictures with the right sound and with a wrong one -> {metric: (value, low, high)}.

    low, high: 95 % bootstrap interval over pictures, both pairs of one drawn together. Raises ValueError for NaN or no pairs."""
    if (
        len(matched) != len(mismatched)
        or not len(matched)
        or np.isnan(matched).any()
        or np.isnan(mismatched).any()
    ):
        raise ValueError(
            f"{len(matched)} matched and {len(mismatched)} mismatched scores: as many of each are needed, none NaN"
        )
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(matched), size=(BOOTSTRAP, len(matched)))
    made = {}
    for name, metric in (("ap", average_precision), ("max_f1", max_f1)):
        low, high = np.quantile(
            [metric(matched[rows], mismatched[rows]) for rows in draws], [0.025, 0.975]
        )
        made[name] = (metric(matched, mismatched), float(low), float(high))
    return made
