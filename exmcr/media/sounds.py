"""Sounds."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from exmcr.common.errors import BadItem


class Sound(NamedTuple):
    """A sound in memory, finite and not silent."""

    samples: np.ndarray  # float32 (n,), mono
    rate: int  # Hz


def load(item, start: float = 0.0, seconds: float | None = None) -> Sound:
    """Path, or (samples (n,) or (n, channels), rate) -> mono Sound. `start` and `seconds` cut a window out of a file.

    Raises BadItem for what libsndfile cannot read, other shapes, and an empty, silent (all below 1e-4) or not finite sound."""
    import soundfile

    if isinstance(item, (str, Path)):
        if not Path(item).is_file():
            raise BadItem(f"unreadable sound: no file {item}")  # libsndfile calls it a system error
        try:
            with soundfile.SoundFile(item) as file:
                rate = file.samplerate
                file.seek(min(int(start * rate), len(file)))
                samples = file.read(
                    -1 if seconds is None else int(seconds * rate), dtype="float32", always_2d=True
                )
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            raise BadItem(f"unreadable sound: {error}") from error
    else:
        try:
            samples, rate = item
            samples, rate = np.asarray(samples), int(rate)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadItem(
                f"a sound is a path or (samples, rate), not a {type(item).__name__} that cannot be taken apart so"
            ) from error
        if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf" or rate <= 0:
            raise BadItem(
                f"a sound is (n,) or (n, channels) numbers and a rate above 0 Hz, got {samples.dtype} {samples.shape} at {rate} Hz"
            )
        if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
            raise BadItem(f"a sound array is (n, channels), got {samples.shape}; transpose it")
        if np.issubdtype(samples.dtype, np.integer):
            samples = samples / np.iinfo(samples.dtype).max
        samples = samples.astype(np.float32)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if samples.size == 0:
        raise BadItem("empty sound")
    if not np.isfinite(samples).all():
        raise BadItem("sound has NaN or infinite samples")
    if np.abs(samples).max() < 1e-4:
        raise BadItem("silent sound")
    return Sound(np.ascontiguousarray(samples), int(rate))


def draw(axis, sound: Sound) -> None:
    """Draw the waveform of a sound in a matplotlib axis."""
    seconds = np.arange(len(sound.samples)) / sound.rate
    step = max(1, len(seconds) // 2000)
    axis.plot(seconds[::step], sound.samples[::step], lw=0.5)
    axis.set_ylim(-1, 1)
