"""Sounds."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.common.files import atomic_write

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".m4a")
SILENCE = 1e-4  # a sound whose samples are all smaller is silent


class Sound(NamedTuple):
    """A sound in memory, finite and not silent."""

    samples: np.ndarray  # float32 (n,), mono
    rate: int  # Hz


def load(item: Any, start: float = 0.0, seconds: float | None = None) -> Sound:
    """Path, or (samples (n,) or (n, channels), rate in Hz) -> mono Sound at its own rate.

    start, seconds: window of a file, in seconds; None reads to the end.

    Raises BadItem for files that libsndfile cannot read, for other shapes, and for an empty, silent
    (all samples below 1e-4) or non-finite sound.
    """
    if isinstance(item, str | Path):
        samples, rate = _read(Path(item), start, seconds)
    else:
        samples, rate = _from_array(item)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if samples.size == 0:
        raise BadItem("empty sound")
    if not np.isfinite(samples).all():
        raise BadItem("sound has NaN or infinite samples")
    if np.abs(samples).max() < SILENCE:
        raise BadItem("silent sound")
    return Sound(np.ascontiguousarray(samples), int(rate))


def _read(path: Path, start: float, seconds: float | None) -> tuple[np.ndarray, int]:
    import soundfile

    if not path.is_file():
        raise BadItem(f"unreadable sound: no file {path}")  # libsndfile calls it a system error
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(min(int(start * rate), len(file)))
            frames = -1 if seconds is None else int(seconds * rate)
            return file.read(frames, dtype="float32", always_2d=True), rate
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise BadItem(f"unreadable sound: {error}") from error


def _from_array(item: Any) -> tuple[np.ndarray, int]:
    try:
        samples, rate = item
        samples, rate = np.asarray(samples), int(rate)
    except (TypeError, ValueError, OverflowError) as error:
        kind = type(item).__name__
        raise BadItem(f"a sound is a path or (samples, rate), got a {kind}: {error}") from error
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf" or rate <= 0:
        raise BadItem(
            "a sound is (n,) or (n, channels) numbers and a rate above 0 Hz, "
            f"got {samples.dtype} {samples.shape} at {rate} Hz"
        )
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
        raise BadItem(f"a sound array is (n, channels), got {samples.shape}; transpose it")
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / np.iinfo(samples.dtype).max
    return samples.astype(np.float32), rate


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write mono samples (n,), clipped to [-1, 1], as 16-bit WAV, atomically. rate in Hz."""
    import soundfile

    with atomic_write(path) as draft:
        soundfile.write(draft, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")


def draw(axis, sound: Sound) -> None:
    """Draw the waveform of a sound in a matplotlib axis, in the next color of its cycle."""
    seconds = np.arange(len(sound.samples)) / sound.rate
    step = max(1, len(seconds) // 2000)
    axis.plot(seconds[::step], sound.samples[::step], lw=0.5)
    axis.set_ylim(-1, 1)
