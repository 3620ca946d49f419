"""Every method side by side on the tasks of the results table.

Each (method, seed) is fitted on the training pools, scored on the test items, and kept in
reports/compare/ under a key over its settings, the code, the banks and the tasks: what is finished
and unchanged is not run again.
"""

import json
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import code_digest, digest
from exmcr.evaluation import tables
from exmcr.evaluation.bench import Bench, MapsOfLeaves
from exmcr.evaluation.metrics import BOOTSTRAP, METRICS, chance, mean_rank_variance
from exmcr.evaluation.stage import trained_maps
from exmcr.evaluation.tasks import Task
from exmcr.methods.registry import (
    METHODS,
    after_of,
    check_settings,
    fitted_name,
    method_named,
    seeds_of,
    settings_of,
)

if TYPE_CHECKING:
    from exmcr.project import Project

# Folders whose code decides what a method scores.
CODE = ("common", "kernels", "pairing", "training", "methods", "evaluation")
REFERENCES = ("asif", "hop", "exmcr")  # methods to which all others are compared, query by query
DIFFERENCES = ["method", "reference", "difference", "low", "high"]
COLUMNS = ["method", "paper", "seeds", "map", "map_low", "map_high", "chance_map", "seconds", "mrv"]

Records = dict[tuple[str, int], dict[str, Any]]  # {(method, seed): what `measure` returns}


