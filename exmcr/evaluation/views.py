"""A run with several leaves of one modality, seen as runs with one leaf each.

Two sound encoders, say, are compared by extending the base with both. A task names modalities, so
it is scored once with the first leaf of its modality, under its plain name, and again with every
further one, as "audio->image [name of the leaf]".
"""

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING

from exmcr.evaluation.bench import Bench, MapsOfLeaves, results

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project


def views(project: "Project") -> Iterator[tuple["Project", "Leaf | None"]]:
    """Yield (project with one leaf per modality, the further leaf that it shows): the first leaves
    of each modality with None, then every further leaf in place of the first of its modality."""
    first: dict[str, Leaf] = {}
    for leaf in project.leaves:
        first.setdefault(leaf.modality, leaf)
    yield _with_leaves(project, [*first.values()]), None
    for leaf in project.leaves:
        if first[leaf.modality] is not leaf:
            yield _with_leaves(project, [*(first | {leaf.modality: leaf}).values()]), leaf


def _with_leaves(project: "Project", leaves: list["Leaf"]) -> "Project":
    view = copy(project)
    view.params = project.params.model_copy(update={"leaves": leaves})
    vars(view).pop("usable_items", None)  # depends on the spaces of the leaves
    return view


def rows_of(
    project: "Project", maps: dict[tuple[str, int], MapsOfLeaves], splits: tuple[str, ...]
) -> dict[str, list[dict]]:
    """{split: rows of the results table of all leaves}. maps: as `trained` of Bench.

    Raises ConfigError as Bench.
    """
    rows: dict[str, list[dict]] = {split: [] for split in splits}
    for view, leaf in views(project):
        methods = Bench(view, splits[0], maps)
        for split in splits:
            bench, name = methods.on(split), ""
            if leaf is not None:
                name = f" [{leaf.name}]"
                bench.all_tasks = [t for t in bench.all_tasks if leaf.name in bench.reached(t)]
            rows[split] += [row | {"task": row["task"] + name} for row in results(bench)]
    return rows
