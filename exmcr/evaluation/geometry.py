"""The shape of a space in numbers, each defined here in words. All take unit rows.

gap             distance between the centroids of two modalities, 0 to 2 (Liang et al., arXiv:2203.02053)
alignment       mean squared distance of pairs that belong together, 0 to 4; 2 for unrelated directions (arXiv:2005.10242)
uniformity      log of the mean of exp(-2 d^2) over pairs of different items; 0 when all coincide, towards -4 when they fill
                the sphere (arXiv:2005.10242)
hubness         skewness over the gallery of how often an item is among the k nearest of a query (Radovanovic et al., JMLR
                2010); 0 when all are found equally often, large when a few answer everything
effective rank  exp of the entropy of the singular values, scaled to sum 1: how many directions are in use, 1 to d (Roy and
                Vetterli, EUSIPCO 2007)"""

import itertools

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from exmcr.common.errors import ConfigError
from exmcr.media import MODALITIES

NEIGHBORS = 10
MOST = 1000  # rows of a pool that are measured, by a fixed draw
COLUMNS = [
    "items",
    "stage",
    "from",
    "to",
    "n_from",
    "n_to",
    "gap",
    "alignment",
    "uniformity",
    "effective_rank",
    "hubness",
]


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """(n, d), (m, d) -> ||mean(a) - mean(b)||."""
    return float(
        np.linalg.norm(a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64))
    )


def alignment(a: np.ndarray, b: np.ndarray, positive: np.ndarray) -> float:
    """(n, d), (m, d), bool (n, m) -> mean squared distance over the pairs that belong together; NaN when there are none."""
    if not positive.any():
        return float("nan")
    return float((2 - 2 * (a @ b.T)[positive]).mean(dtype=np.float64))


def uniformity(a: np.ndarray) -> float:
    """(n, d) -> log mean exp(-2 |a_i - a_j|^2) over i < j. Raises ConfigError for fewer than two rows."""
    if len(a) < 2:
        raise ConfigError(f"uniformity needs at least two vectors, has {len(a)}")
    above = np.triu_indices(len(a), 1)
    exponent = -2 * (2 - 2 * (a @ a.T)[above].astype(np.float64))
    return float(logsumexp(exponent) - np.log(len(exponent)))


def occurrences(similarity: np.ndarray, k: int = NEIGHBORS) -> np.ndarray:
    """(n, m) -> int (m,): how many of the n queries have each gallery item among their k best. Ties: the first in order."""
    k = min(k, similarity.shape[1])
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.bincount(best.ravel(), minlength=similarity.shape[1])


def hubness(similarity: np.ndarray, k: int = NEIGHBORS) -> float:
    """(n, m) -> skewness of `occurrences`: mean((N - mean)^3) / std^3; 0 when all occur equally often."""
    count = occurrences(similarity, k).astype(np.float64)
    off = count - count.mean()
    spread = off.std()
    return float((off**3).mean() / spread**3) if spread else 0.0


def effective_rank(a: np.ndarray) -> float:
    """(n, d) -> exp of the Shannon entropy of the singular values over their sum."""
    singular = np.linalg.svd(np.asarray(a, np.float64), compute_uv=False)
    share = singular[singular > 0] / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def alone(a: np.ndarray) -> dict[str, float]:
    """What one modality says by itself."""
    return {"uniformity": uniformity(a), "effective_rank": effective_rank(a)}


def between(a: np.ndarray, b: np.ndarray, positive: np.ndarray | None = None) -> dict[str, float]:
    """What two modalities say of each other: gap, alignment, and hubness of b as the gallery of a. NaN where they have not
    the same dimension: before extension there may be nothing to compare. Without `positive`, alignment is NaN."""
    if a.shape[1] != b.shape[1]:
        return dict.fromkeys(("gap", "alignment", "hubness"), float("nan"))
    together = float("nan") if positive is None else alignment(a, b, positive)
    return {"gap": gap(a, b), "alignment": together, "hubness": hubness(a @ b.T)}


def table(project, maps: dict) -> pd.DataFrame:
    """One row per ordered pair of modalities, before and after extension, on pools and test items.

    project: exmcr.project.Project; maps: {leaf name: Maps}. Before extension every modality is in
    its own frozen space (text in the base), so that alignment across spaces is at chance. Pairs
    that belong together are test items of one concept; pools have none.
    """
    rows = []
    for items, split in (("pool", "train"), ("test", "test")):
        before, after, concept = _measured(project, maps, split)
        for stage, of in (("before", before), ("after", after)):
            single = {modality: {"n_from": len(v), **alone(v)} for modality, v in of.items()}
            for a, b in itertools.permutations(of, 2):
                same = None
                if items == "test":
                    same = (concept[a][:, None] == concept[b]) & (concept[a] != "")[:, None]
                names = {"items": items, "stage": stage, "from": a, "to": b, "n_to": len(of[b])}
                rows.append(names | single[a] | between(of[a], of[b], same))
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(project, maps: dict, split: str) -> tuple[dict, dict, dict]:
    """At most MOST vectors of each modality: as they are, extended, and the concepts of the items."""
    params = project.params
    before: dict[str, np.ndarray] = {}
    after: dict[str, np.ndarray] = {}
    concept: dict[str, np.ndarray] = {}
    for modality in MODALITIES:
        leaf = params.leaf_of(modality)
        space = params.base_space if leaf is None else params.leaf_space(leaf)
        if not (project.bank_path(space, modality, split) / "manifest.json").is_file():
            continue
        bank = project.bank(space, modality, split)
        if len(bank) < 2:
            continue  # a single vector has no shape
        some = np.sort(np.random.default_rng(0).permutation(len(bank))[:MOST])
        own = np.asarray(bank.vectors)[some]
        before[modality] = own
        after[modality] = own if leaf is None else maps[leaf.name].leaf(own)
        known = project.items.set_index("id").concept
        concept[modality] = known.reindex(bank.ids[some]).fillna("").to_numpy()
    return before, after, concept
