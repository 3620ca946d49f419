"""AudioCaps: clips of AudioSet with captions, one in train, five in val and test.

train.csv, val.csv, test.csv (or dataset/...): audiocap_id, youtube_id, start_time, caption
train/, val/, test/ or audio/: files named <youtube_id>_<start_time> or <youtube_id>
"""

import csv
from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.audioset import find
from exmcr.corpora.paper.layout import SOUND, files_by_stem, need, one_of, present, row

LICENSE = "captions MIT; sound: YouTube terms"


def rows(root: Path, split: str = "test", texts_only: bool = False) -> Iterator[dict]:
    one_of(split, ("train", "val", "test"), "audiocaps")
    clips = {}
    with need(root / f"{split}.csv", root / "dataset" / f"{split}.csv").open(
        encoding="utf-8", newline=""
    ) as file:
        for line in csv.DictReader(file):
            clips.setdefault((line["youtube_id"], float(line["start_time"])), []).append(
                (line["audiocap_id"], line["caption"].strip())
            )
    sounds = {} if texts_only else files_by_stem(need(root / split, root / "audio"), SOUND)

    def pairs():
        for (video, start), captions in clips.items():
            path, clip = find(sounds, video, start, start + 10), f"{video}_{start:g}"
            item = [row("audiocaps", split, clip, "audio", path=path, license=LICENSE)]
            item += [
                row(
                    "audiocaps",
                    split,
                    f"{clip}/{id}",
                    "text",
                    group=clip,
                    caption=text,
                    license=LICENSE,
                )
                for id, text in captions
            ]
            yield path, item

    return present(pairs(), f"audiocaps {split}", texts_only)
