"""Every method side by side on the tasks of the results table. They and their settings are in exmcr/methods/registry.py.

Each (method, seed) is fitted on the training pools, scored on the test items and kept in reports/compare/ under a key over its
settings, its code, the banks and the tasks: what is finished and unchanged is not done again."""

import hashlib
import inspect
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr import config
from exmcr.aggregate import topk
from exmcr.errors import ConfigError
from exmcr.evaluation import table
from exmcr.evaluation.retrieval import chance, per_query, ranks_of_positives, score
from exmcr.evaluation.tasks import EMERGENT, Task, halves, tasks
from exmcr.files import sha256
from exmcr.methods import Maps, identity
from exmcr.methods.registry import METHODS, after_of, check_settings, own_settings, settings_of
from exmcr.pipeline import Project
from exmcr.spaces import space_class
from exmcr.spaces.base import digest, unit

BRIDGE = 10  # base items whose mean stands for a vector of a space that is not the base
BOOTSTRAP = 1000
# What methods are made of; among them methods that others call.
SHARED = ("aggregate", "layers", "noise", "objectives", "pairs", "pipeline", "projectors", "training", "methods/networks",
          "methods/baselines", "methods/exmcr", "methods/relative", "methods/ridge", "methods/xbt", "spaces/base")  # fmt: skip


# ---- from maps to similarities


def into_base(maps: Maps, vectors: np.ndarray, o_base: np.ndarray) -> np.ndarray:
    """Leaf vectors (n, d_leaf) as vectors of the base, so that two leaves can meet there.

    A method that extends the base has them there already. One with a common space of its own per leaf has no way from one
    leaf to the other: its vectors become the mean of the BRIDGE overlap items that are nearest in that space."""
    if maps.base is identity:
        return maps.leaf(vectors)
    nearest = topk(maps.leaf(vectors), maps.base(o_base), min(BRIDGE, len(o_base))).indices
    return unit(o_base[nearest].mean(axis=1))