def compare(
    project: "Project", names: list[str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Run what is missing of these methods (default: all of METHODS).

    Writes reports/compare.csv, compare_emergent.csv and compare_differences.csv over them and all
    other methods that are finished and up to date. A method that fails does not stop the others;
    it is left out, and its traceback is printed.

    Returns the results table, the ranking of `emergent`, and one line per failure. Raises
    ConfigError for an unknown method or setting, before any work, and if no method has results on
    all emergent tasks.
    """
    check_settings(project.params)
    names = list(METHODS) if names is None else names
    for name in names:
        method_named(name)
    bench = Bench(project, trained=_trained(project))
    records, failures = _records(bench, names)
    rows = [row for record in records.values() for row in record["rows"]]
    rows += bench.reference_rows(bench.tasks)
    results = tables.write(rows, project.reports / "compare.csv")
    ranking = emergent(bench, records)
    paired = differences(bench, records)
    for name, table in (("compare_emergent.csv", ranking), ("compare_differences.csv", paired)):
        with atomic_write(project.reports / name) as draft:
            table.to_csv(draft, index=False, float_format="%.6f")
    if ranking.empty:
        reason = f"none of {', '.join(names)} has results on all emergent tasks"
        raise ConfigError("\n  ".join([reason, *failures]))
    return results, ranking, failures


def _trained(project: "Project") -> dict[tuple[str, int], MapsOfLeaves]:
    """The stored projectors; nothing if they are missing or of other settings. Then the comparison
    fits `exmcr` itself, to the same result."""
    try:
        return trained_maps(project)
    except ConfigError:
        return {}


def _records(bench: Bench, names: list[str]) -> tuple[Records, list[str]]:
    """The records of all methods that are finished with every seed, after running those of `names`,
    and one line per fit that failed."""
    inputs, folder = bench.inputs(), bench.project.reports / "compare"
    records: Records = {}
    failures = []
    seeds = {name: seeds_of(bench.params, name) for name in METHODS}
    jobs = [(name, seed) for name in METHODS for seed in seeds[name]]
    for name, seed in (bar := tqdm(jobs, desc="compare", unit="fit")):
        bar.set_postfix_str(f"{name}, seed {seed}")
        path, key = folder / f"{name}-seed{seed}.json", key_of(bench, name, seed, inputs)
        record = kept(path, key)
        if record is None and name in names:
            try:
                record = {"key": key, **measure(bench, name, seed)}
            except Exception as error:
                if not isinstance(error, ConfigError):
                    traceback.print_exc()
                failures.append(f"{name}, seed {seed}: {type(error).__name__}: {error}")
            else:
                write_json(path, record)
        if record is not None:
            records[name, seed] = record
    whole = {name for name in METHODS if all((name, seed) in records for seed in seeds[name])}
    return {job: record for job, record in records.items() if job[0] in whole}, failures


def key_of(bench: Bench, name: str, seed: int, inputs: str) -> str:
    """The key of one fit: it changes with the settings of the method, the code, `inputs` (the
    digest of banks and tasks) and the stored projectors."""
    params = bench.params
    settings = {leaf: settings_of(params, name, leaf) for leaf in bench.pools}
    settings["after"] = params.method_settings(name)
    trained = ""
    if (fitted_name(name), seed) in bench.trained:
        trained = digest(*(bench.project.projector_path(leaf, seed) for leaf in bench.pools))
    described = json.dumps(settings, sort_keys=True, default=str)
    return digest(name, str(seed), described, code_digest(*CODE), inputs, trained)


def kept(path: Path, key: str) -> dict[str, Any] | None:
    """The record of a finished fit; None if it is missing, damaged, or has another key."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and {"key", "rows", "ap", "mrv", "seconds"} <= record.keys()
    return record if whole and record["key"] == key else None


def measure(bench: Bench, name: str, seed: int, params=None) -> dict[str, Any]:
    """Fit and score one method; params: used instead of those of the project.

    Returns {"rows": rows of the results table, "ap": {task: average precision of each query},
    "mrv": {task: mean rank variance, None without two queries of a concept}, "seconds": time to
    fit all leaves}, without the tasks that the method cannot serve.
    """
    start = time.perf_counter()
    maps = bench.fit(name, seed, params)
    seconds = time.perf_counter() - start
    after = after_of(params or bench.params, name)
    rows, precision, variance = [], {}, {}
    for task in bench.tasks:
        if bench.serves(task, maps, after):
            ranks = bench.ranks(task, maps, after)
            rows += tables.rows_of_ranks(task, name, seed, ranks)
            values = METRICS["map"].per_query(ranks, len(task.gallery))
            precision[task.name] = values.round(6).tolist()
            mrv = mean_rank_variance(ranks, task.queries.concept, len(task.gallery))
            variance[task.name] = None if np.isnan(mrv) else round(mrv, 6)
    return {"rows": rows, "ap": precision, "mrv": variance, "seconds": round(seconds, 2)}


def emergent(bench: Bench, records: Records) -> pd.DataFrame:
    """Mean mAP over the emergent tasks (exmcr.evaluation.tasks.emergent), best method first.

    The interval is the 95 % bootstrap over queries of the mean over tasks. Queries are drawn within
    each task, with the same draws for all methods; a query counts with its mean over seeds. A
    method that cannot serve one of the tasks is left out.

    Columns: COLUMNS. Raises ConfigError if no emergent task has data.
    """
    chosen, draws = _draws(bench)
    expected = float(np.mean([chance(task.positive)["map"] for task in chosen]))
    rows = []
    for name, ap in _precision(bench, records).items():
        own = [record for (method, _), record in records.items() if method == name]
        value, low, high = _interval(ap, draws)
        seconds = float(np.mean([record["seconds"] for record in own]))
        tried = pd.Series([record["mrv"][task.name] for record in own for task in chosen])
        mrv = float(tried.astype(float).mean())
        row = (name, METHODS[name].paper, len(own), value, low, high, expected, seconds, mrv)
        rows.append(row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("map", ascending=False, ignore_index=True)


def differences(bench: Bench, records: Records) -> pd.DataFrame:
    """Each method minus each of REFERENCES, in mean mAP over the emergent tasks, with the 95 %
    bootstrap interval of the difference over the same queries. Columns: DIFFERENCES."""
    _, draws = _draws(bench)
    known = _precision(bench, records)
    rows = [
        (name, to, *_interval([a - b for a, b in zip(known[name], known[to], strict=True)], draws))
        for name in known
        for to in REFERENCES
        if to in known and to != name
    ]
    return pd.DataFrame(rows, columns=DIFFERENCES)


def _draws(bench: Bench) -> tuple[list[Task], list[np.ndarray]]:
    """The emergent tasks, and BOOTSTRAP draws of the queries of each: (BOOTSTRAP, n). Raises
    ConfigError if no emergent task has data."""
    chosen = bench.emergent
    if not chosen:
        raise ConfigError(f"no emergent task has data on the {bench.split} split")
    rng = np.random.default_rng(0)
    return chosen, [rng.integers(len(t.queries), size=(BOOTSTRAP, len(t.queries))) for t in chosen]


def _precision(bench: Bench, records: Records) -> dict[str, list[np.ndarray]]:
    """{method: average precision of each query of every emergent task, mean over seeds}, without
    methods that cannot serve one of the tasks."""
    known = {}
    for name in dict.fromkeys(name for name, _ in records):
        own = [record["ap"] for (method, _), record in records.items() if method == name]
        if all(task.name in ap for task in bench.emergent for ap in own):
            known[name] = [np.mean([ap[t.name] for ap in own], axis=0) for t in bench.emergent]
    return known


def _interval(values: list[np.ndarray], draws: list[np.ndarray]) -> tuple[float, float, float]:
    """The mean over tasks of means over queries, and its 95 % interval over the draws."""
    resampled = [v[draw].mean(axis=1) for v, draw in zip(values, draws, strict=True)]
    low, high = np.quantile(np.mean(resampled, axis=0), [0.025, 0.975])
    return float(np.mean([v.mean() for v in values])), float(low), float(high)


def markdown(results: pd.DataFrame, ranking: pd.DataFrame, subset: str = "all") -> str:
    """The comparison as a Markdown table, in per cent, one line per method, best first.

    Columns: the mean mAP over the emergent tasks with its interval, over all queries; then the mAP
    of each task, over the queries of `subset` (all, seen or unseen).
    """
    mean = tables.over_seeds(results[results.concept_subset == subset])
    tasks = list(dict.fromkeys(mean.task))
    values = mean.set_index(["method", "task"])["map"]

    def line(*cells: str) -> str:
        return "| " + " | ".join(cells) + " |"

    def scores(method: str) -> list[str]:
        keys = [(method, task) for task in tasks]
        return [f"{100 * values[key]:.1f}" if key in values.index else "" for key in keys]

    head = ["method", "source", "emergent mean, all queries (95 %)", *tasks]
    lines = [line(*head), "|---" * len(head) + "|"]
    for row in ranking.itertuples():
        interval = f"{100 * row.map:.1f} ({100 * row.map_low:.1f} to {100 * row.map_high:.1f})"
        lines.append(line(row.method, row.paper, interval, *scores(row.method)))
    lines.append(line("*frozen leaf*", "", "", *scores("leaf")))
    expected = mean.groupby("task").chance_map.first()
    overall = f"{100 * ranking.chance_map.iloc[0]:.1f}"
    lines.append(line("*chance*", "", overall, *(f"{100 * expected[task]:.1f}" for task in tasks)))
    return "\n".join(lines)


def compared(paired: pd.DataFrame, method: str = "exmcr+") -> str:
    """The differences of one method to REFERENCES as lines of text, in per cent; "" if it has none.

    paired: what `differences` returns
    """
    return "\n".join(
        f"{row.method} - {row.reference}: {100 * row.difference:+.1f} "
        f"({100 * row.low:+.1f} to {100 * row.high:+.1f})"
        for row in paired[paired.method == method].itertuples()
    )
