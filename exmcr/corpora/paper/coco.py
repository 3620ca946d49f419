"""MS COCO: images with five captions each.

annotations/captions_val2017.json, val2017/000000397133.jpg          splits train2014, val2014, train2017, val2017
dataset_coco.json, val2014/COCO_val2014_000000391895.jpg             splits train, restval, val, test (Karpathy's; test is the 5k of the tables)
"""

from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import need, one_of, present, read_json, row

LICENSE = "captions CC-BY 4.0; images: Flickr terms"
OFFICIAL = ("train2014", "val2014", "train2017", "val2017")
KARPATHY = ("train", "restval", "val", "test")


def rows(root: Path, split: str = "val2017", texts_only: bool = False) -> Iterator[dict]:
    one_of(split, (*OFFICIAL, *KARPATHY), "coco")
    images = _official(root, split) if split in OFFICIAL else _karpathy(root, split)

    def pairs():
        for id, path, captions in images:
            item = [row("coco", split, id, "image", path=path, license=LICENSE)]
            item += [
                row("coco", split, f"{id}/{k}", "text", group=id, caption=text, license=LICENSE)
                for k, text in captions
            ]
            yield (path if path.is_file() else None), item

    return present(pairs(), f"coco {split}", texts_only)


def _official(root: Path, split: str):
    content = read_json(need(root / "annotations" / f"captions_{split}.json"))
    captions = {}
    for note in content["annotations"]:
        captions.setdefault(note["image_id"], []).append((note["id"], note["caption"].strip()))
    for image in content["images"]:
        yield image["id"], root / split / image["file_name"], captions.get(image["id"], [])


def _karpathy(root: Path, split: str):
    for image in read_json(
        need(root / "dataset_coco.json", root / "annotations" / "dataset_coco.json")
    )["images"]:
        if image["split"] == split:
            captions = [
                (sentence["sentid"], sentence["raw"].strip()) for sentence in image["sentences"]
            ]
            yield image["cocoid"], root / image["filepath"] / image["filename"], captions
