"""What dvc.yaml plots: its templates, files and columns exist."""

import json

import pytest
import yaml

from exmcr.config import project_root
from exmcr.evaluation import geometry
from exmcr.evaluation import tables as table

DEFINED = yaml.safe_load((project_root() / "dvc.yaml").read_text())
PLOTS = {name: plot for entry in DEFINED["plots"] for name, plot in entry.items()}
COLUMNS = {
    "reports/results.csv": set(table.COLUMNS),
    "reports/geometry.csv": set(geometry.COLUMNS),
    "reports/losses.csv": {"leaf", "seed", "epoch", "intra", "inter", "total"},
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_names_a_template_and_columns_that_exist(name):
    plot = PLOTS[name]
    template = json.loads((project_root() / ".dvc/plots" / f"{plot['template']}.json").read_text())
    assert template["data"]["values"] == "<DVC_METRIC_DATA>"
    (path,) = plot["y"]
    x = plot["x"][path] if isinstance(plot["x"], dict) else plot["x"]
    assert {x, plot["y"][path]} <= COLUMNS[path]


def test_numbers_of_earlier_commits_can_be_shown():
    kept = {}
    for stage in DEFINED["stages"].values():
        for entry in stage.get("outs", []) + stage.get("metrics", []):
            kept |= entry
    for path in [path for plot in PLOTS.values() for path in plot["y"]] + ["reports/metrics.json"]:
        assert kept[path].get("cache", True), (
            f"{path} is ignored by git: uncached, no diff could show it"
        )
