"""Flickr30K: images with five captions each, in Karpathy's splits; 1,000 images are the test split.

dataset_flickr30k.json: {"images": [{"filename": "1007129816.jpg", "split": "test",
"sentences": [{"raw": ..., "sentid": ...}, ...]}, ...]}
flickr30k-images/1007129816.jpg (or flickr30k_images/, images/)

Source: https://cs.stanford.edu/people/karpathy/deepimagesent
"""

from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Image, Row, image_and_captions, laid_out, need, one_of
from exmcr.corpora.paper.lists import read_json

FOLDERS = ("flickr30k-images", "flickr30k_images", "images")
LICENSE = "captions: research only; images: Flickr terms"


def rows(root: Path, split: str = "test", texts_only: bool = False) -> Iterator[Row]:
    """Image and caption rows; splits train, val, test."""
    one_of(split, ("train", "val", "test"), "flickr30k")
    images = _images(root, split, texts_only)
    return image_and_captions("flickr30k", split, images, LICENSE, texts_only)


def _images(root: Path, split: str, texts_only: bool) -> Iterator[Image]:
    path = need(root / "dataset_flickr30k.json")
    folder = root if texts_only else need(*(root / name for name in FOLDERS))
    content = read_json(path)
    with laid_out(path, "`images` with `filename` and `sentences`, as in Karpathy's file"):
        for image in content["images"]:
            if image["split"] == split:
                file = folder / image["filename"]
                captions = [(text["sentid"], text["raw"].strip()) for text in image["sentences"]]
                yield file.stem, file, captions
