"""The corpora of the paper: one short reader each, from the layout of a download to plain rows.

build.py    the item table of `corpora: paper`
layout.py   what a row is, and what readers share
lists.py    text, JSON and CSV files, read strictly
prompts.py  sentences on a class, for zero-shot classification
others      one corpus each; the module docstring is the layout of the download

Nothing is downloaded here.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import load_item

__all__ = ["CLASSIFIED", "PAPER_CORPORA", "class_names", "load_item", "paper_corpora"]

PAPER_CORPORA = {
    "coco": "Captions and images of MS COCO",
    "cc3m": "Captions of Conceptual Captions 3M",
    "flickr30k": "Images of Flickr with five captions each",
    "msrvtt": "Sentences on the videos of MSR-VTT",
    "mad": "Sentences of movie audio descriptions",
    "audioset": "Clips of AudioSet with their classes",
    "audiocaps": "Clips of AudioSet with captions",
    "clotho": "Clips of Freesound with five captions each",
    "esc50": "Environmental sounds of 50 classes",
    "imagenet": "ImageNet (ILSVRC 2012)",
    "flickrnet": "Flickr-SoundNet: sounds and frames of videos",
    "ave": "Audio-visual events: sounds and frames of videos",
    "vggss": "VGG-Sound Source: sounds and frames of videos",
    "modelnet40": "Shapes of 40 classes",
    "scanobjectnn": "Scanned objects of 15 classes",
    "objaverse": "Objaverse as OpenShape records, and its LVIS classes",
    "webdataset": "Any tar shards in the webdataset format",
}
# Their captions are in separate files.
WITH_CAPTIONS = ("coco", "flickr30k", "audiocaps", "clotho")
CLASSIFIED = {  # what zero-shot classification sorts into the classes of a corpus
    "audioset": "audio",
    "esc50": "audio",
    "imagenet": "image",
    "modelnet40": "points",
    "scanobjectnn": "points",
    "objaverse": "points",
}


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


def class_names(name: str, root: str | Path, split: str) -> list[str]:
    """The names of all classes of a corpus, sorted, whether or not one of its items is on disk.

    Raises ConfigError if the corpus, or this split of it, has no classes.
    """
    names: list[str] = []
    if name in CLASSIFIED:
        names = import_module(f"{__name__}.{name}").classes(Path(root), split)
    if not names:
        raise ConfigError(
            f"{name} {split} has no classes: delete `prompts`, which {', '.join(CLASSIFIED)} have"
        )
    return names
