"""The shape of a space in numbers. All functions take unit rows.

gap             distance between the centroids of two modalities, 0 to 2 (arXiv:2203.02053)
alignment       mean squared distance of pairs that belong together, 0 to 4; 2 for unrelated
                directions (arXiv:2005.10242)
uniformity      log of the mean of exp(-2 d^2) over pairs of different items; 0 if all coincide,
                towards -4 if they fill the sphere (arXiv:2005.10242)
hubness         skewness over the gallery of how often an item is among the k nearest of a query; 0
                if all occur equally often, large if a few are near most queries (Radovanovic et
                al., JMLR 2010)
effective rank  exp of the entropy of the singular values, scaled to sum 1: the number of directions
                in use, 1 to d (Roy and Vetterli, EUSIPCO 2007)
"""

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from exmcr.common.errors import ConfigError
from exmcr.evaluation.matching import Positives
from exmcr.media import MODALITIES
from exmcr.methods.maps import Maps

if TYPE_CHECKING:
    from exmcr.project import Project

NEIGHBORS = 10
AT_ONCE = 7000  # vectors that are compared with as many others at once
MOST = 1000  # vectors of a modality that are measured, a fixed sample
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
    """(n, d), (m, d) -> |mean(a) - mean(b)|."""
    difference = a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64)
    return float(np.linalg.norm(difference))


def alignment(a: np.ndarray, b: np.ndarray, positive: Positives) -> float:
    """(n, d), (m, d), bool (n, m) -> mean squared distance over the true pairs; NaN if none."""
    if not positive.sum():
        return float("nan")
    if not isinstance(positive, np.ndarray):
        rows, columns = positive.nonzero()
        return float((2 - 2 * (a[rows] * b[columns]).sum(axis=1)).mean(dtype=np.float64))
    return float((2 - 2 * (a @ b.T)[positive]).mean(dtype=np.float64))


def uniformity(a: np.ndarray) -> float:
    """(n, d) -> log mean exp(-2 |a_i - a_j|^2) over i < j; of more than AT_ONCE vectors, over those
    of a fixed sample. Raises ConfigError for n < 2."""
    if len(a) < 2:
        raise ConfigError(f"uniformity needs at least two vectors, has {len(a)}")
    if len(a) > AT_ONCE:
        a = a[np.random.default_rng(0).permutation(len(a))[:AT_ONCE]]
    above = np.triu_indices(len(a), 1)
    exponent = -2 * (2 - 2 * (a @ a.T)[above].astype(np.float64))
    return float(logsumexp(exponent) - np.log(len(exponent)))


def occurrences(similarity: np.ndarray, k: int = NEIGHBORS) -> np.ndarray:
    """(n, m) -> int (m,): for each gallery item, the number of queries that have it among their k
    best. Of equal similarities the first in order counts."""
    k = min(k, similarity.shape[1])
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.bincount(best.ravel(), minlength=similarity.shape[1])


def hubness(similarity: np.ndarray, k: int = NEIGHBORS) -> float:
    """(n, m) -> skewness of `occurrences`, mean((N - mean)^3) / std^3; 0 if all are equal."""
    return _skewness(occurrences(similarity, k))


def _hubness_of_vectors(a: np.ndarray, b: np.ndarray) -> float:
    """`hubness` of b (m, d) as the gallery of a (n, d), some queries at a time."""
    step = max(1, AT_ONCE * AT_ONCE // len(b))
    blocks = (a[begin : begin + step] for begin in range(0, len(a), step))
    return _skewness(np.sum([occurrences(block @ b.T) for block in blocks], axis=0))


def _skewness(count: np.ndarray) -> float:
    count = count.astype(np.float64)
    off = count - count.mean()
    spread = off.std()
    return float((off**3).mean() / spread**3) if spread else 0.0


def effective_rank(a: np.ndarray) -> float:
    """(n, d) -> exp of the Shannon entropy of the singular values over their sum."""
    singular = np.linalg.svd(np.asarray(a, np.float64), compute_uv=False)
    share = singular[singular > 0] / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def alone(a: np.ndarray) -> dict[str, float]:
    """The measures of one modality by itself, (n, d)."""
    return {"uniformity": uniformity(a), "effective_rank": effective_rank(a)}


def between(a: np.ndarray, b: np.ndarray, positive: Positives | None = None) -> dict[str, float]:
    """The measures of two modalities, (n, d) and (m, d): gap, alignment, and hubness of b as the
    gallery of a.

    All are NaN if dimensions differ, as they may before extension. positive: bool (n, m), the
    pairs that belong together; without it alignment is NaN.
    """
    if a.shape[1] != b.shape[1]:
        return dict.fromkeys(("gap", "alignment", "hubness"), float("nan"))
    together = float("nan") if positive is None else alignment(a, b, positive)
    return {"gap": gap(a, b), "alignment": together, "hubness": _hubness_of_vectors(a, b)}


def table(project: "Project", maps: dict[str, Maps]) -> pd.DataFrame:
    """One row per ordered pair of modalities, before and after extension, for the training pools
    and for the test items; columns: COLUMNS.

    maps: {leaf name: Maps} of a method that leaves the base unchanged. Before extension each
    modality is in its own frozen space (text in the base), so alignment across spaces is at
    chance. Test items of one concept belong together; pools are unpaired.
    """
    rows = []
    for items, split in (("pool", "train"), ("test", "test")):
        samples = _samples(project, maps, split)
        for stage in ("before", "after"):
            vectors = {name: getattr(sample, stage) for name, sample in samples.items()}
            single = {name: {"n_from": len(v), **alone(v)} for name, v in vectors.items()}
            for a, b in permutations(vectors, 2):
                same = samples[a].matches(samples[b]) if items == "test" else None
                keys = {"items": items, "stage": stage, "from": a, "to": b}
                measures = single[a] | between(vectors[a], vectors[b], same)
                rows.append(keys | {"n_to": len(vectors[b])} | measures)
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass
class _Sample:
    """n items of one modality: vectors before (n, d) and after (n, d_base) extension, concepts."""

    before: np.ndarray
    after: np.ndarray
    concepts: np.ndarray

    def matches(self, other: "_Sample") -> np.ndarray:
        """bool (n, m): equal concepts."""
        named = (self.concepts != "")[:, None]
        return (self.concepts[:, None] == other.concepts) & named


def _samples(project: "Project", maps: dict[str, Maps], split: str) -> dict[str, _Sample]:
    """At most MOST items of each modality that has a bank of two or more on this split."""
    concepts = project.items.set_index("id").concept
    samples = {}
    for modality in MODALITIES:
        leaf = project.params.leaf_of(modality)
        space = project.params.leaf_space(leaf) if leaf else project.params.base_space
        if not (project.bank_path(space, modality, split) / "manifest.json").is_file():
            continue
        bank = project.bank(space, modality, split)
        if len(bank) < 2:
            continue  # a single vector has no shape
        chosen = np.sort(np.random.default_rng(0).permutation(len(bank))[:MOST])
        own = np.asarray(bank.vectors)[chosen]
        extended = maps[leaf.name].leaf(own) if leaf else own
        names = concepts.reindex(bank.ids[chosen]).fillna("").to_numpy()
        samples[modality] = _Sample(own, extended, names)
    return samples
