"""Which modality a file is of, by its suffix."""

import os
from pathlib import Path

from exmcr import media
from exmcr.media import videos


def by_suffix() -> dict[str, str]:
    """{suffix: modality}; where two modalities have a suffix, the first in the registry counts.

    Videos are images here, but not in shards, where a sound and its video may share a key.
    """
    found: dict[str, str] = {}
    for name, entry in media.MODALITIES.items():
        for suffix in entry.suffixes:
            found.setdefault(suffix, name)
    return found | dict.fromkeys(videos.SUFFIXES, "image")


def modality_of(path: str | os.PathLike) -> str | None:
    """The modality of a file, e.g. "audio" for bark.wav; None for another suffix."""
    return by_suffix().get(Path(path).suffix.lower())
