"""The file of one item: a picture, a sound or a point cloud. Made in worker processes."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.common.files import atomic_write
from exmcr.common.hashing import sha256
from exmcr.corpora.mini import furniture, pictures, shapes, soundfonts
from exmcr.media import sounds

POINTS = 10_000  # per cloud
MAX_SECONDS = 10.0  # of a sound

Job = tuple[Any, ...]  # key of MAKERS, then the arguments of that function behind `target`


def make(job: tuple[Job, Path]) -> tuple[str, str]:
    """Make the file of one item unless it exists.

    job: what to make, and the path of the file. Returns (SHA-256 of the file, ""), or ("", reason)
    if the item cannot be used.
    """
    (kind, *arguments), target = job
    try:
        if not target.exists():
            MAKERS[kind](target, *arguments)
        return sha256(target), ""
    except BadItem as error:
        return "", str(error)


def _picture(target: Path, source: Path | bytes, suffix: str) -> None:
    pictures.store(source, target, svg=suffix == ".svg")


def _icon(target: Path, library: Path, name: str) -> None:
    pictures.store(furniture.read(library, name), target)


def _sound(target: Path, source: Path | bytes, suffix: str) -> None:
    import soundfile

    if isinstance(source, bytes):
        try:
            content = soundfile.read(io.BytesIO(source), dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise BadItem(f"unreadable sound: {error}") from error
        sound = sounds.load(content)
    else:
        sound = sounds.load(source, 0, MAX_SECONDS)
    sounds.write_wav(target, sound.samples[: int(MAX_SECONDS * sound.rate)], sound.rate)


@cache
def _player(font: Path) -> soundfonts.Player:
    return soundfonts.Player(font)


def _note(target: Path, font: Path, bank: int, program: int, keys: list[int]) -> None:
    sound = _player(font).play(bank, program, keys)
    if np.abs(sound).max() < 1e-3:
        raise BadItem("the soundfont is silent on this key")
    sounds.write_wav(target, sound, soundfonts.RATE)


def _furniture(target: Path, library: Path, shape: str, size: list[float]) -> None:
    _store_cloud(target, furniture.cloud(library, shape, size, POINTS, seed=0))


def _shape(target: Path, mesh: Path) -> None:
    _store_cloud(target, shapes.cloud(mesh, POINTS, seed=0))


def _store_cloud(target: Path, points: np.ndarray) -> None:
    with atomic_write(target) as draft, draft.open("wb") as file:
        np.save(file, points)


MAKERS: dict[str, Callable[..., None]] = {
    "picture": _picture,
    "icon": _icon,
    "sound": _sound,
    "note": _note,
    "furniture": _furniture,
    "shape": _shape,
}
