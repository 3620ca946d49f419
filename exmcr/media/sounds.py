"""Sounds."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.common.files import atomic_write
from exmcr.media import limits, sound_files
from exmcr.media.arrays import as_array
from exmcr.media.guard import bad_items, check_bytes

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff")
SILENCE = 1e-4  # samples closer to 0, or to a constant offset, are silent
OFFSET = 0.02  # largest constant offset of silence; the middle of 8 bits is often off by 0.008
LEAD = 1.0  # seconds of silence that a sound may begin with; a longer one is cut off
SHORTEST = 1e-4  # seconds, about 2 samples at the lowest rate of an encoder
CANCELED = 0.1  # peak of the mean of the channels, relative to that of the loudest


class Sound(NamedTuple):
    """A sound in memory, finite and not silent."""

    samples: np.ndarray  # float32 (n,), mono, in [-1, 1]
    rate: int  # Hz


@bad_items("sound")
def load(
    item: Any, start: float = 0.0, seconds: float | None = None, used: float | None = None
) -> Sound:
    """Path, or (samples (n,) or (n, channels), rate in Hz) -> mono Sound at its own rate.

    start, seconds  window, in seconds; None reads to the end
    used            seconds that the encoder uses; no more are read. Default and at most:
                    limits.SECONDS

    - Samples are arrays, lists or tensors. Floats count as they are; integers are scaled by their
      type: int8, int16 and int32 by their range, uint8 and uint16 around its middle. int64, which
      any list of numbers becomes, has no scale and is refused.
    - Channels are averaged. If they cancel each other, the loudest one is taken.
    - A peak above 1 is scaled to 1.
    - Silence (below 1e-4, also around a small constant) of more than a second at the start is cut
      off, so that an encoder of the first seconds receives the sound. A sound that holds nothing
      else is refused.
    - A file that ends before its header says is read as far as it goes.

    Raises BadItem for files that libsndfile cannot read, other shapes, a rate beyond limits.RATES,
    and a sound that is empty, silent, shorter than 0.1 ms or not finite.
    """
    most = min(used or limits.SECONDS, limits.SECONDS)
    if isinstance(item, str | os.PathLike):
        with sound_files.opened(Path(item)) as file:
            rate = _checked_rate(file.samplerate)
            blocks = sound_files.blocks(file, start, seconds)
            samples = _audible(blocks, rate, int(most * rate))
    else:
        samples, rate = _from_array(item)
        end = None if seconds is None else int(start * rate) + int(seconds * rate)
        parts = _in_blocks(samples[int(start * rate) : end])
        samples = _audible(parts, rate, int(most * rate))
    if len(samples) < SHORTEST * rate:
        raise BadItem(f"sound of {len(samples)} samples at {rate} Hz is too short")
    if not np.isfinite(samples).all():
        raise BadItem("sound has NaN or infinite samples")
    mono = _mono(samples)
    peak = float(max(mono.max(), -mono.min()))
    return Sound(np.ascontiguousarray(mono / max(peak, 1.0), dtype=np.float32), rate)


def _audible(blocks: Iterable[np.ndarray], rate: int, most: int) -> np.ndarray:
    """Frames (n, channels) without a silent lead of more than LEAD, at most `most` of them."""
    kept: list[np.ndarray] = []
    lead: list[np.ndarray] = []  # silence that is kept if the sound begins soon
    position, total, first = 0, 0, None
    for block in blocks:
        if first is None:
            first = np.where(np.abs(block[:1]) < OFFSET, block[:1], 0)
        if not kept:
            loud = ~((np.abs(block) < SILENCE) | (np.abs(block - first) < SILENCE))
            begins = np.flatnonzero(loud.any(axis=1))
            if not len(begins):
                lead = [*lead, block] if position < LEAD * rate else []
                position += len(block)
                continue
            late = position + begins[0] > LEAD * rate
            kept = [] if late else lead
            total = sum(map(len, kept))
            block = block[begins[0] :] if late else block
        kept.append(block)
        total += len(block)
        check_bytes(min(total, most) * block[0].nbytes, "the part of the sound that is used")
        if total >= most:
            break
    if first is None:
        raise BadItem("empty sound")
    if not kept:
        raise BadItem("silent sound")
    return np.concatenate(kept)[:most]


def _mono(samples: np.ndarray) -> np.ndarray:
    """(n, channels) -> (n,): the mean, or the loudest channel if the channels cancel out."""
    mean = samples.mean(axis=1)
    peaks = np.maximum(samples.max(axis=0), -samples.min(axis=0))
    return (
        mean
        if max(mean.max(), -mean.min()) >= CANCELED * peaks.max()
        else samples[:, peaks.argmax()]
    )


def _checked_rate(rate: float) -> int:
    lowest, highest = limits.RATES
    if not lowest <= rate <= highest:
        raise BadItem(f"a sound is sampled at {lowest} to {highest} Hz, not {rate:g}")
    return int(rate)


def _from_array(item: Any) -> tuple[np.ndarray, int]:
    """(samples, rate) -> numbers (n, channels), rate."""
    try:
        samples, rate = item
        if np.ndim(samples) == 0 and np.ndim(rate) > 0:
            raise BadItem("a sound is (samples, rate), got (rate, samples)")
        if isinstance(rate, str):
            raise BadItem(f"a sampling rate is a number of Hz, not '{rate}'")
        samples, rate = as_array(samples), float(rate)
    except BadItem:
        raise
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        kind = type(item).__name__
        raise BadItem(f"a sound is a path or (samples, rate), got a {kind}: {error}") from error
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf" or not rate > 0:
        raise BadItem(
            "a sound is (n,) or (n, channels) numbers and a rate above 0 Hz, "
            f"got {samples.dtype} {samples.shape} at {rate} Hz"
        )
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
        raise BadItem(f"a sound array is (n, channels), got {samples.shape}; transpose it")
    if samples.ndim == 2 and samples.shape[1] == 0:
        raise BadItem("a sound without channels")
    if samples.dtype.kind != "f" and samples.dtype.itemsize > 4:
        raise BadItem(
            f"{samples.dtype} samples have no scale; convert them to int16, or to floats in [-1, 1]"
        )
    return samples if samples.ndim == 2 else samples[:, None], _checked_rate(rate)


def _in_blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers (n, channels) as floats, in blocks."""
    size = max(1, sound_files.BLOCK // samples.shape[1])
    for begin in range(0, len(samples), size):
        yield _scaled(samples[begin : begin + size])


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Samples as floats, integers by the range of their type, as libsndfile scales them."""
    kind, size = samples.dtype.kind, samples.dtype.itemsize
    if kind == "f":
        return samples if size == 4 else samples.astype(np.float64)
    middle = 2.0 ** (8 * size - 1)
    return samples / middle if kind == "i" else (samples - middle) / middle


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
