"""The interface of a space: loading, encoding, the registry, and a space of five members from registry to bank."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from exmcr import config, media, pipeline, toy_project
from exmcr.banks import Bank
from exmcr.banks.extraction import extract
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.paths import project_root
from exmcr.corpora import toy
from exmcr.corpora.items import load_item
from exmcr.model.exmcr import ExMCR
from exmcr.model.parts import Base
from exmcr.project import Project
from exmcr.spaces import SPACES, load_space, loaded, options, wrong_options
from exmcr.spaces.base import Space, in_batches


class Five(Space):
    """A user's space: name, dim, modalities, fingerprint, encode_batch, and nothing else."""

    name = "five"
    dim = 3
    modalities = ("text", "image", "audio", "points")
    fingerprint = "f" * 64

    def encode_batch(self, modality, items):
        arrays = {
            "text": lambda x: np.frombuffer(x.encode(), np.uint8),
            "audio": lambda x: x.samples,
        }
        read = arrays.get(modality, np.asarray)
        return np.array([[1, read(item).mean(), read(item).std()] for item in items])


class Pictures(Five):
    name, modalities, fingerprint = "pictures", ("text", "image"), "b" * 64


class Rooted(Five):
    name = "rooted"
    choices = {"size": ("small", "large")}

    def __init__(self, size="small", batch_size=4, root=None):
        self.size, self.root = size, root


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for cls in (Five, Pictures, Rooted):
        monkeypatch.setitem(SPACES, cls.name, f"{__name__}:{cls.__name__}")


def test_encode_loads_and_encodes_in_order_to_unit_rows():
    space = Five()
    texts = ["a  dog ", "rain"]
    vectors = space.encode("text", texts)
    assert vectors.shape == (2, 3) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors, space.encode_loaded("text", ["a dog", "rain"]))
    np.testing.assert_array_equal(vectors[::-1], space.encode("text", texts[::-1]))
    assert space.encode("text", []).shape == (0, 3)


def test_wrong_input_and_wrong_encoders_are_errors():
    class Broken(Five):
        def __init__(self, output):
            self.encode_batch = lambda modality, items: output

    for encode in (Five().encode, Five().encode_loaded):
        with pytest.raises(ConfigError, match="'five' has no modality 'smell', only text, image"):
            encode("smell", ["a"])
    with pytest.raises(BadItem, match="empty"):
        Five().encode("text", ["a", " "])
    with pytest.raises(RuntimeError, match=r"returned \(1, 3\) for 2 items of text"):
        Broken(np.ones((1, 3))).encode("text", ["a", "b"])
    for bad in (0, np.nan, np.inf):
        with pytest.raises(FloatingPointError, match="space 'five', text: 1 of 2 rows"):
            Broken(np.array([[1, 2, 3], 3 * [bad]])).encode("text", ["a", "b"])


@pytest.fixture
def images(tmp_path):
    """An item table of five images, and a list to which each call of the loader adds its path."""
    rng = np.random.default_rng(0)
    for n in range(5):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / f"{n}.png")
    return pd.DataFrame(
        {
            "id": [f"image/{n}" for n in range(5)],
            "modality": "image",
            "caption": "",
            "path": [f"{n}.png" for n in range(5)],
            "start": 0.0,
            "seconds": 0.0,
        }
    )


@pytest.fixture
def calls(monkeypatch):
    calls, image = [], media.MODALITIES["image"]
    counting = lambda item: calls.append(str(item)) or image.load(item)
    monkeypatch.setitem(media.MODALITIES, "image", dataclasses.replace(image, load=counting))
    return calls


def test_encode_extraction_and_exmcr_load_each_item_once(images, calls, tmp_path):
    paths = [tmp_path / path for path in images.path]
    expected = Five().encode("image", paths)
    assert calls == [str(path) for path in paths]
    calls.clear()
    bank = extract(
        Five(),
        "image",
        images,
        tmp_path / "bank",
        lambda item: load_item(item, tmp_path),
        shard=2,
        progress=False,
    )
    assert sorted(calls) == [str(path) for path in paths]
    np.testing.assert_array_equal(bank.vectors, expected)
    calls.clear()
    model = ExMCR(Base("five", Five.fingerprint, 3, Five.modalities), [], device="cpu")
    np.testing.assert_array_equal(model.encode({"image": paths})["image"], expected)
    assert calls == [str(path) for path in paths]


