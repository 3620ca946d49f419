"""Whole runs with encoders that are not ours: options, wrong weights, unequal dimensions."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_spaces
import yaml
from paper_trees import PAPER, make_trees
from safetensors.torch import save_file
from toy_spaces import Sounds

from exmcr import config, corpora, pipeline, toy_project
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.files import write_note
from exmcr.corpora import items as item_table
from exmcr.evaluation.bench import Bench
from exmcr.evaluation.stage import trained_maps
from exmcr.figures import concepts, gaps, maps
from exmcr.project import Project
from exmcr.spaces import loaded

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, toy_corpus, monkeypatch):
    """The toy corpus with three toy encoders as `spaces: paper`."""
    return toy_spaces.with_corpus(tmp_path, toy_corpus, monkeypatch)


def test_a_base_of_another_dimension_loses_only_the_methods_that_need_equal_ones(project, capsys):
    for step in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, step)(project)
    capsys.readouterr()
    results = pipeline.evaluate(project)
    assert (
        "'direct' is left out of the results with the audio leaf: direct cosine needs equal dimensions, leaf has 512, base 768"
        in capsys.readouterr().out
    )
    by_task = results.groupby("task").method.agg(set)
    assert by_task["audio->image"] == {"lstsq", "procrustes", "hop", "exmcr"}  # 512 against 768
    assert by_task["points->image"] == {
        "direct",
        "lstsq",
        "procrustes",
        "hop",
        "exmcr",
        "leaf",
    }  # 768 against 768
    assert by_task["audio->points"] == by_task["audio->image"]
    before, after = gaps.modality_gaps(project)
    assert (
        np.isnan(before.loc["audio", "image"])  # of two spaces
        and np.isnan(before.loc["points", "image"])
        and not np.isnan(before.loc["text", "image"])
        and not after.isna().any(axis=None)
    )
    weights = loaded.table(project).set_index("space")
    assert weights.dim.to_dict() == {"wide": 768, "sounds": 512, "shapes": 768}
    assert (
        weights.license.str.startswith("not known").all()
        and weights.file["sounds"] == "sounds.safetensors"
    )


def test_maps_are_drawn_of_spaces_of_unequal_dimensions(project, monkeypatch):
    for step in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, step)(project)
    seen = []

    class Umap:  # the true one compiles for a quarter of a minute
        def __init__(self, **_):
            pass

        def fit_transform(self, vectors):
            seen.append(vectors)
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    sys.modules["umap"].UMAP = Umap
    before, after, rows = maps.map_2d(project)
    assert len(before) == len(after) == len(rows) and [v.shape[1] for v in seen] == [768, 768]
    np.testing.assert_allclose(np.linalg.norm(seen[0], axis=1), 1, atol=1e-5)


def test_wrong_weights_keep_the_shards_that_are_there(project, monkeypatch):
    pipeline.fit_spaces(project)
    weights = project.root / "sounds.safetensors"
    whole = weights.read_bytes()
    folder = project.root / "banks/sounds/audio/train"
    encoded = []
    encode_batch = Sounds.encode_batch

    def killed(self, modality, loaded):
        if modality == "audio" and len(encoded) == 2:
            raise KeyboardInterrupt
        encoded.append(len(loaded))
        return encode_batch(self, modality, loaded)

    monkeypatch.setattr(Sounds, "encode_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        pipeline.extract(project)
    shards = {path.name: path.read_bytes() for path in folder.glob("shards/*.npz")}
    assert len(shards) == 2
    wrong = (
        (None, "no weight file .*sounds.safetensors; `exmcr weights` says"),
        (whole[:500], "sounds.safetensors cannot be read; is the download complete"),
        (
            (project.root / "wide.safetensors").read_bytes(),
            "sounds.safetensors is of another architecture than a toy",
        ),
    )
    for content, message in wrong:
        weights.unlink() if content is None else weights.write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            pipeline.extract(project)
        assert {path.name: path.read_bytes() for path in folder.glob("shards/*.npz")} == shards
    weights.write_bytes(whole)
    encoded.clear()
    monkeypatch.setattr(
        Sounds,
        "encode_batch",
        lambda self, modality, loaded: (
            encoded.append(modality),
            encode_batch(self, modality, loaded),
        )[1],
    )
    banks = pipeline.extract(project).set_index(["space", "modality", "split"]).vectors
    assert (
        encoded.count("audio")
        == sum(-(-banks["sounds", "audio", split] // 8) for split in ("train", "val", "test")) - 2
    )


@pytest.mark.parametrize(
    "content, message",
    [
        (
            None,
            "no weights 'openai' of ViT-B-32-quickgelu: no file .*ViT-B-32-openai.safetensors, and the model hub failed.*put the file there",
        ),
        (
            b"\x10\x00\x00\x00\x00\x00\x00\x00{",
            "ViT-B-32-openai.safetensors cannot be read; is the download complete",
        ),
        (
            {"visual.proj": torch.zeros(2)},
            "ViT-B-32-openai.safetensors is of another architecture than ViT-B-32-quickgelu",
        ),
    ],
    ids=["missing", "truncated", "foreign"],
)
def test_wrong_weights_of_clip_stop_the_first_stage(tmp_path, monkeypatch, content, message):
    params = toy_project.toy_params(config.read(ROOT / "params.yaml")) | {"spaces": "paper"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    path = tmp_path / "ViT-B-32-openai.safetensors"
    if content is None:
        monkeypatch.setattr(
            "open_clip.pretrained.download_pretrained",
            lambda *a, **k: (_ for _ in ()).throw(OSError("offline")),
        )
    else:
        path.write_bytes(content) if isinstance(content, bytes) else save_file(content, path)
    with pytest.raises(ConfigError, match=message):
        pipeline.fit_spaces(Project(tmp_path))


def test_a_damaged_file_of_the_held_out_items_is_left_out(project, monkeypatch):
    load = item_table.load_item
    broken = "toy/ball-black/image"

    def load_item(item, data):
        if item.id == broken:
            raise BadItem("damaged")
        return load(item, data)

    monkeypatch.setattr("exmcr.corpora.items.load_item", load_item)
    for step in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, step)(project)
    results = pipeline.evaluate(project)
    pictures = results[
        (results.task == "audio->image") & (results.concept_subset == "all")
    ].n_gallery
    whole = project.items[
        (project.items.modality == "image")
        & (project.items.split == "test")
        & (project.items.of == "")
    ]
    assert broken in set(whole.id) and (pictures == len(whole) - 1).all()


def test_the_corpora_of_the_paper_go_through_every_step(tmp_path, monkeypatch):
    make_trees(tmp_path)
    params = toy_spaces.install(tmp_path, monkeypatch) | {"corpora": "paper", "paper": PAPER}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    corpora.build("paper", tmp_path, paper=PAPER)
    project = Project(tmp_path)
    stale = (
        project.root / "banks/wide/image/val"
    )  # of another corpus: this one has no validation pictures
    imported = project.root / "banks/wide/text/val"
    for folder, note in ((stale, {}), (imported, {"source": {"file": "mine.npy"}})):
        folder.mkdir(parents=True)
        write_note(folder / "manifest.json", {"fingerprint": "", "sha256": "", **note})
    for step in ("fit_spaces", "extract", "pair", "train"):
        getattr(pipeline, step)(project)
        if step == "extract":
            assert not stale.exists() and imported.exists()
            shutil.rmtree(imported)
    results = pipeline.evaluate(project).set_index(["task", "method"])
    assert results.loc[("audio->image (ave)", "exmcr")][["n_queries", "n_gallery"]].tolist() == [
        2,
        2,
    ]
    assert results.loc[("points->text (modelnet40)", "leaf")][
        ["n_queries", "n_gallery"]
    ].tolist() == [3, 40]
    assert ("audio->text (audiocaps)", "leaf") in results.index and (
        "image->text (coco)",
        "base",
    ) in results.index
    assert ("points->image (objaverse)", "hop") in results.index
    bench = Bench(project, "test", trained_maps(project))
    scores, _ = concepts.by_concept(bench, "audio->image")  # the notebooks' way to name it
    assert scores.concept.tolist() == ["Bark"]
    queries, answers, right = concepts.task_answers(bench, "points->image", n=2)
    assert (
        [q.id for q in queries]
        and all(len(line) == 2 for line in answers)
        and all(line.count(True) == 1 for line in right)
    )
