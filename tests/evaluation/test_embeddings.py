"""Vectors of the items that a task names."""

import numpy as np
import pandas as pd
import pytest
import synthetic

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.evaluation.embeddings import Embeddings
from exmcr.methods.maps import Maps


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return synthetic.project(tmp_path_factory.mktemp("project"), concepts=5)


@pytest.fixture(scope="module")
def embeddings(project):
    return Embeddings(project)


def items(project, modality, split):
    return project.items[(project.items.modality == modality) & (project.items.split == split)]


def texts(*captions, **columns):
    return pd.DataFrame({"modality": "text", "caption": captions} | columns)


def test_items_of_any_split_and_in_any_order_have_the_vectors_of_their_banks(project, embeddings):
    rows = pd.concat([items(project, "audio", s).iloc[::-1] for s in ("test", "train", "val")])
    banks = [project.bank("mini-audio-text", "audio", s) for s in ("test", "train", "val")]
    expected = np.concatenate([bank.vectors[::-1] for bank in banks])
    assert np.array_equal(embeddings.vectors("mini-audio-text", rows), expected)


def test_a_modality_is_encoded_by_its_leaf_and_others_by_the_base(project, embeddings):
    spaces = {m: embeddings.own_space(m) for m in ("text", "image", "audio", "points")}
    assert spaces == {
        "text": "mini-image-text",
        "image": "mini-image-text",
        "audio": "mini-audio-text",
        "points": "mini-points",
    }
    rows = items(project, "points", "test")
    bank = project.bank("mini-points", "points", "test")
    assert np.array_equal(embeddings.own(rows), bank.vectors)


def test_texts_are_found_by_their_wording(project, embeddings):
    """The texts of a task, names of classes for example, have ids of their own."""
    rows = texts("thing 3", "thing 1", id=["word/3", "word/1"])
    bank = project.bank("mini-image-text", "text", "train")
    expected = bank.take(["name/3", "name/1"])
    assert np.array_equal(embeddings.own(rows), expected)


def test_a_class_has_the_mean_of_its_prompts(embeddings):
    rows = texts("a", "b", captions=[["thing 0", "thing 1", "thing 2"], ["thing 4"]])
    single = embeddings.own(texts("thing 0", "thing 1", "thing 2", "thing 4"))
    expected = unit(np.stack([single[:3].mean(axis=0), single[3]]))
    assert np.allclose(embeddings.own(rows), expected, atol=1e-7)


def test_one_caption_for_each_text_is_no_class(embeddings):
    rows = texts("thing 0", captions=[["some other list"]])
    assert np.array_equal(embeddings.own(rows), embeddings.own(texts("thing 0")))


def test_items_without_a_vector_are_counted_and_one_is_named(project, embeddings):
    rows = items(project, "image", "test").assign(id=lambda t: "lost/" + t.id)
    message = "10 image items are in no bank of 'mini-image-text', e.g. 'lost/image/test/0/0'; run"
    with pytest.raises(ConfigError, match=message):
        embeddings.own(rows)
    with pytest.raises(ConfigError, match="1 text items are in no bank of 'mini-image-text'"):
        embeddings.own(texts("thing 0", "never written"))


def test_leaf_modalities_pass_their_map_and_others_stay_in_the_base(project, embeddings):
    maps = {"audio": Maps(leaf=lambda v: 2 * v), "points": Maps(leaf=lambda v: 3 * v)}
    for modality, factor in (("audio", 2), ("points", 3), ("image", 1), ("text", 1)):
        rows = items(project, modality, "test")
        assert np.array_equal(embeddings.common(rows, maps), factor * embeddings.own(rows))
