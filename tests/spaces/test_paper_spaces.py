"""Every notebook with `spaces: paper`: CLIP, CLAP and ULIP-2 at full size with random weights, on a part of the toy corpus."""

from pathlib import Path

import matplotlib
import nbformat
import pandas as pd
import pytest
import yaml

from exmcr import config, corpora, toy_project
from exmcr.banks import Bank
from exmcr.project import Project
from exmcr.spaces import loaded

ROOT = Path(__file__).parents[2]
# The encoders are large: one color of training and one of test; "plate" has no sounds or shapes in training.
KEPT = r"(?:ball|box|plate)-(?:red|black)"
THINGS = {"ball", "box", "plate"}


@pytest.fixture(scope="module")
def project(tmp_path_factory, random_weights):
    root = tmp_path_factory.mktemp("project")
    params = toy_project.toy_params(config.read(ROOT / "params.yaml")) | {"spaces": "paper"}
    params["visualize"] |= {"umap_items": 60, "questions": 2}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    path = corpora.build("toy", root)
    items = pd.read_parquet(path).query("split != 'val'")  # a corpus may have no such split
    words = (
        items.modality.eq("text")
        & items.concept.isin(THINGS)
        & ~items.caption.str.contains("green|blue|orange|purple|brown|gold")
    )
    corpora.items.write(items[words | items.id.str.contains(KEPT)], path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXMCR_WEIGHTS", str(random_weights))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield Project(root)


def run_notebook(name: str, project: Project) -> dict:
    """Run the code of a notebook on this project, in this process (each kernel would import everything again)."""
    cells = [
        c
        for c in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        if c.cell_type == "code"
    ]
    names = {"display": print}
    for cell in cells:
        source = (
            f"project = {str(project.root)!r}"
            if "parameters" in cell.metadata.get("tags", [])
            else cell.source
        )
        exec(compile(source, name, "exec"), names)
    return names


@pytest.mark.slow  # tests/test_pipeline.py has whole runs with encoders of three lines
def test_every_notebook_runs_on_the_real_encoders(project, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(toy_project, "_make", None)  # nothing here may fall back to the toy project
    spaces = run_notebook("00_spaces", project)
    assert spaces["losses"].empty
    files = loaded.table(project).set_index("space")
    assert files.file.to_dict() == {
        "clip": "ViT-B-32-openai.safetensors",
        "clap": "630k-fusion-best.safetensors",
        "ulip2": "pointbert_ULIP-2.pt",
    }
    assert (
        files.loc["clip", "license"] == "MIT"
        and (files.dim == 512).all()
        and (files.MB > 500).all()
    )
    banks = run_notebook("01_extract", project)["banks"]
    assert set(banks.space) == {"clip", "clap", "ulip2"} and banks.skipped.sum() == 0
    assert set(banks[banks.space == "ulip2"].modality) == {
        "points",
        "image",
        "text",
    }  # its overlap is its own image tower
    assert Bank(project.root / "banks/clap/audio/test").fingerprint.startswith(
        files.loc["clap", "fingerprint"]
    )
    run_notebook("02_pair", project)
    losses = run_notebook("03_train", project)["losses"]
    assert set(losses.leaf) == {"audio", "points"}
    results = run_notebook("04_evaluate", project)["table"]
    assert {
        "audio->image",
        "audio->text",
        "points->text",
        "points->icon",
        "audio->points",
        "image->text",
    } <= set(results.task)
    assert {"exmcr", "hop", "direct", "leaf"} <= set(results[results.task == "audio->text"].method)
    run_notebook("05_visualize", project)
    assert (project.figures / "05_umap.png").is_file() and (
        project.figures / "05_gap.png"
    ).is_file()
