"""Clotho 2.1: clips of Freesound, 15 to 30 s, five captions each.

clotho_captions_development.csv: file_name, caption_1 ... caption_5
clotho_metadata_development.csv (optional): license of each clip, and its sound of Freesound
development/: the clips
"""

from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Row, freesound, need, one_of, present, row
from exmcr.corpora.paper.lists import read_table

SPLITS = ("development", "validation", "evaluation")


def rows(root: Path, split: str = "evaluation", texts_only: bool = False) -> Iterator[Row]:
    """Sound and caption rows; splits development, validation, evaluation."""
    one_of(split, SPLITS, "clotho")
    folder = root / split if texts_only else need(root / split)
    metadata = _metadata(root / f"clotho_metadata_{split}.csv")

    def originals():
        captions_file = need(root / f"clotho_captions_{split}.csv")
        for line in read_table(captions_file, ("file_name", "caption_1")):
            name = line["file_name"]
            path, clip = folder / name, f"{split}/{name}"
            about = metadata.get(name, {})
            shared: Row = {"group": clip, "license": about.get("license", "see Freesound")}
            shared["original"] = freesound(about.get("sound_id", ""))  # "Not found" for some
            captions = [line.get(f"caption_{k}", "") for k in range(1, 6)]
            texts = [
                row("clotho", split, f"{clip}/{k}", "text", caption=caption, **shared)
                for k, caption in enumerate(filter(None, captions), 1)
            ]
            sound = row("clotho", split, clip, "audio", path=path, **shared)
            yield (path if path.is_file() else None), [sound, *texts]

    return present(originals(), f"clotho {split}", texts_only)


def _metadata(path: Path) -> dict[str, dict[str, str]]:
    """{file name: its line}; empty if there is no metadata file."""
    if not path.is_file():
        return {}
    # Clip names in this file are not UTF-8.
    lines = read_table(path, ("file_name", "license"), encoding="latin-1")
    return {line["file_name"]: line for line in lines}
