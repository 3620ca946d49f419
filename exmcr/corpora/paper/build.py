"""`corpora: paper`: the item table of what the paper used, from folders on this disk, as the block `paper` of params.yaml lists it.

Training pools are unpaired: each line keeps one modality. Held-out items keep their partners: a caption, frame or picture
names in `of` the item it belongs to. No pool holds anything of a held-out video, picture or shape, whichever corpus it comes from."""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import stable_uniform
from exmcr.corpora import items as table
from exmcr.corpora.paper import modelnet40, paper_corpora
from exmcr.media.tars import open_tar

CHUNK = 100_000  # rows of millions that are dicts at a time
YOUTUBE = (
    "audioset",
    "audiocaps",
    "ave",
    "vggss",
)  # clips of the same videos, named by their 11 characters


def build(root: Path, entries: list[dict]) -> Path:
    """List the corpora of the block `paper` in root/data/items.parquet; returns its path. Files stay where they are.

    Raises ConfigError that names every folder which is not there, or what is wrong inside one."""
    folders = [_folder(root, entry) for entry in entries]
    missing = sorted(
        {
            f"{entry['corpus']} in {folder}"
            for entry, folder in zip(entries, folders, strict=True)
            if not folder.is_dir()
        }
    )
    if missing or not entries:
        raise ConfigError(
            f"corpora: paper lacks {'; '.join(missing) or 'every corpus'}: put them there, name their `folder` under `paper` "
            "in params.yaml, or delete their lines"
        )
    taken: dict[str, str] = {}  # original -> the split it is in
    parts, dropped = [], Counter()
    # What is asked first, so that pools can leave it out.
    for to in ("test", "val", "train"):
        for entry, folder in zip(entries, folders, strict=True):
            if entry["as"] == to:
                parts += _part(entry, folder, root / "data", taken, dropped)
    items = _in_reading_order(pd.concat(parts, ignore_index=True), root / "data")
    for name, n in dropped.items():
        print(f"{n} {name} left out, since they are held out elsewhere")
    path = root / "data/items.parquet"
    try:
        items = table.write(items, path)
    except ValueError as error:
        raise ConfigError(f"the lines under `paper` in params.yaml overlap: {error}") from error
    print(items.groupby(["source", "modality", "split"]).size().unstack(fill_value=0))
    return path


def _in_reading_order(items: pd.DataFrame, data: Path) -> pd.DataFrame:
    """Items in tars last, tar by tar and from beginning to end, so that extraction reads every tar once: lists and draws jump about."""
    in_tar = items.path.str.contains("::", regex=False)
    if not in_tar.any():
        return items
    places = items[in_tar].path.str.partition("::").set_axis(["shard", "mark", "member"], axis=1)
    for shard, names in places.groupby("shard").member:
        members = open_tar(str(data / shard)).members
        places.loc[names.index, "begin"] = [members[name][0] for name in names]
    return pd.concat(
        [items[~in_tar], items.loc[places.sort_values(["shard", "begin"]).index]], ignore_index=True
    )


def _folder(root: Path, entry: dict) -> Path:
    return root / entry.get("folder", f"data/paper/{entry['corpus']}")


def _part(
    entry: dict, folder: Path, data: Path, taken: dict[str, str], dropped: Counter
) -> Iterator[pd.DataFrame]:
    """The rows of one line of the block, CHUNK at a time."""
    name, to = f"{entry['corpus']} {entry['split']}", entry["as"]
    try:
        groups = _free(_groups(entry, folder), name, to, taken, dropped)
        if entry.get("prompts"):
            groups = list(groups)
        rows = (_as_item(row, to, data, of) for group in groups for row, of in _linked(group, to))
        if entry.get("prompts"):
            rows = itertools.chain(rows, _prompts(groups, to))
        rows = iter(tqdm(rows, desc=f"listing {name}", unit="row"))
        while chunk := list(itertools.islice(rows, CHUNK)):
            yield pd.DataFrame(chunk, columns=table.COLUMNS)
    except ConfigError as error:
        raise ConfigError(f"corpora: paper, {name}: {error}") from error


def _groups(entry: dict, folder: Path) -> Iterable[list[dict]]:
    """Rows of the corpus, those of one original together; `keep` and `most` applied."""
    keep = entry.get("keep")
    rows = paper_corpora(entry["corpus"], folder, entry["split"], texts_only=keep == "text")
    if keep:
        rows = (row for row in rows if row["modality"] == keep)
    groups = (list(rows) for _, rows in itertools.groupby(rows, key=lambda row: row["group"]))
    if "most" not in entry:
        return groups
    return heapq.nsmallest(
        entry["most"], groups, key=lambda rows: stable_uniform(rows[0]["group"])
    )  # a fixed draw


def _free(groups, name: str, to: str, taken: dict[str, str], dropped: Counter):
    for rows in groups:
        key = _original(rows[0])
        if taken.get(key, to) == to:
            if to != "train":
                taken[key] = to
            yield rows
        else:
            dropped[f"{name} items"] += len(rows)


def _original(row: dict) -> str:
    """What two corpora may both hold a piece of: a video, else the row's group."""
    if row["source"] in YOUTUBE:
        return "youtube/" + row["group"].split("/", 1)[1][:11]
    return row["group"]


def _linked(group: list[dict], to: str) -> Iterator[tuple[dict, str]]:
    """Rows of a held-out original with the id of the row they belong to: its shape, else its sound, else its picture."""
    first = min(group, key=lambda row: ("points", "audio", "image", "text").index(row["modality"]))
    for row in group:
        yield row, ("" if row is first or to == "train" else first["id"])


def _as_item(row: dict, to: str, data: Path, of: str) -> dict:
    path = row["path"] or ""
    if path.startswith(f"{data}/"):
        path = path[len(f"{data}/") :]
    return table.row(
        row["id"],
        row["modality"],
        [row["caption"]],
        row["concept"],
        row["source"],
        row["license"],
        row["group"],
        path=path,
        start=row["start"],
        seconds=row["seconds"] or 0.0,
        split=to,
        of=of,
    )


def _prompts(groups: list[list[dict]], to: str) -> Iterator[dict]:
    """The sentences of zero-shot classification, 64 for every class of these shapes."""
    source = groups[0][0]["source"]
    for concept in sorted({rows[0]["concept"] for rows in groups} - {""}):
        for k, sentence in enumerate(modelnet40.prompts(concept)):
            id = f"{source}/prompt/{to}/{concept}/{k}"
            yield table.row(id, "text", [sentence], concept, source, "MIT", id, split=to)
