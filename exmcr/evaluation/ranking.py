"""Ranks of the right answers.

Ties count against the method: a wrong answer with the same similarity ranks first.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_array

from exmcr.evaluation import matching
from exmcr.evaluation.matching import Positives, right_answers
from exmcr.kernels.layers import product
from exmcr.kernels.tiles import matmul_precision, prepare, sweep

BLOCK = 10_000_000  # similarities that are sorted at once (about 0.3 GB)
FEW = 16  # right answers per query up to which comparing with each is faster than a search


def ranks_of_positives(similarity: np.ndarray, positive: Positives) -> list[np.ndarray]:
    """For each query the sorted ranks, from 1, of its right answers.

    similarity: float (n, m); positive: bool (n, m), or a sparse array of this shape. Raises
    ValueError if a query has no right answer or a similarity is NaN.
    """
    return ranks_by_blocks(lambda rows: similarity[rows], positive)


def ranks_by_blocks(
    similarity: Callable[[slice], np.ndarray], positive: Positives
) -> list[np.ndarray]:
    """The same ranks from a function that computes some rows of the similarities, so that they are
    never all in memory: slice of the queries -> float (rows, m)."""
    if missing := int((right_answers(positive) == 0).sum()):
        raise ValueError(f"{missing} queries have no right answer in the gallery")
    n, m = positive.shape
    step = max(1, BLOCK // max(1, m))
    ranks: list[np.ndarray] = []
    for begin in range(0, n, step):
        rows = slice(begin, begin + step)
        right = positive[rows]
        right = right if isinstance(right, np.ndarray) else right.toarray()
        ranks += _ranks(similarity(rows), right)
    return ranks


def _ranks(similarity: np.ndarray, positive: np.ndarray) -> list[np.ndarray]:
    if np.isnan(similarity).any():
        raise ValueError("similarity has NaN")
    # Sorted by falling similarity, wrong answers first: each rank is the worst among its ties.
    order = np.lexsort((positive, -similarity), axis=1)
    hits = np.take_along_axis(positive, order, axis=1)
    return [np.flatnonzero(row) + 1 for row in hits]


def ranks_of_vectors(queries: np.ndarray, gallery: np.ndarray, positive) -> list[np.ndarray]:
    """The same ranks from unit vectors queries (n, d) and gallery (m, d); tile by tile if the
    similarities are too many to hold."""
    if len(queries) * len(gallery) <= matching.DENSE:
        return ranks_of_positives(queries @ gallery.T, positive)
    return ranks_by_tiles(queries, gallery, positive)


def ranks_by_tiles(
    queries, gallery, positive, *, tile=None, device=None, progress=None
) -> list[np.ndarray]:
    """The same ranks from unit vectors, without the n x m matrix.

    queries   (n, d), array, memory-map or tensor
    gallery   (m, d), likewise
    positive  scipy.sparse (n, m), nonzero where right; or bool (n, m)

    Memory holds the vectors of a few tiles, the right answers and their ranks. The rank of a right
    answer is its place among the right answers, plus the number of wrong answers with at least its
    similarity, counted tile by tile. Similarities of right and wrong answers come from the same
    product, since two kernels would round differently and break ties; so tiles with a right answer
    are multiplied twice, others once.

    Raises ValueError if a query has no right answer or `positive` has another shape, ConfigError
    for NaN or infinite rows and unequal dimensions.
    """
    positive = csr_array(positive, dtype=bool)
    positive.eliminate_zeros()
    positive.sort_indices()
    device, tile = prepare(queries, gallery, tile, device)
    if positive.shape != (len(queries), len(gallery)):
        raise ValueError(
            f"positive has shape {positive.shape}, "
            f"but there are {len(queries)} queries and {len(gallery)} gallery items"
        )
    if missing := int((np.diff(positive.indptr) == 0).sum()):
        raise ValueError(f"{missing} queries have no right answer in the gallery")

    def states(kind, *known):
        def start(begin, rows):
            return kind(rows, positive[begin : begin + len(rows)], *(part[begin] for part in known))

        return sweep(start, queries, {"keys": gallery}, [], tile, device, progress)

    with matmul_precision("float32"):
        right = {begin: state.scores for begin, state in states(_Right)}
        ranks = []
        for _, state in states(_Wrong, right):
            ranks += state.ranks()
    return ranks


class _Right:
    """Collects the similarities of the right answers of one tile of queries.

    scores: (number of right answers,), in the order of `positive`.
    """

    def __init__(self, queries, positive):
        self.queries, self.positive = queries, positive
        self.row = np.repeat(np.arange(len(queries)), np.diff(positive.indptr))
        self.scores = torch.full((positive.nnz,), -torch.inf)

    def inside(self, first, count):
        """Entries of `positive` in the columns first : first + count, and their places (row,
        column) in that tile of similarities."""
        columns = self.positive.indices
        entries = np.flatnonzero((columns >= first) & (columns < first + count))
        row = torch.from_numpy(self.row[entries])
        return entries, (row, torch.from_numpy(columns[entries].astype(np.int64) - first))

    def add(self, first, keys, values):
        entries, places = self.inside(first, len(keys))
        if len(entries):
            self.scores[entries] = product(self.queries, keys).cpu()[places]


class _Wrong(_Right):
    """Counts, for every right answer, the wrong answers with at least its similarity."""

    def __init__(self, queries, positive, scores):
        super().__init__(queries, positive)
        counts = np.diff(positive.indptr)
        descending = np.lexsort((-scores.numpy(), self.row))
        self.filled = np.arange(counts.max()) < counts[:, None]
        # One line per query, best first; the empty end of a line is above every similarity.
        lines = np.full(self.filled.shape, np.inf, np.float32)
        lines[self.filled] = scores.numpy()[descending]
        self.lines = torch.from_numpy(lines).to(queries.device)
        self.above = torch.zeros(lines.shape, dtype=torch.int64, device=queries.device)

    def add(self, first, keys, values):
        scores = product(self.queries, keys)
        entries, (row, column) = self.inside(first, len(keys))
        if len(entries):
            scores[row.to(scores.device), column.to(scores.device)] = -torch.inf
        if self.lines.shape[1] <= FEW:
            for k in range(self.lines.shape[1]):
                self.above[:, k] += (scores >= self.lines[:, k, None]).sum(dim=1)
            return
        # A negated line ascends, but for its empty end: a wrong answer outranks all right answers
        # from its place on.
        line = torch.where(self.lines.isinf(), torch.inf, -self.lines)
        place = torch.searchsorted(line, -scores)
        counts = torch.zeros(len(line), line.shape[1] + 1, dtype=torch.int64, device=scores.device)
        counts.scatter_add_(1, place, torch.ones_like(place))
        self.above += counts[:, :-1].cumsum(dim=1)

    def ranks(self) -> list[np.ndarray]:
        ranks = self.above.cpu().numpy() + np.arange(1, self.above.shape[1] + 1)
        return [line[filled] for line, filled in zip(ranks, self.filled, strict=True)]
