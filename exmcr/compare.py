"""Every method side by side on the tasks of the results table. A method is an entry of METHODS; its settings are in params.yaml.

Each (method, seed) is fitted on the training pools, scored on the test items and kept in reports/compare/ under a key over its
settings, its code, the banks and the tasks: what is finished and unchanged is not done again."""

import hashlib
import inspect
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr import config, losses
from exmcr.aggregate import topk
from exmcr.errors import ConfigError
from exmcr.evaluation import table
from exmcr.evaluation.postprocess import inverted_softmax, invgc, mean_shift
from exmcr.evaluation.retrieval import chance, per_query, ranks_of_positives, score
from exmcr.evaluation.tasks import EMERGENT, Task, halves, tasks
from exmcr.files import sha256
from exmcr.methods import Maps, cmcr, exmcr, identity
from exmcr.methods.baselines import direct, hop, lstsq, procrustes
from exmcr.methods.cca import cca
from exmcr.methods.exmcr_plus import exmcr_plus
from exmcr.methods.freebind import freebind
from exmcr.methods.omnibind import omnibind
from exmcr.methods.oneencoder import oneencoder
from exmcr.methods.relative import asif, relative
from exmcr.methods.ridge import ridge
from exmcr.methods.translation import translation
from exmcr.methods.unimodal import unimodal
from exmcr.methods.xbt import xbt
from exmcr.pipeline import Project
from exmcr.spaces import space_class
from exmcr.spaces.base import digest, unit

BRIDGE = 10  # base items whose mean stands for a vector of a space that is not the base
BOOTSTRAP = 1000
SHARED = ("aggregate", "layers", "objectives", "pairs", "pipeline", "projectors", "training", "methods/networks")  # what methods are made of


@dataclass(frozen=True)
class Method:
    """fit       fit(pools, seed, **settings) -> Maps
    paper     where it is from
    seeded    whether the seed matters; if not, it runs once
    settings  (params, leaf name) -> keyword arguments of fit that depend on the leaf or stand elsewhere in params.yaml; those
              in params["compare"] come on top
    after     post-processor: (queries (n, d), gallery (m, d), query bank, gallery bank, **settings) -> similarity (n, m), from
              unit rows in the common space; the banks are the training vectors of the same two modalities. The entry is named
              <method>+<post-processor>: the settings of the fit are those of the method, its own are the post-processor's"""

    fit: Callable[..., Maps]
    paper: str = ""
    seeded: bool = False
    settings: Callable[[dict, str], dict] | None = None
    after: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None


def ex_mcr_settings(params: dict, leaf: str) -> dict:
    """What the stages `pair` and `train` use for this leaf."""
    return {"pair": params["pair"], "train": config.train_settings(params, leaf)}


def cmcr_settings(params: dict, leaf: str) -> dict:
    """The form of C-MCR that was made for what this leaf shares with the base."""
    overlap = next(one["overlap"] for one in params["leaves"] if one["name"] == leaf)
    return {"form": cmcr.FORM_BY_OVERLAP[overlap]}


def with_loss(loss: Callable, paper: str, **fixed) -> Method:
    """Ex-MCR with another inter-space loss. fixed: arguments of fit that are not to be set in params.yaml."""
    return Method(partial(exmcr.fit, loss=loss, **fixed), paper, seeded=True, settings=ex_mcr_settings)


