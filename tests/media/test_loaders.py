"""Loaders: readable items are read correctly, others raise BadItem with a reason."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from exmcr import media
from exmcr.common.errors import BadItem


def test_a_text_has_single_spaces():
    assert media.load("text", "  a \n dog\t") == "a dog"


@pytest.mark.parametrize("item", ["", " \n\t ", None, 3, b"dog"])
def test_a_text_without_words_is_bad(item):
    with pytest.raises(BadItem, match="text"):
        media.text.load(item)


def noise(mode="RGB", size=(40, 30)):
    rng = np.random.default_rng(0)
    channels = len(mode)
    return Image.fromarray(
        rng.integers(0, 256, (size[1], size[0], channels)).astype(np.uint8).squeeze(), mode
    )


def test_a_picture_is_read_as_it_was_written(tmp_path):
    noise().save(tmp_path / "a.png")
    for item in (tmp_path / "a.png", str(tmp_path / "a.png"), noise(), np.asarray(noise())):
        pixels = media.load("image", item)
        assert pixels.dtype == np.uint8 and np.array_equal(pixels, np.asarray(noise()))


def test_gray_becomes_three_equal_channels():
    pixels = media.images.load(noise("L"))
    assert pixels.shape == (30, 40, 3) and (pixels == pixels[:, :, :1]).all()


def test_16_bit_gray_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 32768, 65535, 257]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert media.images.load(tmp_path / "a.png")[0, :, 0].tolist() == [0, 127, 255, 1]


def test_transparency_is_composited_on_white(tmp_path):
    picture = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    picture.putpixel((1, 0), (200, 0, 0, 255))
    picture.save(tmp_path / "a.png")
    assert media.images.load(tmp_path / "a.png").tolist() == [[[255, 255, 255], [200, 0, 0]]]
    picture.putpixel((0, 0), (0, 0, 0, 128))
    assert abs(int(media.images.load(picture)[0, 0, 0]) - 127) <= 1, "half black on white is gray"


def test_transparency_of_a_palette_is_composited_on_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 0, 0])
    picture.putpixel((1, 0), 1)
    for name in ("a.gif", "a.png"):
        picture.save(tmp_path / name, transparency=0)
        assert media.images.load(tmp_path / name).tolist() == [[[255, 255, 255], [200, 0, 0]]]


def test_the_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise().save(tmp_path / "a.png", exif=exif)
    assert media.images.load(tmp_path / "a.png").shape == (40, 30, 3)


def test_the_first_frame_of_an_animation_is_used(tmp_path):
    red, blue = Image.new("RGB", (4, 4), (255, 0, 0)), Image.new("RGB", (4, 4), (0, 0, 255))
    red.save(tmp_path / "a.gif", save_all=True, append_images=[blue])
    assert media.images.load(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def damaged_pictures():
    rng = np.random.default_rng(0)
    for kind in ("PNG", "GIF", "JPEG", "BMP", "TIFF", "WEBP"):
        whole = io.BytesIO()
        noise().save(whole, kind)
        whole = whole.getvalue()
        for share in (0.02, 0.3, 0.9):
            yield whole[: int(share * len(whole))]
        for _ in range(60):
            blob = bytearray(whole)
            for place in rng.integers(len(blob) if rng.random() < 0.5 else 60, size=3):
                blob[place] = rng.integers(256)
            yield bytes(blob)


@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_in_a_picture_gives_a_picture_or_a_bad_item(tmp_path):
    bad = 0
    for n, blob in enumerate(damaged_pictures()):
        (tmp_path / str(n)).write_bytes(blob)
        try:
            assert media.images.load(tmp_path / str(n)).shape[2] == 3
        except BadItem:
            bad += 1
    assert bad > 50


def test_a_file_or_array_that_is_no_image_is_bad(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    for item in (tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "missing.png"):
        with pytest.raises(BadItem, match="unreadable image"):
            media.images.load(item)
    for array in (
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ):
        with pytest.raises(BadItem, match="uint8"):
            media.images.load(array)


def tone(n=8000, rate=8000):
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(n) / rate)).astype(np.float32), rate


def test_a_sound_is_read_as_mono_at_its_own_rate(tmp_path):
    samples, rate = tone()
    soundfile.write(tmp_path / "a.wav", np.stack([samples, 0 * samples], 1), rate, subtype="FLOAT")
    for item in (tmp_path / "a.wav", (np.stack([samples, 0 * samples], 1), rate)):
        sound = media.load("audio", item)
        assert sound.rate == 8000 and sound.samples.dtype == np.float32
        assert np.allclose(sound.samples, samples / 2, atol=1e-6)


def test_a_window_is_cut_out_of_a_sound(tmp_path):
    samples, rate = tone()
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    assert np.array_equal(
        media.sounds.load(tmp_path / "a.wav", 0.25, 0.5).samples, samples[2000:6000]
    )
    assert np.array_equal(media.sounds.load(tmp_path / "a.wav", 0.75, 9).samples, samples[6000:])
    with pytest.raises(BadItem, match="empty sound"):
        media.sounds.load(tmp_path / "a.wav", 5.0)


def test_integer_samples_are_scaled():
    sound = media.sounds.load((np.array([0, 16384, -32767], np.int16), 8000))
    assert np.allclose(sound.samples, [0, 0.5, -1], atol=1e-4)


@pytest.mark.parametrize(
    "samples, reason",
    [
        (np.zeros(100, np.float32), "silent"),
        (np.full(100, 5e-5, np.float32), "silent"),
        (np.empty(0, np.float32), "empty"),
        (np.array([0.1, np.nan]), "NaN"),
        (np.array([0.1, np.inf]), "NaN or infinite"),
    ],
)
def test_a_sound_without_content_is_bad(tmp_path, samples, reason):
    with pytest.raises(BadItem, match=reason):
        media.sounds.load((samples, 8000))
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(BadItem, match=reason):
        media.sounds.load(tmp_path / "a.wav")


def test_a_file_that_is_no_sound_is_bad(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not a sound")
    for name in ("empty.wav", "text.wav", "missing.wav"):
        with pytest.raises(
            BadItem,
            match="unreadable sound: no file" if name == "missing.wav" else "unreadable sound",
        ):
            media.sounds.load(tmp_path / name)


def test_a_cloud_is_its_first_three_columns(tmp_path):
    cloud = np.random.default_rng(0).normal(size=(20, 6))
    np.save(tmp_path / "a.npy", cloud)
    for item in (cloud, tmp_path / "a.npy", str(tmp_path / "a.npy")):
        points = media.load("points", item)
        assert points.dtype == np.float32 and points.flags.c_contiguous
        assert np.array_equal(points, cloud[:, :3].astype(np.float32))


@pytest.mark.parametrize(
    "cloud, reason",
    [
        (np.zeros((0, 3)), "empty cloud"),
        (np.zeros((5, 2)), "must be"),
        (np.zeros(3), "must be"),
        (np.array([[0, 0, 0], [1, np.nan, 0]]), "NaN"),
        (np.array([[0, 0, 0], [1, np.inf, 0]]), "NaN or infinite"),
        (np.ones((5, 3)), "coincide"),
    ],
)
def test_a_degenerate_cloud_is_bad(tmp_path, cloud, reason):
    with pytest.raises(BadItem, match=reason):
        media.points.load(cloud)
    np.save(tmp_path / "a.npy", cloud)
    with pytest.raises(BadItem, match=reason):
        media.points.load(tmp_path / "a.npy")


def test_missing_or_damaged_cloud_files_are_bad(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00 nothing")
    for name in ("a.npy", "missing.npy", "a.docx"):
        with pytest.raises(BadItem):
            media.points.load(tmp_path / name)


@pytest.mark.parametrize(
    "item",
    [
        None,
        3,
        {"a": 1},
        np.zeros(2),
        (np.zeros(8), None),
        (np.zeros(8), 0),
        ("ab", 8000),
        (np.zeros((2, 2, 2)), 8000),
    ],
)
def test_an_object_that_is_no_sound_is_bad(item):
    with pytest.raises(BadItem, match="a sound is"):
        media.sounds.load(item)


def test_a_transposed_sound_is_not_averaged_over_time():
    with pytest.raises(BadItem, match="transpose"):
        media.sounds.load((np.ones((2, 8000), np.float32), 8000))


@pytest.mark.parametrize("item", [None, 3, {"a": 1}, [1, 2]])
def test_an_object_that_is_no_image_is_bad(item):
    with pytest.raises(BadItem, match="an image is a path"):
        media.images.load(item)


@pytest.mark.parametrize(
    "item", [None, 3, [["a", "b", "c"]], [[1, 2, 3], [1, 2]], np.zeros((4, 3), complex)]
)
def test_an_object_that_is_no_cloud_is_bad(item):
    with pytest.raises(BadItem):
        media.points.load(item)
