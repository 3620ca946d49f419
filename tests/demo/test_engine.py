"""The demo without a browser: queries of several parts, methods, and what visitors do wrong."""

import numpy as np
import pandas as pd
import pytest
from stub_model import Stub
from tiny_video import grays, video

from exmcr import media
from exmcr.common.errors import BadItem, ConfigError
from exmcr.demo import uploads
from exmcr.demo.engine import BESIDE, Engine, Part, one_line
from exmcr.methods.baselines import hop
from exmcr.methods.registry import settings_of
from exmcr.model import exmcr as model

SPACES = {
    "mini-image-text": ("image", "text"),
    "mini-audio-text": ("audio", "text"),
    "mini-points": ("points", "image", "text"),
}


@pytest.mark.parametrize("modality", ["text", "image", "audio", "points"])
@pytest.mark.parametrize("method", ["exmcr", *BESIDE])
def test_every_modality_is_answered_by_every_method(engine, files, modality, method):
    for own, item in (
        ("text", "a dog"),
        ("audio", files / "tone.wav"),
        ("image", files / "red.png"),
        ("points", files / "cloud.npy"),
    ):
        rows = engine.answer([Part(own, item)], modality, method, 4)
        assert len(rows) == 4 and set(rows.modality) == {modality} and set(rows.split) == {"test"}
        assert rows.score.is_monotonic_decreasing and rows.score.between(-1, 1).all()


def test_every_encoder_has_encoded_an_item_before_the_first_query(project, monkeypatch):
    own = {name: Stub(name, modalities, 16) for name, modalities in SPACES.items()}
    for space in own.values():
        space.fingerprint = "synthetic"
    monkeypatch.setattr(model, "load_space", lambda name, **_: own[name])
    Engine(project, device="cpu").load()
    assert [own[name].encoded for name in SPACES] == [2, 1, 1]  # text and image, audio, points


def test_the_answers_of_exmcr_are_those_of_the_model(engine, project):
    rows = engine.answer([Part("text", "a dog")], "audio", k=3)
    query = engine.model.encode({"text": ["a dog"]})["text"]
    bank = project.bank("mini-audio-text", "audio", "test")
    top = engine.model.search(query, bank, 3)
    assert rows.id.tolist() == bank.ids[top.indices[0]].tolist()
    np.testing.assert_allclose(rows.score, top.scores[0], atol=1e-6)


def test_the_answers_of_the_hop_are_those_of_its_maps(engine, project, files):
    leaf = project.leaves[0]
    maps = hop(project.pools(leaf), 0, **settings_of(project.params, "hop", leaf.name))
    own = engine.model.space(engine.model.leaves[leaf.name]).encode("audio", [files / "tone.wav"])
    np.testing.assert_allclose(
        engine.vector(Part("audio", files / "tone.wav"), "hop"), maps.leaf(own), atol=1e-6
    )


def test_parts_are_summed_with_their_weights_and_but_not_is_subtracted(engine, files):
    dog, red = Part("text", "a dog"), Part("image", files / "red.png", 0.3)
    vectors = [engine.vector(dog), engine.vector(red)]
    for sign in (1, -1):
        parts = [dog, Part("image", files / "red.png", sign * 0.3)]
        rows = engine.answer(parts, "image", k=6)
        query = engine.model.combine(vectors, [1, sign * 0.3])
        expected = np.sort(engine.gallery("exmcr", "image") @ query[0])[::-1][:6]
        np.testing.assert_allclose(rows.score, expected, atol=1e-6)


def test_methods_differ_for_leaves_and_agree_for_the_base(engine):
    def ids(modality, method):
        return engine.answer([Part("text", "a dog")], modality, method, 6).id.tolist()

    assert ids("image", "exmcr") == ids("image", "hop")
    assert np.abs(engine.gallery("exmcr", "audio") - engine.gallery("hop", "audio")).max() > 0.01


def test_exmcr_plus_is_offered_if_the_comparison_has_it(project, engine):
    assert engine.methods == ["exmcr", "hop", "procrustes"]
    path = project.reports / "compare.csv"
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame({"method": ["asif", "exmcr+"]}).to_csv(path)
    try:
        assert Engine(project).methods == ["exmcr", "hop", "procrustes", "exmcr+"]
    finally:
        path.unlink()


WRONG = {
    "nothing": ([], "image", "exmcr", "an empty query: type something"),
    "weights of zero": ([Part("text", "a dog", 0)], "image", "exmcr", "an empty query"),
    "blanks": ([Part("text", " ")], "image", "exmcr", "empty text"),
    "itself subtracted": (
        [Part("text", "a dog"), Part("text", "a dog", -1)],
        "image",
        "exmcr",
        "the parts of the query cancel each other",
    ),
    "another modality": ([Part("text", "a dog")], "speech", "exmcr", "nothing to search"),
    "another method": ([Part("text", "a dog")], "audio", "magic", "unknown method 'magic'"),
    "a missing modality": ([Part("speech", "a.wav")], "image", "exmcr", "no modality 'speech'"),
}


@pytest.mark.parametrize(("parts", "modality", "method", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_query_is_one_line(engine, parts, modality, method, says):
    with pytest.raises((ConfigError, BadItem), match=says) as caught:
        engine.answer(parts, modality, method)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "modality", "says"),
    [
        ("page.html", "image", r"page\.html is not a picture; known kinds: .*\.png"),
        ("red.png", "audio", r"red\.png is not a sound; known kinds: \.wav"),
        ("tone.wav", "points", r"tone\.wav is not a shape; known kinds: \.npy"),
        ("broken.png", "image", "unreadable image"),
        ("empty.wav", "audio", "empty file"),
    ],
)
def test_an_upload_of_a_wrong_kind_is_one_line_without_paths(engine, files, name, modality, says):
    with pytest.raises(BadItem, match=says) as caught:
        engine.answer([Part(modality, files / name)], "image")
    assert "\n" not in str(caught.value) and str(files) not in str(caught.value)


def test_a_video_is_a_picture_of_several_frames(engine, files):
    path = video(files / "clip.mp4", grays([40, 80, 120]))
    frames = media.load("image", path)
    base = engine.model.space(engine.model.base)
    mean = base.encode_loaded("image", list(frames)).mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(engine.vector(Part("image", path))[0], expected, atol=1e-6)
    assert len(engine.answer([Part("image", path)], "audio", k=3)) == 3


def test_an_upload_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate((uploads.MEGABYTES << 20) + 1)
    with pytest.raises(BadItem, match=r"long\.wav has 50 MB; at most 50 MB"):
        uploads.check(path, "audio")


def test_errors_of_the_program_are_one_line_too():
    assert one_line(ZeroDivisionError("by\nzero")) == "ZeroDivisionError: by zero"
    assert one_line(BadItem("empty text")) == "empty text"
