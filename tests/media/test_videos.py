"""Videos: which frames are read, what is refused, and the vector of a video."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile
from PIL import Image
from stub_model import Stub
from tiny_video import CODECS, grays, video

from exmcr import media
from exmcr.common.errors import BadItem, ConfigError
from exmcr.figures import cards
from exmcr.media import limits, videos
from exmcr.media.ahead import load_ahead
from exmcr.media.suffixes import modality_of

LEVELS = np.arange(40) * 6  # of the frames of a video of 4 s


def levels(frames):
    """The gray level of each frame."""
    return frames.mean(axis=(1, 2, 3))


def middles(total, count=8):
    """The middle frame of each of `count` equal parts of a video."""
    return [(2 * n + 1) * total // (2 * count) for n in range(count)]


@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_evenly_spaced_frames_are_read(tmp_path, suffix):
    path = video(tmp_path / f"a{suffix}", grays(LEVELS))
    frames = media.load("image", path)
    assert frames.shape == (8, 24, 32, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(levels(frames), LEVELS[middles(40)], atol=2.5)
    if CODECS[suffix] == "ffv1":
        assert (frames == grays(LEVELS)[middles(40)]).all()


@pytest.mark.parametrize("total", [1, 2, 7, 8, 9, 12, 13, 25])
def test_a_short_video_gives_all_its_frames_and_a_longer_one_eight(tmp_path, total):
    frames = videos.load(video(tmp_path / "a.mkv", grays(LEVELS[:total])))
    assert levels(frames).tolist() == LEVELS[middles(total, min(8, total))].tolist()


def test_frames_that_are_stored_out_of_order_are_read_in_the_order_of_time(tmp_path):
    path = video(tmp_path / "a.mp4", grays(LEVELS), max_b_frames=2)
    np.testing.assert_allclose(levels(videos.load(path)), LEVELS[middles(40)], atol=2.5)


def test_a_long_video_counts_up_to_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 1.5)
    frames = videos.load(video(tmp_path / "a.mkv", grays(LEVELS)))
    assert levels(frames).tolist() == LEVELS[middles(16)].tolist()  # frames at 0.0 to 1.5 s


def test_the_number_of_frames_is_an_argument(tmp_path):
    frames = videos.load(video(tmp_path / "a.mkv", grays(LEVELS)), 3)
    assert levels(frames).tolist() == LEVELS[middles(40, 3)].tolist()


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),  # clockwise
        ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
        ((0, -1, 1, 0), np.rot90),
    ],
)
def test_the_rotation_of_a_telephone_is_applied(tmp_path, matrix, upright):
    frame = grays([20])[0]
    frame[:12, :16] = 220  # the top left quarter is bright
    path = video(tmp_path / "a.mp4", np.stack([frame] * 3))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44  # ISO/IEC 14496-12: the matrix of the track header
    for place, value in zip((0, 1, 3, 4), matrix):
        content[at + 4 * place : at + 4 * place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    for read in videos.load(path):
        assert np.abs(read.astype(int) - upright(frame)).mean() < 8


def refused(path):
    with pytest.raises(BadItem) as error:
        media.load("image", path)
    assert "\n" not in str(error.value)
    return str(error.value)


SOUND = io.BytesIO()
soundfile.write(SOUND, np.sin(np.arange(800)), 8000, format="WAV")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "unreadable video: a.mp4 is an empty file"),
        (b"no video at all", "neither MP4, QuickTime, Matroska nor WebM"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "neither MP4"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "neither MP4"),
        (SOUND.getvalue(), "neither MP4"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "unreadable video"),
        (b"\x1aE\xdf\xa3" + bytes(60), "unreadable video"),
    ],
)
def test_what_is_no_video_is_refused_with_one_line(tmp_path, content, says):
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(content)
    assert says in refused(tmp_path / "a.mp4")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    (tmp_path / "b.webm").mkdir()
    assert "no file" in refused(tmp_path / "a.webm") and "not a file" in refused(
        tmp_path / "b.webm"
    )


def test_a_video_without_pictures_is_refused(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "no video stream" in refused(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("limit", "value", "says"),
    [
        ("PIXELS", 700, "32 x 24 pixels has more than 700"),
        ("RATIO", 1, "narrower than 1 : 1"),
        ("BYTES", 8 * 24 * 32 * 3 - 1, "the frames of the video together has"),
    ],
)
def test_limits_apply_to_videos(tmp_path, monkeypatch, limit, value, says):
    path = video(tmp_path / "a.mkv", grays(LEVELS))
    monkeypatch.setattr(limits, limit, value)
    assert says in refused(path)


def test_a_video_that_breaks_off_is_read_as_far_as_it_goes(tmp_path):
    path = video(
        tmp_path / "a.mkv", np.random.default_rng(0).integers(0, 255, (40, 24, 32, 3), np.uint8)
    )
    content, whole = path.read_bytes(), videos.load(path)
    path.write_bytes(content[: len(content) // 2])
    half = videos.load(path)
    assert half.shape == whole.shape and (half[0] != whole[0]).any()


def test_damage_is_either_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    for suffix in (".mp4", ".webm"):
        content = video(tmp_path / f"a{suffix}", grays(LEVELS[:20])).read_bytes()
        for number in range(30):
            damaged = bytearray(content)
            for place in rng.integers(8, len(content), size=4):
                damaged[place] = rng.integers(256)
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(damaged[: rng.integers(len(content) // 2, len(content))])
            try:
                frames = videos.load(path)
                assert frames.dtype == np.uint8 and frames.ndim == 4
            except BadItem as error:
                assert "\n" not in str(error)


def test_an_animated_gif_stays_an_image(tmp_path):
    frames = [Image.fromarray(frame) for frame in grays([0, 100])]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert media.load("image", tmp_path / "a.gif").shape == (24, 32, 3)
    assert modality_of("a.gif") == modality_of("A.MP4") == "image"


def test_without_the_decoder_the_extra_is_named_and_the_video_is_not_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(videos, "available", lambda: False)
    (tmp_path / "a.mp4").write_bytes(b"any")
    message = f"^a.mp4: {re.escape(videos.MISSING)}$"
    with pytest.raises(ConfigError, match=message) as error:
        media.load("image", tmp_path / "a.mp4")
    assert "extra `video`" in str(error.value)
    with pytest.raises(ConfigError, match=message):
        list(load_ahead(lambda path: media.load("image", path), [tmp_path / "a.mp4"], 2))
    assert "no file" in refused(tmp_path / "b.mp4")


# vectors


def test_the_vector_of_a_video_is_the_normalized_mean_of_those_of_its_frames():
    space = Stub("base", ("image", "text"), 16)
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (24, 32, 3), np.uint8)
    clip = rng.integers(0, 255, (5, 24, 32, 3), np.uint8)
    rows = space.encode_loaded("image", [still, clip, still[::-1].copy(), clip[:1]])
    frames = space.encode_loaded("image", list(clip))
    mean = frames.mean(axis=0)
    np.testing.assert_allclose(rows[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(rows[3], frames[0], atol=1e-6)
    assert (rows[[0]] == space.encode_loaded("image", [still])).all()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_arrays_of_another_modality_are_no_videos():
    items = [np.zeros((2, 3, 4, 5)), "a text"]
    assert videos.in_frames("depth", items) == (items, [1, 1])


def test_frames_that_cancel_out_are_an_error():
    with pytest.raises(FloatingPointError):
        videos.means(np.array([[1.0, 0], [-1, 0], [0, 1]], np.float32), [2, 1])


def test_a_video_is_shown_by_its_middle_frame():
    clip = grays([0, 50, 100])
    assert (videos.still(clip) == clip[1]).all() and videos.still("a text") == "a text"
    _, _, data = cards.show(clip).partition("base64,")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split('"')[0]))))
    assert abs(shown.mean() - 50) < 3
