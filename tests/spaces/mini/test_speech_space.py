"""The speech space on stub backbones: it learns what is said, starts from nothing, and is loaded again."""

import numpy as np
import pandas as pd
import pytest

from exmcr import config
from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.corpora import items
from exmcr.media import sounds
from exmcr.media.sounds import Sound
from exmcr.spaces.mini import space as mini_space
from exmcr.spaces.mini import speech, stage

SETTINGS = {"width": 0.3, "ridge": 0.1, "whiten": 0.0, "seed": 3}
WORDS = ["a dog", "a cat", "a boat", "a tree"]


class Voice:
    """The features of a sound are set by its pitch, which is the word."""

    size, fingerprint = speech.SpeechBackbone.size, "voice"

    def __call__(self, heard: list[Sound]) -> np.ndarray:
        pitch = [np.abs(np.fft.rfft(sound.samples)).argmax() for sound in heard]
        rows = [np.random.default_rng(p).normal(size=self.size) for p in pitch]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


class Letters:
    size, fingerprint = 384, "letters"

    def __call__(self, texts: list[str]) -> np.ndarray:
        rows = [np.random.default_rng(list(text.encode())).normal(size=384) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


def say(word: str, noise: int = 0) -> Sound:
    wave = np.sin(2 * np.pi * (40 + 20 * WORDS.index(word)) * np.arange(1000) / 1000)
    wave = wave + 0.01 * np.random.default_rng(noise).normal(size=1000)
    return Sound((wave / 2).astype(np.float32), 1000)


@pytest.fixture
def said(tmp_path, monkeypatch):
    """The item table of a project in which each word is said three times."""
    monkeypatch.setattr(speech, "SpeechBackbone", Voice)
    monkeypatch.setitem(mini_space.BACKBONES, "text", Letters)
    rows = []
    for n, word in enumerate(WORDS * 3):
        sounds.write_wav(tmp_path / f"data/{n}.wav", say(word, n).samples, 1000)
        common = dict(split="train", path=f"{n}.wav")
        rows.append(items.row(f"s/{n}", "speech", [word], word, "s", "", f"s/{n}", **common))
    rows.append(items.row("s/val", "speech", ["a bee"], "bee", "s", "", "s/val", split="val"))
    return tmp_path, pd.DataFrame(rows)


def test_what_is_said_is_near_its_text_and_the_space_is_loaded_again(said):
    root, table = said
    records = speech.fit_speech_text(table, root, SETTINGS)
    space = speech.MiniSpeechText(root)
    spoken = space.encode_loaded("speech", [say(word, 99) for word in WORDS])
    similarity = spoken @ space.encode_loaded("text", WORDS).T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3] and similarity.diagonal().min() > 0.9
    loss = {(record["step"], record["pair"]): record["loss"] for record in records}
    assert loss["names", "speech-text"] == 1, "no names: the start is zero"
    assert loss["fitted", "speech-text"] < 0.1
    assert space.fingerprint == speech.MiniSpeechText(root).fingerprint


def test_without_settings_the_leaf_is_not_fitted(said):
    root, table = said
    with pytest.raises(ConfigError, match="fit_spaces.speech_text: is missing; docs/speech.md"):
        speech.fit_speech_text(table, root, {})


def test_a_table_without_speech_is_an_error(said):
    root, table = said
    with pytest.raises(ConfigError, match="mini-speech-text.* no usable training items"):
        speech.fit_speech_text(table[table.split == "val"], root, SETTINGS)


def test_the_leaf_is_off_by_default_and_two_lines_switch_it_on():
    content = config.read(project_root() / "params.yaml")
    assert "mini-speech-text" not in config.check(content).space_names()
    content["corpora"] = "mini+speech"
    content["leaves"].append(
        {"name": "speech", "modality": "speech", "overlap": "text", "mini": "mini-speech-text"}
    )
    params = config.check(content)
    config.check_names(params)
    assert params.space_names()[-1] == "mini-speech-text"
    _, settings, sources = stage._jobs(params.fit_spaces)["mini-speech-text"]
    assert settings == content["fit_spaces"]["speech_text"] and sources == []


def test_the_settings_of_the_leaf_may_be_missing():
    content = config.read(project_root() / "params.yaml")
    content["fit_spaces"].pop("speech_text", None)
    _, settings, _ = stage._jobs(config.check(content).fit_spaces)["mini-speech-text"]
    assert settings == {}
