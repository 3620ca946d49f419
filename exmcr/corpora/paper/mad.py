"""MAD: sentences of movie audio descriptions; the movies are not read.

annotations/MAD_train.json, MAD_val.json, MAD_test.json (or annotations/MAD-v1/...):
{"<id>": {"movie": ..., "sentence": ..., "timestamps": [...], ...}, ...}

Source: https://github.com/Soldelli/MAD
"""

from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Row, laid_out, need, one_of, row
from exmcr.corpora.paper.lists import read_json

FOLDERS = ("annotations", "annotations/MAD-v1", "")
LICENSE = "non-disclosure agreement of MAD"


def rows(root: Path, split: str = "train") -> Iterator[Row]:
    """Text rows; splits train, val, test."""
    one_of(split, ("train", "val", "test"), "mad")
    path = need(*(root / folder / f"MAD_{split}.json" for folder in FOLDERS))
    content = read_json(path)
    with laid_out(path, "a `sentence` for each id"):
        sentences = {id: note["sentence"].strip() for id, note in content.items()}
    for id, sentence in sentences.items():
        yield row("mad", split, f"{split}/{id}", "text", caption=sentence, license=LICENSE)
