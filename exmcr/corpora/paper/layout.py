"""What a row is, and what the readers share.

id         unique in the corpus
modality   a name in exmcr.media.MODALITIES
caption    text of a text row, else ""
concept    class name, "" if there is none; names of several classes are joined by ", "
labels     class names of an item of a corpus with several classes per item, else []
path       file, or `shard.tar::member`; None for texts
start      of the window of a sound, in seconds
seconds    length of the window; None extends it to the end
split      as the corpus calls it
source     name of the corpus
license    as stated by the corpus or the item
group      shared by the rows of one original (an image and its captions)
original   what several corpora have parts of, e.g. "freesound/1234"; "" if it is the group
"""

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.corpora import items
from exmcr.media.tars import open_tar

Row = dict[str, Any]
Image = tuple[Any, Path, list[tuple[Any, str]]]  # id, file, (id, text) of its captions

log = logging.getLogger(__name__)

# Sounds that downloaders of videos leave behind and libsndfile does not read.
UNREADABLE = (".m4a", ".mp4", ".aac", ".webm", ".mka", ".mkv", ".wma", ".ac3")
CONVERT = "convert them, e.g. with `ffmpeg -i a.m4a a.wav`"


def row(
    source: str,
    split: str,
    id: object,
    modality: str,
    *,
    group: object = None,
    caption: str = "",
    concept: str = "",
    labels: Sequence[str] = (),
    path: object = None,
    start: float = 0.0,
    seconds: float | None = None,
    license: str = "",
    original: str = "",
) -> Row:
    """One row. `id` and `group` are given without the name of the corpus; `group` defaults to the
    id."""
    return {
        "id": f"{source}/{id}",
        "modality": modality,
        "caption": caption,
        "concept": concept,
        "labels": list(labels),
        "path": None if path is None else str(path),
        "start": float(start),
        "seconds": None if seconds is None else float(seconds),
        "split": split,
        "source": source,
        "license": license,
        "group": f"{source}/{id if group is None else group}",
        "original": original,
    }


def freesound(number: str) -> str:
    """The `original` of a clip of Freesound; "" if its number is not known."""
    return f"freesound/{number}" if number.isdecimal() else ""


def load_item(row: Row) -> Any:
    """Load the item of a row (types: exmcr.media), from a file or a tar. Raises BadItem."""
    return items.load_item(SimpleNamespace(**row), Path())


def need(*candidates: Path) -> Path:
    """The first path that exists. Raises ConfigError that lists them all."""
    for path in candidates:
        if path.exists():
            return path
    raise ConfigError(f"not found: {' or '.join(map(str, candidates))}")


def one_of(split: str, known: Iterable[str], corpus: str) -> str:
    """The split itself. Raises ConfigError if the corpus has no such split."""
    if split not in known:
        raise ConfigError(f"{corpus} has no split '{split}', only {', '.join(known)}")
    return split


def files_by_stem(folder: Path, modality: str) -> dict[str, Path | str]:
    """Every file of a modality below a folder, by its name without suffix.

    A file inside a tar is `shard.tar::member`. One walk replaces up to two million look-ups on
    disk. Warns of files that are left out because their format cannot be read, and of names that
    occur twice. Raises ConfigError for a missing folder or an unreadable tar.
    """
    if not folder.is_dir():
        raise ConfigError(f"not found: {folder}")
    files: dict[str, Path | str] = {}
    repeated: Counter[str] = Counter()
    left_out = LeftOut(str(folder))
    for path in sorted(folder.rglob("*")):
        for file, name in files_of(path):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in media.modality(modality).suffixes:
                repeated[stem] += stem in files
                files[stem] = file
            elif suffix.lower() in UNREADABLE and modality == "audio":
                left_out.add(f"{suffix} files, which libsndfile cannot read: {CONVERT}", name)
    for stem, times in repeated.items():
        if times:
            left_out.add("files of a name that occurs before", stem, times)
    left_out.warn()
    return files


def files_of(path: Path) -> Iterator[tuple[Path | str, str]]:
    """(path, name) of a file, or of every member of a tar."""
    if path.suffix.lower() != ".tar":
        yield path, path.name
    elif path.is_file():
        for member in open_tar(str(path)).members:
            yield f"{path}::{member}", os.path.basename(member)


