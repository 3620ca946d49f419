"""The one path by which methods are fitted and scored: for `evaluate`, the experiments and figures.

A method (exmcr/methods/registry.py) is fitted on the training pools of each leaf, and scored on
every task that it can serve. Stored projectors take the place of a new fit of `exmcr`.
"""

from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.evaluation import tables
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.matching import as_bytes
from exmcr.evaluation.meeting import Rows, both, dense, into_base
from exmcr.evaluation.metrics import Ranks
from exmcr.evaluation.ranking import ranks_by_blocks, ranks_of_positives, ranks_of_vectors
from exmcr.evaluation.tasks import Task, emergent, tasks
from exmcr.methods.maps import Maps, NotApplicable, identity
from exmcr.methods.registry import (
    Similarity,
    after_of,
    check_settings,
    fitted_name,
    method_named,
    seeds_of,
    settings_of,
)
from exmcr.pairing.pools import Pools

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project

REPORTED = ("direct", "lstsq", "procrustes", "hop", "exmcr")  # methods of the results table

HELD = 400_000_000  # similarities that a post-processor may hold, 3.2 GB; it makes copies

MapsOfLeaves = dict[str, Maps]  # {leaf name: maps}


def _with_concepts(project: "Project", leaf: "Leaf") -> Pools:
    """The training pools of a leaf, with the concept of every row."""
    pools = project.pools(leaf)
    concept = project.items.set_index("id").concept
    pools.concepts = {
        part: concept.reindex(ids).fillna("").to_numpy() for part, ids in pools.ids.items()
    }
    return pools


