"""The benchmarks of the paper, each on a tiny tree in the layout of its download, to results."""

import toy_spaces
import yaml
from paper_trees import BENCHMARKS, make_benchmark_trees

from exmcr import corpora, pipeline
from exmcr.project import Project


def test_every_benchmark_of_the_paper_is_scored_from_its_files(tmp_path, monkeypatch):
    make_benchmark_trees(tmp_path)
    params = toy_spaces.install(tmp_path, monkeypatch)
    params |= {"corpora": "paper", "paper": BENCHMARKS, "extract": {"shard": 512}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    corpora.build("paper", tmp_path, paper=BENCHMARKS)
    project = Project(tmp_path)
    for step in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, step)(project)
    results = pipeline.evaluate(project)
    # The gallery of a classification has every class, also one without an item.
    sizes = {
        "audio->text (esc50)": (3, 3),
        "audio->text (audioset)": (2, 3),
        "text->audio (audioset)": (2, 2),
        "audio->text (clotho)": (2, 10),
        "text->audio (clotho)": (10, 2),
        "image->text (flickr30k)": (2, 10),
        "text->image (flickr30k)": (10, 2),
        "image->text (imagenet)": (2, 3),
        "points->text (scanobjectnn)": (4, 15),
        "points->text (objaverse)": (2, 2),
        "points->image (objaverse)": (2, 2),
        "image->points (objaverse)": (2, 2),
    }
    rows = results.drop_duplicates("task").set_index("task")
    assert {t: tuple(rows.loc[t, ["n_queries", "n_gallery"]]) for t in rows.index} == sizes
    assert results["map"].between(0, 1).all()
