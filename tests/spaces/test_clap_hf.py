"""CLAP by transformers: a tiny random ClapModel in the format of `save_pretrained`."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny_encoders
import torch
from safetensors.torch import load_file, save_file

from exmcr.common.errors import ConfigError
from exmcr.media.sounds import Sound
from exmcr.spaces import clap_hf, load_space, weights

TEXTS = ["a dog barks", "rain on a tin roof, and thunder"]


def tone(seconds, rate=48_000, gain=0.4):
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(size=len(time))
    wave = gain * np.sin(2 * np.pi * (200 + 40 * time) * time) + 0.02 * noise
    return wave.astype(np.float32), rate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_encoders.clap(tmp_path_factory.mktemp("clap") / "clap-htsat-fused")


@pytest.fixture(scope="module")
def space(folder):
    return load_space("clap-hf", checkpoint=folder, device="cpu")


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the folder, to be damaged."""
    return shutil.copytree(folder, tmp_path / "copy")


def test_texts_and_short_sounds_are_encoded_as_by_transformers(folder, space):
    from transformers import ClapFeatureExtractor, ClapModel, RobertaTokenizer

    model, prepare = ClapModel.from_pretrained(folder), ClapFeatureExtractor.from_pretrained(folder)
    tokens = RobertaTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    samples, rate = tone(3)
    sixteen = (np.trunc(samples * np.float32(32767)) / 32767).astype(np.float32)
    inputs = prepare(sixteen, sampling_rate=rate, return_tensors="pt")
    inputs["is_longer"] = torch.tensor([[False]])  # transformers draws it
    with torch.inference_mode():
        texts = model.get_text_features(**tokens).pooler_output
        sound = model.get_audio_features(**inputs).pooler_output
    assert (space.name, space.dim, space.modalities) == ("clap-hf", 512, ("audio", "text"))
    np.testing.assert_allclose(space.encode("text", TEXTS), texts, atol=1e-5)
    np.testing.assert_allclose(space.encode("audio", [(samples, rate)]), sound, atol=1e-5)
    assert np.abs(texts[0] - texts[1]).max() > 1e-3


def test_vectors_of_transformers_4_have_no_pooler_output_around_them(space, monkeypatch):
    items = {"text": TEXTS, "audio": [tone(1)]}
    expected = {modality: space.encode(modality, items[modality]) for modality in items}
    for name in ("get_text_features", "get_audio_features"):
        monkeypatch.setattr(space.network, name, tensors(getattr(space.network, name)))
    for modality, vectors in expected.items():
        np.testing.assert_array_equal(space.encode(modality, items[modality]), vectors)


def tensors(encode):
    return lambda **inputs: encode(**inputs).pooler_output


def test_a_long_sound_has_the_same_vector_in_every_run_and_batch(space):
    sounds = [tone(14), tone(2), tone(3, rate=16_000)]
    np.random.seed(1)
    expected = np.random.RandomState(1).random()
    first = space.encode("audio", sounds)
    assert np.random.random() == expected  # the caller's generator is as it was
    np.random.seed(2)
    np.testing.assert_allclose(first[::-1], space.encode("audio", sounds[::-1]), atol=1e-5)
    np.testing.assert_array_equal(first, space.encode("audio", sounds))


@pytest.mark.parametrize(
    ("samples", "longer"),
    [(1, False), (480_000, False), (480_479, False), (480_480, True), (600_000, True)],
)
def test_crops_are_fused_for_sounds_longer_than_a_crop_only(space, samples, longer):
    mel, found = space._mel(Sound(tone(13)[0][:samples], 48_000))
    assert (mel.shape, found) == ((4, 1001, 64), longer)
    assert (mel[0] == mel[1]).all() == (not longer)


def test_a_loud_sound_is_scaled_and_a_quiet_one_is_not(space):
    loud, usual = tone(1, gain=4), tone(1)
    (samples, rate), peak = loud, np.abs(loud[0]).max()
    vectors = space.encode("audio", [loud, (samples / peak, rate), usual, (usual[0] / 2, rate)])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    assert np.abs(vectors[2] - vectors[3]).max() > 1e-5


def test_a_model_without_fusion_is_encoded(tmp_path):
    space = load_space("clap-hf", checkpoint=tiny_encoders.clap(tmp_path / "a", 64, fusion=False))
    sounds = [tone(12), tone(1)]
    vectors = space.encode("audio", sounds)
    assert vectors.shape == (2, 64) and space.dim == 64
    np.testing.assert_array_equal(vectors, space.encode("audio", sounds))


