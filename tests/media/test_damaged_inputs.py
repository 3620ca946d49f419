"""Damaged files of every format: each is read, or refused with BadItem; nothing else happens.

EXMCR_BATTERY multiplies the number of files; default: 1, which takes seconds.
"""

import io
import os
import re
import signal

import numpy as np
import pytest
import soundfile
from PIL import Image, features

from exmcr import media
from exmcr.common.errors import BadItem

TIMES = int(os.environ.get("EXMCR_BATTERY", 1))
SECONDS = 20  # for one file, on a busy machine
RNG = np.random.default_rng(0)
PIXELS = np.kron(RNG.integers(0, 256, (8, 10, 3)), np.ones((5, 5, 1))).astype(np.uint8)
RATE = 16_000
TONE = (0.5 * np.sin(np.arange(RATE) / 5) * np.linspace(0.2, 1, RATE)).astype(np.float32)
CLOUD = RNG.normal(size=(200, 3))
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
FACES = [[0, 1, 3], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3], [0, 3, 2]]


def image(kind, **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


def sound(kind, subtype):
    file = io.BytesIO()
    soundfile.write(file, TONE, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def rows(table, form="%.6g"):
    return "".join(" ".join(form % v for v in row) + "\n" for row in table).encode()


def ply(order):
    head = f"ply\nformat {order or 'ascii'} 1.0\nelement vertex 8\nproperty float x\n"
    head += "property float y\nproperty float z\nelement face 7\n"
    head = (head + "property list uchar int vertex_indices\nend_header\n").encode()
    if not order:
        return head + rows(CUBE) + rows([[len(f), *f] for f in FACES], "%d")
    sign = "<" if "little" in order else ">"
    body = [bytes([len(f)]) + np.array(f, f"{sign}i4").tobytes() for f in FACES]
    return head + CUBE.astype(f"{sign}f4").tobytes() + b"".join(body)


def array_file(save, **arrays):
    file = io.BytesIO()
    save(file, *([CLOUD] if not arrays else []), **arrays)
    return file.getvalue()


WHOLE = {
    ("image", ".png"): image("PNG"),
    ("image", ".jpg"): image("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    ("image", ".progressive.jpg"): image("JPEG", progressive=True),
    ("image", ".gif"): image("GIF"),
    ("image", ".bmp"): image("BMP"),
    ("image", ".tif"): image("TIFF"),
    ("image", ".lzw.tif"): image("TIFF", compression="tiff_lzw"),
    ("image", ".webp"): image("WEBP"),
    ("image", ".lossless.webp"): image("WEBP", lossless=True),
    ("image", ".ppm"): image("PPM"),
    ("image", ".ico"): image("ICO"),
    ("image", ".jp2"): image("JPEG2000"),
    ("image", ".tga"): image("TGA"),
    **({("image", ".avif"): image("AVIF")} if features.check("avif") else {}),
    ("audio", ".wav"): sound("WAV", "PCM_16"),
    ("audio", ".u8.wav"): sound("WAV", "PCM_U8"),
    ("audio", ".float.wav"): sound("WAV", "FLOAT"),
    ("audio", ".adpcm.wav"): sound("WAV", "IMA_ADPCM"),
    ("audio", ".flac"): sound("FLAC", "PCM_16"),
    ("audio", ".ogg"): sound("OGG", "VORBIS"),
    ("audio", ".opus"): sound("OGG", "OPUS"),
    ("audio", ".mp3"): sound("MP3", "MPEG_LAYER_III"),
    ("audio", ".aiff"): sound("AIFF", "PCM_24"),
    ("audio", ".au"): sound("AU", "PCM_16"),
    ("audio", ".caf"): sound("CAF", "ALAC_16"),
    ("points", ".ascii.ply"): ply(""),
    ("points", ".le.ply"): ply("binary_little_endian"),
    ("points", ".be.ply"): ply("binary_big_endian"),
    ("points", ".off"): b"OFF\n8 7 0\n" + rows(CUBE) + rows([[len(f), *f] for f in FACES], "%d"),
    ("points", ".obj"): b"".join(b"v " + rows([v]) for v in CUBE)
    + b"".join(b"f " + rows([[i + 1 for i in f]], "%d") for f in FACES),
    ("points", ".npy"): array_file(np.save),
    ("points", ".npz"): array_file(np.savez_compressed, xyz=CLOUD),
    ("points", ".xyz"): rows(CLOUD),
    ("points", ".pts"): b"200\n" + rows(CLOUD),
}  # fmt: skip
# Formats of which a part cannot pass for the whole, and those whose last line may end anywhere.
COUNTED = {".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm", ".ply", ".off", ".npy", ".npz", ".pts"}


def flipped(blob, rng):
    blob = bytearray(blob)
    for place in rng.integers(len(blob) if rng.random() < 0.5 else min(80, len(blob)), size=3):
        blob[place] = rng.integers(256)
    return bytes(blob)


def overwritten(blob, rng):
    begin, length = rng.integers(len(blob)), rng.integers(1, 40)
    return blob[:begin] + bytes([rng.choice([0, 255, 32])]) * length + blob[begin + length :]


def shortened_inside(blob, rng):
    begin = rng.integers(len(blob))
    return blob[:begin] + blob[begin + rng.integers(1, 60) :]


def doubled_inside(blob, rng):
    begin, length = rng.integers(len(blob)), rng.integers(1, 200)
    return blob[: begin + length] + blob[begin:]


def other_number(blob, rng):
    """One number of a text, or four bytes of a header, become huge, negative or nonsense."""
    numbers = list(re.finditer(rb"\d+", blob[:300]))
    if rng.random() < 0.7 and numbers:
        match = numbers[rng.integers(len(numbers))]
        words = (b"0", b"-1", b"1e9", b"99999999999", b"nan", b"7", b"1,5", b"")
        return blob[: match.start()] + words[rng.integers(len(words))] + blob[match.end() :]
    begin = rng.integers(min(80, len(blob)))
    value = [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80"][rng.integers(4)]
    return blob[:begin] + value + blob[begin + 4 :]


DAMAGES = (flipped, overwritten, shortened_inside, doubled_inside, other_number)


class Hang(BaseException):
    """Not an Exception, so that no loader catches it."""


def outcome(modality, path):
    """What a loader returns, checked, or None for a BadItem."""

    def stop(*_):
        raise Hang(f"more than {SECONDS} s for {path}")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        loaded = media.MODALITIES[modality].load(path)
    except BadItem as error:
        assert 0 < len(str(error)) < 700 and str(error).isprintable(), error
        return None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    if modality == "image":
        assert loaded.dtype == np.uint8 and loaded.ndim == 3 and loaded.shape[2] == 3
        return loaded
    values = loaded.samples if modality == "audio" else loaded
    assert values.dtype == np.float32 and len(values) and np.isfinite(values).all()
    if modality == "audio":
        assert 1e-5 < np.abs(values).max() <= 1 and 1000 <= loaded.rate <= 768_000
    else:
        assert values.shape[1] == 3 and np.ptp(values, axis=0).max() > 0
    return values


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("modality, suffix", WHOLE)
def test_a_damaged_file_is_read_or_refused(tmp_path, modality, suffix):
    whole, rng = WHOLE[modality, suffix], np.random.default_rng(len(suffix))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(whole)
    assert outcome(modality, path) is not None
    for damage in DAMAGES:
        for _ in range(3 * TIMES):
            path.write_bytes(damage(whole, rng))
            outcome(modality, path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("modality, suffix", WHOLE)
def test_a_part_of_a_file_is_refused_or_is_the_beginning_of_the_sound(tmp_path, modality, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(WHOLE[modality, suffix])
    whole = outcome(modality, path)
    for share in np.linspace(0.02, 0.95, 5 * TIMES):
        path.write_bytes(WHOLE[modality, suffix][: int(share * len(WHOLE[modality, suffix]))])
        part = outcome(modality, path)
        if part is not None and modality == "audio":
            n = max(0, min(len(part), len(whole)) - 5000)  # a lossy decoder fades out
            assert len(part) <= len(whole) and np.abs(part[:n] - whole[:n]).max(initial=0) < 0.05
        elif part is not None:
            assert path.suffix not in COUNTED, f"{share:.0%} of {suffix} passes for the whole"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("modality, suffix", WHOLE)
def test_bytes_behind_a_file_are_refused_or_change_nothing(tmp_path, modality, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(WHOLE[modality, suffix])
    whole = outcome(modality, path)
    for tail in (b"\n", b"\0" * 100, b"nonsense 1 2 3\n" * 9, WHOLE[modality, suffix]):
        path.write_bytes(WHOLE[modality, suffix] + tail)
        longer = outcome(modality, path)
        if longer is not None and suffix not in (".xyz", ".obj", ".mp3", ".ogg", ".opus"):
            assert longer.shape == whole.shape and np.array_equal(longer, whole)
