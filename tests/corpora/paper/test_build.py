"""The item table of the paper's corpora: unpaired pools, held-out items with partners, and tasks."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from paper_trees import (
    BENCHMARKS,
    PAPER,
    make_benchmark_trees,
    make_trees,
    shard,
    sound,
    table,
    text,
)

from exmcr import config, corpora
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.common.paths import project_root
from exmcr.common.vectors import unit
from exmcr.corpora import items as item_table
from exmcr.corpora.paper import layout, modelnet40, webdataset
from exmcr.corpora.sampling import draw
from exmcr.evaluation.embeddings import Embeddings
from exmcr.evaluation.tasks import tasks
from exmcr.media import MODALITIES, Modality
from exmcr.project import Project


def content():
    return config.read(project_root() / "params.yaml") | {"corpora": "paper"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("paper")
    make_trees(root)
    text(root / "params.yaml", yaml.safe_dump(content() | {"paper": PAPER}))
    return root, pd.read_parquet(corpora.build("paper", root, paper=PAPER))


def test_the_item_table_has_unpaired_pools_and_nothing_held_out_in_them(built):
    root, items = built
    counts = items.groupby(["source", "modality", "split"]).size().to_dict()
    assert counts == {
        ("coco", "text", "train"): 2,
        ("cc3m", "text", "train"): 4,
        ("imagenet", "image", "train"): 1,
        ("audioset", "audio", "train"): 1,
        ("objaverse", "points", "train"): 1,  # the others are held out
        ("ave", "audio", "test"): 2,
        ("ave", "image", "test"): 2,
        ("audiocaps", "audio", "test"): 1,
        ("audiocaps", "text", "test"): 2,
        ("coco", "image", "test"): 2,
        ("coco", "text", "test"): 5,
        ("modelnet40", "points", "test"): 3,
        ("modelnet40", "text", "test"): 40 * 64,
        ("objaverse", "points", "test"): 2,
        ("objaverse", "image", "test"): 2,
    }
    assert set(items[items.split == "train"].of) == {""}  # pools are unpaired
    assert items[(items.source == "audioset")].id.tolist() == ["audioset/aaaaaaaaaaa_30"]
    assert items.set_index("id").path["ave/bbbbbbbbbbb/audio"] == "paper/ave/audio/bbbbbbbbbbb.wav"
    for item in items.itertuples():  # every file exists, inside data/ and elsewhere
        item_table.load_item(item, root / "data")


def test_partners_belong_to_the_shape_else_the_sound_else_the_picture(built):
    items = built[1].set_index("id")
    partners = items[items.of != ""]
    pairs = set(zip(partners.source, partners.modality, items.modality[partners.of]))
    assert pairs == {
        ("ave", "image", "audio"),
        ("audiocaps", "text", "audio"),
        ("coco", "text", "image"),
        ("objaverse", "image", "points"),
    }


def test_the_benchmarks_have_the_tasks_that_they_define(built):
    by_name = {task.name: task for task in tasks(built[1], "test")}
    assert set(by_name) == {
        "audio->image (ave)",
        "image->audio (ave)",
        "audio->text (audiocaps)",
        "text->audio (audiocaps)",
        "image->text (coco)",
        "text->image (coco)",
        "points->text (modelnet40)",
        "points->image (objaverse)",
        "image->points (objaverse)",
    }
    # Both clips are of one class, but only the frame of a clip is a right answer.
    ave = by_name["audio->image (ave)"]
    assert ave.positive.sum() == 2 and all(
        q.split("/")[1] == g.split("/")[1]
        for q, row in zip(ave.queries.id, ave.positive)
        for g in ave.gallery.id[row]
    )
    coco = by_name["image->text (coco)"]
    assert coco.positive.sum(axis=1).tolist() == [2, 3]
    assert by_name["text->image (coco)"].positive.shape == (5, 2)
    classes = by_name["points->text (modelnet40)"]
    assert classes.gallery.caption.tolist() == sorted(modelnet40.CLASSES)
    assert classes.gallery.captions.map(len).tolist() == [64] * 40
    answers = [classes.gallery.caption[row].tolist() for row in classes.positive]
    assert answers == [["bed"], ["bed"], ["night stand"]]
    shapes = by_name["points->image (objaverse)"]
    assert shapes.positive.tolist() == [[True, False], [False, True]]
    assert not any(task.seen.any() for task in by_name.values())


def test_the_vector_of_a_class_is_the_mean_of_its_prompts(built, tmp_path):
    root, items = built
    task = next(t for t in tasks(items, "test") if t.name == "points->text (modelnet40)")
    texts = items[(items.modality == "text") & (items.split == "test")]
    vectors = unit(np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32))
    text(tmp_path / "params.yaml", (root / "params.yaml").read_text())
    (tmp_path / "data").symlink_to(root / "data")
    project = Project(tmp_path)
    folder = project.bank_path("clip", "text", "test")
    folder.mkdir(parents=True)
    np.save(folder / "vectors.npy", vectors)
    texts[["id"]].to_parquet(folder / "ids.parquet")
    manifest = {"fingerprint": "f", "sha256": sha256(folder / "vectors.npy")}
    text(folder / "manifest.json", json.dumps(manifest))
    embeddings = Embeddings(project)
    expected = vectors[(texts.concept == "night stand").to_numpy()].mean(axis=0)
    expected /= np.linalg.norm(expected)
    place = task.gallery.caption.tolist().index("night stand")
    actual = embeddings.vectors("clip", task.gallery)[place]
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert embeddings.vectors("clip", texts[:3]).shape == (3, 8)


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    root = tmp_path_factory.mktemp("benchmarks")
    make_benchmark_trees(root)
    return root, pd.read_parquet(corpora.build("paper", root, paper=BENCHMARKS))


def test_every_class_has_prompts_and_every_benchmark_its_items(benchmarks):
    root, items = benchmarks
    prompts = (items.modality == "text") & items.id.str.contains("/prompt/")
    counts = items[prompts].groupby("source").concept.agg(["nunique", "size"])
    assert {source: tuple(row) for source, row in counts.iterrows()} == {
        "audioset": (3, 3),
        "esc50": (3, 3),
        "imagenet": (3, 3),
        "scanobjectnn": (15, 15 * 64),
        "objaverse": (2, 2 * 64),
    }
    assert items[~prompts].groupby(["source", "modality", "split"]).size().to_dict() == {
        ("msrvtt", "text", "train"): 2,  # the sentences on a held-out video are left out
        ("mad", "text", "train"): 2,
        ("flickr30k", "image", "train"): 1,
        ("audioset", "audio", "train"): 1,
        ("objaverse", "points", "train"): 1,
        ("esc50", "audio", "test"): 3,
        ("audioset", "audio", "test"): 2,
        ("clotho", "audio", "test"): 2,
        ("clotho", "text", "test"): 10,
        ("flickr30k", "image", "test"): 2,
        ("flickr30k", "text", "test"): 10,
        ("imagenet", "image", "test"): 2,
        ("scanobjectnn", "points", "test"): 4,
        ("objaverse", "points", "test"): 2,
        ("objaverse", "image", "test"): 2,
    }
    for item in items.itertuples():
        item_table.load_item(item, root / "data")


def test_a_clip_of_several_classes_has_them_as_labels(benchmarks):
    items = benchmarks[1].set_index("id")
    labels = {id: list(names) for id, names in items.labels.items() if len(names)}
    assert labels == {
        f"audioset/{'e' * 11}_0": ["Speech", "Gush, flow"],
        f"audioset/{'f' * 11}_30": ["Gush, flow"],
        f"audioset/{'g' * 11}_30": ["Purr"],
    }
    assert items.concept[f"audioset/{'e' * 11}_0"] == "Speech, Gush, flow"


def test_a_sample_keeps_the_prompts_of_the_classes_of_its_clips(benchmarks):
    sample = draw(benchmarks[1], 1)
    clips = sample[(sample.modality == "audio") & (sample.split == "test")]
    assert len(clips) == 1
    for source in ("audioset", "esc50"):
        own = benchmarks[1][benchmarks[1].source == source]
        kept = draw(own, 1)
        (clip,) = kept[(kept.modality == "audio") & (kept.split == "test")].itertuples()
        named = set(clip.labels) or {clip.concept}
        assert named <= set(kept.concept[kept.id.str.contains("/prompt/")])


def test_prompts_of_a_corpus_without_classes_are_refused(tmp_path):
    make_benchmark_trees(tmp_path)
    line = {"corpus": "clotho", "split": "evaluation", "as": "test", "prompts": True}
    with pytest.raises(
        ConfigError, match="paper, clotho evaluation: .* no classes: delete `prompts`"
    ):
        corpora.build("paper", tmp_path, paper=[line])


def test_missing_folders_and_files_are_named(tmp_path):
    entries = config.check(content()).paper_entries()
    missing = (
        f"lacks audiocaps in {tmp_path}/data/paper/audiocaps; audioset in .*delete their lines"
    )
    with pytest.raises(ConfigError, match=missing):
        corpora.build("paper", tmp_path, paper=entries)
    with pytest.raises(ConfigError, match="lacks every corpus"):
        corpora.build("paper", tmp_path)
    for name in {entry["corpus"] for entry in entries}:
        (tmp_path / "data/paper" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="paper, flickrnet test: not found: .*flickr_test.csv"):
        corpora.build("paper", tmp_path, paper=entries)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"corpus": "laion"}, "paper.0.corpus: unknown corpus 'laion'"),
        ({"keep": "smell"}, "paper.0.keep: must be one of text, image, audio, points"),
        ({"keep": None}, "paper.0.keep: is missing; a training pool is unpaired"),
        ({"as": "dev"}, "paper.0.as: must be 'train', 'val' or 'test'"),
        ({"most": 0}, "paper.0.most: must be greater than 0"),
        ({"mots": 1}, "paper.0.mots: unknown key"),
        ({"split": 1}, "paper.0.split: must be text, is 1"),
    ],
)
def test_a_wrong_line_of_the_block_is_named(wrong, message):
    with pytest.raises(ConfigError, match=message):
        config.check_names(config.check(content() | {"paper": [PAPER[0] | wrong]}))


def test_lines_that_overlap_are_an_error(tmp_path):
    make_trees(tmp_path)
    with pytest.raises(ConfigError, match="lines under `paper` in params.yaml overlap.*twice"):
        corpora.build("paper", tmp_path, paper=[PAPER[2], PAPER[2]])


SCANS = [  # (split, as) of each line; whether the same scans can be trained on and held out
    ([("all", "test"), ("obj_bg_all", "test"), ("pb_t50_rs_test", "test")], False),
    ([("train", "train"), ("test", "test")], False),
    ([("obj_bg_train", "train"), ("obj_bg_test", "val")], False),
    ([("all", "test"), ("obj_bg_train", "train")], True),
    ([("pb_t50_rs_train", "train"), ("obj_bg_all", "val")], True),
    ([("test", "test"), ("pb_t50_rs_test", "val")], True),
]


@pytest.mark.parametrize("lines, mixed", SCANS)
def test_variants_of_the_same_scans_are_not_both_trained_on_and_held_out(tmp_path, lines, mixed):
    entries = [{"corpus": "scanobjectnn", "split": split, "as": use} for split, use in lines]
    (tmp_path / "data/paper/scanobjectnn").mkdir(parents=True)
    reason = "made of the same scans, .*use one variant" if mixed else "objectdataset"  # no file
    with pytest.raises(ConfigError, match=reason):
        corpora.build("paper", tmp_path, paper=entries)


def test_a_held_out_sound_of_freesound_is_in_no_pool_of_another_corpus(tmp_path):
    make_benchmark_trees(tmp_path)  # its clips of ESC-50 are of sound 1
    root = tmp_path / "data/paper/clotho"
    names = ("same.wav", "other.wav", "lost.wav")
    captions = [[name, *(f"{name} {k}" for k in range(5))] for name in names]
    header = ["file_name", *(f"caption_{k}" for k in range(1, 6))]
    table(root / "clotho_captions_development.csv", header, *captions)
    for k, name in enumerate(names):
        sound(root / "development" / name, seconds=4 + k / 10)
    numbers = [[name, number, "CC0"] for name, number in zip(names, ("1", "2", "Not found"))]
    metadata = root / "clotho_metadata_development.csv"
    table(metadata, ["file_name", "sound_id", "license"], *numbers)
    held_out = {"corpus": "esc50", "split": "all", "as": "test"}

    def pool(keep):
        line = {"corpus": "clotho", "split": "development", "as": "train", "keep": keep}
        items = pd.read_parquet(corpora.build("paper", tmp_path, paper=[line, held_out]))
        assert len(items[items.split == "test"]) == 3
        return sorted({group.split("/")[-1] for group in items[items.split == "train"].group})

    assert pool("audio") == pool("text") == ["lost.wav", "other.wav"]
    metadata.unlink()  # without it, the sound is not known
    assert pool("audio") == sorted(names)


def entry(tmp_path, **files):
    shard(tmp_path / "data/paper/webdataset/all/0.tar", **files)
    return {"corpus": "webdataset", "split": "all", "as": "test"}


def test_partners_belong_to_an_item_of_a_registered_modality(tmp_path, monkeypatch):
    modality = Modality(lambda path: path.read_text(), None, "#56B4E9", "v", (".depth",))
    monkeypatch.setitem(MODALITIES, "depth", modality)
    entries = [entry(tmp_path, **{"a.png": b"", "a.npy": b"", "a.depth": b"1 2"})]
    items = pd.read_parquet(corpora.build("paper", tmp_path, paper=entries)).set_index("modality")
    depth = items.id["depth"]
    assert items.of.to_dict() == {"image": depth, "points": depth, "depth": ""}


def test_an_unregistered_modality_is_an_error(tmp_path, monkeypatch):
    row = layout.row("webdataset", "all", "a", "depth", path=tmp_path / "a.depth")
    monkeypatch.setattr(webdataset, "rows", lambda root, split: iter([row]))
    with pytest.raises(
        ConfigError, match="paper, webdataset all: unknown modality 'depth'; known: text, image"
    ):
        corpora.build("paper", tmp_path, paper=[entry(tmp_path)])
