"""The corpora of the paper: one short reader each, from the layout of a download to plain rows.

build.py   the item table of `corpora: paper`
layout.py  what a row is, and what readers share
others     one corpus each; the module docstring is the layout of the download

Nothing is downloaded here.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import load_item

__all__ = ["PAPER_CORPORA", "load_item", "paper_corpora"]

PAPER_CORPORA = {
    "coco": "Captions and images of MS COCO",
    "cc3m": "Captions of Conceptual Captions 3M",
    "audioset": "Clips of AudioSet",
    "audiocaps": "Clips of AudioSet with captions",
    "clotho": "Clips of Freesound with five captions each",
    "imagenet": "ImageNet (ILSVRC 2012)",
    "flickrnet": "Flickr-SoundNet: sounds and frames of videos",
    "ave": "Audio-visual events: sounds and frames of videos",
    "vggss": "VGG-Sound Source: sounds and frames of videos",
    "modelnet40": "Shapes of 40 classes",
    "objaverse": "Objaverse as OpenShape records, and its LVIS classes",
    "webdataset": "Any tar shards in the webdataset format",
}
WITH_CAPTIONS = ("coco", "audiocaps", "clotho")  # their captions are in separate files


def paper_corpora(
    name: str, root: str | Path, split: str | None = None, texts_only: bool = False
) -> Iterator[dict[str, Any]]:
    """Rows (see layout.py) of a corpus.

    name        key of PAPER_CORPORA
    root        folder of the corpus
    split       as the corpus calls it; None takes the default of the reader
    texts_only  captions alone, for which sounds and images need not be on disk

    Raises ConfigError for an unknown name or split, and for a folder in another layout than the
    reader documents.
    """
    if name not in PAPER_CORPORA:
        raise ConfigError(f"unknown corpus '{name}'; known: {', '.join(PAPER_CORPORA)}")
    rows = import_module(f"{__name__}.{name}").rows
    options: dict[str, Any] = {} if split is None else {"split": split}
    if texts_only and name in WITH_CAPTIONS:
        options["texts_only"] = True
    return rows(Path(root), **options)
