"""`dvc repro` on embeddings from elsewhere: the notebook of every stage runs without raw items.

The code of the notebooks is run here, in one process, instead of in a kernel for each.
"""

import json
import os
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import own_embeddings
import pandas as pd
import pytest
import yaml
from own_embeddings import exmcr

from exmcr.commands.stages import NOTEBOOKS
from exmcr.common.paths import project_root
from exmcr.project import Project

ROOT = project_root(Path(__file__).parent)


class Umap:
    """The true one compiles for a quarter of a minute."""

    def __init__(self, **_):
        pass

    def fit_transform(self, vectors):
        return vectors[:, :2].copy()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with imported banks, as the current one."""
    own_embeddings.write(tmp_path, kinds_of_things=24)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["train"] |= {"steps": 20}
    params["compare"] = {}
    params["visualize"] |= {"umap_items": 60, "questions": 3}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    own_embeddings.import_all()
    return tmp_path


def run(notebook, shown):
    cells = json.loads(notebook.read_text())["cells"]
    names = {"__name__": "__main__", "display": shown.append}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if "parameters" in cell["metadata"].get("tags", []):
                source += '\nproject = "."'
            exec(compile(source, f"{notebook.name}, cell {number}", "exec"), names)
            plt.close("all")


def test_the_notebook_of_every_stage_runs_without_raw_items(own, monkeypatch, capsys):
    matplotlib.use("Agg")
    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    sys.modules["umap"].UMAP = Umap
    monkeypatch.setattr(os, "environ", os.environ | {"MPLBACKEND": "Agg"})
    assert exmcr("corpora") == 0
    shown = []
    for name in NOTEBOOKS.values():
        run(ROOT / f"notebooks/{name}.ipynb", shown)
    results = pd.read_csv("reports/results.csv")
    assert {"audio->image", "image->audio"} <= set(results.task)
    for figure in ("00_examples", "02_pairs_audio", "04_results", "05_umap", "05_gap"):
        assert (own / f"reports/figures/{figure}.png").stat().st_size > 5_000, figure
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        for entry in [*stage.get("outs", []), *stage.get("metrics", [])]:
            (output,) = entry
            assert (own / output).exists(), f"dvc repro fails without {output}"
    project = Project()
    words = project.load_item(next(project.items.itertuples()))
    assert isinstance(words, str) and words
