"""A task and its right answers: equal values of a column, partners, or shared class labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

# Pairs of query and gallery item up to which their right answers (50 MB) and similarities (200 MB)
# are whole arrays. Beyond, right answers are sparse, and similarities are computed in parts:
# Objaverse-LVIS has 2 G pairs, of which 46,205 are right.
DENSE = 50_000_000

Positives: TypeAlias = np.ndarray | csr_array  # bool (queries, gallery)


@dataclass
class Task:
    """A retrieval or classification task.

    queries   n rows of the item table, of one modality
    gallery   m rows of the item table, of one modality
    positive  bool (n, m): which gallery items are right answers; each query has one or more; an
              array, or sparse if n * m exceeds DENSE
    seen      bool (n,): whether the concept (or name) of a query occurs in training
    """

    name: str
    queries: pd.DataFrame
    gallery: pd.DataFrame
    positive: Positives
    seen: np.ndarray

    @property
    def from_modality(self) -> str:
        """Modality of the queries."""
        return self.queries.modality.iloc[0]

    @property
    def to_modality(self) -> str:
        """Modality of the gallery."""
        return self.gallery.modality.iloc[0]

    def right(self, queries: Sequence[int]) -> np.ndarray:
        """bool (k, m): the right answers to k queries, given by their places."""
        positive = self.positive[list(queries)]
        return positive if isinstance(positive, np.ndarray) else positive.toarray()

    @property
    def ends(self) -> dict[str, pd.DataFrame]:
        """{modality: rows} of queries and gallery."""
        return {self.from_modality: self.queries, self.to_modality: self.gallery}


def matched(
    name: str,
    queries: pd.DataFrame,
    gallery: pd.DataFrame,
    seen: set[str],
    by: str = "concept",
    seen_by: str = "concept",
) -> Task | None:
    """The task in which equal values of the column `by` match."""
    return task_of(name, queries, gallery, same(queries[by], gallery[by]), seen, seen_by)


def task_of(
    name: str,
    queries: pd.DataFrame,
    gallery: pd.DataFrame,
    positive: Positives,
    seen: set[str],
    seen_by: str = "concept",
) -> Task | None:
    """The task of the queries that have a right answer; None if there are none."""
    answered = right_answers(positive) > 0
    if not answered.any():
        return None
    queries = queries[answered]
    known = queries[seen_by].isin(seen).to_numpy()
    return Task(name, queries, gallery, positive[answered], known)


def right_answers(positive: Positives) -> np.ndarray:
    """The number of right answers of each query, int (n,)."""
    return np.asarray(positive.sum(axis=1)).ravel().astype(np.int64)


def flipped(positive: Positives) -> Positives:
    """Right answers with queries and gallery exchanged: (n, m) -> (m, n)."""
    return positive.T.tocsr() if isinstance(positive, csr_array) else positive.T


def as_bytes(positive: Positives) -> bytes:
    """Right answers as bytes, for a digest: bits, or places if they are sparse."""
    if isinstance(positive, np.ndarray):
        return np.packbits(positive).tobytes()
    return np.concatenate(positive.nonzero()).astype(np.int64).tobytes()


def same(a: pd.Series, b: pd.Series) -> Positives:
    """bool (len(a), len(b)): equal and not empty."""
    # Whole numbers compare much faster than strings.
    codes, _ = pd.factorize(np.concatenate([a.to_numpy(), b.to_numpy()]))
    left, right, given = codes[: len(a)], codes[len(a) :], (a != "").to_numpy()
    if len(a) * len(b) <= DENSE:
        return (left[:, None] == right[None, :]) & given[:, None]
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    first = np.searchsorted(ordered, left, "left")
    counts = np.where(given, np.searchsorted(ordered, left, "right") - first, 0)
    ends = np.concatenate([[0], np.cumsum(counts)])
    places = np.arange(ends[-1]) + np.repeat(first - ends[:-1], counts)
    return _sparse(order[places], ends, len(b))


def sharing(labels: Sequence[Sequence[str]], classes: Sequence[str]) -> Positives:
    """bool (len(labels), len(classes)): whether the labels of an item contain a class.

    classes: distinct and not empty; a label that is no class is ignored.
    """
    place = {name: k for k, name in enumerate(classes)}
    own = [sorted({place[label] for label in of_item if label in place}) for of_item in labels]
    ends = np.concatenate([[0], np.cumsum([len(places) for places in own], dtype=np.int64)])
    columns = np.array([k for places in own for k in places], dtype=np.int64)
    positive = _sparse(columns, ends, len(classes))
    return positive.toarray() if len(labels) * len(classes) <= DENSE else positive


def _sparse(columns: np.ndarray, ends: np.ndarray, width: int) -> csr_array:
    """True at columns[ends[i] : ends[i + 1]] of row i."""
    shape = (len(ends) - 1, width)
    return csr_array((np.ones(len(columns), bool), columns, ends), shape=shape)
