"""MSR-VTT: the 20 sentences on each of 10,000 video clips; the videos are not read.

train_val_videodatainfo.json, test_videodatainfo.json: {"videos": [{"video_id": "video0",
"split": "train", "url": ...}, ...], "sentences": [{"video_id": "video0", "sen_id": 0,
"caption": ...}, ...]}

Source of the layout: README of the official annotations (MSR-VTT 10K).
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.corpora.paper.layout import Row, laid_out, need, one_of, row
from exmcr.corpora.paper.lists import read_json

FILES = {
    "train": "train_val_videodatainfo.json",
    "validate": "train_val_videodatainfo.json",
    "test": "test_videodatainfo.json",
}
FOLDERS = ("", "train_val_annotation", "test_videodatainfo", "annotation")
LICENSE = "research only; videos: YouTube terms"
VIDEO = re.compile(r"[?&]v=([\w-]{11})")  # id of the YouTube video in the address of a clip


def rows(root: Path, split: str = "train") -> Iterator[Row]:
    """Text rows; splits train, validate, test.

    The group of a sentence begins with the YouTube id of its clip, so that no sentence on a
    held-out video is in a pool.
    """
    name = FILES[one_of(split, FILES, "msrvtt")]
    path = need(*(root / folder / name for folder in FOLDERS))
    content = read_json(path)
    with laid_out(path, "`videos` and `sentences` of MSR-VTT"):
        sentences = defaultdict(list)
        for note in content["sentences"]:
            sentences[note["video_id"]].append((note["sen_id"], note["caption"].strip()))
        clips = [clip for clip in content["videos"] if clip["split"] == split]
        groups = [_group(clip) for clip in clips]
    for clip, group in zip(clips, groups, strict=True):
        video = clip["video_id"]
        for number, caption in sentences[video]:
            about: Row = {"group": group, "caption": caption, "license": LICENSE}
            yield row("msrvtt", split, f"{video}/{number}", "text", **about)


def _group(clip: dict[str, Any]) -> str:
    address = VIDEO.search(clip.get("url", ""))
    return f"{address[1]}_{clip['video_id']}" if address else clip["video_id"]
