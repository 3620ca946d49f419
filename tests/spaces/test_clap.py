"""CLAP: random weights (158 M parameters) in the published file format, loaded by load_space."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from exmcr.common import checkpoints
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.hashing import sha256
from exmcr.media.sounds import Sound
from exmcr.spaces import clap, load_space

DEMO = Path(
    os.environ.get("EXMCR_AUTHORS_DEMO", Path(__file__).parents[3] / "shared/data/authors-demo")
)
POSITIONS = "text_branch.embeddings.position_ids"


@pytest.fixture(scope="session")
def folder(tmp_path_factory, clap_weights, tokenizer):
    """A weights folder of its own: tests here move and damage what is in it."""
    folder = tmp_path_factory.mktemp("clap")
    for path in (clap_weights, tokenizer):
        (folder / path.name).symlink_to(path)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def space(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXMCR_WEIGHTS", str(folder))
        return load_space("clap", device="cpu", batch_size=3)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """25 s at 48 kHz; 2 s at 16 kHz; 3 s of three channels at 44.1 kHz."""
    folder, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    paths = []
    for k, (seconds, rate, channels) in enumerate(
        [(25, 48_000, 1), (2, 16_000, 1), (3, 44_100, 3)]
    ):
        time = np.arange(int(seconds * rate)) / rate
        wave = np.sin(2 * np.pi * (200 + 40 * time) * time)[:, None] * rng.uniform(
            0.1, 0.5, channels
        )
        paths.append(folder / f"{k}.wav")
        soundfile.write(paths[-1], wave + 0.05 * rng.normal(size=wave.shape), rate)
    return paths


def test_a_long_sound_has_the_same_vector_in_every_run(space, sounds):
    np.random.seed(1)
    expected = np.random.RandomState(1).random()
    first = space.encode("audio", sounds[:1])
    assert np.random.random() == expected  # the caller's generator is as it was
    np.random.seed(2)
    np.testing.assert_array_equal(first, space.encode("audio", sounds[:1]))
    assert (space.name, space.dim, space.modalities) == ("clap", 512, ("audio", "text"))
    # laion_clap itself would place its crops elsewhere each time
    samples = clap.resample(Sound(soundfile.read(sounds[0], dtype="float32")[0], 48_000))
    features = lambda: space._laion.get_audio_features(
        {},
        torch.from_numpy(samples),
        clap.LENGTH,
        "fusion",
        "repeatpad",
        space._config["audio_cfg"],
    )["mel_fusion"]
    assert not torch.equal(features(), features())


def test_the_batch_does_not_matter(space, sounds):
    together = space.encode("audio", [*sounds, *sounds[::-1]])
    np.testing.assert_allclose(together[:3], together[:2:-1], atol=1e-5)
    np.testing.assert_allclose(together[:2], space.encode("audio", sounds[:2]), atol=1e-5)


def test_short_sounds_are_encoded_as_by_laion_clap(space, sounds):
    """Against laion_clap's own method on the same network, with samples brought to 48 kHz mono by hand."""
    stereo, rate = soundfile.read(sounds[2], dtype="float32")
    samples = soxr.resample(stereo.mean(axis=1), rate, 48_000, quality="HQ")
    own = space._laion.CLAP_Module.get_audio_embedding_from_data
    stub = types.SimpleNamespace(model=space.network, model_cfg=space._config, enable_fusion=True)
    with torch.inference_mode():
        expected = own(stub, [samples])
    np.testing.assert_allclose(space.encode("audio", sounds[2:]), expected, atol=1e-5)


def test_texts_are_encoded_as_by_the_network_itself(space):
    one, two = "a dog barks", "rain on a tin roof, and thunder"
    both = space.encode("text", [one, two])
    np.testing.assert_allclose(space.encode("text", [one]), both[:1], atol=1e-5)
    tokens = space.tokenizer(
        [one, two], padding="max_length", truncation=True, max_length=77, return_tensors="pt"
    )
    assert tokens["input_ids"].shape == (2, 77) and (tokens["input_ids"] == 3).sum() == 0
    with torch.inference_mode():
        expected = space.network.get_text_embedding(dict(tokens))
    np.testing.assert_allclose(both, expected, atol=1e-5)


def test_linear_layers_run_on_onednn(space, sounds, onednn_calls):
    space.encode("audio", sounds[1:2])
    assert {(288, 96), (1152, 384), (384, 1536)} <= {weight for _, weight in onednn_calls}
    onednn_calls.clear()
    space.encode("text", ["a dog barks"])
    assert [weight for _, weight in onednn_calls] == 12 * [
        *4 * [(768, 768)],
        (3072, 768),
        (768, 3072),
    ]