def test_in_batches_changes_nothing():
    import torch

    sizes = []
    prepare = lambda part: sizes.append(len(part)) or torch.tensor(part, dtype=torch.float64)
    weight = torch.arange(6.0, dtype=torch.float64).reshape(2, 3)
    rows = in_batches([[1.0, 2.0]] * 3 + [[3.0, 4.0]] * 2, 2, "cpu", prepare, lambda x: x @ weight)
    assert sizes == [2, 2, 1] and rows.dtype == np.float32
    np.testing.assert_array_equal(rows, 3 * [[6, 9, 12]] + 2 * [[12, 19, 26]])


def test_the_root_is_passed_only_to_a_constructor_that_takes_it(tmp_path):
    assert isinstance(load_space("five", root=tmp_path), Five)
    space = load_space("rooted", root=tmp_path, size="large")
    assert (space.root, space.size) == (tmp_path, "large")
    assert load_space("rooted").root is None
    assert options("five") == [] and options("rooted") == ["size", "batch_size"]


def test_unknown_spaces_and_options_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="unknown space 'six'; known: mini-image-text, .*, five"):
        load_space("six")
    with pytest.raises(
        ConfigError, match="encoders.five.size: unknown option; this space has none"
    ):
        load_space("five", size="small")
    with pytest.raises(
        ConfigError, match="encoders.rooted.siz: .*; known: size, batch_size; .*size"
    ):
        load_space("rooted", siz="small", size="huge")
    assert wrong_options("rooted", {"size": "huge", "batch_size": True}) == [
        "encoders.rooted.size: must be one of small, large, is 'huge'",
        "encoders.rooted.batch_size: must be a whole number > 0, is True",
    ]
    for name in ("mini-image-text", "mini-audio-text", "mini-points"):
        assert options(name) == [], "how a mini space is trained is no matter of `encoders`"


@pytest.mark.parametrize("name", ["clip", "clap", "clap-hf", "ulip2", "openshape"])
def test_a_batch_size_is_a_number_for_every_space(name):
    full = config.read(project_root() / "params.yaml")
    full["encoders"] = {name: {"batch_size": 4, "device": "cpu"}}
    config.check_names(config.check(full))
    full["encoders"][name]["batch_size"] = "4"
    with pytest.raises(ConfigError, match=f"encoders.{name}.batch_size: must be a whole number"):
        config.check_names(config.check(full))


def test_a_space_of_five_members_goes_through_a_whole_run(tmp_path):
    params = toy_project.toy_params(config.read(project_root() / "params.yaml"))
    params["base"]["own"] = "pictures"
    for leaf in params["leaves"]:
        leaf["own"] = "five"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"spaces": "own"}))
    toy.build(tmp_path)
    project = Project(tmp_path)
    config.check_names(project.params)
    assert pipeline.fit_spaces(project).empty
    rest = {"dim": 3, "file": "", "MB": 0.0, "license": "", "sha256": ""}
    assert loaded.table(project).to_dict("records") == [
        {"space": "pictures", "modalities": "text, image", "fingerprint": "b" * 12} | rest,
        {"space": "five", "modalities": "text, image, audio, points", "fingerprint": "f" * 12}
        | rest,
    ]
    banks = pipeline.extract(project)
    assert set(banks.modality) == set(Five.modalities) and banks.skipped.sum() == 0
    bank = Bank(project.bank_path("five", "points", "train"), verify=True)
    assert bank.fingerprint == Five.fingerprint
    items = project.items.set_index("id").loc[bank.ids]
    paths = [project.data / path for path in items.path]
    np.testing.assert_array_equal(bank.vectors, load_space("five").encode("points", paths))


def test_the_table_of_loaded_weights_needs_the_stage(tmp_path):
    params = toy_project.toy_params(config.read(project_root() / "params.yaml"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(
        ConfigError, match="mini-image-text-loaded.json is missing; run `exmcr spaces`"
    ):
        loaded.table(Project(tmp_path))
