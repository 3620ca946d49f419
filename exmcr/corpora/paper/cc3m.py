"""Conceptual Captions 3M, captions only (images behind addresses that vanish are better had as webdataset tars).

Train_GCC-training.tsv, Validation_GCC-1.1.0-Validation.tsv: caption <tab> address, no header      splits train, validation
"""

from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import need, one_of, row

FILES = {"train": "Train_GCC-training.tsv", "validation": "Validation_GCC-1.1.0-Validation.tsv"}


def rows(root: Path, split: str = "train") -> Iterator[dict]:
    path = need(root / FILES[one_of(split, FILES, "cc3m")])
    with path.open(encoding="utf-8") as file:
        for k, line in enumerate(file):
            caption = line.rstrip("\n").split("\t")[0].strip()
            # img2dataset's instructions put a header line into the file
            if caption and not (k == 0 and caption == "caption"):
                yield row(
                    "cc3m",
                    split,
                    f"{split}/{k}",
                    "text",
                    caption=caption,
                    license="free use, as stated by Google",
                )
