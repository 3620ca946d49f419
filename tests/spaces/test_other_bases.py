"""Bases of other architectures and dimensions than the paper's, with leaves of yet other ones."""

import json

import numpy as np
import open_clip
import pandas as pd
import pytest
import tiny_encoders
import yaml
from PIL import Image

from exmcr import ExMCR, config, corpora, pipeline, toy_project
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.project import Project
from exmcr.spaces import load_space

RNG = np.random.default_rng(0)
THINGS, KEPT = {"ball", "box", "plate"}, r"(?:ball|box|plate)-(?:red|black)"
COCA = {
    "dim": 48,
    "vision_cfg": tiny_encoders.VISION | {"attentional_pool": True, "output_tokens": True},
}
COCA |= {"text_cfg": tiny_encoders.TEXT | {"embed_cls": True, "output_tokens": True}}
COCA |= {"multimodal_cfg": tiny_encoders.TEXT, "custom_text": True}
ARCHITECTURES = {
    "clip": {"dim": 768},
    "custom-text": {"dim": 40, "custom_text": True},
    "resnet": {"dim": 24, "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}},
    "quickgelu": {"dim": 16, "quick_gelu": True},
    "timm": {
        "dim": 32,
        "vision_cfg": {"timm_model_name": "resnet18", "timm_pool": "avg", "image_size": 32},
    },
    "coca": COCA,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_architecture_of_open_clip_is_a_base(name, tmp_path, monkeypatch):
    chosen = ARCHITECTURES[name]
    path = tiny_encoders.clip(tmp_path, monkeypatch, name, **chosen)
    if chosen.get("quick_gelu"):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED[name]["random"], "quick_gelu", True)
    options = {"model": name, "tag": "random", "device": "cpu"}
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    space = load_space("clip", **options)
    assert space.dim == chosen["dim"]
    assert load_space("clip", checkpoint=path, **options).fingerprint == space.fingerprint
    image = Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    vectors = [space.encode("image", [image]), space.encode("text", ["a dog", "a cat"])]
    assert all(v.shape[1] == space.dim and np.isfinite(v).all() for v in vectors)


def test_an_architecture_whose_tokenizer_is_on_the_hub_is_one_line(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("We couldn't connect\nto the hub")

    path = tiny_encoders.clip(tmp_path, monkeypatch)
    monkeypatch.setattr(open_clip, "get_tokenizer", offline)
    with pytest.raises(
        ConfigError, match="cannot build tiny here .OSError: We couldn't connect to"
    ):
        load_space("clip", model="tiny", tag="random", checkpoint=path)


@pytest.fixture(scope="module")
def project(tmp_path_factory, patch):
    """A base of 768 dimensions; leaves of 512 (CLAP by transformers) and 1280 (OpenShape)."""
    root = tmp_path_factory.mktemp("project")
    folder = root / "weights"
    folder.mkdir()
    patch.delenv("EXMCR_WEIGHTS", raising=False)
    tiny_encoders.clip(folder, patch, "wide", dim=768)
    tiny_encoders.clip(folder, patch, "wider", dim=1280)
    tiny_encoders.openshape_network(patch)
    tiny_encoders.openshape_weights(folder, dim=1280)
    tiny_encoders.clap(folder / "tiny-clap")
    params = toy_project.toy_params(config.read(project_root() / "params.yaml"))
    params |= {"spaces": "large", "seeds": [0]}
    params["base"]["large"] = "clip"
    params["leaves"][0]["large"], params["leaves"][1]["large"] = "clap-hf", "openshape"
    params["encoders"] = {
        "clip": {"model": "wide", "tag": "random"},
        "clap-hf": {"checkpoint": "weights/tiny-clap"},
        "openshape": {"model": "wider", "tag": "random"},
    }
    params["train"] |= {"steps": 3, "batch": 16, "hidden": 32}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    path = corpora.build("toy", root)
    items = pd.read_parquet(path)
    words = items.modality.eq("text") & items.concept.isin(THINGS)
    kept = words | items.id.str.contains(KEPT)
    corpora.items.write(items[kept & (items.split != "val")], path)
    return Project(root)


def test_a_run_with_three_dimensions_goes_from_items_to_search(project, tmp_path, monkeypatch):
    for stage in ("fit_spaces", "extract", "pair", "train", "evaluate"):
        table = getattr(pipeline, stage)(project)
    assert {"audio->image", "points->text", "audio->points"} <= set(table.task)
    assert {"exmcr", "hop"} <= set(table[table.task == "audio->points"].method)
    assert np.isfinite(table.value if "value" in table else table.select_dtypes("number")).all(None)
    model = ExMCR.from_project(project.root)
    model.save(tmp_path / "model")
    note = json.loads((tmp_path / "model/exmcr.json").read_text())
    assert [note["base"]["dim"], *(leaf["dim"] for leaf in note["leaves"])] == [768, 512, 1280]
    assert note["encoders"]["clap-hf"]["checkpoint"] == str(project.root / "weights/tiny-clap")
    monkeypatch.setenv("EXMCR_WEIGHTS", str(project.root / "weights"))
    loaded = ExMCR.load(tmp_path / "model")
    rows = project.items[project.items.split == "test"].groupby("modality").head(2)
    items = {
        modality: [project.load_item(row) for row in rows[rows.modality == modality].itertuples()]
        for modality in ("audio", "points", "image")
    }
    found, again = model.encode(items), loaded.encode(items)
    for modality in items:
        assert found[modality].shape == (2, 768)
        np.testing.assert_array_equal(found[modality], again[modality])
    gallery = model.gallery(project.bank_path("openshape", "points", "test"))
    best = model.search(found["audio"], gallery, k=3)
    assert best.indices.shape == (2, 3) and (np.diff(best.scores) <= 0).all()
