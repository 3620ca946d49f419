"""The stage `evaluate`: results, validation, geometry and metrics as flat tables."""

from typing import TYPE_CHECKING

import pandas as pd

from exmcr.common.files import atomic_write, write_json
from exmcr.evaluation import geometry, tables
from exmcr.evaluation.bench import MapsOfLeaves
from exmcr.evaluation.views import rows_of, views
from exmcr.methods.exmcr import as_maps
from exmcr.training.stage import trained

if TYPE_CHECKING:
    from exmcr.project import Project


def trained_maps(project: "Project") -> dict[tuple[str, int], MapsOfLeaves]:
    """The stored projectors of every seed as maps: {("exmcr", seed): {leaf name: Maps}}.

    Raises ConfigError if one is missing or was trained with other settings.
    """
    return {
        ("exmcr", seed): {
            leaf.name: as_maps(trained(project, leaf, seed)) for leaf in project.leaves
        }
        for seed in project.params.seeds
    }


def write_all(project: "Project") -> pd.DataFrame:
    """Score the methods of the results table; writes reports/*.csv and metrics.json.

    Returns the test table. Without validation items validation.csv has no rows: settings need
    them, results do not. Raises ConfigError if no task with the modality of a leaf has test items.
    """
    maps, reports = trained_maps(project), project.reports
    rows = rows_of(project, maps, ("test", "val"))
    test = tables.write(rows["test"], reports / "results.csv")
    tables.write(rows["val"], reports / "validation.csv")
    first, _ = next(views(project))
    shape = geometry.table(first, maps["exmcr", project.params.seeds[0]])
    with atomic_write(reports / "geometry.csv") as draft:
        shape.to_csv(draft, index=False, float_format="%.6f")
    mean = tables.over_seeds(test)
    own = mean[(mean.method == "exmcr") & (mean.concept_subset == "all")].set_index("task")
    write_json(reports / "metrics.json", own[["r1", "map"]].round(4).to_dict("index"))
    return test
