"""What a committed notebook must look like; that it runs is checked by nbmake."""

import nbformat
import pytest
import yaml

from exmcr.commands.stages import NOTEBOOKS as NOTEBOOK_OF
from exmcr.common.paths import project_root

NOTEBOOKS = sorted((project_root() / "notebooks").glob("*.ipynb"))
NAMES = ("00_spaces", "01_extract", "02_pair", "03_train", "04_evaluate", "05_visualize")


def code_of(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_is_a_notebook_for_every_stage_of_the_pipeline():
    stages = yaml.safe_load((project_root() / "dvc.yaml").read_text())["stages"]
    run = []
    for name, stage in stages.items():
        if name == "corpora":
            continue
        program, command, option = stage["cmd"].split()
        assert (program, option) == ("exmcr", "--notebook"), name
        run.append(NOTEBOOK_OF[command])
        assert f"notebooks/{run[-1]}.ipynb" in stage["deps"], name
    assert tuple(run) == NAMES and set(run) <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_outputs_are_stripped_and_the_smoke_value_is_the_default(path):
    code = code_of(path)
    assert not any(c.outputs or c.execution_count for c in code)
    parameters = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert len(parameters) == 1 and 'project = "toy"' in parameters[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_tell_and_the_library_does(path):
    code = "\n".join(c.source for c in code_of(path))
    assert "class " not in code and "def " not in code


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_lines_of_code_fit_on_a_page(path):
    assert [line for c in code_of(path) for line in c.source.splitlines() if len(line) >= 100] == []
