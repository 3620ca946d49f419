"""Nearest neighbors in the space itself, which no map can show without loss."""

from itertools import permutations

import numpy as np
import pandas as pd

from exmcr.figures.style import modality_order


def neighbors(vectors: np.ndarray, k: int, cosine: bool = True) -> np.ndarray:
    """The k nearest other rows of each row, nearest first: int (n, k). By cosine for unit rows
    (n, d), else by distance, for points (n, 2)."""
    if cosine:
        near = vectors @ vectors.T
    else:
        near = -((vectors[:, None] - vectors[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(near, -np.inf)
    return np.argsort(-near, axis=1, kind="stable")[:, :k]


def kept(a: np.ndarray, b: np.ndarray) -> float:
    """Mean share of neighbors in common: int (n, k) twice, as `neighbors` returns them -> [0, 1].

    Two unrelated maps have k / (n - 1).
    """
    return float(np.mean([len({*x} & {*y}) / len(x) for x, y in zip(a, b, strict=True)]))


def same_concept(vectors: np.ndarray, rows: pd.DataFrame, k: int = 5) -> pd.DataFrame:
    """Of the k nearest items of another modality, the share with the concept of the item.

    vectors: unit rows (n, d) in one space; rows: their n rows of the item table. Only items with a
    concept are asked and counted. Returns a row per pair of modalities: from, to, n, share, chance.
    """
    found = []
    known = (rows.concept != "").to_numpy()
    place = {m: np.flatnonzero(known & (rows.modality == m)) for m in modality_order(rows.modality)}
    concept = rows.concept.to_numpy()
    for a, b in permutations(place, 2):
        left, right = place[a], place[b]
        if not (len(left) and len(right)):
            continue
        equal = concept[left][:, None] == concept[right]
        most = min(k, len(right))
        order = np.argsort(-(vectors[left] @ vectors[right].T), axis=1, kind="stable")[:, :most]
        share = float(np.take_along_axis(equal, order, axis=1).mean())
        found.append((a, b, len(left), share, float(equal.mean())))
    return pd.DataFrame(found, columns=["from", "to", "n", "share", "chance"])


def nearest_of_each(
    vectors: np.ndarray, rows: pd.DataFrame, query: int
) -> tuple[pd.Series, pd.DataFrame]:
    """An item and its nearest item of every modality, as exmcr.figures.gallery.ranked draws them.

    vectors, rows: as for `same_concept`; query: the number of the item. An answer is right if it
    has the concept of the item.
    """
    scores = vectors @ vectors[query]
    scores[query] = -np.inf
    names = modality_order(rows.modality)
    best = [
        max(np.flatnonzero((rows.modality == name).to_numpy()), key=lambda n: scores[n])
        for name in names
    ]
    item = rows.iloc[query]
    found = rows.iloc[best].assign(score=scores[best])
    return item, found.assign(right=(found.concept == item.concept).tolist())