def test_a_checkpoint_is_converted_once_and_then_checked(folder, space, monkeypatch, capsys):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(folder))
    source, target = folder / "630k-fusion-best.pt", folder / "630k-fusion-best.safetensors"
    note = json.loads((folder / "630k-fusion-best.safetensors.json").read_text())
    assert note["source_sha256"] == sha256(source) and note["sha256"] == sha256(target)
    made = target.stat().st_mtime_ns
    # The safetensors alone is enough, whether or not it still has the constant that old transformers stored.
    source.rename(folder / "away.pt")
    assert POSITIONS in checkpoints.load_state(target)
    state = checkpoints.load_state(folder / "away.pt")
    assert len(state) == 447 + 1
    again = clap._find("630k-fusion-best")
    assert again == target and target.stat().st_mtime_ns == made
    (folder / "away.pt").rename(source)
    assert clap._find(source) == target  # the move kept size and time: not converted again
    assert target.stat().st_mtime_ns == made
    state.pop(POSITIONS)
    checkpoints.fill(space.network, state, target, "CLAP")
    assert "Loaded" not in capsys.readouterr().out
    with target.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(ConfigError, match="delete it and run again"):
        clap._find("630k-fusion-best")
    target.unlink()
    assert clap._find("630k-fusion-best") == target


def test_nothing_is_printed_and_the_path_stays_clean(folder, space, monkeypatch, capfd):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(folder))
    again = load_space("clap", checkpoint=folder / "630k-fusion-best.safetensors", device="cpu")
    assert capfd.readouterr().out == ""
    assert again.fingerprint == space.fingerprint
    assert not any(entry.rstrip("/").endswith("laion_clap") for entry in sys.path)


def test_missing_and_damaged_weight_files_are_errors(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError, match="put it at"):
        load_space("clap")
    with pytest.raises(ConfigError, match="exmcr weights"):
        load_space("clap", checkpoint=tmp_path / "none.pt")
    with pytest.raises(ConfigError, match="known: "):
        load_space("clap", checkpoint="631k-best")
    cut = tmp_path / "cut.pt"
    with (folder / "630k-fusion-best.pt").open("rb") as file:
        cut.write_bytes(file.read(1_000_000))
    with pytest.raises(ConfigError, match="is the download complete"):
        load_space("clap", checkpoint=cut)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cut.pt"
    ]  # no half-made conversion is left


def test_another_architecture_is_an_error(folder, tmp_path):
    torch.save({"state_dict": {"module.text_branch.a": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match="another architecture than CLAP.*447 missing.*1 unknown"):
        load_space("clap", checkpoint=tmp_path / "other.pt", tokenizer=folder / "roberta-base")


def test_missing_and_foreign_tokenizers_are_errors(folder, tmp_path, monkeypatch):
    target = folder / "630k-fusion-best.safetensors"
    with pytest.raises(ConfigError, match="no tokenizer folder"):
        clap._load_tokenizer(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="roberta-base"):
        clap._load_tokenizer(tmp_path / "empty")
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError, match="vocab.json and merges.txt"):
        load_space("clap", checkpoint=target, device="cpu")


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return subprocess.call, ([sys.executable, "-c", f"open({str(self.mark)!r}, 'w')"],)


def test_a_checkpoint_that_would_run_code_does_not_run(tmp_path):
    mark = tmp_path / "mark"
    torch.save({"state_dict": {"a": torch.zeros(2)}, "optimizer": Bomb(mark)}, tmp_path / "bomb.pt")
    with pytest.raises(ConfigError, match="not a plain weight file"):
        load_space("clap", checkpoint=tmp_path / "bomb.pt")
    assert not mark.exists()


@pytest.mark.skipif(
    not DEMO.is_dir(), reason="the authors' demo files are not here; EXMCR_AUTHORS_DEMO says where"
)
def test_the_sounds_of_the_authors_demo_are_encoded(space):
    vectors = space.encode("audio", [DEMO / f"{name}.wav" for name in ("toilet", "BBQ", "train")])
    assert vectors.shape == (3, 512) and np.isfinite(vectors).all()


def test_a_safetensors_file_without_a_source_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    path = tmp_path / "630k-fusion-best.safetensors"
    path.write_bytes(b"")
    assert (
        clap._find("630k-fusion-best")
        == path
        == clap._find(path)
        == clap._find(path.with_suffix(".pt"))
    )


def test_a_loud_sound_is_scaled_before_its_samples_become_16_bit():
    class Stop(Exception):
        pass

    class Laion:
        int16_to_float32 = None

        def float32_to_int16(self, samples):
            self.samples = samples
            raise Stop

    space = object.__new__(clap.Clap)
    space._laion = Laion()
    tone = np.sin(np.arange(48_000) / 20).astype(np.float32)
    for gain in (0.5, 1, 8, 30_000):
        with pytest.raises(Stop):
            space._features(Sound(gain * tone, 48_000))
        np.testing.assert_allclose(space._laion.samples, tone * min(gain, 1), rtol=1e-3, atol=1e-5)


def test_unusable_sounds_are_refused_and_a_click_is_encoded(space, tmp_path):
    silent, text = tmp_path / "silent.wav", tmp_path / "text.wav"
    soundfile.write(silent, np.zeros(1000), 16_000)
    text.write_text("no sound")
    for path in (silent, text, tmp_path / "none.wav"):
        with pytest.raises(BadItem):
            space.encode("audio", [path])
    sample = np.ones(1, np.float32)  # a quarter of a sample at 48 kHz
    with pytest.raises(BadItem, match="too short"):
        space.encode("audio", [(sample, 192_000)])
    click = space.encode_loaded("audio", [Sound(sample, 192_000)])
    assert np.isfinite(click).all()