class LeftOut:
    """Counts what a reader leaves out, with one example of each kind, to say it in one warning."""

    def __init__(self, where: str):
        self.where, self.counts, self.examples = where, Counter[str](), dict[str, str]()

    def add(self, kind: str, example: str, times: int = 1) -> None:
        self.counts[kind] += times
        self.examples.setdefault(kind, printable(example))

    def warn(self) -> None:
        """Log one line if anything was left out."""
        if self.counts:
            parts = [f"{n} {kind} (e.g. {self.examples[kind]})" for kind, n in self.counts.items()]
            log.warning("%s: left out: %s", printable(self.where), "; ".join(parts))


def printable(text: str) -> str:
    """Text that any terminal and file can hold: bytes of names that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def laid_out(path: Path, content: str) -> Iterator[None]:
    """Turn errors of a block that reads the structure of a file into a ConfigError.

    path: the file; content: what it must hold, for the message.
    """
    try:
        yield
    except ConfigError:
        raise
    except KeyError as error:
        raise ConfigError(f"{path}: no {error} where it must hold {content}") from error
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise ConfigError(f"{path}: {error}; it must hold {content}") from error


def present(
    originals: Iterable[tuple[object, list[Row]]], what: str, texts_only: bool = False
) -> Iterator[Row]:
    """Rows of the originals that are on disk; with `texts_only`, the text rows of all.

    originals: (path, or None if missing; rows of the original); what: name for messages.

    Videos vanish from the web, so the number of missing originals is only logged. Raises
    ConfigError if all are missing.
    """
    here = missing = 0
    for path, rows in originals:
        if texts_only:
            rows = [row for row in rows if row["modality"] == "text"]
        elif path is None:
            missing += 1
            continue
        here += 1
        yield from rows
    if here == 0:
        raise ConfigError(f"{what}: none of the {missing} listed items is on disk")
    if missing:
        log.warning("%s: %d of %d listed items are not on disk", what, missing, here + missing)


def image_and_captions(
    source: str, split: str, images: Iterable[Image], license: str, texts_only: bool
) -> Iterator[Row]:
    """Rows of images with captions. An image and its captions share a group."""

    def originals() -> Iterator[tuple[object, list[Row]]]:
        for id, path, captions in images:
            shared: Row = {"group": id, "license": license}
            texts = [
                row(source, split, f"{id}/{k}", "text", caption=caption, **shared)
                for k, caption in captions
            ]
            image = row(source, split, id, "image", path=path, **shared)
            yield (path if path.is_file() else None), [image, *texts]

    return present(originals(), f"{source} {split}", texts_only)


def sound_and_frame(
    root: Path,
    source: str,
    split: str,
    videos: Iterable[tuple[str, str, float, float | None]],
    license: str,
) -> Iterator[Row]:
    """Rows of videos that were split into `audio/<id>.wav` and `frames/<id>.jpg`.

    A folder `frames/<id>/` stands for its middle frame. videos: (id, concept, start, seconds). The
    two rows of a video share a group.
    """
    sounds, frames = files_by_stem(root / "audio", "audio"), need(root / "frames")
    suffixes = media.modality("image").suffixes
    frame = {
        path.name if path.is_dir() else path.stem: path
        for path in sorted(frames.iterdir())
        if path.is_dir() or path.suffix.lower() in suffixes
    }

    def originals() -> Iterator[tuple[object, list[Row]]]:
        for id, concept, start, seconds in videos:
            sound, picture = sounds.get(id), _middle(frame.get(id))
            shared: Row = {"group": id, "concept": concept, "license": license}
            window: Row = {"start": start, "seconds": seconds}
            rows = [
                row(source, split, f"{id}/audio", "audio", path=sound, **window, **shared),
                row(source, split, f"{id}/image", "image", path=picture, **shared),
            ]
            yield (sound if picture else None), rows

    return present(originals(), source)


def _middle(picture: Path | None) -> Path | None:
    """The picture itself, or the middle one of a folder of pictures; None if there is none."""
    if picture is None or not picture.is_dir():
        return picture
    suffixes = media.modality("image").suffixes
    inside = sorted(path for path in picture.iterdir() if path.suffix.lower() in suffixes)
    return inside[len(inside) // 2] if inside else None
