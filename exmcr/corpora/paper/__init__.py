"""The corpora of the paper: one short reader each, from the layout a download has to plain rows.

A row is a dict; exmcr/corpora/paper/layout.py says what its keys mean. Nothing is downloaded here."""

from importlib import import_module
from pathlib import Path
from typing import Iterator

from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import load_item  # noqa: F401  (a row's item in memory)

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
    "webdataset": "Any tar shards of the webdataset kind",
}
WITH_CAPTIONS = ("coco", "audiocaps", "clotho")  # whose captions lie in files of their own


def paper_corpora(
    name: str, root: str | Path, split: str | None = None, texts_only: bool = False
) -> Iterator[dict]:
    """Rows of a corpus that lies in `root`; `split` None means the reader's default.

    With `texts_only`, captions alone, for which sounds and pictures need not be on disk.

    Raises ConfigError for an unknown name or split, and for a folder that is not laid out as the reader says."""
    if name not in PAPER_CORPORA:
        raise ConfigError(f"unknown corpus '{name}'; known: {', '.join(PAPER_CORPORA)}")
    rows = import_module(f"{__name__}.{name}").rows
    chosen = {} if split is None else {"split": split}
    if texts_only and name in WITH_CAPTIONS:
        chosen["texts_only"] = True
    return rows(Path(root), **chosen)
