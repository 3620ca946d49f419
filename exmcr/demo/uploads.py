"""Files that a visitor drops: checked before they are decoded."""

from pathlib import Path
from typing import Any

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media.suffixes import by_suffix, modality_of

MEGABYTES = 50  # of one upload
NAMES = {"image": "picture", "audio": "sound", "points": "shape", "text": "text", "speech": "voice"}


def check(path: str | Path, modality: str) -> Path:
    """The path of an upload. Raises BadItem, one line for the visitor, for a file of another kind
    or of more than MEGABYTES."""
    path = Path(path)
    if modality_of(path) != modality:
        known = ", ".join(suffix for suffix, name in by_suffix().items() if name == modality)
        raise BadItem(f"{path.name} is not a {NAMES[modality]}; known kinds: {known}")
    if (size := path.stat().st_size) > MEGABYTES << 20:
        raise BadItem(f"{path.name} has {size >> 20} MB; at most {MEGABYTES} MB can be dropped")
    return path


def load(path: str | Path, modality: str, **window: float) -> Any:
    """A checked and decoded upload. Raises BadItem, one line, if it cannot be used."""
    path = check(path, modality)
    try:
        return media.load(modality, path, **window)
    except BadItem as error:  # a visitor does not read the paths of this machine
        raise BadItem(str(error).replace(str(path), path.name)) from error
