"""Settings of the compared methods, tried on validation concepts.

`sweep` scores every combination of a grid with one seed and writes reports/compare_sweep.csv; the
best settings belong under `compare` in params.yaml. `chosen` scores methods with the settings of
params.yaml, over all seeds; it writes nothing.
"""

import itertools
import json

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.evaluation.bench import Bench
from exmcr.evaluation.metrics import METRICS
from exmcr.evaluation.ranking import ranks_of_positives
from exmcr.evaluation.tasks import EMERGENT
from exmcr.experiments.compare import emergent, measure, seeds_of
from exmcr.methods.registry import METHODS, after_of, check_settings, method_named

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
    "freebind": {"factor": [0.0, 0.1, 0.2, 0.35, 0.5]},
    "omnibind": {
        "members": [
            ["procrustes", "ridge", "hop"],
            ["procrustes", "hop"],
            ["procrustes", "hop", "xbt"],
        ]
    },
    "exmcr+": {
        "power": [4.0, 8.0, 12.0],
        "settle": [0.0, 0.3, 0.6],
        "tau": [0.05, 0.1],
        "share_projector": [0.0, 0.25],
    },
    "exmcr-cwcl": {"tau2": [0.02, 0.05, 0.1, 0.2]},
    "exmcr-align+uniform": {"weight": [0.03, 0.1, 0.3, 1.0]},
    "exmcr-symile": {"weight": [0.1, 0.3, 1.0]},
    "exmcr-geodesic": {"weight": [0.01, 0.1, 0.3, 1.0]},
    "exmcr-mod-x": {"weight": [0.1, 1.0, 10.0]},
    "hop+inverted-softmax": {"beta": [1.0, 3.0, 10.0, 20.0, 50.0]},
    "hop+invgc": {"rate_query": [0.0, 0.1, 0.3, 1.0], "rate_gallery": [0.0, 0.1, 0.3, 1.0]},
    "hop+mean-shift": {"share": [0.25, 0.5, 0.75, 1.0]},
}


def combinations(grid: dict[str, list]) -> list[dict]:
    """{setting: values} -> one {setting: value} for every combination."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def sweep(project, names: list[str] | None = None, seed: int = 0) -> pd.DataFrame:
    """Mean validation mAP over the emergent tasks for every combination of these methods (default:
    all of GRIDS): columns method, settings, map, and one per task.

    Writes reports/compare_sweep.csv, in which other methods keep their rows. Raises ConfigError for
    a method without a grid.
    """
    names = list(GRIDS) if names is None else names
    for name in names:
        if name not in GRIDS:
            raise ConfigError(f"no settings to try of '{name}'; known: {', '.join(GRIDS)}")
    bench, rows = Bench(project, "val"), []
    jobs = [(name, given) for name in names for given in combinations(GRIDS[name])]
    for name, given in tqdm(jobs, desc="sweep"):
        settings = project.params.method_settings(name) | given
        tried = project.params.model_copy(
            update={"compare": project.params.compare | {name: settings}}
        )
        maps, after = bench.fit(name, seed, tried), after_of(tried, name)
        found = {
            task.name: float(
                METRICS["map"]
                .per_query(
                    ranks_of_positives(bench.similarity(task, maps, after), task.positive),
                    len(task.gallery),
                )
                .mean()
            )
            for task in bench.tasks
        }
        mean = np.mean([value for task, value in found.items() if task in EMERGENT])
        rows.append({"method": name, "settings": json.dumps(given), "map": mean, **found})
    made, path = pd.DataFrame(rows), project.reports / "compare_sweep.csv"
    if path.is_file():
        before = pd.read_csv(path)
        made = pd.concat([before[~before.method.isin(made.method)], made])
    with atomic_write(path) as draft:
        made.to_csv(draft, index=False, float_format="%.4f")
    return made[made.method.isin(names)]


def best(rows: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """The best combinations of each method of a sweep: columns method, settings, map."""
    ordered = rows.sort_values("map", ascending=False).groupby("method", sort=False)
    return ordered.head(most)[["method", "settings", "map"]]


def chosen(project, names: list[str] | None = None) -> pd.DataFrame:
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
