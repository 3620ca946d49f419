"""Sounds: what is read, and as what; the table is printed in docs/inputs.md."""

import functools
import os
import struct
import wave

import numpy as np
import pytest
import soundfile
import torch
from inputs_table import case, check, params, refused

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media import limits
from exmcr.media.sounds import Sound

POLICY = """
A sound is a path, or (samples, rate in Hz). It is read as mono float32 at its own rate, with a peak of
at most 1, and begins with at most a second of silence.
"""

RATE = 8000
RNG = np.random.default_rng(0)
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) * np.linspace(0.2, 1, RATE)).astype(
    np.float32
)
INT16 = (TONE * 32767).round().astype(np.int16)
AS16 = (INT16 / 32768).astype(np.float32)
LOUD = (TONE / np.abs(TONE).max()).astype(np.float32)  # peak 1
SILENT = np.zeros(RATE, np.float32)


def given(samples, rate=RATE):
    return lambda folder: (samples, rate)


def saved(samples, name="a.wav", rate=RATE, **options):
    def make(folder):
        soundfile.write(folder / name, samples, rate, **options)
        return folder / name

    return make


def raw(content, name="a.wav"):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def wav(data_size, riff_size=None, samples=INT16, channels=1, before=b"", behind=b""):
    """A 16-bit WAV file with any sizes in its header."""
    body = samples.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, RATE, 2 * channels * RATE, 2 * channels, 16)
    size = 36 + len(body) + len(before) + len(behind) if riff_size is None else riff_size
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + before + b"data" + struct.pack("<I", data_size) + body + behind


