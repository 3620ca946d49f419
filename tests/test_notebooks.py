"""What a committed notebook must look like; that it runs is checked by nbmake."""

import nbformat
import pytest

from exmcr.config import project_root

NOTEBOOKS = sorted((project_root() / "notebooks").glob("*.ipynb"))


def test_there_is_a_notebook_for_every_stage_of_the_pipeline():
    import yaml

    stages = yaml.safe_load((project_root() / "dvc.yaml").read_text())["stages"]
    run = {
        stage["cmd"].removeprefix("python -m exmcr.run_notebook ")
        for name, stage in stages.items()
        if name != "corpora"
    }
    assert {"00_spaces", "05_visualize"} <= run <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_outputs_are_stripped_and_the_smoke_value_is_the_default(path):
    notebook = nbformat.read(path, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in code)
    parameters = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert len(parameters) == 1 and 'project = "toy"' in parameters[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_tell_and_the_library_does(path):
    code = "\n".join(
        c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"
    )
    assert "class " not in code and "def " not in code
