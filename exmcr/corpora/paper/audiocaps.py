"""AudioCaps: clips of AudioSet with captions, one per clip in train, five in val and test.

train.csv, val.csv, test.csv (or dataset/...): audiocap_id, youtube_id, start_time, caption
train/, val/, test/ or audio/: files named <youtube_id>_<start_time> or <youtube_id>
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.audioset import find
from exmcr.corpora.paper.layout import Row, files_by_stem, need, one_of, present, row
from exmcr.corpora.paper.lists import read_table

COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
LICENSE = "captions MIT; sound: YouTube terms"


def rows(root: Path, split: str = "test", texts_only: bool = False) -> Iterator[Row]:
    """Sound and caption rows; splits train, val, test."""
    one_of(split, ("train", "val", "test"), "audiocaps")
    clips: dict[tuple[str, float], list[tuple[str, str]]] = defaultdict(list)
    captions = need(root / f"{split}.csv", root / "dataset" / f"{split}.csv")
    for line in read_table(captions, COLUMNS, start_time=float):
        caption = line["audiocap_id"], line["caption"]
        clips[line["youtube_id"], line["start_time"]].append(caption)
    sounds = {} if texts_only else files_by_stem(need(root / split, root / "audio"), "audio")

    def originals():
        for (video, start), clip_captions in clips.items():
            path, clip = find(sounds, video, start, start + 10), f"{video}_{start:g}"
            shared: Row = {"group": clip, "license": LICENSE}
            texts = [
                row("audiocaps", split, f"{clip}/{id}", "text", caption=caption, **shared)
                for id, caption in clip_captions
            ]
            sound = row("audiocaps", split, clip, "audio", path=path, **shared)
            yield path, [sound, *texts]

    return present(originals(), f"audiocaps {split}", texts_only)
