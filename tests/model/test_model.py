"""ExMCR: a loaded model equals the saved one, every modality is encoded into the base space, and
another encoder is refused."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import synthetic
import torch
import yaml
from PIL import Image
from stored import store

from exmcr import config
from exmcr.banks import extraction as banks
from exmcr.commands.main import main
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.paths import project_root
from exmcr.methods import cmcr
from exmcr.model import encoded, verify
from exmcr.model import exmcr as model
from exmcr.model.cmcr import fit_model
from exmcr.model.exmcr import Base, ExMCR, Leaf
from exmcr.project import Project
from exmcr.spaces.base import Space
from exmcr.training import projectors
from exmcr.training.projectors import Projector

DEMO = Path(
    os.environ.get("EXMCR_AUTHORS_DEMO", Path(__file__).parents[3] / "shared/data/authors-demo")
)


class Fake(Space):
    """Vectors made from the item: from its first numbers, or from the letters of a text."""

    def __init__(self, name, modalities, dim, fingerprint=None):
        self.name, self.modalities, self.dim, self.fingerprint = (
            name,
            modalities,
            dim,
            fingerprint or f"print of {name}",
        )

    def encode_batch(self, modality, items):
        rows = []
        for item in items:
            content = {
                "text": lambda: list(item.encode()),
                "image": lambda: item,
                "audio": lambda: item.samples,
                "points": lambda: item,
            }[modality]()
            rows.append(np.resize(np.asarray(content, np.float32).ravel() % 7 + 0.1, self.dim))
        return np.stack(rows)


SPACES = {
    "base": lambda **_: Fake("base", ("image", "text"), 12),
    "ears": lambda **_: Fake("ears", ("audio", "text"), 8),
    "hands": lambda **_: Fake("hands", ("points", "image"), 10),
}


@pytest.fixture(autouse=True)
def spaces(monkeypatch):
    """(fake spaces by name, list of what was loaded); spaces are loaded from the former."""
    loaded, known = [], dict(SPACES)

    def load_space(name, **settings):
        loaded.append((name, settings))
        return known[name](**settings)

    monkeypatch.setattr(model, "load_space", load_space)
    return known, loaded


@pytest.fixture
def extended():
    torch.manual_seed(0)
    base = Base("base", "print of base", 12, ("image", "text"))
    ears = Leaf(
        "ears",
        "audio",
        "text",
        "ears",
        "print of ears",
        8,
        {3: Projector(8, 12, 16), 5: Projector(8, 12, 16)},
        {"tau1": 0.01},
    )
    hands = Leaf(
        "hands", "points", "image", "hands", "print of hands", 10, {3: Projector(10, 12, 16)}
    )
    return ExMCR(base, [ears, hands], device="cpu")


@pytest.fixture
def items(tmp_path):
    rng = np.random.default_rng(0)
    wave = (rng.uniform(-0.5, 0.5, 4000).astype(np.float32), 8000)
    soundfile.write(tmp_path / "three.wav", rng.uniform(-0.5, 0.5, (4000, 3)), 8000)
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    cloud = rng.normal(size=(50, 3))
    np.save(tmp_path / "a.npy", cloud)
    return {
        "text": ["a dog", "two birds sing"],
        "image": [tmp_path / "a.png", Image.open(tmp_path / "a.png")],
        "audio": [wave, str(tmp_path / "three.wav")],
        "points": [tmp_path / "a.npy", cloud],
    }


def bank(folder, name, modality, vectors, fingerprint=None):
    table = pd.DataFrame({"id": [f"{modality}/{n}" for n in range(len(vectors))]})
    space = Fake(name, (modality,), vectors.shape[1], fingerprint)
    space.encode_loaded = lambda modality, rows: np.stack(rows)
    return banks.extract(
        space,
        modality,
        table,
        folder,
        lambda row: vectors[int(row.id.split("/")[1])],
        progress=False,
    )


def random_rows(n, dim, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_every_modality_becomes_unit_rows_of_the_base_space(extended, items, spaces):
    assert extended.modalities == ("text", "image", "audio", "points")
    found = extended.encode(items)
    assert list(found) == list(items) and found.skipped == []
    for vectors in found.values():
        assert vectors.shape == (2, 12) and vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(
        found["image"][0], found["image"][1]
    )  # a path, and the picture at it
    np.testing.assert_allclose(found["points"][0], found["points"][1], atol=1e-6)
    # the base is left unchanged, a leaf is projected
    np.testing.assert_array_equal(found["text"], SPACES["base"]().encode("text", items["text"]))
    with torch.no_grad():
        expected = extended.leaves["ears"].projectors[3](
            torch.from_numpy(SPACES["ears"]().encode("audio", items["audio"]))
        )
    np.testing.assert_allclose(found["audio"], expected, atol=1e-6)


def test_an_encoder_is_loaded_when_needed_and_once(extended, items, spaces):
    _, loaded = spaces
    assert loaded == []
    extended.settings["ears"] = {"device": "cpu"}
    extended.encode({"audio": items["audio"]})
    extended.encode({"audio": items["audio"]})
    assert loaded == [("ears", {"device": "cpu"})]
    assert extended.encode({"audio": [], "text": []})["audio"].shape == (0, 12)


def test_seeds(extended, items):
    first, named, other = (
        extended.encode({"audio": items["audio"]}, seed=s)["audio"] for s in (None, 3, 5)
    )
    np.testing.assert_array_equal(first, named)
    assert np.abs(named - other).max() > 0.01
    with pytest.raises(ConfigError, match="leaf 'ears' has no projector of seed 4, only of 3, 5"):
        extended.encode({"audio": items["audio"]}, seed=4)


def test_many_items_are_encoded_in_chunks(extended, monkeypatch):
    monkeypatch.setattr(model, "CHUNK", 3)
    texts = [f"text number {n}" for n in range(10)]
    np.testing.assert_array_equal(
        extended.encode({"text": texts}, progress=False)["text"],
        SPACES["base"]().encode("text", texts),
    )


def test_a_bad_item_is_named_or_skipped_and_reported(extended, items, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "CHUNK", 2)
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(1000), 8000)
    given = {
        "audio": [silent, *items["audio"], silent],
        "text": ["", "a dog"],
        "points": [tmp_path / "none.npy"],
    }
    with pytest.raises(BadItem, match="audio item 0 .*silent.wav.: silent sound"):
        extended.encode(given)
    with pytest.raises(BadItem, match="points item 0 .*none.npy"):
        extended.encode({"points": given["points"]})
    found = extended.encode(given, skip_bad=True)
    assert {m: len(v) for m, v in found.items()} == {"audio": 2, "text": 1, "points": 0}
    assert [s[:2] for s in found.skipped] == [
        ("audio", 0),
        ("audio", 3),
        ("text", 0),
        ("points", 0),
    ]
    np.testing.assert_allclose(
        found["audio"], extended.encode({"audio": items["audio"]})["audio"], atol=1e-6
    )


class Harm:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return subprocess.call, ([sys.executable, "-c", f"open({str(self.mark)!r}, 'w')"],)


def test_unusual_files_are_read_correctly_or_refused(extended, tmp_path):
    rng = np.random.default_rng(0)
    # a sound of three channels is their mean
    channels = rng.uniform(-0.3, 0.3, (4000, 3)).astype(np.float32)
    soundfile.write(tmp_path / "three.wav", channels, 8000, subtype="FLOAT")
    found = extended.encode({"audio": [tmp_path / "three.wav", (channels.mean(axis=1), 8000)]})[
        "audio"
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    # 16-bit gray is scaled, not clipped; an animation is its first frame
    Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)).save(
        tmp_path / "gray.png"
    )
    eight = np.repeat(
        (np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30) / 65535 * 255).astype(
            np.uint8
        )[:, :, None],
        3,
        2,
    )
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    found = extended.encode(
        {"image": [tmp_path / "gray.png", eight, tmp_path / "film.gif", frames[0]]}
    )["image"]
    assert found[0] @ found[1] > 0.99 and found[2] @ found[3] > 0.999
    # empty files, and a pickle that would run code
    for name in ("empty.ply", "empty.npy", "empty.pts", "empty.obj"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(BadItem, match=f"points item 0 .*{name}"):
            extended.encode({"points": [tmp_path / name]})
    np.save(tmp_path / "harm.npy", np.array([Harm(tmp_path / "mark")], object), allow_pickle=True)
    for modality in ("points", "image", "audio"):
        with pytest.raises(BadItem, match=f"{modality} item 0 .*harm.npy"):
            extended.encode({modality: [tmp_path / "harm.npy"]})
    assert not (tmp_path / "mark").exists()
    np.load(tmp_path / "harm.npy", allow_pickle=True)  # with pickles allowed, the code runs
    assert (tmp_path / "mark").exists()


def test_wrong_input_is_refused(extended):
    with pytest.raises(ConfigError, match="no modality 'smell', only text, image, audio, points"):
        extended.encode({"smell": ["roses"]})
    with pytest.raises(ConfigError, match="must be a list, not a single str"):
        extended.encode({"text": "a dog"})
    with pytest.raises(ConfigError, match="no leaf 'eyes', only ears, hands"):
        extended.project("eyes", np.ones((1, 8)))
    with pytest.raises(ConfigError, match=r"takes vectors \(n, 8\), not \(2, 9\)"):
        extended.project("ears", np.ones((2, 9)))
    for bad in (np.nan, np.inf, 0):
        with pytest.raises(FloatingPointError, match="1 of 2 rows"):
            extended.project("ears", np.array([np.ones(8), np.full(8, bad)]))


def test_projecting_vectors_and_a_bank_of_them(extended, tmp_path, monkeypatch):
    rows = random_rows(20, 8)
    expected = extended.project("ears", rows)
    with torch.no_grad():
        np.testing.assert_allclose(
            expected, extended.leaves["ears"].projectors[3](torch.from_numpy(rows)), atol=1e-6
        )
    np.testing.assert_allclose(extended.project("ears", rows.tolist()), expected, atol=1e-6)
    monkeypatch.setattr(encoded, "ROWS", 7)
    np.testing.assert_allclose(
        extended.project("ears", bank(tmp_path / "b", "ears", "audio", rows)), expected, atol=1e-6
    )
    with pytest.raises(ConfigError, match="leaf 'ears' projects audio, .* holds text"):
        extended.project("ears", bank(tmp_path / "t", "ears", "text", rows))


def test_search_is_exact_in_banks_of_the_base_and_of_leaves(extended, tmp_path):
    queries, pictures, sounds = random_rows(4, 12), random_rows(300, 12, 1), random_rows(200, 8, 2)
    in_base, in_leaf = (
        bank(tmp_path / "i", "base", "image", pictures),
        bank(tmp_path / "a", "ears", "audio", sounds),
    )
    for gallery, rows in (
        (in_base, pictures),
        (in_leaf, extended.project("ears", sounds)),
        (pictures, pictures),
        (tmp_path / "i", pictures),
    ):
        found = extended.search(queries, gallery, k=7)
        scores = queries @ rows.T
        np.testing.assert_array_equal(found.indices, np.argsort(-scores, axis=1)[:, :7])
        np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :7], atol=1e-5)
    assert in_leaf.ids[extended.search(queries, in_leaf, k=1).indices[0, 0]].startswith("audio/")
    other = extended.search(queries, in_leaf, k=7, seed=5)
    assert (other.indices != extended.search(queries, in_leaf, k=7).indices).any()
    with pytest.raises(ConfigError, match="k is between 1 and"):
        extended.search(queries, in_base, k=301)


def test_similarity_and_sums():
    a, b = random_rows(3, 12), random_rows(3, 12, 1)
    np.testing.assert_allclose(ExMCR.similarity(a, b), a @ b.T, atol=1e-6)
    both = ExMCR.combine([a, b])
    np.testing.assert_allclose(
        both, (a + b) / np.linalg.norm(a + b, axis=1, keepdims=True), atol=1e-6
    )
    np.testing.assert_allclose(ExMCR.combine([a, b], [3, 0]), a, atol=1e-6)
    but_not = 2 * a - 0.5 * b
    np.testing.assert_allclose(
        ExMCR.combine([a, b], [2, -0.5]),
        but_not / np.linalg.norm(but_not, axis=1, keepdims=True),
        atol=1e-6,
    )
    for wrong in ([a, b[:2]], [], [a[0], b[0]]):
        with pytest.raises(ConfigError, match="one shape"):
            ExMCR.combine(wrong)
    for weights in ([1], [1, np.nan]):
        with pytest.raises(ConfigError, match="finite weights"):
            ExMCR.combine([a, b], weights)
    with pytest.raises(FloatingPointError, match="weighted sum"):
        ExMCR.combine([a, a], [1, -1])
    with pytest.raises(ConfigError, match=r"\(3, 12\) and \(3, 11\)"):
        ExMCR.similarity(a, b[:, 1:])


def test_another_encoder_is_refused_and_both_are_named(extended, items, spaces, tmp_path):
    known, _ = spaces
    known["ears"] = lambda **_: Fake("ears", ("audio", "text"), 8, "another print")
    with pytest.raises(
        ConfigError,
        match="projector 'ears' was trained on vectors of 'ears', fingerprint print of ears; .*'ears', fingerprint another print",
    ):
        extended.encode({"audio": items["audio"]})
    known["base"] = lambda **_: Fake("base", ("image", "text"), 12, "a third")
    with pytest.raises(
        ConfigError,
        match="trained towards 'base', fingerprint print of base; .*fingerprint a third",
    ):
        extended.encode({"text": ["a dog"]})
    foreign = bank(tmp_path / "b", "ears", "audio", random_rows(5, 8), "another print")
    for use in (
        lambda: extended.project("ears", foreign),
        lambda: extended.search(random_rows(1, 12), foreign, 1),
    ):
        with pytest.raises(ConfigError, match="print of ears; bank .* fingerprint another print"):
            use()
    with pytest.raises(ConfigError, match="print of base; bank .* fingerprint another print"):
        extended.search(
            random_rows(1, 12),
            bank(tmp_path / "i", "base", "image", random_rows(5, 12), "another print"),
            1,
        )


def test_saved_and_loaded_it_is_the_same_model(extended, items, tmp_path):
    extended.save(tmp_path / "m")
    again = ExMCR.load(tmp_path / "m", device="cpu")
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["exmcr.json", "exmcr.safetensors"]
    assert again.base == extended.base and again.leaves["ears"].training == {"tau1": 0.01}
    assert list(again.leaves["ears"].projectors) == [3, 5]
    for seed in (3, 5):
        mine, its = (
            made.encode({"audio": items["audio"]}, seed=seed)["audio"] for made in (extended, again)
        )
        np.testing.assert_array_equal(mine, its)
    np.testing.assert_array_equal(again.encode(items)["points"], extended.encode(items)["points"])
    assert str(tmp_path) not in (tmp_path / "m/exmcr.json").read_text()


def test_a_damaged_model_is_refused(extended, tmp_path):
    with pytest.raises(ConfigError, match="exmcr export"):
        ExMCR.load(tmp_path / "none")
    weights, note = tmp_path / "exmcr.safetensors", tmp_path / "exmcr.json"
    extended.save(tmp_path)
    content, blob = note.read_text(), weights.read_bytes()
    parsed = json.loads(content)
    weights.write_bytes(blob[:-1])
    with pytest.raises(ConfigError, match="exmcr.safetensors"):
        ExMCR.load(tmp_path)
    weights.write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]))
    with pytest.raises(ConfigError, match="not the file that exmcr.json"):
        ExMCR.load(tmp_path)
    weights.write_bytes(blob)
    more = json.loads(content)
    more["leaves"][0]["seeds"] = [3, 4]
    less = json.loads(content)
    del less["leaves"][1]["overlap"]
    baseless = {k: v for k, v in parsed.items() if k != "base"}
    newer, whole = parsed | {"format": "exmcr 9"}, "whole model"
    for wrong, message in (
        (newer, "exmcr 9"),
        ([], "damaged"),
        (more, whole),
        (less, whole),
        (baseless, whole),
    ):
        note.write_text(json.dumps(wrong))
        with pytest.raises(ConfigError, match=message):
            ExMCR.load(tmp_path)
    note.write_text(content[:50])
    with pytest.raises(ConfigError, match="exmcr.json is damaged"):
        ExMCR.load(tmp_path)
    weights.unlink()
    note.write_text(content)
    with pytest.raises(ConfigError, match="no weight file"):
        ExMCR.load(tmp_path)


def test_parts_that_do_not_fit():
    base = Base("base", "", 12, ("image", "text"))

    def leaf(name, modality, dim=8, out=12):
        return Leaf(name, modality, "text", "ears", "", dim, {0: Projector(8, out, 16)})

    with pytest.raises(ConfigError, match="a name and a modality of its own"):
        ExMCR(base, [leaf("a", "audio"), leaf("b", "audio")])
    with pytest.raises(ConfigError, match="a name and a modality of its own"):
        ExMCR(base, [leaf("a", "audio"), leaf("a", "points")])
    for wrong in (leaf("a", "audio", dim=9), leaf("a", "audio", out=11)):
        with pytest.raises(ConfigError, match="dimensions"):
            ExMCR(base, [wrong])
    with pytest.raises(ConfigError, match="no projector"):
        ExMCR(base, [Leaf("a", "audio", "text", "ears", "", 8, {})])


@pytest.fixture
def project(tmp_path):
    """A project folder after the stage `train`, with projectors of two seeds."""
    params = config.read(project_root() / "params.yaml") | {"seeds": [0, 1], "spaces": "mini"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    opened = Project(tmp_path)
    for leaf in opened.leaves:
        fingerprints = (f"of {opened.params.leaf_space(leaf)}", "of the base")
        for seed in opened.params.seeds:
            store(opened, leaf, seed, (8, 12, 16), fingerprints)
    return tmp_path


def test_from_a_project(project):
    made = ExMCR.from_project(project)
    assert made.base == Base("mini-image-text", "of the base", 12, ("image", "text"))
    assert [
        (leaf.name, leaf.modality, leaf.overlap, leaf.space, leaf.fingerprint)
        for leaf in made.leaves.values()
    ] == [
        ("audio", "audio", "text", "mini-audio-text", "of mini-audio-text"),
        ("points", "points", "image", "mini-points", "of mini-points"),
    ]
    assert list(made.leaves["audio"].projectors) == [0, 1]
    assert made.settings["mini-points"] == {"root": project}
    assert list(ExMCR.from_project(project, seeds=[1]).leaves["audio"].projectors) == [1]
    stored = projectors.load(project / "models/projectors/audio-seed1.safetensors").state_dict()
    kept = (
        ExMCR.load(made.save(project / "out"), device="cpu")
        .leaves["audio"]
        .projectors[1]
        .state_dict()
    )
    assert all(torch.equal(stored[name], kept[name]) for name in stored)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("pair", {"tau1": 0.5, "centers": ["overlap"]}, r"other settings \(pair\) than those of"),
        (
            "train",
            {"lr": 0.1},
            r"other settings \(train\) than those of params.yaml; run `exmcr tr",
        ),
        ("sha256", "0" * 64, "is not the file that points-seed1.json describes; run `exmcr train`"),
    ],
)
def test_projectors_of_another_experiment_are_refused(project, key, value, message):
    note = project / "models/projectors/points-seed1.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {key: value}))
    with pytest.raises(ConfigError, match=message):
        ExMCR.from_project(project)
    assert ExMCR.from_project(project, seeds=[0]).leaves


def test_of_several_leaves_of_a_modality_the_first_is_taken_or_the_one_that_is_named(project):
    content = config.read(project / "params.yaml")
    content["leaves"].insert(1, content["leaves"][0] | {"name": "louder"})
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    opened = Project(project)
    store(opened, opened.leaves[1], 0, (8, 12, 16), ("of mini-audio-text", "of the base"))
    assert list(ExMCR.from_project(project, [0]).leaves) == ["audio", "points"]
    assert list(ExMCR.from_project(project, [0], leaves=["louder"]).leaves) == ["louder"]
    with pytest.raises(ConfigError, match="no leaf 'quiet'; leaves: audio, louder, points"):
        ExMCR.from_project(project, [0], leaves=["quiet"])


def test_a_stored_model_has_the_weights_of_mini_spaces_and_the_options_of_others(
    project, tmp_path_factory
):
    weights = project / "models/spaces/mini-points.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    weights.with_suffix(".json").write_text("{}")
    (project / "mine.pt").write_bytes(b"weights")
    made = ExMCR.from_project(project, [0])
    made.settings["mini-audio-text"] |= {"checkpoint": "mine.pt", "device": "cuda", "tag": "mine"}
    folder = made.save(tmp_path_factory.mktemp("elsewhere") / "model")
    (project / "models/spaces").rename(project / "models/gone")
    settings = ExMCR.load(folder).settings
    assert settings["mini-points"] == {"root": folder}
    assert (folder / "models/spaces/mini-points.safetensors").read_bytes() == b"weights"
    assert settings["mini-audio-text"] == {"checkpoint": str(project / "mine.pt"), "tag": "mine"}
    given = ExMCR.load(folder, settings={"mini-points": {"device": "cpu"}}).settings
    assert given["mini-points"] == {"root": folder, "device": "cpu"}
    again = ExMCR.load(folder).save(folder)  # in place
    assert ExMCR.load(again).settings == settings
    with pytest.raises(ConfigError, match="cannot write .*: Not a directory"):
        made.save(weights.parents[1] / "gone/mini-points.json/model")


def test_c_mcr_is_a_model_whose_modalities_meet_in_a_third_space(tmp_path):
    opened = synthetic.project(tmp_path, concepts=6)
    content = config.read(tmp_path / "params.yaml") | {"seeds": [3, 5]}
    content["compare"] = {"cmcr": {"settings": {"steps": 3, "batch": 16}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    opened = Project(tmp_path)
    with pytest.raises(ConfigError, match="choose one of audio, points"):
        fit_model(opened)
    made = fit_model(opened, "audio")
    kept = ExMCR.load(made.save(tmp_path / "out"), device="cpu")
    assert kept.base.modalities == ("image", "text") and list(kept.leaves) == ["audio"]
    sounds, images = (
        opened.bank(space, modality, "test")
        for space, modality in (("mini-audio-text", "audio"), ("mini-image-text", "image"))
    )
    maps = cmcr.fit(opened.pools(opened.leaves[0]), 5, settings={"steps": 3, "batch": 16})
    for extended in (made, kept):
        for bank, by_hand in ((sounds, maps.leaf), (images, maps.base)):
            rows = extended.gallery(bank, 5)[:]
            np.testing.assert_allclose(rows, by_hand(bank.vectors), atol=1e-6)
    first = kept.search(kept.gallery(sounds)[:2], images, k=3)
    assert first.indices.shape == (2, 3)
    with pytest.raises(ConfigError, match="no head of seed 4"):
        kept.gallery(images, 4)
    with pytest.raises(ConfigError, match="C-MCR connects the base with one leaf"):
        other = dataclasses.replace(kept.leaves["audio"], name="b", modality="points")
        ExMCR(kept.base, [kept.leaves["audio"], other])


def test_a_project_whose_parts_disagree(project):
    note = project / "models/projectors/points-seed1.json"
    right = json.loads(note.read_text())
    note.write_text(json.dumps(right | {"leaf_fingerprint": "other"}))
    with pytest.raises(
        ConfigError, match="seeds of leaf 'points' were trained on different encoders"
    ):
        ExMCR.from_project(project)
    note.write_text(json.dumps(right | {"base_fingerprint": "of another base"}))
    with pytest.raises(ConfigError, match="different base encoders.*of the base.*of another base"):
        ExMCR.from_project(project, seeds=[1])
    note.write_text(json.dumps(right | {"leaf_space": "ulip2"}))
    with pytest.raises(
        ConfigError,
        match="trained from 'ulip2' into 'mini-image-text', params.yaml names 'mini-points'",
    ):
        ExMCR.from_project(project, seeds=[1])
    note.unlink()
    with pytest.raises(ConfigError, match="points-seed1.json"):
        ExMCR.from_project(project)
    with pytest.raises(ConfigError, match="no projector"):
        ExMCR.from_project(project, seeds=[7])
    with pytest.raises(ConfigError, match="at least one seed"):
        ExMCR.from_project(project, seeds=[])


def test_the_authors_files(tmp_path, spaces):
    with pytest.raises(ConfigError, match="no projector .*ex_clap.pt: take it from https"):
        ExMCR.from_official(tmp_path)
    torch.manual_seed(0)
    for name in ("ex_clap.pt", "ex_ulip.pt"):
        projectors.save(Projector(), tmp_path / name)
    made = ExMCR.from_official(tmp_path, device="cpu")
    assert made.modalities == ("text", "image", "audio", "points") and made.base.space == "clip"
    known, _ = spaces
    known["clap"] = lambda **_: Fake(
        "clap", ("audio", "text"), 512, "whatever"
    )  # no fingerprint is recorded to compare with
    rows = random_rows(3, 512)
    assert made.encode({"audio": [(np.linspace(-1, 1, 2000), 8000)]})["audio"].shape == (1, 512)
    with torch.no_grad():
        np.testing.assert_allclose(
            made.project("points", rows),
            projectors.load(tmp_path / "ex_ulip.pt")(torch.from_numpy(rows)),
            atol=1e-6,
        )
    with pytest.raises(ConfigError, match="'clap', fingerprint not recorded; bank .* is 'other'"):
        made.project("audio", bank(tmp_path / "b", "other", "audio", rows))
    known["clip"] = lambda **_: Fake("clip", ("image", "text"), 768)  # a larger CLIP
    with pytest.raises(
        ConfigError, match="has 768 dimensions, the projectors were trained for 512"
    ):
        made.encode({"text": ["a dog"]})
    assert list(ExMCR.from_official(tmp_path, ["points"]).leaves) == ["points"]
    with pytest.raises(ConfigError, match="not 'smell'"):
        ExMCR.from_official(tmp_path, ["smell"])
    assert ExMCR.load(made.save(tmp_path / "m")).leaves["audio"].training["source"] == "ex_clap.pt"


@pytest.fixture
def real(tmp_path, monkeypatch, random_weights):
    """A complete weights folder, with random weights in every file."""
    from exmcr.spaces import load_space

    monkeypatch.setattr(model, "load_space", load_space)
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    for path in random_weights.iterdir():
        (tmp_path / path.name).symlink_to(path)
    torch.manual_seed(0)
    for name in ("ex_clap.pt", "ex_ulip.pt"):
        projectors.save(Projector(), tmp_path / name)
    yield tmp_path
    (tmp_path / "630k-fusion-best.safetensors").unlink(
        missing_ok=True
    )  # converted here: 600 MB that pytest would keep for three runs


@pytest.mark.slow
@pytest.mark.skipif(
    not DEMO.is_dir(), reason="the authors' demo files are not here; EXMCR_AUTHORS_DEMO says where"
)
def test_the_authors_demo_goes_through_unchanged(real, capfd, monkeypatch):
    """Three items in four modalities, through the real encoders in the real file formats, with random weights."""
    names = ("toilet", "BBQ", "train")
    items = {
        "image": [DEMO / f"{name}.jpeg" for name in names],
        "text": ["a toilet", "BBQ", "a train"],
        "audio": [DEMO / f"{name}.wav" for name in names],
        "points": [DEMO / f"{name}.npy" for name in names],
    }
    official = ExMCR.from_official(
        device="cpu", settings={name: {"device": "cpu"} for name in ("clip", "clap", "ulip2")}
    )
    found = official.encode(items)
    assert official.modalities == tuple(sorted(items, key=list(official.modalities).index))
    for modality, vectors in found.items():
        assert vectors.shape == (3, 512) and np.isfinite(vectors).all()
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert (vectors @ vectors.T)[~np.eye(3, dtype=bool)].max() < 0.99999, (
            f"{modality}: different items have different vectors"
        )
    np.testing.assert_allclose(
        found["points"][1:2], official.encode({"points": items["points"][1:2]})["points"], atol=1e-6
    )
    np.testing.assert_allclose(
        found["audio"][2:], official.encode({"audio": items["audio"][2:]})["audio"], atol=1e-5
    )
    # nothing but progress is printed
    assert capfd.readouterr().out == ""
    # random weights do not give the published numbers
    monkeypatch.setattr(verify, "load_space", lambda name, *_, **__: official._spaces[name])
    assert main(["verify", "--items", str(DEMO), "--device", "cpu"]) == 1
    out = capfd.readouterr().out
    assert (
        out.count("FAIL  Ex-MCR") == 6
        and "not compared: C-MCR, points; missing: ulip_clip.pt" in out
    )
    np.testing.assert_allclose(
        found["image"], official.space(official.base).encode("image", items["image"]), atol=1e-6
    )