METHODS: dict[str, Method] = {
    "direct": Method(direct),
    "lstsq": Method(lstsq),
    "procrustes": Method(procrustes, "Schönemann 1966"),
    "translation": Method(translation, "arXiv:2311.00664"),
    "ridge": Method(ridge, "arXiv:2307.05591"),
    "cca": Method(cca, "arXiv:2503.05283"),
    "hop": Method(hop),
    "relative": Method(relative, "arXiv:2209.15430", seeded=True),
    "asif": Method(asif, "arXiv:2210.01738"),
    "unimodal": Method(unimodal, "arXiv:2409.19425", seeded=True),
    "xbt": Method(xbt, "arXiv:2405.14715", seeded=True),
    "oneencoder": Method(oneencoder, "arXiv:2409.11059", seeded=True),
    "freebind": Method(freebind, "arXiv:2405.04883", seeded=True),
    "omnibind": Method(omnibind, "arXiv:2407.11895", seeded=True),
    "cmcr": Method(cmcr.fit, "arXiv:2305.14381", seeded=True, settings=cmcr_settings),
    # Ex-MCR: the paper's, with the losses of others, and recipes of our own
    "exmcr": Method(exmcr.fit, "arXiv:2310.08884", seeded=True, settings=ex_mcr_settings),
    "exmcr+": Method(exmcr_plus, "ours, after arXiv:2310.08884", seeded=True, settings=ex_mcr_settings),
    "exmcr-cwcl": with_loss(losses.cwcl_loss, "arXiv:2309.14580", weight=None),  # has none
    "exmcr-align+uniform": with_loss(losses.align_uniform_loss, "arXiv:2405.18570"),
    "exmcr-symile": with_loss(losses.symile_loss, "arXiv:2411.01053"),
    "exmcr-geodesic": with_loss(losses.geodesic_loss, "arXiv:2203.03897"),
    "exmcr-mod-x": with_loss(losses.mod_x_loss, "arXiv:2305.07437"),
    # post-processors, each on the maps of the method before the +
    "hop+inverted-softmax": Method(hop, "arXiv:1702.03859", after=inverted_softmax),
    "hop+invgc": Method(hop, "arXiv:2310.13276", after=invgc),
    "hop+mean-shift": Method(hop, "arXiv:2203.02053", after=mean_shift),
}


def settings_of(params: dict, name: str, leaf: str) -> dict:
    """Keyword arguments of a method's fit for one leaf; those of "hop+invgc" are those of "hop".

    Raises ConfigError for an unknown method."""
    method = _method(name)
    fitted = name.rsplit("+", 1)[0] if method.after else name
    given = method.settings(params, leaf) if method.settings else {}
    return given | _block(params, fitted)


def after_of(params: dict, name: str) -> Callable | None:
    """The post-processor of an entry with its settings: (queries, gallery, query bank, gallery bank) -> similarity."""
    after = _method(name).after
    return after and partial(after, **_block(params, name))


def _block(params: dict, name: str) -> dict:
    return (params.get("compare") or {}).get(name) or {}


def _method(name: str) -> Method:
    if name not in METHODS:
        raise ConfigError(f"compare: unknown method '{name}'; known: {', '.join(METHODS)}")
    return METHODS[name]


def check(params: dict) -> None:
    """Raises ConfigError when the block `compare` names a method or a setting that does not exist."""
    for name, settings in (params.get("compare") or {}).items():
        if name not in METHODS:
            raise ConfigError(f"compare.{name} is no method; known: {', '.join(METHODS)}")
        method = METHODS[name]
        arguments = list(inspect.signature(method.after or method.fit).parameters.values())[4 if method.after else 2 :]
        if any(p.kind is p.VAR_KEYWORD for p in arguments):
            continue  # those check what they are given themselves
        elsewhere = method.settings(params, params["leaves"][0]["name"]) if method.settings else {}
        fixed = method.fit.keywords if isinstance(method.fit, partial) else {}
        known = {p.name for p in arguments} - {"loss", "progress"} - set(elsewhere) - set(fixed)
        unknown = set(settings or {}) - known
        if unknown:
            raise ConfigError(f"compare.{name}: unknown settings {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")


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
    return list(params["seeds"]) if METHODS[name].seeded else [0]


def key_of(bench: Bench, name: str, seed: int, inputs: str) -> str:
    """Changes with a method's settings, the file it is written in, its post-processor's, what all of them use, the banks and
    the tasks."""
    settings = {leaf: settings_of(bench.project.params, name, leaf) for leaf in bench.pools}
    if METHODS[name].after:
        settings["after"] = _block(bench.project.params, name)
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
    check(project.params)
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
    tasks; each query counts with its mean over seeds."""
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
