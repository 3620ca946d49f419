"""What a row is, and the few ways in which corpora lie on disk.

id         unique in the corpus                       modality  text, image, audio or points
caption    text of a text row, "" elsewhere           concept   class name, "" if there is none
path       file, or `shard.tar::member`; None: text   start, seconds   window of a sound; seconds None: to the end
split      as the corpus calls it                     source    name of the corpus
license    as stated by the corpus or the item        group     rows of one original (an image and its captions) share it
"""

import json
import logging
import os
from pathlib import Path
from typing import Iterable, Iterator

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.media.tars import local_file, open_tar

log = logging.getLogger(__name__)


def row(
    source: str,
    split: str,
    id,
    modality: str,
    *,
    group=None,
    caption: str = "",
    concept: str = "",
    path=None,
    start: float = 0.0,
    seconds: float | None = None,
    license: str = "",
) -> dict:
    return {
        "id": f"{source}/{id}",
        "modality": modality,
        "caption": caption,
        "concept": concept,
        "path": None if path is None else str(path),
        "start": float(start),
        "seconds": None if seconds is None else float(seconds),
        "split": split,
        "source": source,
        "license": license,
        "group": f"{source}/{id if group is None else group}",
    }


def load_item(row: dict):
    """The item of a row in memory (see exmcr/media.py), from a file or a tar. Raises BadItem."""
    if row["modality"] == "text":
        return media.text.load(row["caption"])
    with local_file(row["path"]) as path:
        if row["modality"] == "audio":
            return media.sounds.load(path, row["start"], row["seconds"])
        return media.load(row["modality"], path)


def need(*candidates: Path) -> Path:
    """The first path that exists. Raises ConfigError that names them all."""
    for path in candidates:
        if path.exists():
            return path
    raise ConfigError(f"not found: {' or '.join(map(str, candidates))}")


def read_json(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


def one_of(split: str, known: Iterable[str], corpus: str) -> str:
    if split not in known:
        raise ConfigError(f"{corpus} has no split '{split}', only {', '.join(known)}")
    return split


def files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path | str]:
    """Every file below a folder, and in the tars below it, by its name without suffix: one walk, instead of two million
    questions to the disk. A file of a tar is `shard.tar::member`. Raises ConfigError for no folder or an unreadable tar."""
    if not folder.is_dir():
        raise ConfigError(f"not found: {folder}")
    found: dict[str, Path | str] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes:
            found[path.stem] = path
        elif path.suffix == ".tar":
            names = (
                (member, *os.path.splitext(os.path.basename(member)))
                for member in open_tar(str(path)).members
            )
            found |= {
                stem: f"{path}::{member}"
                for member, stem, suffix in names
                if suffix.lower() in suffixes
            }
    return found


SOUND = (".wav", ".flac", ".ogg", ".mp3", ".m4a")
PICTURE = (".jpg", ".jpeg", ".png", ".webp")


def present(
    pairs: Iterable[tuple[object, list[dict]]], what: str, texts_only: bool = False
) -> Iterator[dict]:
    """Rows of the items that are on disk; with `texts_only`, text rows of all. `pairs` are (path or None, rows of the item).

    Videos vanish from the web, so some are always missing: their number is logged. None at all is a ConfigError."""
    here = missing = 0
    for path, rows in pairs:
        if texts_only:
            path, rows = "", [row for row in rows if row["modality"] == "text"]
        if path is None:
            missing += 1
            continue
        here += 1
        yield from rows
    if here == 0:
        raise ConfigError(f"{what}: none of the {missing} listed items is on disk")
    if missing:
        log.warning("%s: %d of %d listed items are not on disk", what, missing, here + missing)


def sound_and_frame(
    root: Path,
    source: str,
    split: str,
    items: Iterable[tuple[str, str, float, float | None]],
    license: str,
) -> Iterator[dict]:
    """Rows of videos taken apart into `audio/<id>.wav` and `frames/<id>.jpg` (or a folder `frames/<id>/`: its middle frame).

    items: (id, concept, start, seconds). Both rows of a video share a group."""
    sounds, frames = files_by_stem(root / "audio", SOUND), root / "frames"
    pictures = {path.stem: path for path in need(frames).iterdir()}

    def pairs():
        for id, concept, start, seconds in items:
            sound, picture = sounds.get(id), pictures.get(id)
            if picture is not None and picture.is_dir():
                inside = sorted(
                    path for path in picture.iterdir() if path.suffix.lower() in PICTURE
                )
                picture = inside[len(inside) // 2] if inside else None
            common = dict(group=id, concept=concept, license=license)
            yield (
                (sound if picture else None),
                [
                    row(
                        source,
                        split,
                        f"{id}/audio",
                        "audio",
                        path=sound,
                        start=start,
                        seconds=seconds,
                        **common,
                    ),
                    row(source, split, f"{id}/image", "image", path=picture, **common),
                ],
            )

    return present(pairs(), source)
