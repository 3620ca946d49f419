"""`encode` takes one item or a list of items of any modalities, as sentence-transformers does."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stub_model
import torch
from PIL import Image
from stub_model import picture, shape, sound

from exmcr.common.errors import BadItem, ConfigError
from exmcr.model.inputs import guess


@pytest.fixture
def model(monkeypatch):
    stub_model.use(monkeypatch)
    return stub_model.stub_model()


@pytest.fixture
def files(tmp_path):
    picture(tmp_path / "a.png")
    sound(tmp_path / "b.wav")
    shape(tmp_path / "c.npy")
    return tmp_path


def test_a_mixed_list_has_the_rows_of_each_modality_in_its_own_order(model, files):
    cloud, wave = np.load(files / "c.npy"), (np.sin(np.arange(900)).astype(np.float32), 8000)
    items = ["a dog", files / "a.png", str(files / "b.wav"), cloud, "a cat", wave]
    apart = model.encode(
        {
            "text": ["a dog", "a cat"],
            "image": [files / "a.png"],
            "audio": [files / "b.wav", wave],
            "points": [cloud],
        }
    )
    expected = [apart["text"][0], apart["image"][0], apart["audio"][0], apart["points"][0]]
    expected += [apart["text"][1], apart["audio"][1]]
    np.testing.assert_allclose(model.encode(items), expected, atol=1e-6)


def test_one_item_gives_one_vector(model, files):
    for item in ("a dog", files / "a.png", np.load(files / "c.npy"), Image.open(files / "a.png")):
        vector = model.encode(item)
        assert vector.shape == (16,) and vector.dtype == np.float32
        np.testing.assert_allclose(model.encode([item])[0], vector, atol=1e-6)
    assert model.encode([]).shape == (0, 16)


def test_a_sound_is_a_pair_or_the_dictionary_of_datasets(model):
    samples = np.sin(np.arange(900)).astype(np.float32)
    vectors = [
        model.encode(sound)
        for sound in (
            (samples, 8000),
            {"array": samples, "sampling_rate": 8000},
            [{"audio": {"array": samples, "sampling_rate": 8000}}],
            {"audio": [(samples, 8000)]},
        )
    ]
    expected = vectors[-1]["audio"]
    for vector in vectors[:-1]:
        np.testing.assert_allclose(np.atleast_2d(vector), expected, atol=1e-6)


def test_an_item_of_several_parts_is_the_normalized_sum(model, files):
    both = model.encode([{"image": files / "a.png", "text": "at night"}])
    apart = model.encode({"image": [files / "a.png"], "text": ["at night"]})
    np.testing.assert_allclose(both, model.combine([apart["image"], apart["text"]]), atol=1e-6)


def test_a_dictionary_names_the_modality(model, files):
    named = model.encode([{"text": str(files / "a.png")}, {"image": str(files / "a.png")}])
    np.testing.assert_allclose(
        named[0], model.encode({"text": [str(files / "a.png")]})["text"][0], atol=1e-6
    )
    np.testing.assert_allclose(named[1], model.encode(files / "a.png"), atol=1e-6)


@pytest.mark.parametrize(
    "kind", [np.array, pd.Series, tuple, iter], ids=["array", "Series", "tuple", "iter"]
)
def test_texts_may_be_in_any_sequence(model, kind):
    texts = ["a dog", "a cat"]
    np.testing.assert_allclose(model.encode(kind(texts)), model.encode(texts), atol=1e-6)


def test_the_options_of_sentence_transformers(model):
    plain = model.encode(["a dog", "a cat"], batch_size=1, show_progress_bar=False)
    tensor = model.encode(["a dog", "a cat"], convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and np.allclose(tensor.numpy(), plain)
    listed = model.encode(["a dog", "a cat"], convert_to_numpy=False, normalize_embeddings=True)
    assert [type(row) for row in listed] == [torch.Tensor] * 2
    assert model.encode("a dog", convert_to_numpy=False).shape == (16,)
    prompted = model.encode(["dog"], prompt="a ")
    np.testing.assert_allclose(prompted, plain[:1], atol=1e-6)
    by_modality = model.encode({"text": ["a dog"]}, convert_to_tensor=True)
    assert isinstance(by_modality["text"], torch.Tensor)
    np.testing.assert_allclose(
        model.encode(["a dog"], seed=5), model.encode({"text": ["a dog"]}, seed=5)["text"]
    )
    with pytest.raises(TypeError, match="nonsense"):
        model.encode(["a dog"], nonsense=1)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("a dog", "text"),
        ("no such.wav", "text"),
        ("x" * 5000 + ".wav", "text"),
        ("nul\0.wav", "text"),
        (Path("no such.wav"), "audio"),
        (Path("a.pdf"), None),
        (np.zeros((4, 5, 3), np.uint8), "image"),
        (np.zeros((40, 3)), "points"),
        (torch.zeros(40, 3), "points"),
        (np.zeros(40), None),
        ((np.zeros(40), 8000), "audio"),
        (("a", "b"), None),
        (3, None),
        (None, None),
    ],
    ids=str,
)
def test_the_modality_of_an_item_is_guessed_by_its_type_or_suffix(item, expected):
    assert guess(item) == expected


WRONG = {
    "a number": ([3], BadItem, "item 0: the modality of a int is unknown"),
    "another file": (["a", Path("b.pdf")], BadItem, "item 1: the modality of a file b.pdf"),
    "samples alone": ([np.zeros(40)], BadItem, "item 0: the modality of a ndarray is unknown"),
    "an unknown modality": ([{"smell": "roses"}], ConfigError, "item 0: unknown modality 'smell'"),
    "an empty dictionary": ([{}], ConfigError, "item 0: unknown modality"),
    "an empty text": (["a", " "], BadItem, "text item 1"),
    "a modality that the model lacks": ([{"speech": "a.wav"}], ConfigError, "no modality 'speech'"),
}


@pytest.mark.parametrize(("items", "kind", "says"), WRONG.values(), ids=WRONG)
def test_items_that_cannot_be_used_are_named(model, items, kind, says):
    with pytest.raises(kind, match=says):
        model.encode(items)


def test_items_can_be_left_out_by_modality_only(model):
    with pytest.raises(ConfigError, match="skip_bad needs items by modality"):
        model.encode(["a", ""], skip_bad=True)
