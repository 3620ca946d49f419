"""`corpora: mini`: the item table of all sources, and one file per item."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_json
from exmcr.corpora import items, sampling, splits
from exmcr.corpora.mini import (
    contents,
    effects,
    emoji,
    furniture,
    gcompris,
    near_duplicates,
    openclipart,
    opensfx,
    packages,
    render,
    scratch,
    shapes,
    soundfonts,
    tuxpaint,
    wesnoth,
    wordnet,
    workers,
)

BAD_SHARE = 0.05  # a larger share of unusable items means a broken download, not a few odd files
BAD_FEW = 3  # unusable items that no sample is too small for
SUFFIX = {"image": ".png", "audio": ".wav", "points": ".npy"}

Row = dict[str, Any]


def build(root: Path, paper: Sequence[dict[str, Any]] = (), sample: int | None = None) -> Path:
    """Fetch, unpack and render everything once. Returns the path of the item table.

    Writes files under data/media, data/items.parquet and data/skipped.json. Rendered files are
    kept, so an interrupted run continues where it stopped. `paper` is ignored; all corpora are
    built with the same arguments. With `sample`, only the items of that sample are rendered.

    Raises ConfigError if a package is not available, an item ends the process that renders it, or
    more than 5 % of the items are unusable.
    """
    data = root / "data"
    planned = tqdm(_plan(data / "raw"), desc="listing items", unit="item", smoothing=0)
    tasks = [(item | {"path": _path(item)}, job) for item, job in planned]
    corpus = _Corpus(tasks, data, wordnet.texts(data / "raw"))
    if sample is None:
        corpus.render({item["id"] for item, _ in tasks})
        rows = pd.DataFrame(corpus.rows())
    else:
        rows = sampling.draw_and_make(sample, lambda: pd.DataFrame(corpus.rows()), corpus.render)
    corpus.report()
    table = items.write(rows, data / "items.parquet")
    if sample is None:
        print(items.counts(table))
    return data / "items.parquet"


class _Corpus:
    """The items of all sources, and what is known of those rendered so far.

    tasks: (row of an item, the job that makes its file); data: the folder that paths start from;
    words: unpaired training texts.
    """

    def __init__(self, tasks: Sequence[tuple[Row, render.Job]], data: Path, words: Sequence[str]):
        self.tasks, self.data, self.words = tasks, data, words
        self.results: dict[str, workers.Result] = {}  # by item id
        self.left_out: list[Row] = []  # near-duplicates, as near_duplicates.held_out_once

    def render(self, ids: set[str]) -> None:
        """Make the files of these items. Raises ConfigError if too many are unusable."""
        chosen = [(item, job) for item, job in self.tasks if item["id"] in ids]
        if len(chosen) < len(self.tasks):
            print(f"rendering {len(chosen)} of {len(self.tasks)} items")
        names = [item["id"] for item, _ in chosen]
        jobs = [(job, self.data / item["path"]) for item, job in chosen]
        self.results |= zip(names, workers.run(jobs, names), strict=True)
        skipped = self.skipped()
        write_json(self.data / "skipped.json", skipped)
        if len(skipped) > max(BAD_FEW, BAD_SHARE * len(self.results)):
            raise ConfigError(
                f"{len(skipped)} of {len(self.results)} items are unusable, more than "
                f"{BAD_SHARE:.0%}; see data/skipped.json"
            )

    def rows(self) -> list[Row]:
        """Rows of the item table: duplicates dropped, divided into splits, with texts.

        Items that are not rendered are taken to be usable and no duplicates. Near-duplicate
        pictures share a split; val and test keep one of them.
        """
        digests = {id: digest for id, (digest, reason) in self.results.items() if not reason}
        unusable = self.results.keys() - digests.keys()
        rows = [dict(item) for item, _ in self.tasks if item["id"] not in unusable]
        rows = _without_duplicate_sounds(rows, digests)
        splits.merge_duplicates(rows, digests)
        rendered = [row for row in rows if row["id"] in digests]
        cluster = near_duplicates.clusters(rendered, self.data)
        splits.merge_duplicates(rows, cluster)
        splits.assign(rows)
        rows, self.left_out = near_duplicates.held_out_once(splits.without_surplus(rows), cluster)
        return rows + _texts(rows, self.words)

    def skipped(self) -> list[Row]:
        """The unusable items, in the order of the sources."""
        return [
            {"id": item["id"], "reason": reason}
            for item, _ in self.tasks
            if (reason := self.results.get(item["id"], ("", ""))[1])
        ]

    def report(self) -> None:
        """Print how many items are left out, and list the near-duplicates in
        near_duplicates.json."""
        write_json(self.data / "near_duplicates.json", self.left_out)
        unusable = len(self.skipped())
        print(
            f"{len(self.results) - unusable} items, {unusable} unusable (listed in "
            f"data/skipped.json)\n{len(self.left_out)} near-duplicates left out of val and test "
            "(near_duplicates.json)"
        )


def _path(item: Row) -> str:
    return f"media/{item['id']}{SUFFIX[item['modality']]}"


def _plan(raw: Path) -> Iterator[tuple[Row, render.Job]]:
    """Yield the row of every item and the job that makes its file."""
    packages.download(raw)
    contents.unpack(raw)
    kind = {"image": "picture", "audio": "sound"}
    for item, path in [
        *openclipart.items(raw),
        *tuxpaint.items(raw),
        *scratch.items(raw),
        *effects.items(raw),
        *wesnoth.items(raw),
    ]:
        yield item, (kind[item["modality"]], path, path.suffix)
    for item, svg in emoji.items(raw):
        yield item, ("picture", svg, ".svg")
    for item, content in opensfx.items(raw):
        yield item, ("sound", content, ".wav")
    for item, content, suffix in gcompris.items(raw):
        yield item, (kind[item["modality"]], content, suffix)
    for item, note in soundfonts.items(raw):
        yield item, ("note", *note)
    for item, mesh in shapes.items(raw):
        yield item, ("shape", mesh)
    seen = set()
    for shape, model, icon, picture in furniture.items(raw):
        if shape["id"] not in seen:
            seen.add(shape["id"])
            yield shape, ("furniture", *model)
            yield icon, ("icon", *picture)


def _without_duplicate_sounds(rows: list[Row], digests: dict[str, str]) -> list[Row]:
    """The rows without sounds whose file is that of an earlier row: some packages have one
    recording under several names ("ram", "mountain goat")."""
    first: dict[str, str] = {}
    return [
        row
        for row in rows
        if row["modality"] != "audio"
        or row["id"] not in digests
        or first.setdefault(digests[row["id"]], row["id"]) == row["id"]
    ]


def _texts(rows: list[Row], words: Sequence[str]) -> list[Row]:
    """One text per split and distinct caption. The names of ImageNet's classes and `words` are
    unpaired training texts."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    names = [info.index_to_description(i).split(",")[0] for i in range(1000)]
    captions = [
        (item["split"], caption, item["concept"], item["source"])
        for item in rows
        for caption in item["captions"]
    ]
    # Sounds are matched to their noun alone.
    captions += [
        (item["split"], item["concept"], item["concept"], item["source"])
        for item in rows
        if item["modality"] == "audio"
    ]
    captions += [("train", name, "", "imagenet-names") for name in names]
    captions += [("train", word, "", wordnet.SOURCE) for word in words]
    texts: dict[tuple[str, str], Row] = {}
    for split, caption, concept, source in captions:
        if caption and (split, caption) not in texts:
            digest = hashlib.sha256(caption.encode()).hexdigest()[:12]
            id, group = f"text/{split}/{digest}", f"text:{split}:{digest}"
            texts[split, caption] = items.row(
                id, "text", [caption], concept, source, "as its source", group, split=split
            )
    return list(texts.values())
