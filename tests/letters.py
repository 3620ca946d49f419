"""A tiny space, and banks that are made with it in milliseconds."""

import numpy as np
import pandas as pd

from exmcr.banks.extraction import extract
from exmcr.common.errors import BadItem
from exmcr.spaces.base import Space

DIM = 4


class Letters(Space):
    """A tiny space: the letters of a text determine its direction. Counts what it encodes."""

    name, dim, modalities, fingerprint = "letters", DIM, ("text",), "f1"

    def __init__(self, fail_after=10**9):
        self.calls, self.encoded, self.fail_after = 0, [], fail_after

    def encode_batch(self, modality, items):
        self.calls += 1
        if self.calls > self.fail_after:
            raise RuntimeError("the machine went away")
        self.encoded += items
        return np.array([vector(item) for item in items])


def vector(text):
    return np.array([len(text), *(ord(c) - 90 for c in text[-3:])], np.float32)


def table(n, prefix="item"):
    return pd.DataFrame(
        {
            "id": [f"{prefix}/{i:03d}" for i in range(n)],
            "caption": [f"word {i:03d}" for i in range(n)],
        }
    )


def load(item):
    return item.caption


def make(space, items, folder, **more):
    return extract(
        space,
        "text",
        items,
        folder,
        more.pop("load", load),
        **{"shard": 10, "progress": False} | more,
    )


def moody(item):
    if item.id.endswith(("003", "017")):
        raise BadItem(f"{item.id} is torn")
    return item.caption
