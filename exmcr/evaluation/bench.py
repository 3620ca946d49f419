"""The one path by which methods are fitted and scored, for `evaluate`, `compare` and `sweep`.

A method (exmcr/methods/registry.py) is fitted on the training pools of each leaf and scored on
every task it can serve. Trained projectors of the project stand in for a new fit of `exmcr`.
"""

from collections.abc import Callable, Iterable

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.common.vectors import unit
from exmcr.evaluation import tables
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.tasks import Task, tasks
from exmcr.kernels.search import topk
from exmcr.methods.maps import Maps, NotApplicable, identity
from exmcr.methods.registry import after_of, method_named, settings_of
from exmcr.spaces import space_class

BRIDGE = 10  # base items whose mean stands in for a vector of a space that is not the base
REPORTED = ("direct", "lstsq", "procrustes", "hop", "exmcr")  # methods of the results table
MapsOfLeaves = dict[str, Maps]  # {leaf name: maps}


def into_base(maps: Maps, vectors: np.ndarray, o_base: np.ndarray) -> np.ndarray:
    """Leaf vectors (n, d_leaf) as vectors of the base, where two leaves can meet.

    A method that extends the base puts them there. A method with a common space of its own per
    leaf offers no way from leaf to leaf: each vector becomes the mean of the BRIDGE overlap items
    nearest to it in that space. o_base: overlap items in the base (m, d_base).
    """
    if maps.base is identity:
        return maps.leaf(vectors)
    nearest = topk(maps.leaf(vectors), maps.base(o_base), min(BRIDGE, len(o_base))).indices
    return unit(o_base[nearest].mean(axis=1))


