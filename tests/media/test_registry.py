"""MODALITIES: one entry adds a modality, and an unknown one is an error."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.media import MODALITIES, Modality, sounds

ITEMS = {
    "text": "a dog",
    "image": np.zeros((4, 6, 3), np.uint8),
    "audio": (np.linspace(-0.5, 0.5, 8000, dtype=np.float32), 8000),
    "points": np.random.default_rng(0).normal(size=(200, 3)),
    "speech": (np.linspace(-0.5, 0.5, 8000, dtype=np.float32), 8000),
}


@pytest.fixture
def depth(monkeypatch):
    """A further modality: text files of numbers."""

    def load(path, **window):
        return np.loadtxt(path), window

    entry = Modality(load, lambda axis, item: axis.imshow(item), "#56B4E9", "v", (".depth",))
    monkeypatch.setitem(MODALITIES, "depth", entry)
    return entry


def test_a_registered_modality_is_loaded(depth, tmp_path):
    (tmp_path / "a.depth").write_text("1 2\n3 4\n")
    loaded, window = media.load("depth", tmp_path / "a.depth", start=1.0)
    assert loaded.tolist() == [[1, 2], [3, 4]] and window == {"start": 1.0}
    assert media.modality("depth") is depth


@pytest.mark.parametrize("call", [media.modality, lambda name: media.load(name, None)])
def test_an_unknown_modality_is_an_error_that_lists_the_known_ones(call):
    known = "text, image, audio, points"
    with pytest.raises(ConfigError, match=f"unknown modality 'depth'; known: {known}"):
        call("depth")


def test_an_error_lists_a_registered_modality_too(depth):
    with pytest.raises(ConfigError, match="known: text, image, audio, points, speech, depth"):
        media.load("smell", None)


def test_every_modality_has_a_color_and_a_marker_of_its_own():
    assert list(MODALITIES) == list(ITEMS)
    for field in ("color", "marker"):
        assert len({getattr(entry, field) for entry in MODALITIES.values()}) == len(MODALITIES)


def test_no_suffix_belongs_to_two_modalities():
    suffixes = [suffix for entry in MODALITIES.values() for suffix in entry.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_every_loaded_item_can_be_drawn(name):
    figure, axis = plt.subplots()
    entry = media.modality(name)
    entry.draw(axis, entry.load(ITEMS[name]))
    assert len(axis.lines) + len(axis.images) + len(axis.texts) == 1
    plt.close(figure)


def test_a_waveform_is_drawn_in_the_color_cycle_of_its_axis():
    figure, axis = plt.subplots()
    axis.set_prop_cycle(color=["#123456"])
    sounds.draw(axis, sounds.load(ITEMS["audio"]))
    assert to_hex(axis.lines[0].get_color()) == "#123456"
    plt.close(figure)


def test_a_wav_is_written_whole_and_clipped(tmp_path):
    path = tmp_path / "new/folder/a.wav"
    sounds.write_wav(path, np.array([0.5, -2, 2, 0], np.float32), 8000)
    sound = sounds.load(path)
    np.testing.assert_allclose(sound.samples, [0.5, -1, 1, 0], atol=1e-4)
    assert sound.rate == 8000 and [file.name for file in path.parent.iterdir()] == ["a.wav"]
