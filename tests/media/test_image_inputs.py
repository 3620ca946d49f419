"""Images: what is read, and as what; the table is printed in docs/inputs.md."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from inputs_table import case, check, params, refused
from PIL import Image, ImageOps

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media import chunks, limits

POLICY = """
An image is a path, an open file, a PIL image or a uint8 array (H, W, 3); it is read as RGB of 8 bits
on white, upright, in its first frame. The bit depth is that of the type, not of the values.

The path of a video (.mp4, .m4v, .mov, .webm, .mkv; extra `video`) is an image as well: eight frames,
evenly spaced over its first ten minutes, upright. Its vector is the normalized mean of theirs. The
limits of images hold for each frame. An animated GIF is an image.
"""

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (30, 40, 3)).astype(np.uint8)
GRAY = RGB[:, :, 0]
GRAY3 = np.repeat(GRAY[:, :, None], 3, axis=2)
DEEP = RNG.integers(0, 65536, (30, 40)).astype(np.uint16)
DEEP3 = np.repeat((DEEP / 65535 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
ALPHA = RNG.integers(0, 256, (30, 40)).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])
ON_WHITE = (255 - (255 - RGB.astype(float)) * ALPHA[:, :, None] / 255).round().astype(np.uint8)


def saved(picture, name="a.png", **options):
    """A case's `make`: a file of a picture (array or PIL image)."""

    def make(folder):
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(folder / name, **options)
        return folder / name

    return make


def raw(content, name="a.png"):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def given(item):
    return lambda folder: item