class Bench:
    """Pools, tasks and vectors of a project on one split, read once for all methods.

    project   exmcr.project.Project
    split     "val" or "test"
    trained   {("exmcr", seed): {leaf name: Maps}}, used in place of fitting that method

    Raises ConfigError if no task with a leaf modality has data on this split.
    """

    def __init__(self, project, split: str = "test", trained: dict | None = None):
        self.project, self.split, self.params = project, split, project.params
        self.embeddings = Embeddings(project)
        self.pools = {leaf.name: project.pools(leaf) for leaf in project.leaves}
        self.all_tasks = [t for t in tasks(project.usable_items, split) if self._answerable(t)]
        self.tasks = [t for t in self.all_tasks if self.reached(t)]
        self.trained = trained or {}
        self._fits: dict[str, MapsOfLeaves] = {}
        if not self.tasks:
            raise ConfigError(
                f"no task with a leaf modality has data on the {split} split of corpora "
                f"'{self.params.corpora}'"
            )

    def _answerable(self, task: Task) -> bool:
        known = set(space_class(self.params.base_space).modalities)
        known |= {leaf.modality for leaf in self.project.leaves}
        return {task.from_modality, task.to_modality} <= known

    def reached(self, task: Task) -> list[str]:
        """Names of the leaves whose modality the task has as query or gallery."""
        leaves = [self.params.leaf_of(m) for m in (task.from_modality, task.to_modality)]
        return [leaf.name for leaf in leaves if leaf]

    # fitting

    def fit(self, name: str, seed: int, params=None) -> MapsOfLeaves:
        """A method fitted on every leaf that it can serve; the reason for a missing leaf is printed.

        Methods that differ in their post-processing only share one fit. params: in place of the
        project's. Raises ConfigError for an unknown method or setting.
        """
        if params is None and (name, seed) in self.trained:
            return self.trained[name, seed]
        method = method_named(name)
        given = {leaf: settings_of(params or self.params, name, leaf) for leaf in self.pools}
        key = repr((method.fit, given, seed))
        if key not in self._fits:
            found: MapsOfLeaves = {}
            for leaf, pools in self.pools.items():
                try:
                    found[leaf] = method.fit(pools, seed, **given[leaf])
                except NotApplicable as error:
                    print(f"'{name}' is left out of the results with the {leaf} leaf: {error}")
            self._fits[key] = found
        return self._fits[key]

    # scoring

    def similarity(
        self, task: Task, maps: MapsOfLeaves, after: Callable | None = None
    ) -> np.ndarray:
        """(queries, gallery) by these maps and a post-processor (exmcr.methods.postprocessing)."""
        ends = ((task.from_modality, task.queries), (task.to_modality, task.gallery))
        queries, gallery = (
            self._common(task, m, self.embeddings.own(rows), maps) for m, rows in ends
        )
        if after is None:
            return queries @ gallery.T
        banks = [
            self.project.bank(self.embeddings.own_space(m), m, "train").vectors for m, _ in ends
        ]
        return after(
            queries,
            gallery,
            *(
                self._common(task, m, np.asarray(bank), maps)
                for (m, _), bank in zip(ends, banks, strict=True)
            ),
        )

    def _common(
        self, task: Task, modality: str, vectors: np.ndarray, maps: MapsOfLeaves
    ) -> np.ndarray:
        """Vectors of one side of a task in the space where its two sides meet."""
        reached, leaf = self.reached(task), self.params.leaf_of(modality)
        if leaf is None:
            return maps[reached[0]].base(vectors) if reached else vectors
        if len(reached) == 2:
            return into_base(maps[leaf.name], vectors, self.pools[leaf.name].o_base)
        return maps[leaf.name].leaf(vectors)

    def serves(self, task: Task, maps: MapsOfLeaves) -> bool:
        """Whether a fitted method has a map for every leaf that the task needs."""
        return set(self.reached(task)) <= maps.keys()

    def rows(self, name: str, seed: int, of: Iterable[Task] | None = None) -> list[dict]:
        """Rows of the results table of one method, on these tasks (default: those with a leaf)."""
        maps, after = self.fit(name, seed), after_of(self.params, name)
        found = []
        for task in self.tasks if of is None else of:
            if not self.serves(task, maps):
                continue
            if after is None:
                ends = (
                    self._common(task, rows.modality.iloc[0], self.embeddings.own(rows), maps)
                    for rows in (task.queries, task.gallery)
                )
                found += tables.rows_of_vectors(task, name, seed, *ends)
            else:
                similarity = self.similarity(task, maps, after)
                found += tables.rows_of_similarity(task, name, seed, similarity)
        return found

    def reference_rows(self, of: Iterable[Task]) -> list[dict]:
        """Rows of the frozen spaces that have both modalities of a task: "base" where no leaf is
        involved, "leaf" otherwise."""
        found = []
        for task in of:
            names = {self.params.leaf_space(leaf): "leaf" for leaf in self.project.leaves}
            if not self.reached(task):
                names = {self.params.base_space: "base"}
            for space, method in names.items():
                if {task.from_modality, task.to_modality} <= set(space_class(space).modalities):
                    ends = (
                        self.embeddings.vectors(space, rows)
                        for rows in (task.queries, task.gallery)
                    )
                    found += tables.rows_of_vectors(task, method, 0, *ends)
        return found

    def inputs(self) -> str:
        """Digest of everything that a method is fitted on and asked."""
        parts: list = []
        for leaf in self.project.leaves:
            for part in (self.params.leaf_space(leaf), self.params.base_space):
                for manifest in sorted((self.project.banks / part).glob("*/*/manifest.json")):
                    parts += [str(manifest.relative_to(self.project.banks)), manifest]
        for task in self.tasks:
            parts += [task.name, *task.queries.id, *task.gallery.id]
            parts += [np.packbits(task.positive).tobytes(), task.seen.tobytes()]
        return digest(*parts)


def results(bench: Bench) -> list[dict]:
    """The results table: the REPORTED methods with all their seeds, and the frozen spaces.

    Tasks of the base alone are scored for `exmcr` and `base` only: what extension costs the base
    is measured rather than assumed, and the baselines leave it unchanged as well.
    """
    of_base = [task for task in bench.all_tasks if not bench.reached(task)]
    found = bench.reference_rows(of_base)
    for seed in bench.params.seeds:
        found += bench.rows("exmcr", seed, of_base)
    for name in REPORTED:
        for seed in bench.params.seeds if method_named(name).seeded else [0]:
            found += bench.rows(name, seed)
    return found + bench.reference_rows(bench.tasks)
