"""Ranks of the right answers. Ties count against the method: a wrong answer with the same
similarity ranks first."""

import numpy as np
import torch
from scipy.sparse import csr_array

from exmcr.kernels.layers import product
from exmcr.kernels.tiles import matmul_precision, prepare, sweep

FEW = 16  # right answers up to which comparing with each is faster than a search among them


def ranks_of_positives(similarity: np.ndarray, positive: np.ndarray) -> list[np.ndarray]:
    """similarity float (n, m), positive bool (n, m) -> per query the sorted ranks (from 1) of its right answers.

    Raises ValueError when a query has no right answer or a similarity is NaN."""
    if not positive.any(axis=1).all():
        raise ValueError(
            f"{int((~positive.any(axis=1)).sum())} queries have no right answer in the gallery"
        )
    if np.isnan(similarity).any():
        raise ValueError("similarity has NaN")
    # Sorting on (similarity descending, wrong answers first) makes every rank the worst among its ties.
    order = np.lexsort((positive, -similarity), axis=1)
    hits = np.take_along_axis(positive, order, axis=1)
    return [np.flatnonzero(row) + 1 for row in hits]


def ranks_by_tiles(
    queries, gallery, positive, *, tile=None, device=None, progress=None
) -> list[np.ndarray]:
    """The same ranks from unit vectors queries (n, d), gallery (m, d) (arrays, memory-maps, tensors), without the n x m matrix.

    positive: scipy.sparse (n, m), nonzero where right; or bool (n, m). Memory holds vectors of some tiles, the right answers
    and their ranks. A rank is its place among the right answers, plus the wrong answers with at least its similarity, counted
    tile by tile. Scores of right answers come from the product that gives the wrong ones theirs, since two kernels would
    round differently and break ties; so tiles with a right answer are multiplied twice, others once.
    Raises ValueError when a query has no right answer, ConfigError for NaN or infinite rows and shapes that do not fit."""
    positive = csr_array(positive, dtype=bool)
    positive.eliminate_zeros()
    positive.sort_indices()
    device, tile = prepare(queries, gallery, tile, device)
    if positive.shape != (len(queries), len(gallery)):
        raise ValueError(
            f"positive has shape {positive.shape}, but there are {len(queries)} queries and {len(gallery)} answers"
        )
    if not np.diff(positive.indptr).all():
        raise ValueError(
            f"{int((np.diff(positive.indptr) == 0).sum())} queries have no right answer in the gallery"
        )

    def states(kind, *known):
        def start(begin, rows):
            return kind(rows, positive[begin : begin + len(rows)], *(part[begin] for part in known))

        return sweep(start, queries, {"keys": gallery}, [], tile, device, progress)

    with matmul_precision("float32"):
        right = {begin: state.found for begin, state in states(_Right)}
        ranks = []
        for _, state in states(_Wrong, right):
            ranks += state.ranks()
    return ranks


class _Right:
    """Collects the similarities of the right answers of one tile of queries: found (entries,), in the order of `positive`."""

    def __init__(self, queries, positive):
        self.queries, self.positive = queries, positive
        self.row = np.repeat(np.arange(len(queries)), np.diff(positive.indptr))
        self.found = torch.full((positive.nnz,), -torch.inf)

    def inside(self, first, count):
        """Entries of `positive` whose answers are first : first + count, and where they are in that tile of scores."""
        at = np.flatnonzero(
            (self.positive.indices >= first) & (self.positive.indices < first + count)
        )
        return at, (
            torch.from_numpy(self.row[at]),
            torch.from_numpy(self.positive.indices[at].astype(np.int64) - first),
        )

    def add(self, first, keys, values):
        at, place = self.inside(first, len(keys))
        if len(at):
            self.found[at] = product(self.queries, keys).cpu()[place]


class _Wrong(_Right):
    """Counts, for every right answer, the wrong answers with at least its similarity."""

    def __init__(self, queries, positive, found):
        super().__init__(queries, positive)
        counts = np.diff(positive.indptr)
        descending = np.lexsort((-found.numpy(), self.row))
        self.filled = np.arange(counts.max()) < counts[:, None]
        # One line per query, best first; the empty end of a line is above every similarity.
        scores = np.full(self.filled.shape, np.inf, np.float32)
        scores[self.filled] = found.numpy()[descending]
        self.scores = torch.from_numpy(scores).to(queries.device)
        self.above = torch.zeros(self.scores.shape, dtype=torch.int64, device=queries.device)

    def add(self, first, keys, values):
        scores = product(self.queries, keys)
        at, (row, column) = self.inside(first, len(keys))
        if len(at):
            scores[row.to(scores.device), column.to(scores.device)] = -torch.inf
        if self.scores.shape[1] <= FEW:
            for k in range(self.scores.shape[1]):
                self.above[:, k] += (scores >= self.scores[:, k, None]).sum(dim=1)
            return
        # With the line of a query negated it ascends (but for its empty end): a wrong answer outranks all from its place on.
        line = torch.where(self.scores.isinf(), torch.inf, -self.scores)
        place = torch.searchsorted(line, -scores)
        counts = torch.zeros(len(line), line.shape[1] + 1, dtype=torch.int64, device=scores.device)
        counts.scatter_add_(1, place, torch.ones_like(place))
        self.above += counts[:, :-1].cumsum(dim=1)

    def ranks(self):
        ranks = self.above.cpu().numpy() + np.arange(1, self.above.shape[1] + 1)
        return [line[filled] for line, filled in zip(ranks, self.filled)]