class Bench:
    """The tasks of a project on one split, its vectors, and the methods fitted so far.

    all_tasks  tasks whose two modalities are in the base or added by a leaf
    tasks      those of them with the modality of a leaf
    pools      {leaf name: training pools}
    """

    def __init__(
        self,
        project: "Project",
        split: str = "test",
        trained: dict[tuple[str, int], MapsOfLeaves] | None = None,
    ):
        """split: "val" or "test"; trained: {("exmcr", seed): maps}, used instead of a new fit.

        Raises ConfigError for a method or setting under `compare` that does not exist, and if no
        task with the modality of a leaf has data on the split.
        """
        check_settings(project.params)
        self.project, self.params = project, project.params
        self.embeddings = Embeddings(project)
        self.pools = {leaf.name: _with_concepts(project, leaf) for leaf in project.leaves}
        self.trained = trained or {}
        self._fits: dict[str, MapsOfLeaves] = {}
        # {leaf: (its latest maps, its overlap items in their common space)}
        self._bridges: dict[str, tuple[Maps, Rows]] = {}
        self._named: set[tuple[str, str]] = set()  # (split, name) of tasks that are too large
        for leaf in project.leaves:
            if (shown := self.params.leaf_of(leaf.modality)) != leaf and shown:
                print(
                    f"leaf '{leaf.name}' is not scored: '{shown.name}' stands for {leaf.modality}"
                )
        self._select(split)
        if not self.tasks:
            raise ConfigError(
                f"no task with the modality of a leaf has data on the {split} split of corpora "
                f"'{self.params.corpora}'"
            )

    def on(self, split: str) -> "Bench":
        """The same methods and vectors on another split, on which there may be no task."""
        other = copy(self)
        other._select(split)
        return other

    def with_pools(self, pools: dict[str, Pools]) -> "Bench":
        """The same tasks and vectors, with nothing fitted yet, and other training pools."""
        other = copy(self)
        other.pools, other.trained, other._fits, other._bridges = pools, {}, {}, {}
        return other

    def _select(self, split: str) -> None:
        known = set(self.params.modalities_of(self.params.base_space))
        known |= {leaf.modality for leaf in self.project.leaves}
        candidates = tasks(self.project.usable_items, split)
        self.split = split
        self.all_tasks = [
            task
            for task in candidates
            if {task.from_modality, task.to_modality} <= known and self._has_vectors(task)
        ]
        self.tasks = [task for task in self.all_tasks if self.reached(task)]

    def _has_vectors(self, task: Task) -> bool:
        """Whether a task can be scored: imported banks may lack the words that it names."""
        spaces = {name: self.embeddings.own_space(name) for name in task.ends}
        complete = all(
            spaces[name] not in self.params.imported or self.embeddings.complete(spaces[name], rows)
            for name, rows in task.ends.items()
        )
        if not complete:
            print(f"{task.name} is left out: some of its items are in no imported bank")
        return complete

    @property
    def emergent(self) -> list[Task]:
        """The tasks whose pairs no frozen space was trained on, by `tasks.emergent`."""
        spaces = [self.params.modalities_of(name) for name in self.project.spaces]
        return emergent(self.tasks, spaces)

    def reached(self, task: Task) -> list[str]:
        """Names of the leaves that add a modality of the task."""
        leaves = [self.params.leaf_of(m) for m in (task.from_modality, task.to_modality)]
        return [leaf.name for leaf in leaves if leaf]

    # fitting

    def fit(self, name: str, seed: int, params=None) -> MapsOfLeaves:
        """Fit a method on every leaf that it can serve; prints why it cannot serve a leaf.

        Methods that differ only in their post-processor share one fit. params: used instead of
        those of the project. Raises ConfigError for an unknown method.
        """
        stored = (fitted_name(name), seed)
        if params is None and stored in self.trained:
            return self.trained[stored]
        method = method_named(name)
        settings = {leaf: settings_of(params or self.params, name, leaf) for leaf in self.pools}
        key = repr((method.fit, settings, seed))
        if key not in self._fits:
            maps: MapsOfLeaves = {}
            for leaf, pools in self.pools.items():
                try:
                    maps[leaf] = method.fit(pools, seed, **settings[leaf])
                except NotApplicable as error:
                    print(f"'{name}' is left out of the results with the {leaf} leaf: {error}")
            self._fits[key] = maps
        return self._fits[key]

    def serves(self, task: Task, maps: MapsOfLeaves, after: Similarity | None = None) -> bool:
        """Whether a fitted method has a map for every leaf that the task needs, and its
        post-processor, if it has one, can hold the similarities of the task. A task that is too
        large for that is named once."""
        if after is not None and len(task.queries) * len(task.gallery) > HELD:
            if (self.split, task.name) not in self._named:
                print(f"{task.name} is left out of methods that post-process: it is too large")
                self._named.add((self.split, task.name))
            return False
        return set(self.reached(task)) <= maps.keys()

    # scoring

    def common(self, task: Task, maps: MapsOfLeaves) -> tuple[Rows, Rows]:
        """Queries (n, d) and gallery (m, d) of a task in the space where they meet, unit rows;
        sparse if the maps are."""
        own = (self.embeddings.own(rows) for rows in (task.queries, task.gallery))
        return self._meet(task, maps, *own)

    def _meet(
        self, task: Task, maps: MapsOfLeaves, from_vectors: np.ndarray, to_vectors: np.ndarray
    ) -> tuple[Rows, Rows]:
        """Vectors of the two modalities of a task, in the space where the modalities meet."""
        reached = self.reached(task)

        def mapped(modality: str, vectors: np.ndarray) -> Rows:
            leaf = self.params.leaf_of(modality)
            if leaf is None:
                return both(maps[reached[0]])[1](vectors) if reached else vectors
            if len(reached) == 2:
                return self._into_base(leaf.name, maps[leaf.name], vectors)
            return both(maps[leaf.name])[0](vectors)

        return mapped(task.from_modality, from_vectors), mapped(task.to_modality, to_vectors)

    def _into_base(self, leaf: str, maps: Maps, vectors: np.ndarray) -> np.ndarray:
        """`into_base`, with the overlap items in the common space kept for further tasks."""
        o_base = self.pools[leaf].o_base
        if maps.base is identity:
            return into_base(maps, vectors, o_base)
        if leaf not in self._bridges or self._bridges[leaf][0] is not maps:
            self._bridges[leaf] = maps, both(maps)[1](o_base)
        return into_base(maps, vectors, o_base, self._bridges[leaf][1])

    def similarity(
        self, task: Task, maps: MapsOfLeaves, after: Similarity | None = None
    ) -> np.ndarray:
        """Similarities (n, m) of queries and gallery by these maps and a post-processor
        (exmcr/methods/postprocessing.py)."""
        queries, gallery = self.common(task, maps)
        if after is None:
            return dense(queries @ gallery.T)
        banks = [
            np.asarray(self.project.bank(self.embeddings.own_space(m), m, "train").vectors)
            for m in (task.from_modality, task.to_modality)
        ]
        return after(queries, gallery, *self._meet(task, maps, *banks))

    def ranks(self, task: Task, maps: MapsOfLeaves, after: Similarity | None = None) -> Ranks:
        """Ranks of the right answers of a task, tile by tile if the task is large.

        A post-processor needs all similarities of a task in memory.
        """
        if after is not None:
            return ranks_of_positives(self.similarity(task, maps, after), task.positive)
        queries, gallery = self.common(task, maps)
        if isinstance(queries, csr_array):
            return ranks_by_blocks(lambda rows: dense(queries[rows] @ gallery.T), task.positive)
        return ranks_of_vectors(queries, gallery, task.positive)

    def score(self, task: Task, name: str, seed: int) -> list[dict]:
        """Rows of the results table of one method on one task; none if it cannot serve the task."""
        maps, after = self.fit(name, seed), after_of(self.params, name)
        if not self.serves(task, maps, after):
            return []
        ranks = self.ranks(task, maps, after)
        return tables.rows_of_ranks(task, name, seed, ranks)

    def rows(self, name: str, seed: int) -> list[dict]:
        """Rows of the results table of one method on all tasks with the modality of a leaf."""
        return [row for task in self.tasks for row in self.score(task, name, seed)]

    def reference_rows(self, of: Iterable[Task]) -> list[dict]:
        """Rows of the frozen spaces that have both modalities of a task: as method "base" for a
        task of the base alone, as method "leaf" for others: the space of the first leaf that the
        task reaches and that has both."""
        found = []
        for task in of:
            leaves = [self.params.leaf(name) for name in self.reached(task)]
            method = "leaf" if leaves else "base"
            spaces = [self.params.leaf_space(leaf) for leaf in leaves] or [self.params.base_space]
            if space := next((name for name in spaces if self._embeds(name, task)), None):
                ends = (self.embeddings.vectors(space, rows) for rows in task.ends.values())
                found += tables.rows_of_vectors(task, method, 0, *ends)
        return found

    def _embeds(self, space: str, task: Task) -> bool:
        """Whether a frozen space has both modalities of a task, and all of its items."""
        if not {*task.ends} <= {*self.params.modalities_of(space)}:
            return False
        return space not in self.params.imported or all(
            self.embeddings.complete(space, rows) for rows in task.ends.values()
        )

    def inputs(self) -> str:
        """Digest of everything on which methods are fitted and scored: banks and tasks."""
        parts: list = [self.project.items_path]  # concepts of training items, for `paired`
        for space in self.project.spaces:
            for manifest in sorted((self.project.banks / space).glob("*/*/manifest.json")):
                parts += [str(manifest.relative_to(self.project.banks)), manifest]
        for task in self.tasks:
            parts += [task.name, *task.queries.id, *task.gallery.id]
            parts += [as_bytes(task.positive), task.seen.tobytes()]
        return digest(*parts)


def results(bench: Bench) -> list[dict]:
    """Rows of the results table, task by task: the REPORTED methods with all their seeds, then the
    frozen spaces.

    Tasks of the base alone are scored for `base` and `exmcr` only: what extension costs the base is
    measured, not assumed. The baselines leave the base unchanged as well.
    """
    rows: list[dict] = []
    for task in bench.all_tasks:
        reference = bench.reference_rows([task])
        if not bench.reached(task):
            rows += reference
            for seed in bench.params.seeds:
                rows += bench.score(task, "exmcr", seed)
            continue
        for name in REPORTED:
            for seed in seeds_of(bench.params, name):
                rows += bench.score(task, name, seed)
        rows += reference
    return rows