class Bench:
    """A project's pools, tasks and vectors, read once for all methods."""

    def __init__(self, project: Project, split: str = "test"):
        """Raises ConfigError when the project has no task with a leaf in it on this split."""
        self.project, self.split, self.embeddings = project, split, project.embeddings
        self.pools = {leaf["name"]: self.embeddings.pools(leaf) for leaf in project.leaves}
        self.tasks = [t for t in tasks(project.items, split) if self._reached(t)]
        if not self.tasks:
            raise ConfigError(f"no task with a leaf in it has data on the {split} split of corpora '{project.params['corpora']}'")
        self._maps: dict[str, dict[str, Maps]] = {}

    def _reached(self, task: Task) -> list[str]:
        """Names of the leaves whose modality the task asks with or for."""
        found = [self.embeddings.leaf_of(m) for m in (task.from_modality, task.to_modality)]
        return [leaf["name"] for leaf in found if leaf]

    def vectors(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Queries and gallery in their own frozen spaces."""
        return tuple(self.embeddings.vectors(self._space(rows.modality.iloc[0]), rows) for rows in (task.queries, task.gallery))

    def _space(self, modality: str) -> str:
        leaf = self.embeddings.leaf_of(modality)
        return config.leaf_space(self.project.params, leaf) if leaf else self.embeddings.base

    def common(self, task: Task, modality: str, vectors: np.ndarray, maps: dict[str, Maps]) -> np.ndarray:
        """Vectors of one side of a task, in the space where its two sides meet."""
        reached, leaf = self._reached(task), self.embeddings.leaf_of(modality)
        if leaf is None:
            return maps[reached[0]].base(vectors)
        own = maps[leaf["name"]]
        return into_base(own, vectors, self.pools[leaf["name"]].o_base) if len(reached) == 2 else own.leaf(vectors)

    def similarity(self, task: Task, maps: dict[str, Maps], after: Callable | None = None) -> np.ndarray:
        """(queries, gallery) by these maps, one per leaf name, and a post-processor."""
        ends = task.from_modality, task.to_modality
        queries, gallery = (self.common(task, m, v, maps) for m, v in zip(ends, self.vectors(task), strict=True))
        if after is None:
            return queries @ gallery.T
        banks = (np.asarray(self.embeddings.bank(self._space(m), m, "train").vectors) for m in ends)
        return after(queries, gallery, *(self.common(task, m, b, maps) for m, b in zip(ends, banks, strict=True)))

    def fit(self, name: str, seed: int, params: dict | None = None) -> dict[str, Maps]:
        """A method fitted on every leaf. Entries that differ in `after` only share one fit. params: other than the project's."""
        given = {leaf: settings_of(params or self.project.params, name, leaf) for leaf in self.pools}
        key = repr((METHODS[name].fit, given, seed))
        if key not in self._maps:
            self._maps[key] = {leaf: METHODS[name].fit(pools, seed, **given[leaf]) for leaf, pools in self.pools.items()}
        return self._maps[key]

    def inputs(self) -> str:
        """Digest of all that a method is fitted on and asked."""
        spaces = self.project.root / "banks"
        parts = [json.loads(p.read_text())["sha256"] for p in sorted(spaces.glob("*/*/*/manifest.json"))]
        for task in self.tasks:
            parts += [task.name, *task.queries.id, *task.gallery.id, np.packbits(task.positive).tobytes(), task.seen.tobytes()]
        return digest(*parts)


# ---- the run


def seeds_of(params: dict, name: str) -> list[int]:
    """The seeds a method is fitted with: those of params.yaml, or 0 alone where no seed matters."""
    return list(params["seeds"]) if METHODS[name].seeded else [0]


def key_of(bench: Bench, name: str, seed: int, inputs: str) -> str:
    """Changes with a method's settings, the file it is written in, its post-processor's, what all of them use, the banks and
    the tasks."""
    settings = {leaf: settings_of(bench.project.params, name, leaf) for leaf in bench.pools}
    if METHODS[name].after:
        settings["after"] = own_settings(bench.project.params, name)
    code = [_source(function) for function in (METHODS[name].fit, METHODS[name].after) if function]
    shared = [sha256(Path(__file__).parent / f"{module}.py") for module in SHARED]
    return digest(name, str(seed), json.dumps(settings, sort_keys=True, default=str), *code, *shared, inputs)


def _source(function) -> str:
    if isinstance(function, partial):
        return _source(function.func) + "".join(f"{k}={_source(v) if callable(v) else v}" for k, v in sorted(function.keywords.items()))
    return hashlib.sha256(Path(inspect.getsourcefile(function)).read_bytes()).hexdigest() + function.__qualname__


def measure(bench: Bench, name: str, seed: int) -> dict:
    """Fit and score: {"rows": rows of the results table, "ap": {task: average precision of each query}, "seconds": to fit}."""
    start, after = time.perf_counter(), after_of(bench.project.params, name)
    maps = bench.fit(name, seed)
    seconds = time.perf_counter() - start
    rows, ap = [], {}
    for task in bench.tasks:
        similarity = bench.similarity(task, maps, after)
        ap[task.name] = per_query(ranks_of_positives(similarity, task.positive))["map"].round(6).tolist()
        rows += _rows(task, name, seed, similarity)
    return {"rows": rows, "ap": ap, "seconds": round(seconds, 2)}


def _rows(task: Task, name: str, seed: int, similarity: np.ndarray) -> list[dict]:
    return [
        {"task": task.name, "split": split, "method": name, "seed": seed, **score(similarity[which], task.positive[which])}
        for split, which in halves(task)
    ]


def leaf_rows(bench: Bench) -> list[dict]:
    """For reference, as method "leaf": the frozen leaf itself, where it has both modalities of a task."""
    rows, params = [], bench.project.params
    for task in bench.tasks:
        for name in {config.leaf_space(params, leaf): None for leaf in bench.project.leaves}:
            if {task.from_modality, task.to_modality} <= set(space_class(name).modalities):
                queries, gallery = (bench.embeddings.vectors(name, items) for items in (task.queries, task.gallery))
                rows += _rows(task, "leaf", 0, queries @ gallery.T)
    return rows


def compare(project: Project, names: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run what is missing of these methods (default: all). Writes reports/compare.csv and compare_emergent.csv, over them and
    all others that are finished and up to date.

    Returns the table (columns of reports/results.csv) and the ranking of `emergent`."""
    check_settings(project.params)
    names = list(METHODS) if names is None else names
    for name in names:
        settings_of(project.params, name, project.leaves[0]["name"])  # an unknown name is told before any work
    bench = Bench(project)
    inputs = bench.inputs()
    jobs = [(name, seed) for name in METHODS for seed in seeds_of(project.params, name)]
    done = {}
    for name, seed in (bar := tqdm(jobs, desc="compare", unit="fit")):
        bar.set_postfix_str(f"{name}, seed {seed}")
        path = project.root / "reports/compare" / f"{name}-seed{seed}.json"
        key = key_of(bench, name, seed, inputs)
        record = json.loads(path.read_text()) if path.is_file() else {}
        if record.get("key") != key:
            if name not in names:
                continue
            record = {"key": key, **measure(bench, name, seed)}
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(record))
            part.rename(path)
        done[name, seed] = record
    rows = [row for record in done.values() for row in record["rows"]] + leaf_rows(bench)
    results = table.write(rows, project.root / "reports/compare.csv")
    ranking = emergent(bench, done)
    ranking.to_csv(project.root / "reports/compare_emergent.csv", index=False, float_format="%.6f")
    return results, ranking


def emergent(bench: Bench, done: dict[tuple[str, int], dict]) -> pd.DataFrame:
    """Mean mAP over the tasks of EMERGENT that there are, best method first: method, paper, seeds, map, map_low, map_high,
    chance_map, seconds (to fit all leaves, mean over seeds).

    The interval is the 95 % bootstrap over queries, drawn anew within every task and alike for all methods, of the mean over
    tasks; each query counts with its mean over seeds. Raises ConfigError when none of those tasks has data."""
    asked = [t for t in bench.tasks if t.name in EMERGENT]
    if not asked:
        raise ConfigError(f"none of the tasks {', '.join(EMERGENT)} has data on the {bench.split} split")
    rng = np.random.default_rng(0)
    draws = {t.name: rng.integers(len(t.queries), size=(BOOTSTRAP, len(t.queries))) for t in asked}
    at_random = float(np.mean([chance(t.positive)["chance_map"] for t in asked]))
    rows = []
    for name in dict.fromkeys(name for name, _ in done):
        records = [record for (n, _), record in done.items() if n == name]
        ap = {t.name: np.mean([record["ap"][t.name] for record in records], axis=0) for t in asked}
        means = np.mean([ap[t.name][draws[t.name]].mean(axis=1) for t in asked], axis=0)
        low, high = np.quantile(means, [0.025, 0.975])
        value = float(np.mean([ap[t.name].mean() for t in asked]))
        seconds = float(np.mean([record["seconds"] for record in records]))
        rows.append((name, METHODS[name].paper, len(records), value, float(low), float(high), at_random, seconds))
    columns = ["method", "paper", "seeds", "map", "map_low", "map_high", "chance_map", "seconds"]
    return pd.DataFrame(rows, columns=columns).sort_values("map", ascending=False, ignore_index=True)


# ---- words and command


def markdown(results: pd.DataFrame, ranking: pd.DataFrame, split: str = "all") -> str:
    """One line per method, best first: mean mAP over the emergent tasks with its interval, then mAP in per cent per task.

    The tasks' columns are of the queries of `split`, the mean is always of all."""
    mean = table.over_seeds(results[results.split == split])
    names = list(dict.fromkeys(mean.task))
    cells = mean.set_index(["method", "task"])["map"]
    lines = ["| method | source | emergent mean, all queries (95 %) | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    chance_line = [f"{100 * mean[mean.task == t].chance_map.iloc[0]:.1f}" for t in names]
    for row in ranking.itertuples():
        interval = f"{100 * row.map:.1f} ({100 * row.map_low:.1f} to {100 * row.map_high:.1f})"
        lines.append(f"| {row.method} | {row.paper} | {interval} | " + " | ".join(f"{100 * cells[row.method, t]:.1f}" for t in names) + " |")
    reference = [f"{100 * cells['leaf', t]:.1f}" if ("leaf", t) in cells.index else "" for t in names]
    lines.append("| *frozen leaf* | | | " + " | ".join(reference) + " |")
    lines.append(f"| *chance* | | {100 * ranking.chance_map.iloc[0]:.1f} | " + " | ".join(chance_line) + " |")
    return "\n".join(lines)


def add_arguments(parser) -> None:
    parser.add_argument("methods", nargs="*", help="names (default: all)")
    parser.add_argument("--split", default="all", choices=("all", "seen", "unseen"), help="which test queries the printed table is of")


def run(arguments) -> int:
    """`exmcr compare`: run what is missing, draw, print the table as Markdown."""
    from exmcr import plot_scores

    project = Project()
    results, ranking = compare(project, arguments.methods or None)
    plot_scores.compare(results, ranking, path=project.figures / "compare.png")
    print(markdown(results, ranking, arguments.split))
    return 0
