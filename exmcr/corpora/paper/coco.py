"""MS COCO: images with five captions each, in the official or the Karpathy splits.

annotations/captions_val2017.json, val2017/000000397133.jpg
dataset_coco.json, val2014/COCO_val2014_000000391895.jpg (Karpathy's; its test split is the 5k of
published tables)
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Image, Row, image_and_captions, laid_out, need, one_of
from exmcr.corpora.paper.lists import read_json

LICENSE = "captions CC-BY 4.0; images: Flickr terms"
OFFICIAL = ("train2014", "val2014", "train2017", "val2017")
KARPATHY = ("train", "restval", "val", "test")


def rows(root: Path, split: str = "val2017", texts_only: bool = False) -> Iterator[Row]:
    """Image and caption rows; splits train2014, val2014, train2017, val2017, and Karpathy's train,
    restval, val, test."""
    one_of(split, (*OFFICIAL, *KARPATHY), "coco")
    images = _official(root, split) if split in OFFICIAL else _karpathy(root, split)
    return image_and_captions("coco", split, images, LICENSE, texts_only)


def _official(root: Path, split: str) -> Iterator[Image]:
    path = need(root / "annotations" / f"captions_{split}.json")
    content = read_json(path)
    captions = defaultdict(list)
    with laid_out(path, "`images` and `annotations` of COCO"):
        for note in content["annotations"]:
            captions[note["image_id"]].append((note["id"], note["caption"].strip()))
        images = [(image["id"], image["file_name"]) for image in content["images"]]
    for id, name in images:
        yield id, root / split / name, captions[id]


def _karpathy(root: Path, split: str) -> Iterator[Image]:
    path = need(root / "dataset_coco.json", root / "annotations" / "dataset_coco.json")
    content = read_json(path)
    with laid_out(path, "`images` with `sentences`, as in Karpathy's file"):
        for image in content["images"]:
            if image["split"] == split:
                captions = [(text["sentid"], text["raw"].strip()) for text in image["sentences"]]
                yield image["cocoid"], root / image["filepath"] / image["filename"], captions
