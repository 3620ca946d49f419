"""Preprocessing equals that of the programs with which the authors ran; no weights are needed."""

import numpy as np
import open_clip
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image

from exmcr.media.sounds import Sound
from exmcr.spaces import clap, clap_hf, clip

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZES = [(640, 427), (427, 640), (640, 480), (500, 375), (500, 333), (333, 500), (224, 224)]
SIZES += [(225, 224), (224, 227), (100, 131), (1000, 300), (301, 1000), (231, 677), (50, 50)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_images_are_cropped_as_by_the_processor_of_transformers(size):
    from transformers import CLIPImageProcessorPil

    prepare = open_clip.image_transform(
        224, is_train=False, mean=MEAN, std=STD, interpolation="bicubic", resize_mode="shortest"
    )
    clip._crop_below_the_middle(prepare)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (size[1] // 10 + 1, size[0] // 10 + 1, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize(size)
    processor = CLIPImageProcessorPil(image_mean=MEAN, image_std=STD)
    theirs = processor(images=[image], return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(prepare(image).numpy(), theirs, atol=1e-4)


def test_the_crop_of_torchvision_differs_for_the_sizes_that_are_a_pixel_off():
    picture = Image.fromarray(np.arange(335, dtype=np.uint8).astype(np.uint8)[None].repeat(224, 0))
    ours = np.asarray(clip.CenterCrop(224, 224)(picture))
    assert ours[0, 0] == 55 and ours.shape == (224, 224)
    from torchvision.transforms import CenterCrop

    assert np.asarray(CenterCrop(224)(picture))[0, 0] == 56


TEXTS = [
    "a photo of a dog",
    "It\u2019s a \u201cdog\u201d \u2018here\u2019",
    "salt &amp; pepper &lt;b&gt; &quot;x&quot; &amp;amp;",
    "Caf\u00e9 CAFE\u0301 \u00c4\u00d6\u00dc stra\u00dfe",
    "two  blanks\tand\na line",
    "\u00e2\u20ac\u2122 mojibake",
    "\uff21\uff22\uff23 \ufb01ne",
    "we're he'll I'd 123 4.5 !?...",
    "\U0001f415 \u72ac \u0441\u043e\u0431\u0430\u043a\u0430",
    "a\u00a0b\u2003c",
]


@pytest.fixture(scope="module")
def theirs():
    """The tokenizer of transformers with the vocabulary that open_clip bundles."""
    from transformers import CLIPTokenizer

    tokenizer = SimpleTokenizer()
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.get)
    vocabulary = dict(tokenizer.encoder)
    for ours, name in (("<start_of_text>", "<|startoftext|>"), ("<end_of_text>", "<|endoftext|>")):
        vocabulary[name] = vocabulary.pop(ours)
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_texts_have_the_tokens_of_transformers(theirs, text):
    tokenizer = SimpleTokenizer()
    tokenizer.clean_fn = clip.clean
    expected = theirs(text)["input_ids"]
    assert tokenizer([text])[0, : len(expected)].tolist() == expected


def test_open_clip_itself_gives_other_tokens_for_quotes_and_html(theirs):
    different = [t for t in TEXTS if SimpleTokenizer().encode(t) != theirs(t)["input_ids"][1:-1]]
    assert TEXTS[1] in different and TEXTS[2] in different and TEXTS[0] not in different


def test_a_long_mel_is_shrunk_as_by_torchvision_without_antialiasing():
    from torchvision.transforms import Resize

    mel = torch.randn(2400, 64) * 20
    theirs = Resize([1001, 64], antialias=False)(mel[None])[0]
    torch.testing.assert_close(clap.shrunk(mel, 1001), theirs, atol=1e-4, rtol=0)
    smooth = Resize([1001, 64], antialias=True)(mel[None])[0]
    assert (smooth - theirs).abs().mean() > 1


@pytest.fixture(scope="module")
def features():
    """The features of a sound, by a space without a network."""
    laion = clap._import_laion()

    def compute(shrink, samples):
        space = object.__new__(clap.Clap)
        space._laion, space.shrink = laion, shrink
        space._config = {"audio_cfg": {
            "audio_length": 1024, "clip_samples": 480000, "mel_bins": 64, "sample_rate": 48000,
            "window_size": 1024, "hop_size": 480, "fmin": 50, "fmax": 14000, "class_num": 527,
            "model_type": "HTSAT", "model_name": "tiny",
        }}  # fmt: skip
        return space._features(Sound(samples, 48_000))

    return compute


def test_samples_are_rounded_as_by_laion_clap():
    laion = clap._import_laion()
    rng = np.random.default_rng(0)
    samples = np.r_[rng.uniform(-1, 1, 5000), 0, 1, -1, 1.5, -2, 1e-6].astype(np.float32)
    theirs = laion.int16_to_float32(laion.float32_to_int16(samples))
    np.testing.assert_array_equal(clap_hf.in_16_bits(samples), theirs)


def test_the_option_shrink_changes_the_whole_of_long_sounds_only(features):
    rng = np.random.default_rng(0)
    long = (0.1 * rng.normal(size=700_000)).astype(np.float32)
    plain, smooth = features("plain", long), features("antialiased", long)
    assert bool(plain["longer"]) and plain["mel_fusion"].shape == (4, 1001, 64)
    torch.testing.assert_close(plain["mel_fusion"][1:], smooth["mel_fusion"][1:])
    assert (plain["mel_fusion"][0] - smooth["mel_fusion"][0]).abs().mean() > 0.4  # dB
    for short in (long[:100_000], long[:480_000], long[:480_400]):
        torch.testing.assert_close(
            features("plain", short)["mel_fusion"], features("antialiased", short)["mel_fusion"]
        )


@pytest.mark.parametrize(
    ("count", "rate"),
    [(1, 192_000), (2, 8000), (441, 44_100), (16_001, 44_100), (22_051, 22_050), (12_345, 11_025),
     (48_001, 96_000), (7, 44_100), (99_999, 32_000), (1000, 1000)],
)  # fmt: skip
def test_sounds_are_resampled_to_the_length_that_librosa_gives_them(count, rate):
    librosa = pytest.importorskip("librosa")
    samples = np.sin(np.arange(count) / 9).astype(np.float32) + 0.1
    ours = clap.resample(Sound(samples, rate))
    if count == 1:
        assert len(ours) == 1  # librosa may give none
        return
    theirs = librosa.resample(samples, orig_sr=rate, target_sr=48_000, res_type="soxr_hq")
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
