"""The pipeline as DVC sees it: dependencies are complete, plots name files and columns that exist."""

import inspect
import json
import re
import subprocess
import sys

import imports
import nbformat
import pytest
import yaml

import exmcr.pipeline
from exmcr.common.paths import project_root
from exmcr.evaluation import geometry, tables

ROOT = project_root()
DEFINED = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = list(DEFINED["stages"])
EXPERIMENTS = yaml.safe_load((ROOT / "experiments/dvc.yaml").read_text())["stages"]
PLOTS = {name: plot for entry in DEFINED["plots"] for name, plot in entry.items()}
COLUMNS = {
    "reports/results.csv": set(tables.columns()),
    "reports/geometry.csv": set(geometry.COLUMNS),
    "reports/losses.csv": {"leaf", "seed", "epoch", "intra", "inter", "total"},
}
OF_PAIRS = {"pairs_digest", "banks_of", "fingerprint"}
# Methods and properties of Project that a stage does not use.
UNUSED_METHODS = {
    "corpora": {
        "load_space",
        "load_item",
        "load_raw",
        "bank",
        "pools",
        "other_modality",
        "modalities",
        "usable_items",
        *OF_PAIRS,
    },
    "fit_spaces": {"pools", "other_modality", *OF_PAIRS},
    "extract": {"pools", "other_modality", *OF_PAIRS},
}
STARTS = ["exmcr/commands/stages.py", "exmcr/commands/notebook.py"]
# Names are checked by the command that starts a stage; no result depends on it.
NO_NAMES = {"exmcr.config.names": imports.functions_of("exmcr.config.names")}


def code_of(stage: str) -> str:
    """The code that a stage of the pipeline executes."""
    notebooks = [dep for dep in DEFINED["stages"][stage]["deps"] if dep.endswith(".ipynb")]
    if not notebooks:
        return "from exmcr import pipeline, project"
    cells = nbformat.read(ROOT / notebooks[0], as_version=4).cells
    return "\n".join(c.source.replace("%", "#") for c in cells if c.cell_type == "code")


def used(stage: str) -> set[str]:
    unused = {
        "exmcr.pipeline": imports.functions_of("exmcr.pipeline") - {stage},
        "exmcr.project": UNUSED_METHODS.get(stage, set()),
        "exmcr.config.params": {"modalities_of"} if stage == "corpora" else set(),
    }
    return imports.used_by(code_of(stage), NO_NAMES | unused)


def covered(module: str, deps: list[str]) -> bool:
    path = imports.path_of(module).relative_to(ROOT).as_posix()
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


@pytest.mark.parametrize("stage", UNUSED_METHODS)
def test_methods_that_are_taken_as_unused_are_not_called(stage):
    modules = used(stage) - {"exmcr.project", "exmcr.pipeline", "exmcr.toy_project"}
    if "load_space" in UNUSED_METHODS[stage]:
        modules -= {"exmcr.banks.imported"}  # its Lookup, which opens banks, is made there alone
    pipeline = inspect.getsource(getattr(exmcr.pipeline, stage))
    source = [code_of(stage), pipeline, *(imports.path_of(m).read_text() for m in modules)]
    for name in UNUSED_METHODS[stage]:
        assert not any(re.search(rf"\b(project|p|opened)\.{name}\b", s) for s in source), name


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_a_stage_uses_lies_in_one_of_its_deps(stage):
    deps = DEFINED["stages"][stage]["deps"]
    missing = sorted(module for module in used(stage) if not covered(module, deps))
    assert not missing, f"deps of {stage} lack {', '.join(missing)}"


@pytest.mark.parametrize("stage", EXPERIMENTS)
def test_every_module_that_an_experiment_uses_lies_in_one_of_its_deps(stage):
    entry = EXPERIMENTS[stage]
    command = entry["cmd"].split()[1]
    source = (ROOT / f"exmcr/commands/{command}.py").read_text()
    missing = [m for m in imports.used_by(source, NO_NAMES) if not covered(m, entry["deps"])]
    assert not missing, f"deps of {stage} lack {', '.join(sorted(missing))}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_does_not_depend_on_folders_that_it_does_not_use(stage):
    modules = used(stage)
    for dep in DEFINED["stages"][stage]["deps"]:
        if dep.startswith("exmcr") and dep not in STARTS:
            assert any(covered(module, [dep]) for module in modules), f"{stage}: {dep}"


@pytest.mark.parametrize("stages", [DEFINED["stages"], EXPERIMENTS], ids=["run", "experiments"])
def test_deps_on_code_exist(stages):
    for name, stage in stages.items():
        for dep in stage["deps"]:
            if dep.startswith(("exmcr", "notebooks")):
                assert (ROOT / dep).exists(), f"{name}: {dep}"


def test_stage_names_are_commands_notebooks_and_functions():
    for name, stage in DEFINED["stages"].items():
        command = stage["cmd"].split()[1]
        assert name == {"spaces": "fit_spaces"}.get(command, command)


def test_dvc_reads_the_stages():
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--all", "--name-only"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(DEFINED["stages"]) <= set(done.stdout.split())
    assert "experiments/dvc.yaml:compare" in done.stdout


def test_every_stage_that_reads_banks_runs_again_when_the_spaces_change():
    for name, stage in DEFINED["stages"].items():
        if name != "corpora":
            assert {"spaces", "base", "leaves"} <= set(stage["params"]), name
    assert all(
        "encoders" in DEFINED["stages"][name]["params"] for name in ("fit_spaces", "extract")
    )


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_names_a_template_and_columns_that_exist(name):
    plot = PLOTS[name]
    template = json.loads((ROOT / ".dvc/plots" / f"{plot['template']}.json").read_text())
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
        assert kept[path].get("cache", True), f"{path} is ignored by git: uncached, no diff"
