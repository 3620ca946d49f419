"""Settings of the compared methods, tried on validation concepts: `python -m exmcr.sweep [method ...]`.

Writes reports/compare_sweep.csv, one row per method and setting, of one seed; what is best there stands in params.yaml under `compare`.
`python -m exmcr.sweep --chosen [method ...]` prints what methods score on validation concepts with the settings of params.yaml, over all
its seeds; it writes nothing."""

import argparse
import itertools
import json

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.compare import Bench, emergent, measure, seeds_of
from exmcr.evaluation.retrieval import per_query, ranks_of_positives
from exmcr.evaluation.tasks import EMERGENT
from exmcr.methods.registry import METHODS, after_of, check_settings
from exmcr.pipeline import Project

# What is tried of each setting; all combinations of a method's lists.
GRIDS: dict[str, dict[str, list]] = {
    "hop": {"tau": [0.01, 0.02, 0.05, 0.1, 0.2]},
    "translation": {"centre": ["own", "overlap"]},
    "ridge": {"alpha": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]},
    "cca": {"dims": [64, 128, 256], "shrink": [0.1, 1.0, 10.0], "power": [0.0, 1.0]},
    "relative": {"anchors": [128, 512, 2048]},
    "asif": {"keep": [30, 100, 400], "power": [1.0, 4.0, 8.0]},
    "unimodal": {"noise": [0.001, 0.004], "tau2": [0.05, 0.1, 0.2]},
    "xbt": {"regress": [0.0, 10.0], "noise": [0.0, 0.001, 0.004]},
    "oneencoder": {"noise": [0.001, 0.004], "tau2": [0.05, 0.1]},
    "freebind": {"factor": [0.0, 0.1, 0.2, 0.35, 0.5]},
    "omnibind": {"members": [["procrustes", "ridge", "hop"], ["procrustes", "hop"], ["procrustes", "hop", "xbt"]]},
    "exmcr+": {"power": [4.0, 8.0, 12.0], "settle": [0.0, 0.3, 0.6], "tau": [0.05, 0.1], "share_projector": [0.0, 0.25]},
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


def sweep(project: Project, names: list[str], seed: int = 0) -> pd.DataFrame:
    """Mean validation mAP over the emergent tasks for every combination: method, settings, map, and one column per task."""
    bench = Bench(project, "val")
    jobs = [(name, given) for name in names for given in combinations(GRIDS[name])]
    rows = []
    for name, given in tqdm(jobs, desc="sweep"):
        block = project.params.get("compare") or {}
        tried = project.params | {"compare": block | {name: (block.get(name) or {}) | given}}
        maps, after = bench.fit(name, seed, tried), after_of(tried, name)
        found = {t.name: per_query(ranks_of_positives(bench.similarity(t, maps, after), t.positive))["map"].mean() for t in bench.tasks}
        mean = np.mean([v for task, v in found.items() if task in EMERGENT])
        rows.append({"method": name, "settings": json.dumps(given), "map": mean, **found})
    return pd.DataFrame(rows)


def chosen(project: Project, names: list[str]) -> pd.DataFrame:
    """Validation means of these methods (of METHODS) over the emergent tasks, with the settings and seeds of params.yaml, best first.

    Returns the columns of exmcr.compare.emergent; its intervals are over queries. Raises ConfigError for an unknown setting."""
    check_settings(project.params)
    bench = Bench(project, "val")
    jobs = [(name, seed) for name in names for seed in seeds_of(project.params, name)]
    return emergent(bench, {(name, seed): measure(bench, name, seed) for name, seed in tqdm(jobs, desc="validation", unit="fit")})


def main(argv: list[str] | None = None) -> None:
    """`python -m exmcr.sweep`."""
    parser = argparse.ArgumentParser(prog="python -m exmcr.sweep", description="Settings of the compared methods, on validation concepts.")
    parser.add_argument("methods", nargs="*", metavar="method", help="names (default: all; without --chosen, all that have a setting to try)")
    parser.add_argument("--chosen", action="store_true", help="no sweep: the settings of params.yaml, over all its seeds")
    arguments = parser.parse_args(argv)
    known = METHODS if arguments.chosen else GRIDS
    for name in arguments.methods:
        if name not in known:
            parser.error(f"unknown method '{name}'; known: {', '.join(known)}")
    project = Project()
    if arguments.chosen:
        found = chosen(project, arguments.methods or list(METHODS))
        print(found[["method", "seeds", "map", "map_low", "map_high"]].to_string(index=False, float_format="%.4f"))
        return
    rows = sweep(project, arguments.methods or list(GRIDS))
    path = project.root / "reports/compare_sweep.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():  # methods that were not asked for now keep their rows
        before = pd.read_csv(path)
        rows = pd.concat([before[~before.method.isin(rows.method)], rows])
    rows.to_csv(path, index=False, float_format="%.4f")
    print(rows.sort_values("map", ascending=False).groupby("method", sort=False).head(3)[["method", "settings", "map"]].to_string(index=False))


if __name__ == "__main__":
    main()