def jpeg(array=RGB, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", **options)
    return file.getvalue()


def turned(orientation, **more):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for tag, value in more.items():
        exif[int(tag[1:])] = value
    return exif


def reopened(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(file, kind, **options)
    return Image.open(file)


def chunk(name, content):
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(width, height, depth, color, rows, *others):
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", head) + b"".join(others) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def flat(value, shape=(4, 4, 3)):
    return np.full(shape, value, np.uint8)


def gray16(*values, clear=None):
    """A 16-bit gray PNG of one line, with one gray value transparent."""
    others = [] if clear is None else [chunk(b"tRNS", struct.pack(">H", clear))]
    rows = b"\0" + np.array(values, ">u2").tobytes()
    return png(len(values), 1, 16, 0, rows, *others)


def line(*values):
    return np.repeat(np.array(values, np.uint8)[None, :, None], 3, axis=2)


UPRIGHT_TEXT_TAG = jpeg(exif=turned(6, t282=72.0)).replace(b"\x01\x1a\0\5", b"\x01\x1a\0\2")
UPRIGHT = np.asarray(Image.open(io.BytesIO(jpeg())).transpose(Image.Transpose.ROTATE_270))
BLUE_RED = [Image.new("RGB", (4, 4), color) for color in ("red", "blue", "lime")]
GIF = dict(save_all=True, append_images=BLUE_RED[1:])
RED = flat(0) + np.array([255, 0, 0], np.uint8)


def animation(frame):
    image = reopened(BLUE_RED[0], "GIF", **GIF)
    image.seek(frame)
    return image


def premultiplied():
    return Image.fromarray(RGBA, "RGBA").convert("RGBa")


TABLE = [
    case("kind of item", "path as Path", saved(RGB), "its pixels", RGB),
    case("kind of item", "path as str", lambda d: str(saved(RGB)(d)), "its pixels", RGB),
    case("kind of item", "open file", lambda d: saved(RGB)(d).open("rb"), "its pixels", RGB),
    case(
        "kind of item",
        "bytes in memory, as BytesIO",
        given(io.BytesIO(jpeg(flat(90)))),
        "its pixels",
        flat(90),
    ),
    case("kind of item", "PIL image", given(Image.fromarray(RGB)), "its pixels", RGB),
    case("kind of item", "uint8 array (H, W, 3)", given(RGB), "its pixels", RGB),
    case(
        "kind of item",
        "name that is not UTF-8",
        lambda d: os.fsdecode(
            os.fsencode(saved(RGB)(d).rename(os.fsdecode(os.fsencode(d) + b"/caf\xe9.png")))
        ),
        "its pixels",
        RGB,
    ),
    case(
        "kind of item",
        "name with '::'",
        lambda d: saved(RGB)(d).rename(d / "a::b.png"),
        "its pixels",
        RGB,
    ),
    case("kind of item", "wrong suffix", saved(RGB, "a.jpg", format="PNG"), "by its content", RGB),
    case("kind of item", "no suffix", saved(RGB, "a", format="PNG"), "by its content", RGB),
    case(
        "format",
        "WebP without loss",
        saved(RGB, "a.webp", lossless=True),
        "its pixels",
        RGB,
    ),
    case("format", "BMP", saved(RGB, "a.bmp"), "its pixels", RGB),
    case("format", "TIFF", saved(RGB, "a.tif"), "its pixels", RGB),
    case(
        "format",
        "TIFF, compressed",
        saved(RGB, "a.tiff", compression="tiff_lzw"),
        "its pixels",
        RGB,
    ),
    case("format", "PPM", saved(RGB, "a.ppm"), "its pixels", RGB),
    case("format", "TGA, by its suffix", saved(RGB, "a.tga"), "its pixels", RGB),
    case("format", "PNG, optimized", saved(RGB, "a.png", optimize=True), "its pixels", RGB),
    case("color", "8-bit gray", saved(GRAY), "three equal channels", GRAY3),
    case(
        "color",
        "1 bit",
        given(Image.fromarray(GRAY > 127)),
        "black and white",
        np.where(GRAY3 > 127, 255, 0).astype(np.uint8),
    ),
    case(
        "color",
        "palette",
        given(Image.fromarray(GRAY // 16 * 16).convert("P")),
        "its colors",
        GRAY3 // 16 * 16,
    ),
    case("color", "CMYK", given(Image.new("CMYK", (4, 4), (0, 255, 255, 0))), "RGB", RED),
    case("color", "HSV", given(Image.new("HSV", (4, 4), (0, 255, 255))), "RGB", RED),
    case("color", "YCbCr", given(Image.new("YCbCr", (4, 4), (90, 128, 128))), "RGB", flat(90)),
    case("bit depth", "16-bit gray", saved(DEEP), "scaled by 65535", DEEP3),
    case(
        "bit depth",
        "16-bit gray, dark: all values 200",
        saved(np.full((4, 4), 200, np.uint16)),
        "scaled by 65535: black",
        flat(0),
    ),
    case(
        "bit depth",
        "16-bit gray, values 255 and 256",
        raw(gray16(255, 256, 65535)),
        "scaled by 65535",
        line(0, 0, 255),
    ),
    case("bit depth", "16-bit gray TIFF", saved(DEEP, "a.tif"), "scaled by 65535", DEEP3),
    case(
        "bit depth",
        "16-bit gray TIFF, dark",
        saved(np.full((4, 4), 255, np.uint16), "a.tif"),
        "scaled by 65535: black",
        flat(0),
    ),
    case(
        "bit depth",
        "16-bit gray PIL image, big-endian",
        given(Image.frombytes("I;16B", (40, 30), DEEP.astype(">u2").tobytes())),
        "scaled by 65535",
        DEEP3,
    ),
    case(
        "bit depth",
        "16-bit PGM",
        raw(b"P5 3 1 65535\n" + np.array([200, 257, 65535], ">u2").tobytes(), "a.pgm"),
        "scaled by 65535",
        line(0, 1, 255),
    ),
    case(
        "bit depth",
        "12-bit PGM, maximum 4095",
        raw(b"P5 2 1 4095\n" + np.array([0, 4095], ">u2").tobytes(), "a.pgm"),
        "scaled by its maximum",
        line(0, 255),
    ),
    case(
        "bit depth",
        "2-bit gray PNG",
        raw(png(4, 1, 2, 0, b"\0\x1b")),
        "scaled by its type",
        line(0, 85, 170, 255),
    ),
    case(
        "bit depth",
        "16-bit color PNG",
        raw(png(2, 1, 16, 2, b"\0" + np.array([257, 514, 771, 65535, 0, 0], ">u2").tobytes())),
        "scaled by 65535",
        np.array([[[1, 2, 3], [255, 0, 0]]], np.uint8),
    ),
    case(
        "bit depth",
        "32-bit integers (mode I) that hold 16-bit gray",
        given(Image.fromarray(DEEP.astype(np.int32))),
        "scaled by 65535",
        DEEP3,
    ),
    refused(
        "bit depth",
        "32-bit integers, none above 255",
        given(Image.fromarray(GRAY.astype(np.int32))),
        "no value above 255",
        "the scale is unknown: convert it",
    ),
    refused(
        "bit depth",
        "32-bit integers above 65535",
        given(Image.fromarray(np.array([[0, 70000]], np.int32))),
        "convert it to 8 or 16 bits",
    ),
    refused(
        "bit depth",
        "negative integers",
        given(Image.fromarray(np.array([[-5, 7000]], np.int32))),
        "convert it to 8 or 16 bits",
    ),
    case(
        "floats",
        "TIFF with values in [0, 1]",
        saved((GRAY / 255).astype(np.float32), "a.tif"),
        "scaled by 1",
        GRAY3,
    ),
    case(
        "floats",
        "PIL image (mode F) in [0, 1]",
        given(Image.fromarray((GRAY / 255).astype(np.float32))),
        "scaled by 1",
        GRAY3,
    ),
    case(
        "floats",
        "PIL image in [0, 255], as convert('F') gives it",
        given(Image.fromarray(GRAY).convert("F")),
        "scaled by 255",
        GRAY3,
    ),
    case("floats", "black", given(Image.new("F", (4, 4), 0)), "black", flat(0)),
    refused(
        "floats",
        "up to 3: neither scale",
        given(Image.new("F", (4, 4), 3.0)),
        "neither 0 to 1 nor 0 to 255",
    ),
    refused(
        "floats",
        "up to 1.5, an overshoot or another scale",
        given(Image.new("F", (4, 4), 1.5)),
        "neither 0 to 1 nor 0 to 255",
    ),
    refused(
        "floats",
        "16-bit values as floats",
        given(Image.new("F", (4, 4), 30000.0)),
        "neither 0 to 1 nor 0 to 255",
    ),
    refused(
        "floats",
        "negative values",
        given(Image.new("F", (4, 4), -0.5)),
        "neither 0 to 1 nor 0 to 255",
    ),
    refused(
        "floats",
        "a NaN",
        given(Image.fromarray(np.array([[0.5, np.nan]], np.float32))),
        "NaN or infinite",
    ),
    refused(
        "floats",
        "infinity, in a TIFF",
        saved(np.array([[0.5, np.inf]], np.float32), "a.tif"),
        "NaN or infinite",
    ),
    case("transparency", "RGBA", saved(RGBA), "on white", ON_WHITE),
    case("transparency", "premultiplied (mode RGBa)", given(premultiplied()), "on white", ON_WHITE),
    case(
        "transparency",
        "fully transparent, premultiplied",
        given(Image.new("RGBA", (4, 4), (200, 0, 0, 0)).convert("RGBa")),
        "white",
        flat(255),
    ),
    case(
        "transparency",
        "gray with alpha",
        saved(np.dstack([GRAY, ALPHA])),
        "on white",
        np.repeat(
            (255 - (255 - GRAY.astype(float)) * ALPHA / 255).round().astype(np.uint8)[:, :, None],
            3,
            2,
        ),
    ),
    case(
        "transparency",
        "gray with alpha, premultiplied (mode La)",
        given(Image.new("LA", (4, 4), (90, 0)).convert("La")),
        "on white",
        flat(255),
    ),
    case(
        "transparency",
        "one transparent gray, 8 bits",
        raw(png(2, 1, 8, 0, b"\0\x05\x06", chunk(b"tRNS", b"\0\x05"))),
        "white",
        line(255, 6),
    ),
    case(
        "transparency",
        "one transparent gray, 16 bits",
        raw(gray16(500, 501, 65535, clear=500)),
        "white",
        line(255, 1, 255),
    ),
    case(
        "transparency",
        "one transparent gray, 16 bits, dark",
        raw(gray16(5, 6, 257, clear=5)),
        "white",
        line(255, 0, 1),
    ),
    case(
        "transparency",
        "one transparent color, 8 bits",
        raw(png(2, 1, 8, 2, b"\0\1\2\3\4\5\6", chunk(b"tRNS", b"\0\1\0\2\0\3"))),
        "white",
        np.array([[[255, 255, 255], [4, 5, 6]]], np.uint8),
    ),
    case(
        "transparency",
        "one transparent color, 16 bits",
        raw(
            png(
                2,
                1,
                16,
                2,
                b"\0" + np.array([257, 514, 771, 65535, 0, 0], ">u2").tobytes(),
                chunk(b"tRNS", struct.pack(">HHH", 257, 514, 771)),
            )
        ),
        "white",
        np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8),
    ),
    case(
        "transparency",
        "palette, one transparent entry, GIF",
        lambda d: saved(Image.new("P", (4, 4)), "a.gif", transparency=0)(d),
        "white",
        flat(255),
    ),
    case(
        "transparency",
        "palette with alpha of each entry, PNG",
        raw(
            png(
                2,
                1,
                8,
                3,
                b"\0\0\1",
                chunk(b"PLTE", bytes([10, 20, 30, 200, 0, 0])),
                chunk(b"tRNS", b"\x00\xff"),
            )
        ),
        "on white",
        np.array([[[255, 255, 255], [200, 0, 0]]], np.uint8),
    ),
    case(
        "orientation",
        "EXIF tag 6 of a JPEG",
        raw(jpeg(exif=turned(6)), "a.jpg"),
        "upright",
        UPRIGHT,
    ),
    case(
        "orientation",
        "EXIF with another tag damaged (resolution as text)",
        raw(UPRIGHT_TEXT_TAG, "a.jpg"),
        "upright",
        UPRIGHT,
    ),
    case(
        "orientation",
        "EXIF that cannot be read",
        raw(jpeg(exif=b"Exif\0\0nonsense"), "a.jpg"),
        "as stored",
        np.asarray(Image.open(io.BytesIO(jpeg()))),
    ),
    case(
        "orientation",
        "EXIF tag 9, which does not exist",
        raw(jpeg(exif=turned(9)), "a.jpg"),
        "as stored",
        np.asarray(Image.open(io.BytesIO(jpeg()))),
    ),
    case(
        "orientation",
        "TIFF",
        lambda d: saved(RGB, "a.tif", exif=turned(6))(d),
        "upright",
        np.rot90(RGB, -1),
    ),
    case(
        "orientation",
        "PIL image as Image.open returned it",
        given(reopened(RGB, exif=turned(6))),
        "upright",
        np.rot90(RGB, -1),
    ),
    case(
        "orientation",
        "PIL image that was turned by hand, tag left behind",
        given(reopened(RGB, exif=turned(6)).transpose(Image.Transpose.ROTATE_270)),
        "as it is",
        np.rot90(RGB, -1),
    ),
    case(
        "orientation",
        "PIL image upright by ImageOps.exif_transpose",
        given(ImageOps.exif_transpose(reopened(RGB, exif=turned(6)))),
        "as it is",
        np.rot90(RGB, -1),
    ),
    case(
        "animation",
        "GIF of three frames",
        saved(BLUE_RED[0], "a.gif", **GIF),
        "the first frame",
        RED,
    ),
    case(
        "animation",
        "WebP of three frames",
        saved(BLUE_RED[0], "a.webp", lossless=True, **GIF),
        "the first frame",
        RED,
    ),
    case(
        "animation",
        "PNG of three frames",
        saved(BLUE_RED[0], "a.png", **GIF),
        "the first frame",
        RED,
    ),
    case(
        "animation",
        "TIFF of three pages",
        saved(BLUE_RED[0], "a.tif", **GIF),
        "the first page",
        RED,
    ),
    case(
        "animation",
        "PIL image at its third frame",
        lambda d: animation(2),
        "the first frame; the image stays at its own",
        RED,
    ),
    case("size", "one pixel", given(flat(7, (1, 1, 3))), "its pixel", flat(7, (1, 1, 3))),
    case(
        "size", "1 x 1000 pixels", given(flat(7, (1, 1000, 3))), "its pixels", flat(7, (1, 1000, 3))
    ),
    refused("size", "1 x 1001 pixels", given(flat(7, (1, 1001, 3))), "narrower than 1 : 1000"),
    refused(
        "size",
        "PNG whose header says 30000 x 30000",
        raw(png(30000, 30000, 8, 2, b"")),
        "pixels",
        "more than limits.PIXELS",
    ),
    refused(
        "size",
        "PNG whose header says 2^31 - 1 x 2^31 - 1",
        raw(png(2**31 - 1, 2**31 - 1, 8, 2, b"")),
        "pixels",
        "more than limits.PIXELS",
    ),
    refused(
        "size",
        "PNG of 10000 x 10000 black pixels in 97 kB",
        raw(png(10000, 10000, 1, 0, bytes(1251 * 10000))),
        "has more than 89478485",
        "more than limits.PIXELS",
    ),
    refused("size", "array without pixels", given(np.zeros((0, 4, 3), np.uint8)), "must be uint8"),
    refused("array", "gray (H, W)", given(GRAY), r"must be uint8 \(H, W, 3\)"),
    refused("array", "with alpha (H, W, 4)", given(RGBA), r"must be uint8 \(H, W, 3\)"),
    refused("array", "floats", given(RGB / 255), r"must be uint8 \(H, W, 3\)"),
    refused(
        "array",
        "channels first (3, H, W)",
        given(RGB.transpose(2, 0, 1)),
        r"must be uint8 \(H, W, 3\)",
    ),
    refused("other", "missing file", lambda d: d / "none.png", "no file"),
    refused("other", "folder", lambda d: d, "not a file"),
    refused(
        "other",
        "named pipe, which would never end",
        lambda d: os.mkfifo(d / "pipe.png") or d / "pipe.png",
        "not a file",
    ),
    refused("other", "empty file", raw(b""), "empty file"),
    refused("other", "text", raw(b"<html>Please sign in</html>"), "no known image format"),
    refused(
        "other", "file that ends early, PNG", raw(png(64, 64, 8, 2, b"")[:-30]), "unreadable image"
    ),
    refused("other", "file that ends early, JPEG", raw(jpeg()[:600]), "(?i)truncated", "truncated"),
    refused(
        "other",
        "SVG",
        raw(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg"),
        "no known image format",
    ),
    refused(
        "other",
        "EPS, for which Pillow starts Ghostscript",
        saved(RGB, "a.eps"),
        "no known image format",
    ),
    refused("other", "None", given(None), "an image is a path"),
    refused("other", "bytes", given(jpeg()), "an image is a path"),
    refused("other", "list of paths", given(["a.png"]), "an image is a path"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("entry", params(TABLE))
def test_an_image_is_read_or_refused_as_the_table_says(entry, tmp_path):
    item = entry.make(tmp_path)
    same = lambda a, b: a.shape == b.shape and np.abs(a.astype(int) - b).max() <= 1
    pixels = check(entry, lambda raw: media.load("image", raw), item, same)
    if pixels is not None:
        assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    if isinstance(item, Image.Image) and getattr(item, "n_frames", 1) > 1:
        assert item.tell() == 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_what_pillow_makes_of_it(orientation):
    image = reopened(RGB, exif=turned(orientation))
    np.testing.assert_array_equal(media.load("image", image), ImageOps.exif_transpose(image))


def test_an_image_of_the_caller_is_not_changed():
    image = Image.open(
        io.BytesIO(png(1, 1, 16, 2, b"\0" + bytes(6), chunk(b"tRNS", bytes([1] * 6))))
    )
    before = dict(image.info)
    media.load("image", image)
    assert image.info == before and image.info["transparency"] == (257, 257, 257)


@pytest.mark.filterwarnings("ignore")
def test_random_exif_bytes_never_matter_but_for_the_orientation():
    exif = turned(6, t282=72.0, t271="maker", t306="2020:01:01 00:00:00").tobytes()
    rng, plain = np.random.default_rng(0), np.asarray(Image.open(io.BytesIO(jpeg())))
    for _ in range(300):
        blob = bytearray(exif)
        for place in rng.integers(6, len(blob), 3):
            blob[place] = rng.integers(256)
        pixels = media.load("image", io.BytesIO(jpeg(exif=bytes(blob))))
        assert any(
            pixels.shape == turn(plain).shape and np.array_equal(pixels, turn(plain))
            for turn in (lambda a: a, *media.images._TURNS.values())
        )


def test_a_jpeg_above_the_limit_is_decoded_smaller(monkeypatch, tmp_path):
    array = np.tile(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], (300, 1, 3))
    path = saved(array, "a.jpg")(tmp_path)
    monkeypatch.setattr(limits, "PIXELS", 30_000)
    pixels = media.load("image", path)
    assert pixels.shape == (150, 200, 3) and abs(int(pixels[75, 100, 0]) - 128) < 3
    monkeypatch.setattr(limits, "PIXELS", 100)
    with pytest.raises(BadItem, match="raise exmcr.media.limits.PIXELS"):
        media.load("image", path)


def test_chunks_of_large_images_are_short(monkeypatch):
    monkeypatch.setattr(limits, "CHUNK", 100)
    images = [np.zeros((2, 4, 3), np.uint8)] * 9  # 24 bytes each
    assert [len(part) for part in chunks.in_chunks(iter(images), 64)] == [5, 4]
    assert [len(part) for part in chunks.in_chunks(["a"] * 5, 2)] == [2, 2, 1]
    assert chunks.size_of((np.zeros(3), 8000)) >= 24