@functools.cache
def encoded(kind, subtype=None):
    import io

    file = io.BytesIO()
    soundfile.write(file, AS16, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def flac(total):
    """FLAC with another number of samples in its header (36 bits; 0: unknown)."""
    blob = bytearray(encoded("FLAC", "PCM_16"))
    blob[21] = (blob[21] & 0xF0) | (total >> 32)
    blob[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(blob)


def wave_u8(samples):
    def make(folder):
        with wave.open(str(folder / "a.wav"), "wb") as file:
            file.setparams((1, 1, RATE, len(samples), "NONE", ""))
            file.writeframes(samples.astype(np.uint8).tobytes())
        return folder / "a.wav"

    return make


U8 = (TONE * 127 + 128).round().astype(np.uint8)
AS8 = ((U8.astype(np.float32) - 128) / 128).astype(np.float32)
U16 = (INT16.astype(np.int32) + 32768).astype(np.uint16)
LEAD = np.concatenate([np.zeros(11 * RATE, np.float32), TONE])
NAME = lambda folder: os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav")
LIST = b"LIST" + struct.pack("<I", 4) + b"INFO"

TABLE = [
    case("kind of item", "path as Path", saved(TONE, subtype="FLOAT"), "its samples", TONE),
    case(
        "kind of item",
        "path as str",
        lambda d: str(saved(TONE, subtype="FLOAT")(d)),
        "its samples",
        TONE,
    ),
    case("kind of item", "float32 array and rate", given(TONE), "its samples", TONE),
    case(
        "kind of item",
        "float64, float16 or long double",
        given(TONE.astype(np.longdouble)),
        "its samples",
        TONE,
    ),
    case("kind of item", "big-endian floats", given(TONE.astype(">f4")), "its samples", TONE),
    case("kind of item", "list of floats", given(TONE.tolist()), "its samples", TONE),
    case("kind of item", "torch tensor", given(torch.tensor(TONE)), "its samples", TONE),
    case(
        "kind of item",
        "torch tensor that requires grad",
        given(torch.tensor(TONE).requires_grad_()),
        "its samples",
        TONE,
    ),
    case(
        "kind of item",
        "torch tensor of bfloat16",
        given(torch.tensor(TONE).bfloat16()),
        "its samples",
        torch.tensor(TONE).bfloat16().float().numpy(),
    ),
    case("kind of item", "a loaded Sound", lambda d: Sound(TONE, RATE), "its samples", TONE),
    case(
        "kind of item",
        "rate as float or numpy number",
        given(TONE, np.float32(8000)),
        "its samples",
        TONE,
    ),
    case(
        "kind of item",
        "name that is not UTF-8",
        lambda d: os.rename(saved(TONE, subtype="FLOAT")(d), NAME(d)) or NAME(d),
        "its samples",
        TONE,
    ),
    case(
        "kind of item",
        "name with '::'",
        saved(TONE, "a::b.wav", subtype="FLOAT"),
        "its samples",
        TONE,
    ),
    case("format", "WAV, 16 bits", saved(INT16), "its samples", AS16),
    case("format", "WAV, 24 bits", saved(TONE, subtype="PCM_24"), "its samples", TONE),
    case(
        "format",
        "WAV, 64-bit floats",
        saved(TONE.astype(np.float64), subtype="DOUBLE"),
        "its samples",
        TONE,
    ),
    case("format", "FLAC", saved(INT16, "a.flac"), "its samples", AS16),
    case("format", "AIFF", saved(INT16, "a.aiff"), "its samples", AS16),
    case(
        "format",
        "AU, CAF, W64, RF64: CAF",
        saved(INT16, "a.caf", subtype="PCM_16"),
        "its samples",
        AS16,
    ),
    case("format", "wrong suffix", raw(wav(2 * RATE), "a.mp3"), "by its content", AS16),
    case("format", "a WAV file called .raw", raw(wav(2 * RATE), "a.raw"), "by its content", AS16),
    refused(
        "format",
        "samples without a header, called .raw",
        raw(INT16.tobytes(), "a.raw"),
        "unreadable sound: a.raw: Format not recognised",
    ),
    refused(
        "format",
        "MP4 audio (.m4a), which libsndfile does not read",
        raw(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(64), "a.m4a"),
        "unreadable sound: a.m4a",
    ),
    case("integers", "int16", given(INT16), "divided by 32768, as files are", AS16),
    case(
        "integers",
        "int8",
        given((TONE * 127).astype(np.int8)),
        "divided by 128",
        (TONE * 127).astype(np.int8) / 128,
    ),
    case("integers", "int32", given(INT16.astype(np.int32) << 16), "divided by 2^31", AS16),
    case(
        "integers",
        "uint8, as scipy reads 8-bit WAV",
        given(U8),
        "(x - 128) / 128, as the file itself",
        AS8,
    ),
    case("integers", "8-bit WAV", wave_u8(U8), "(x - 128) / 128", AS8),
    case("integers", "uint16", given(U16), "(x - 32768) / 32768", AS16),
    refused(
        "integers",
        "int64, as np.array makes it from a list",
        given(INT16.tolist()),
        "int64 samples have no scale",
    ),
    refused("integers", "uint64", given(U16.astype(np.uint64)), "uint64 samples have no scale"),
    refused("integers", "uint8 silence, 128", given(np.full(RATE, 128, np.uint8)), "silent sound"),
    refused("integers", "booleans", given(TONE > 0), "a sound is"),
    case("peak", "floats with a peak of 8", given(8 * LOUD), "scaled to 1", LOUD),
    case(
        "peak", "float WAV with a peak of 8", saved(8 * LOUD, subtype="FLOAT"), "scaled to 1", LOUD
    ),
    case("peak", "16-bit values as floats", given(32767.0 * LOUD), "scaled to 1", LOUD),
    case("peak", "a negative peak", given(-3 * LOUD), "scaled to 1", -LOUD),
    case("peak", "1e300 in float64", given(1e300 * LOUD.astype(float)), "scaled to 1", LOUD),
    case(
        "peak",
        "double WAV of 1e300",
        saved(1e300 * LOUD.astype(float), subtype="DOUBLE"),
        "scaled to 1",
        LOUD,
    ),
    case("peak", "below 1", given(0.01 * TONE), "as it is", 0.01 * TONE),
    case("channels", "stereo", given(np.stack([TONE, 0 * TONE], 1)), "the mean", TONE / 2),
    case(
        "channels",
        "stereo file",
        saved(np.stack([TONE, 0 * TONE], 1), subtype="FLOAT"),
        "the mean",
        TONE / 2,
    ),
    case(
        "channels",
        "stereo with one channel inverted",
        given(np.stack([TONE, -TONE], 1)),
        "the loudest channel",
        TONE,
    ),
    case(
        "channels",
        "inverted in a file",
        saved(np.stack([TONE, -TONE], 1), subtype="FLOAT"),
        "the loudest channel",
        TONE,
    ),
    case(
        "channels",
        "nearly inverted",
        given(np.stack([-0.9 * TONE, TONE], 1)),
        "the loudest channel",
        TONE,
    ),
    case(
        "channels",
        "six channels, one of them sounds",
        given(np.stack([TONE] + [0 * TONE] * 5, 1)),
        "the mean",
        TONE / 6,
    ),
    case("channels", "(n, 1)", given(TONE[:, None]), "its samples", TONE),
    refused(
        "channels",
        "(channels, n), as torchaudio has them",
        given(np.stack([TONE, TONE])),
        "transpose it",
    ),
    refused("channels", "torch tensor (1, n)", given(torch.tensor(TONE)[None]), "transpose it"),
    refused("channels", "three axes", given(TONE.reshape(-1, 2, 2)), "a sound is"),
    refused("channels", "no channel", given(np.zeros((RATE, 0))), "without channels"),
    refused("silence", "zeros", given(SILENT), "silent sound"),
    refused("silence", "below 1e-4", given(TONE * 1e-4), "silent sound"),
    refused(
        "silence",
        "a small constant, e.g. 8-bit silence of 127",
        wave_u8(np.full(RATE, 127)),
        "silent sound",
    ),
    case("silence", "a constant of 0.5", given(np.full(RATE, 0.5)), "as it is", np.full(RATE, 0.5)),
    refused("silence", "silent file", saved(SILENT), "silent sound"),
    case(
        "silence",
        "eleven seconds of it, then the sound",
        given(LEAD),
        "from where the sound begins",
        TONE[1:],
    ),
    case(
        "silence",
        "eleven seconds of it in a file",
        saved(LEAD, subtype="FLOAT"),
        "from where the sound begins",
        TONE[1:],
    ),
    case(
        "silence",
        "eleven seconds of it in stereo, one channel inverted",
        saved(np.stack([LEAD, -LEAD], 1), subtype="FLOAT"),
        "from where the sound begins",
        TONE[1:],
    ),
    case(
        "silence",
        "eleven seconds of 8-bit silence at 127",
        wave_u8(np.r_[np.full(11 * RATE, 127, np.uint8), U8[1:]]),
        "from where the sound begins",
        AS8[np.argmax((U8 != 127) & (U8 != 128)) :],
    ),
    case(
        "silence",
        "half a second of it, then the sound",
        given(LEAD[10 * RATE + RATE // 2 :]),
        "as it is",
        LEAD[10 * RATE + RATE // 2 :],
    ),
    case(
        "silence", "behind the sound", given(np.r_[TONE, SILENT]), "as it is", np.r_[TONE, SILENT]
    ),
    case("header", "WAV, data size 0 (streamed)", raw(wav(0)), "read to the end", AS16),
    case("header", "WAV, data size 0 and RIFF size 0", raw(wav(0, 0)), "read to the end", AS16),
    case(
        "header",
        "WAV, data size 0, RIFF size 2^32 - 1, a chunk in front",
        raw(wav(0, 2**32 - 1, before=LIST)),
        "read to the end",
        AS16,
    ),
    case(
        "header",
        "WAV, data size 2^32 - 1 (streamed)",
        raw(wav(2**32 - 1, 2**32 - 1)),
        "read to the end",
        AS16,
    ),
    case(
        "header", "WAV, data size 2^31 - 1", raw(wav(2**31 - 1, 2**31 - 1)), "read to the end", AS16
    ),
    case("header", "WAV that ends early", raw(wav(4 * RATE)), "as far as it goes", AS16),
    case(
        "header",
        "WAV with a chunk behind the samples",
        raw(wav(2 * RATE, behind=LIST)),
        "its samples, not the chunk",
        AS16,
    ),
    refused(
        "header",
        "WAV without samples, data size 0 and a chunk",
        raw(wav(0, samples=INT16[:0], behind=LIST)),
        "empty sound",
    ),
    refused("header", "WAV without samples", raw(wav(0, samples=INT16[:0])), "empty sound"),
    case(
        "header",
        "FLAC of unknown length (streamed)",
        raw(flac(0), "a.flac"),
        "read to the end",
        AS16,
    ),
    case(
        "header",
        "FLAC that says 10 times its length",
        raw(flac(10 * RATE), "a.flac"),
        "as far as it goes",
        AS16,
    ),
    case(
        "header",
        "FLAC that says 2^36 - 1 samples, 256 GiB",
        raw(flac(2**36 - 1), "a.flac"),
        "as far as it goes",
        AS16,
    ),
    refused("rate", "0", given(TONE, 0), "rate above 0 Hz"),
    refused("rate", "1 Hz", given(TONE, 1), "1000 to 768000 Hz, not 1"),
    refused("rate", "10 MHz", given(TONE, 10_000_000), "1000 to 768000 Hz"),
    refused("rate", "NaN", given(TONE, float("nan")), "rate above 0 Hz"),
    refused("rate", "None", given(TONE, None), "a sound is a path or"),
    refused("rate", "text", given(TONE, "8000"), "number of Hz"),
    refused("rate", "WAV file at 100 Hz", saved(TONE, rate=100), "1000 to 768000 Hz"),
    refused("length", "no sample", given(TONE[:0]), "empty sound"),
    refused("length", "one sample at 192 kHz", given(TONE[-1:], 192_000), "too short"),
    refused(
        "length",
        "one sample at 192 kHz in a file",
        saved(np.full(1, 0.4), rate=192_000),
        "too short",
    ),
    refused("length", "three samples at 192 kHz", given(TONE[-9:-6], 192_000), "too short"),
    refused("values", "a NaN", given(np.r_[TONE, np.nan]), "NaN or infinite"),
    refused("values", "a NaN in the silent lead", given(np.r_[np.nan, LEAD]), "NaN or infinite"),
    refused(
        "values",
        "infinity in a file",
        saved(np.r_[TONE, np.inf], subtype="FLOAT"),
        "NaN or infinite",
    ),
    refused("values", "masked samples", given(np.ma.masked_less(TONE, 0)), "masked"),
    refused("values", "complex numbers", given(TONE + 1j), "a sound is"),
    refused("values", "words", given(["a", "b"]), "a sound is"),
    refused("values", "objects", given(np.array([None, 1.0])), "a sound is"),
    refused("values", "rows of unequal length", given([[1.0], [1.0, 2.0]]), "a sound is a path or"),
    refused(
        "other",
        "(rate, samples), as scipy returns them",
        lambda d: (RATE, INT16),
        r"got \(rate, samples\)",
    ),
    refused("other", "samples without a rate", lambda d: TONE, "a sound is a path or"),
    refused("other", "None", lambda d: None, "a sound is a path or"),
    refused("other", "missing file", lambda d: d / "none.wav", "no file"),
    refused("other", "folder", lambda d: d, "not a file"),
    refused(
        "other",
        "named pipe, which would never end",
        lambda d: os.mkfifo(d / "pipe.wav") or d / "pipe.wav",
        "not a file",
    ),
    refused("other", "empty file", raw(b""), "empty file"),
    refused("other", "text", raw(b"<html>Please sign in</html>"), "Format not recognised"),
    refused("other", "picture", raw(b"\x89PNG\r\n\x1a\n" + bytes(100)), "Format not recognised"),
]


@pytest.mark.parametrize("entry", params(TABLE))
def test_a_sound_is_read_or_refused_as_the_table_says(entry, tmp_path):
    same = lambda sound, samples: (
        sound.samples.shape == np.shape(samples) and np.abs(sound.samples - samples).max() < 2e-6
    )
    sound = check(entry, lambda raw: media.load("audio", raw), entry.make(tmp_path), same)
    if sound is not None:
        assert sound.samples.dtype == np.float32 and sound.rate == RATE
        assert sound.samples.flags.c_contiguous


LONG = np.concatenate([TONE * a for a in np.linspace(0.3, 1, 30)]).astype(np.float32)
FORMATS = [
    ("WAV", "PCM_16", 22050),
    ("FLAC", "PCM_16", 22050),
    ("MP3", "MPEG_LAYER_III", 16000),
    ("MP3", "MPEG_LAYER_III", 22050),
    ("MP3", "MPEG_LAYER_III", 44100),
    ("OGG", "VORBIS", 16000),
    ("OGG", "OPUS", 16000),
]


@pytest.mark.parametrize("kind, subtype, rate", FORMATS)
def test_a_window_out_of_a_file_is_the_slice_of_the_whole(tmp_path, kind, subtype, rate):
    path = tmp_path / "a"
    soundfile.write(path, LONG, rate, format=kind, subtype=subtype)
    whole = media.load("audio", path).samples
    assert len(whole) == pytest.approx(len(LONG), abs=3000)
    for start, seconds in [(0, 2), (1.3, 1.5), (3.7, 3.25), (4.77, 0.5), (2.5, None), (5.0, 99)]:
        part = media.load("audio", path, start=start, seconds=seconds).samples
        begin = int(start * rate)
        end = None if seconds is None else begin + int(seconds * rate)
        np.testing.assert_array_equal(part, whole[begin:end])


def test_a_window_out_of_an_array_is_the_slice_of_the_array():
    sound = media.load("audio", (INT16, RATE), start=0.25, seconds=0.5)
    np.testing.assert_array_equal(sound.samples, AS16[2000:6000])


def test_no_more_than_the_used_seconds_are_read_from_where_the_sound_begins(tmp_path, monkeypatch):
    path = saved(np.r_[SILENT, SILENT, TONE, TONE], subtype="FLOAT")(tmp_path)
    for item in (path, (np.r_[SILENT, SILENT, TONE, TONE], RATE)):
        sound = media.load("audio", item, used=0.5)
        np.testing.assert_array_equal(sound.samples, TONE[1:4001])
        monkeypatch.setattr(limits, "SECONDS", 0.25)
        np.testing.assert_array_equal(media.load("audio", item).samples, TONE[1:2001])
        monkeypatch.undo()


def test_more_samples_than_fit_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "BYTES", 4 * RATE * 2)
    path = saved(np.stack([TONE] * 3, 1))(tmp_path)
    with pytest.raises(BadItem, match="raise exmcr.media.limits.BYTES"):
        media.load("audio", path)
    assert len(media.load("audio", path, used=0.5).samples) == 4000


def test_a_long_sound_takes_the_memory_of_the_part_that_is_used(tmp_path):
    import tracemalloc

    samples = np.zeros((1200 * RATE, 2), np.int16)
    samples[: 2 * RATE : 100] = 9000
    samples[1000 * RATE :: 77] = 5000
    path = saved(samples)(tmp_path)
    del samples
    tracemalloc.start()
    media.load("audio", path, used=10.0)
    media.load("audio", path, start=2.5, used=10.0)  # a quarter of an hour of silence are skipped
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6, "twenty minutes take 77 MB"
