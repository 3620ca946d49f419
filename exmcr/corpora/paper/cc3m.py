"""Conceptual Captions 3M, captions only; for its images, download webdataset tars.

Train_GCC-training.tsv, Validation_GCC-1.1.0-Validation.tsv: caption <tab> URL, no header
"""

from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Row, need, one_of, row
from exmcr.corpora.paper.lists import text_lines

FILES = {"train": "Train_GCC-training.tsv", "validation": "Validation_GCC-1.1.0-Validation.tsv"}
LICENSE = "free use, as stated by Google"


def rows(root: Path, split: str = "train") -> Iterator[Row]:
    """Text rows; splits train, validation."""
    path = need(root / FILES[one_of(split, FILES, "cc3m")])
    for k, line in enumerate(text_lines(path)):
        caption = line.split("\t")[0].strip()
        # The instructions of img2dataset add a header line to the file.
        if caption and not (k == 0 and caption == "caption"):
            yield row("cc3m", split, f"{split}/{k}", "text", caption=caption, license=LICENSE)
