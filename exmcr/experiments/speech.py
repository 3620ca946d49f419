"""Spoken captions as queries: what the word and the language of a recording cost.

A query says a trained or a new word (whether a training recording has its concept), in a language
that is trained or held out (exmcr/corpora/mini/speech.py). The four cases are scored apart.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.corpora.mini.speech import TRAINED, language_of
from exmcr.evaluation import tables
from exmcr.evaluation.bench import Bench
from exmcr.evaluation.metrics import Ranks, summary
from exmcr.evaluation.ranking import ranks_of_vectors
from exmcr.evaluation.stage import trained_maps
from exmcr.evaluation.tasks import Task
from exmcr.methods.registry import after_of, seeds_of

if TYPE_CHECKING:
    from exmcr.project import Project

METHODS = ("hop", "exmcr")


def table(project: "Project", split: str = "test") -> pd.DataFrame:
    """The results table of spoken queries, with the case as `concept_subset` ("new word, held-out
    language"), for METHODS and the speech space itself (method "leaf").

    split: "val" or "test". Raises ConfigError if no task of the split has spoken queries.
    """
    bench = Bench(project, split, trained_maps(project))
    spoken = [task for task in bench.tasks if task.from_modality == "speech"]
    if not spoken:
        raise ConfigError(
            f"no spoken queries on the {split} split; docs/speech.md says how to switch them on"
        )
    rows = [
        {"task": task.name, "concept_subset": case, "method": method, "seed": seed}
        | summary([ranks[i] for i in which], task.positive[which])
        for task in spoken
        for method, seed, ranks in _ranks(bench, task)
        for case, which in cases(task)
    ]
    return pd.DataFrame(rows, columns=tables.columns())


def cases(task: Task) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (case, rows of the queries) of the cases that occur in a task with spoken queries."""
    trained = np.array([language_of(id) in TRAINED for id in task.queries.id])
    for words, word in (("trained word", task.seen), ("new word", ~task.seen)):
        for languages, language in (("trained", trained), ("held-out", ~trained)):
            if (which := np.flatnonzero(word & language)).size:
                yield f"{words}, {languages} language", which


def _ranks(bench: Bench, task: Task) -> Iterator[tuple[str, int, Ranks]]:
    """Yield (method, seed, ranks of the right answers) of every method that serves a task."""
    for method in METHODS:
        for seed in seeds_of(bench.params, method):
            maps, after = bench.fit(method, seed), after_of(bench.params, method)
            if bench.serves(task, maps, after):
                yield method, seed, bench.ranks(task, maps, after)
    leaf = bench.params.leaf_of("speech")
    if leaf is not None and leaf.overlap == task.to_modality:
        space = bench.params.leaf_space(leaf)
        queries, gallery = (
            bench.embeddings.vectors(space, end) for end in (task.queries, task.gallery)
        )
        yield "leaf", 0, ranks_of_vectors(queries, gallery, task.positive)


def markdown(table: pd.DataFrame) -> str:
    """One table per case, as of `exmcr results`."""
    names = table.concept_subset.unique()
    return "\n\n".join(f"{name}\n\n{tables.markdown(table, name)}" for name in names)
