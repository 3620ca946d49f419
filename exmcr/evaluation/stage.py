"""The stage `evaluate`: results, validation, geometry and metrics as flat tables."""

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_json
from exmcr.evaluation import geometry, tables
from exmcr.evaluation.bench import Bench, results
from exmcr.methods.exmcr import as_maps
from exmcr.training.stage import trained


def trained_maps(project) -> dict[tuple[str, int], dict]:
    """{("exmcr", seed): {leaf name: Maps}} of the stored projectors of every seed.

    Raises ConfigError if one is missing or was trained with other settings.
    """
    return {
        ("exmcr", seed): {
            leaf.name: as_maps(trained(project, leaf, seed)) for leaf in project.leaves
        }
        for seed in project.params.seeds
    }


def write_all(project) -> pd.DataFrame:
    """Score the methods of the results table; writes reports/*.csv and metrics.json.

    Returns the test table. Raises ConfigError if no task has test items.
    """
    maps = trained_maps(project)
    test = tables.write(_scored(project, "test", maps), project.reports / "results.csv")
    tables.write(_validation(project, maps), project.reports / "validation.csv")
    first = maps["exmcr", project.params.seeds[0]]
    shape = geometry.table(project, first)
    shape.to_csv(project.reports / "geometry.csv", index=False, float_format="%.6f")
    mean = tables.over_seeds(test)
    own = mean[(mean.method == "exmcr") & (mean.concept_subset == "all")].set_index("task")
    write_json(project.reports / "metrics.json", own[["r1", "map"]].round(4).to_dict("index"))
    return test


def _scored(project, split: str, maps) -> list[dict]:
    bench = Bench(project, split, maps)
    order = {task.name: place for place, task in enumerate(bench.all_tasks)}
    return sorted(results(bench), key=lambda row: order[row["task"]])


def _validation(project, maps) -> list[dict]:
    """Settings need validation items, results do not: a corpus may come without."""
    try:
        return _scored(project, "val", maps)
    except ConfigError:
        return []
