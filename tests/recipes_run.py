"""What tests/test_recipes.py runs on the copy of the package: each recipe is used once."""

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(sys.argv[1])
sys.path.append(str(ROOT / "tests"))

import exmcr  # noqa: E402
from exmcr import config, pipeline  # noqa: E402
from exmcr.corpora import build  # noqa: E402
from exmcr.project import Project  # noqa: E402

assert not Path(exmcr.__file__).is_relative_to(ROOT), "the copy, not the checkout"


def corpus() -> None:
    """The new corpus is listed, and its items load."""
    build("pebbles", Path("stones"))
    items = pd.read_parquet("stones/data/items.parquet")
    assert items.groupby("modality").size().to_dict() == {"image": 6, "text": 6}
    from exmcr.corpora.items import load_item

    assert load_item(items[items.modality == "image"].iloc[0], Path("stones/data")).shape[2] == 3
    print("ok corpus")


def project() -> Project:
    """The toy corpus with a smell for each sound, and a leaf that brings smells into the base."""
    root = Path("run")
    build("toy", root)
    items = pd.read_parquet(root / "data/items.parquet")
    rng = np.random.default_rng(0)
    smells = items[items.modality == "audio"].copy()
    kinds = {concept: rng.normal(size=8) for concept in sorted(set(smells.concept))}
    for place, row in smells.iterrows():
        path = root / "data" / f"{row.id}.smell.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, kinds[row.concept] + 0.1 * rng.normal(size=8))
        smells.loc[place, "path"] = path.relative_to(root / "data").as_posix()
    smells["modality"], smells["id"] = "smell", smells.id + "/smell"
    smells["group"] = smells.group + "/smell"
    from exmcr.corpora.items import write

    write(pd.concat([items, smells]), root / "data/items.parquet")
    with contextlib.redirect_stdout(io.StringIO()):
        import toy_spaces

        params = toy_spaces.content(root)
    params["leaves"][1] = {"name": "smell", "modality": "smell", "overlap": "text", "mini": "nose"}
    params["leaves"][1]["paper"] = "nose"
    params["train"]["loss"] = "sharp"
    params["compare"]["overlap-mean"] = {"sign": -1.0}
    params["seeds"] = [0]
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    opened = Project(root)
    config.check_names(opened.params)
    return opened


def main() -> None:
    corpus()
    opened = project()
    for stage in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, stage)(opened)
    results = pipeline.evaluate(opened)

    from exmcr.training.losses import LOSSES

    assert "sharp" in LOSSES and opened.params.train_settings("smell")["loss"] == "sharp"
    print("ok loss")

    tasks = set(results.task)
    assert {"smell->image", "image->smell", "smell->text", "audio->smell"} <= tasks, tasks
    from exmcr.figures import gaps
    from exmcr.figures import items as drawing

    queries, answers, right = drawing.some_items(opened, 3)
    assert "smell" in {row.modality for row in queries}
    drawing.gallery(queries, answers, right, opened.load_item, "smells", Path("gallery.png"))
    before, after = gaps.modality_gaps(opened)
    assert "smell" in before.index and np.isfinite(after.loc["smell", "image"])
    print("ok modality")

    from exmcr.experiments.compare import compare

    table, ranking, _ = compare(opened, ["overlap-mean", "exmcr-sharp", "hop"])
    assert {"overlap-mean", "exmcr-sharp"} <= set(table.method)
    assert "overlap-mean" in set(ranking.method)
    print("ok method")

    assert {"rr", "chance_rr", "rr_low", "rr_high"} <= set(results.columns)
    part = results[(results.method == "exmcr") & (results.concept_subset == "all")]
    assert (part.rr >= part["r1"]).all() and (part.rr <= 1).all()
    from exmcr.evaluation.tables import markdown
    from exmcr.figures.results import bars

    assert "exmcr" in markdown(results, metrics=("rr",))
    bars(results, metric="rr", path=Path("rr.png"))
    print("ok metric")


main()
