"""Settings of the compared methods, tried on validation concepts.

`sweep` scores every combination of a grid with one seed and writes reports/compare_sweep.csv; the
best settings belong under `compare` in params.yaml. `chosen` scores methods with the settings of
params.yaml, over all seeds; it writes nothing.
"""

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.evaluation.bench import Bench
from exmcr.experiments.compare import emergent, measure
from exmcr.methods.registry import METHODS, check_settings, method_named, seeds_of

if TYPE_CHECKING:
    from exmcr.project import Project

FEW = 30  # queries below which a task does not decide between settings: one answer moves it by much

# The values of each setting; all combinations of a method's lists are tried.
GRIDS: dict[str, dict[str, list]] = {
    "hop": {"tau": [0.01, 0.02, 0.05, 0.1, 0.2]},
    "translation": {"center": ["own", "overlap"]},
    "ridge": {"alpha": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]},
    "cca": {"dims": [64, 128, 256], "shrink": [0.1, 1.0, 10.0], "power": [0.0, 1.0]},
    "relative": {"anchors": [128, 512, 2048]},
    "asif": {"keep": [30, 100, 400], "power": [1.0, 4.0, 8.0]},
    "unimodal": {"noise": [0.001, 0.004], "tau2": [0.05, 0.1, 0.2]},
    "xbt": {"regress": [0.0, 10.0], "noise": [0.0, 0.001, 0.004]},
    "oneencoder": {"noise": [0.001, 0.004], "tau2": [0.05, 0.1]},
    "freebind": {"noise": [0.0, 0.004]},
    "omnibind": {"noise": [0.0, 0.004]},
    "exmcr+": {
        "members": [["hop", "ridge"], ["hop", "ridge", "rotation"], ["hop"], ["ridge"]],
        "shrink": [0.1, 0.3],
        "keep": [400, 1600],
        "share": [0.0, 0.3, 0.5],
    },
    "asif-whitened": {"keep": [100, 400], "power": [2.0, 4.0], "shrink": [0.1, 1.0]},
    "csa": {"dims": [64, 200, 400]},
    "hop-sinkhorn": {"tau": [0.05, 0.1], "balance": [0.5, 1.0]},
    "procrustes-refined": {"rounds": [1, 5], "neighbors": [20, 50], "step": [0.2, 0.5]},
    "vec2vec": {"clusters": [20, 40]},
    "sue": {"dims": [32, 64, 128], "tau": [0.05, 0.1]},
    "textme": {"noise": [0.0, 0.001, 0.004], "tau2": [0.05, 0.1]},
    "sail": {"noise": [0.0, 0.001, 0.004]},
    "sotalign": {"weight": [0.1, 1.0, 10.0]},
    "sotalign-asif": {"weight": [0.1, 1.0, 10.0]},
    "sotalign-exmcr+": {"weight": [0.1, 1.0, 10.0]},
    "vlap": {"epsilon": [0.02, 0.05, 0.1]},
    "ovis": {"steps": [1, 40], "tau": [0.05, 0.1]},
    "fdt": {"tau": [0.1, 0.5], "steps": [30, 100]},
    "lexvla": {"scale": [10.0, 20.0], "keep": [64, 400], "steps": [1, 40]},
    "close": {"shape": [0.0, 0.3, 1.0], "shift": [0.0, 1.0], "noise": [0.0, 0.001]},
    "rreh": {"anchors": [2048, 4096], "ridge": [0.03, 0.1, 1.0]},
    "crossflow": {"target": ["o", "y"], "steps": [30, 100, 300]},
    "summit": {
        "members": [["procrustes", "hop"], ["procrustes", "ridge", "hop"]],
        "rule": ["agreement", "entropy"],
        "tau": [0.02, 0.05, 0.1],
    },
    "exmcr-ct": {"weight": [0.1, 1.0]},
    "exmcr-sdm": {"tau2": [0.05, 0.1]},
    "exmcr-1-to-k": {"tau2": [0.05, 0.1]},
    "exmcr-structure": {"weight": [1.0, 10.0]},
    "exmcr-cwcl": {"tau2": [0.02, 0.05, 0.1, 0.2]},
    "exmcr-align+uniform": {"weight": [0.03, 0.1, 0.3, 1.0]},
    "exmcr-symile": {"weight": [0.1, 0.3, 1.0]},
    "exmcr-geodesic": {"weight": [0.01, 0.1, 0.3, 1.0]},
    "exmcr-mod-x": {"weight": [0.1, 1.0, 10.0]},
    "hop+inverted-softmax": {"beta": [1.0, 3.0, 10.0, 20.0, 50.0]},
    "hop+invgc": {"rate_query": [0.0, 0.1, 0.3, 1.0], "rate_gallery": [0.0, 0.1, 0.3, 1.0]},
    "hop+mean-shift": {"share": [0.25, 0.5, 0.75, 1.0]},
    "hop+qb-norm": {"beta": [1.0, 10.0, 50.0], "k": [1, 5]},
    "hop+invgc-local": {"rate_query": [0.1, 0.3], "rate_gallery": [0.1, 0.3]},
    **{
        f"{of}+dbnorm": {"beta_query": [0.5, 2.0, 10.0], "beta_gallery": [0.0, 0.5, 2.0, 10.0]}
        for of in ("hop", "asif", "exmcr")
    },
}


