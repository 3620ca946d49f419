"""Clotho 2.1: clips of Freesound, 15 to 30 s, five captions each.

clotho_captions_development.csv: file_name, caption_1 ... caption_5          splits development, validation, evaluation
clotho_metadata_development.csv: the license of each clip (if the file is there)
development/: the clips
"""

import csv
from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import need, one_of, present, row


def rows(root: Path, split: str = "evaluation", texts_only: bool = False) -> Iterator[dict]:
    one_of(split, ("development", "validation", "evaluation"), "clotho")
    folder, metadata = (
        root / split if texts_only else need(root / split),
        root / f"clotho_metadata_{split}.csv",
    )
    licenses = {}
    if metadata.is_file():
        with metadata.open(
            encoding="latin-1", newline=""
        ) as file:  # names of clips are not UTF-8 in this file
            licenses = {line["file_name"]: line["license"] for line in csv.DictReader(file)}

    def pairs():
        with need(root / f"clotho_captions_{split}.csv").open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                name = line["file_name"]
                path, clip, license = (
                    folder / name,
                    f"{split}/{name}",
                    licenses.get(name, "see Freesound"),
                )
                item = [row("clotho", split, clip, "audio", path=path, license=license)]
                captions = [
                    line[f"caption_{k}"].strip()
                    for k in range(1, 6)
                    if (line.get(f"caption_{k}") or "").strip()
                ]
                item += [
                    row(
                        "clotho",
                        split,
                        f"{clip}/{k}",
                        "text",
                        group=clip,
                        caption=text,
                        license=license,
                    )
                    for k, text in enumerate(captions, 1)
                ]
                yield (path if path.is_file() else None), item

    return present(pairs(), f"clotho {split}", texts_only)
