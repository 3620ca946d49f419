"""Every method side by side on the tasks of the results table.

Each (method, seed) is fitted on the training pools, scored on the test items, and kept in
reports/compare/ under a key over its settings, the code, the banks and the tasks: what is finished
and unchanged is not run again.
"""

import json
import time

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import code_digest, digest
from exmcr.evaluation import tables
from exmcr.evaluation.bench import Bench
from exmcr.evaluation.metrics import BOOTSTRAP, METRICS, chance
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.stage import trained_maps
from exmcr.evaluation.tasks import EMERGENT
from exmcr.methods.registry import METHODS, after_of, check_settings, method_named, settings_of

# Folders whose code decides what a method scores.
CODE = ("common", "kernels", "pairing", "training", "methods", "evaluation")
COLUMNS = ["method", "paper", "seeds", "map", "map_low", "map_high", "chance_map", "seconds"]


def seeds_of(params, name: str) -> list[int]:
    """The seeds that a method is fitted with: those of params.yaml, or 0 if none matters."""
    return list(params.seeds) if method_named(name).seeded else [0]


def key_of(bench: Bench, name: str, seed: int, inputs: str) -> str:
    """Changes with the settings of a method, the code, the banks, the tasks and the projectors."""
    params = bench.params
    settings = {leaf: settings_of(params, name, leaf) for leaf in bench.pools}
    settings["after"] = params.method_settings(name)
    trained = ""
    if (name, seed) in bench.trained:
        paths = [bench.project.projector_path(leaf, seed) for leaf in bench.pools]
        trained = digest(*paths)
    described = json.dumps(settings, sort_keys=True, default=str)
    return digest(name, str(seed), described, code_digest(*CODE), inputs, trained)


def measure(bench: Bench, name: str, seed: int) -> dict:
    """Fit and score one method.

    Returns {"rows": rows of the results table, "ap": {task: average precision of each query},
    "seconds": time to fit all leaves}.
    """
    start = time.perf_counter()
    maps, after = bench.fit(name, seed), after_of(bench.params, name)
    seconds = time.perf_counter() - start
    ap = {}
    for task in bench.tasks:
        if bench.serves(task, maps):
            ranks = ranks_of_positives(bench.similarity(task, maps, after), task.positive)
            ap[task.name] = METRICS["map"].per_query(ranks, len(task.gallery)).round(6).tolist()
    return {"rows": bench.rows(name, seed), "ap": ap, "seconds": round(seconds, 2)}


def compare(project, names: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run what is missing of these methods (default: all of METHODS).

    Writes reports/compare.csv and compare_emergent.csv, over them and all others that are finished
    and up to date. Returns the results table and the ranking of `emergent`. Raises ConfigError for
    an unknown method or setting, before any work.
    """
    check_settings(project.params)
    names = list(METHODS) if names is None else names
    for name in names:
        method_named(name)
    bench = Bench(project, trained=_trained(project))
    inputs, done = bench.inputs(), {}
    jobs = [(name, seed) for name in METHODS for seed in seeds_of(project.params, name)]
    for name, seed in (bar := tqdm(jobs, desc="compare", unit="fit")):
        bar.set_postfix_str(f"{name}, seed {seed}")
        path = project.reports / "compare" / f"{name}-seed{seed}.json"
        key = key_of(bench, name, seed, inputs)
        record = _kept(path)
        if record.get("key") != key:
            if name not in names:
                continue
            record = {"key": key, **measure(bench, name, seed)}
            write_json(path, record)
        done[name, seed] = record
    rows = [row for record in done.values() for row in record["rows"]]
    rows += bench.reference_rows(bench.tasks)
    results = tables.write(rows, project.reports / "compare.csv")
    ranking = emergent(bench, done)
    with atomic_write(project.reports / "compare_emergent.csv") as draft:
        ranking.to_csv(draft, index=False, float_format="%.6f")
    return results, ranking


def _trained(project) -> dict:
    """The stored projectors, or nothing where they are missing or of other settings: then the
    comparison fits `exmcr` itself, to the same result."""
    try:
        return trained_maps(project)
    except ConfigError:
        return {}


def _kept(path) -> dict:
    try:
        record = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        return {}  # damaged: measured again
    return record if isinstance(record, dict) else {}


def emergent(bench: Bench, done: dict[tuple[str, int], dict]) -> pd.DataFrame:
    """Mean mAP over the tasks of EMERGENT that have data, best method first; columns: COLUMNS.

    The interval is the 95 % bootstrap over queries of the mean over tasks, drawn within every task
    and alike for all methods; a query counts with its mean over seeds. A method that cannot serve
    one of the tasks is left out. Raises ConfigError if none of the tasks has data.
    """
    asked = [t for t in bench.tasks if t.name in EMERGENT]
    if not asked:
        raise ConfigError(f"none of {', '.join(EMERGENT)} has data on the {bench.split} split")
    rng = np.random.default_rng(0)
    draws = {t.name: rng.integers(len(t.queries), size=(BOOTSTRAP, len(t.queries))) for t in asked}
    at_random = float(np.mean([chance(t.positive)["map"] for t in asked]))
    rows = []
    for name in dict.fromkeys(name for name, _ in done):
        records = [record for (n, _), record in done.items() if n == name]
        if any(t.name not in record["ap"] for t in asked for record in records):
            continue
        ap = {t.name: np.mean([record["ap"][t.name] for record in records], axis=0) for t in asked}
        means = np.mean([ap[t.name][draws[t.name]].mean(axis=1) for t in asked], axis=0)
        low, high = np.quantile(means, [0.025, 0.975])
        value = float(np.mean([ap[t.name].mean() for t in asked]))
        seconds = float(np.mean([record["seconds"] for record in records]))
        paper = METHODS[name].paper
        rows.append((name, paper, len(records), value, float(low), float(high), at_random, seconds))
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.sort_values("map", ascending=False, ignore_index=True)


def markdown(results: pd.DataFrame, ranking: pd.DataFrame, subset: str = "all") -> str:
    """One line per method, best first: mean mAP over the emergent tasks with its interval, then mAP
    in per cent per task. The columns of tasks are of the queries of `subset`, the mean of all."""
    mean = tables.over_seeds(results[results.concept_subset == subset])
    names = list(dict.fromkeys(mean.task))
    cells = mean.set_index(["method", "task"])["map"]

    def cell(method: str, task: str) -> str:
        return f"{100 * cells[method, task]:.1f}" if (method, task) in cells.index else ""

    head = ["method", "source", "emergent mean, all queries (95 %)", *names]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in ranking.itertuples():
        interval = f"{100 * row.map:.1f} ({100 * row.map_low:.1f} to {100 * row.map_high:.1f})"
        values = [cell(row.method, task) for task in names]
        lines.append("| " + " | ".join([row.method, row.paper, interval, *values]) + " |")
    expected = mean.groupby("task").chance_map.first()
    leaf = [cell("leaf", task) for task in names]
    lines.append("| " + " | ".join(["*frozen leaf*", "", "", *leaf]) + " |")
    at_random = [f"{100 * expected[task]:.1f}" for task in names]
    overall = f"{100 * ranking.chance_map.iloc[0]:.1f}"
    lines.append("| " + " | ".join(["*chance*", "", overall, *at_random]) + " |")
    return "\n".join(lines)