def combinations(grid: dict[str, list]) -> list[dict[str, Any]]:
    """{setting: values} -> one {setting: value} for every combination."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def sweep(project: "Project", names: list[str] | None = None, seed: int = 0) -> pd.DataFrame:
    """Mean validation mAP over the emergent tasks for every combination of these methods (default:
    all of GRIDS): columns method, settings, map, steady, and one per task.

    steady is the mean over the emergent tasks with at least FEW queries, by which `best` chooses.
    Both are NaN for a method that cannot serve one of the tasks. Writes
    reports/compare_sweep.csv after each method; other methods keep their rows there. Raises
    ConfigError for a method without a grid.
    """
    names = list(GRIDS) if names is None else names
    for name in names:
        if name not in GRIDS:
            raise ConfigError(f"no settings to try of '{name}'; known: {', '.join(GRIDS)}")
    bench, parts = Bench(project, "val"), []
    for name in names:
        tried = tqdm(combinations(GRIDS[name]), desc=f"sweep {name}", unit="fit")
        part = pd.DataFrame([_row(bench, name, seed, settings) for settings in tried])
        _store(part, project.reports / "compare_sweep.csv")
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _row(bench: Bench, name: str, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Scores of a method with these settings on top of those of params.yaml."""
    own = bench.params.method_settings(name) | settings
    params = bench.params.model_copy(update={"compare": bench.params.compare | {name: own}})
    precision = measure(bench, name, seed, params)["ap"]
    scores = {task: float(np.mean(values)) for task, values in precision.items()}
    means = {}
    for column, fewest in (("map", 0), ("steady", FEW)):
        chosen = [task for task in bench.emergent if len(task.queries) >= fewest] or bench.emergent
        means[column] = np.mean([scores.get(task.name, np.nan) for task in chosen])
    return {"method": name, "settings": json.dumps(settings), **means, **scores}


def _store(part: pd.DataFrame, path) -> None:
    """Put the rows of a method into the table, in place of its earlier ones."""
    table = part
    if path.is_file():
        earlier = pd.read_csv(path)
        table = pd.concat([earlier[~earlier.method.isin(part.method)], part])
    with atomic_write(path) as draft:
        table.to_csv(draft, index=False, float_format="%.4f")


def best(rows: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """The best combinations of each method of a sweep: columns method, settings, map, steady."""
    ordered = rows.sort_values("steady", ascending=False).groupby("method", sort=False)
    return ordered.head(most)[["method", "settings", "map", "steady"]]


def chosen(project: "Project", names: list[str] | None = None) -> pd.DataFrame:
    """Validation means of methods (default: all) over the emergent tasks, with the settings and
    seeds of params.yaml, best first. Columns: exmcr.experiments.compare.COLUMNS.

    Raises ConfigError for an unknown method or setting.
    """
    check_settings(project.params)
    names = list(METHODS) if names is None else names
    for name in names:
        method_named(name)
    bench = Bench(project, "val")
    jobs = [(name, seed) for name in names for seed in seeds_of(project.params, name)]
    bar = tqdm(jobs, desc="validation", unit="fit")
    return emergent(bench, {(name, seed): measure(bench, name, seed) for name, seed in bar})