def test_the_folder_is_found_in_the_weights_folder_then_on_the_hub(folder, space, monkeypatch):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(folder.parent))
    default = load_space("clap-hf", device="cpu")
    assert default.fingerprint == space.fingerprint
    assert default.files == (folder / "model.safetensors",)
    assert weights.license_of(default.files[0]) == "Apache-2.0"
    calls = []

    def download(repository, revision, allow_patterns):
        calls.append((repository, revision))
        assert {"config.json", "model.safetensors", "vocab.json"} <= {*allow_patterns}
        assert not any(name.endswith(".bin") for name in allow_patterns)
        return folder

    monkeypatch.setenv("EXMCR_WEIGHTS", str(folder / "empty"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    for name in ("laion/clap-htsat-fused", "laion/larger_clap_general"):
        clap_hf._find(name, None, None)
    monkeypatch.setenv("EXMCR_WEIGHTS", str(folder.parent))
    clap_hf._find("laion/clap-htsat-fused", "mine", None)
    pinned = weights.named("clap-htsat-fused/model.safetensors").revision
    assert [revision for _, revision in calls] == [pinned, "main", "mine"]


def test_a_repository_of_another_owner_has_its_own_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(folder.parent))  # holds that of laion
    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    name = "someone/clap-htsat-fused"
    with pytest.raises(ConfigError, match=f"no weights of {name}: .* into .*/{name}; see"):
        clap_hf._find(name, None, None)
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    shutil.copytree(folder, tmp_path / name)
    assert clap_hf._find(name, None, None) == tmp_path / name
    (tmp_path / name / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=f"put .*model.safetensors into {tmp_path / name}; see"):
        load_space("clap-hf", checkpoint=name)


@pytest.mark.parametrize("files", [["model.safetensors", "pytorch_model.bin"], clap_hf.WEIGHTS[1:]])
def test_of_a_repository_without_safetensors_the_other_file_is_fetched(
    files, tmp_path, monkeypatch
):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path / "empty"))

    def download(repository, revision, allow_patterns):
        (tmp_path / "config.json").touch()
        for name in {*files} & {*allow_patterns}:
            (tmp_path / name).touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert clap_hf._find("laion/larger_clap_general", None, None) == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", files[0]}


def test_a_pickle_is_read_without_running_it_and_constants_may_be_missing(copy, space, tmp_path):
    state = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    old = {name: x for name, x in state.items() if "token_type_ids" not in name}
    torch.save(old, copy / "pytorch_model.bin")
    again = load_space("clap-hf", checkpoint=copy, device="cpu")
    assert again.fingerprint == space.fingerprint and again.files[0].suffix == ".bin"
    mark = tmp_path / "mark"
    torch.save({"a": torch.zeros(1), "b": Bomb(mark)}, copy / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="not a plain weight file"):
        load_space("clap-hf", checkpoint=copy)
    assert not mark.exists()


def offline(*_, **__):
    raise ConnectionError("no route")


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return subprocess.call, ([sys.executable, "-c", f"open({str(self.mark)!r}, 'w')"],)


def test_the_preprocessing_is_part_of_the_fingerprint(copy, space):
    path = copy / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"frequency_min": 0}))
    assert load_space("clap-hf", checkpoint=copy).fingerprint != space.fingerprint


def edit(file, **values):
    def damage(copy):
        content = json.loads((copy / file).read_text())
        (copy / file).write_text(json.dumps(content | values))

    return damage


def without(name):
    return lambda copy: (copy / name).unlink()


def other_weights(change):
    def damage(copy):
        path = copy / "model.safetensors"
        save_file(change(load_file(path)), path)

    return damage


WRONG = {
    "no configuration": (without("config.json"), "has no config.json"),
    "no preprocessing": (without("preprocessor_config.json"), "has no preprocessor_config.json"),
    "no weights": (without("model.safetensors"), "neither model.safetensors nor pytorch_model.bin"),
    "no vocabulary": (without("vocab.json"), "tokenizer in .* put config.json, .* into"),
    "another vocabulary": (
        lambda copy: (copy / "vocab.json").write_text('{"<s>": 0, "<unk>": 1}'),
        "tokenizer in .*put config.json",
    ),
    "another kind of model": (edit("config.json", model_type="clip"), "model_type is 'clip'"),
    "no JSON": (lambda copy: (copy / "config.json").write_text("{"), "is unusable"),
    "an impossible value": (edit("config.json", projection_dim="wide"), "is unusable"),
    "a web page": (
        lambda copy: (copy / "model.safetensors").write_text("<html>"),
        "is the download complete",
    ),
    "another size": (edit("config.json", projection_dim=7), "of another shape"),
    "fewer weights": (
        other_weights(lambda state: {k: x for k, x in state.items() if "linear1" not in k}),
        "another architecture than the ClapModel of .*4 missing",
    ),
    "more weights": (
        other_weights(lambda state: state | {"extra": torch.zeros(1)}),
        r"1 unknown \(extra\)",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_missing_damaged_and_foreign_files_are_errors(what, copy):
    damage, reason = WRONG[what]
    damage(copy)
    with pytest.raises(ConfigError, match=reason) as error:
        load_space("clap-hf", checkpoint=copy)
    assert "\n" not in str(error.value)


def test_a_wrong_place_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    for place in ("./nothing", str(tmp_path / "none"), "one", "a/b/c"):
        with pytest.raises(ConfigError, match="no folder"):
            load_space("clap-hf", checkpoint=place)
    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(
        ConfigError, match="the model hub failed .ConnectionError.; put config.json"
    ):
        load_space("clap-hf")
