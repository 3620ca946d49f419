"""Encode items into a bank, shard by shard: complete shards survive an interruption."""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.banks.bank import Bank
from exmcr.common import distributed
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import sha256

SHARD = 512  # items; a killed process loses at most one shard
BAD_SHARE = 0.05
AHEAD = 2  # shards loaded while one is encoded; their items are in memory, decoded


class Encoder(Protocol):
    """What extraction uses of a space (exmcr.spaces.base.Space)."""

    name: str
    dim: int
    fingerprint: str

    def encode_loaded(self, modality: str, items: list, /) -> np.ndarray: ...


def extract(
    space: Encoder,
    modality: str,
    items: pd.DataFrame,
    folder: str | Path,
    load: Callable[[Any], Any],
    *,
    shard: int = SHARD,
    max_bad: float = BAD_SHARE,
    progress: bool = True,
    group: distributed.Group = None,
) -> Bank:
    """Encode `items` (rows of the item table) with `space` into a bank, resuming an earlier run.

    load: row -> item in memory, or BadItem; such an item is skipped, and counted and named in the
    manifest. shard: items per shard. max_bad: tolerated share of unusable items, 0 to 1. group:
    torch.distributed group whose ranks see one file system and share the shards; the bank is
    byte-identical to that of one process.

    A finished bank of the same space, items and fingerprint is opened as it is; anything else in
    `folder` is deleted and made anew.

    Raises ConfigError if `items` is empty, RuntimeError if more than `max_bad` are unusable.
    """
    folder = Path(folder)
    if not len(items):
        raise ConfigError(f"no {modality} items for {folder}: check `corpora` in params.yaml")
    plan = {
        "space": space.name,
        "fingerprint": space.fingerprint,
        "modality": modality,
        "dim": space.dim,
        "items": _items_digest(items),
        "shard": shard,
    }
    rank, ranks = distributed.rank(group), distributed.size(group)
    starts: list[int] | None = None
    if rank == 0 and not _is_finished(folder, plan):
        shards, every = _prepare(folder, plan), range(0, len(items), shard)
        starts = [start for start in every if not _shard_path(shards, start).exists()]
    starts = distributed.broadcast(starts, group)
    if starts is None:
        return Bank(folder)
    description = f"{space.name} {modality}"
    quiet = not progress or rank > 0
    with tqdm(total=len(items), desc=description, unit="item", disable=quiet) as bar:
        bar.update(len(items) - sum(min(shard, len(items) - start) for start in starts))
        for start, loaded, ids, bad in _loaded(load, items, starts[rank::ranks], shard):
            vectors = space.encode_loaded(modality, loaded)
            _write_shard(_shard_path(folder / "shards", start), vectors, ids, bad)
            bar.update((len(ids) + len(bad)) * ranks)  # the other ranks are about as far
    distributed.barrier(group)
    if rank == 0:
        _finish(folder, plan, len(items), max_bad)
    distributed.barrier(group)
    return Bank(folder)


def forget(folder: str | Path) -> None:
    """Delete a bank of another corpus, which would be mistaken for one of this corpus.

    Imported embeddings (with `source` in their manifest) stay.
    """
    manifest = Path(folder) / "manifest.json"
    if manifest.is_file() and "source" not in json.loads(manifest.read_text()):
        print(f"deleting {folder}, a bank of another corpus")
        shutil.rmtree(folder)


def _items_digest(items: pd.DataFrame) -> str:
    """Changes if an item is added, moved, renamed or reworded; not if the content of its file
    changes."""
    columns = [c for c in ("id", "caption", "path", "start", "seconds") if c in items]
    return hashlib.sha256(items[columns].to_csv(index=False).encode()).hexdigest()


def _is_finished(folder: Path, plan: dict[str, Any]) -> bool:
    manifest = folder / "manifest.json"
    if not manifest.is_file() or not (folder / "vectors.npy").is_file():
        return False
    meta = json.loads(manifest.read_text())
    return all(meta.get(key) == value for key, value in plan.items() if key != "shard")


def _prepare(folder: Path, plan: dict[str, Any]) -> Path:
    """The folder of shards: those of this plan if there are any, else empty."""
    shards, note = folder / "shards", folder / "plan.json"
    if not note.is_file() or json.loads(note.read_text()) != plan:
        shutil.rmtree(folder, ignore_errors=True)
        shards.mkdir(parents=True)
        write_json(note, plan)
    return shards


def _shard_path(shards: Path, start: int) -> Path:
    return shards / f"{start:09d}.npz"


def _loaded(
    load: Callable[[Any], Any], items: pd.DataFrame, starts: list[int], shard: int
) -> Iterator[tuple[int, list, list[str], list[tuple[str, str]]]]:
    """Yield (start, items in memory, their ids, [(id, reason) of bad ones]) of each shard.

    While one shard is encoded, threads load the next AHEAD ones, item by item.
    """

    def attempt(item: Any) -> tuple[Any, str | None]:
        try:
            return load(item), None
        except BadItem as error:
            return None, str(error)

    def finished(start: int, part: list, futures: list[Future]):
        results = [(item.id, *future.result()) for item, future in zip(part, futures, strict=True)]
        good = [(id, loaded) for id, loaded, reason in results if reason is None]
        bad = [(id, reason) for id, _, reason in results if reason is not None]
        return start, [loaded for _, loaded in good], [id for id, _ in good], bad

    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of torchrun, on this machine
    pool = ThreadPoolExecutor(max(2, min(8, (os.cpu_count() or 1) // processes)))
    waiting: deque[tuple[int, list, list[Future]]] = deque()
    try:
        for start in starts:
            part = list(items.iloc[start : start + shard].itertuples())
            waiting.append((start, part, [pool.submit(attempt, item) for item in part]))
            if len(waiting) > AHEAD:
                yield finished(*waiting.popleft())
        while waiting:
            yield finished(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _write_shard(
    path: Path, vectors: np.ndarray, ids: list[str], bad: list[tuple[str, str]]
) -> None:
    names, reasons = np.array(ids, dtype=str), np.array(bad, dtype=str).reshape(-1, 2)
    with atomic_write(path) as draft, draft.open("wb") as file:
        np.savez(file, vectors=vectors, ids=names, bad=reasons)


def _finish(folder: Path, plan: dict[str, Any], total: int, max_bad: float) -> None:
    """Merge the shards into a bank. The manifest, written last, makes it one."""
    ids: list[str] = []
    bad: list[dict[str, str]] = []
    paths, lengths = sorted((folder / "shards").glob("*.npz")), []
    for path in paths:
        with np.load(path) as piece:
            ids += piece["ids"].tolist()
            bad += [{"id": id, "reason": reason} for id, reason in piece["bad"].tolist()]
            lengths.append(len(piece["ids"]))
    if len(bad) > max_bad * total:
        raise RuntimeError(
            f"{len(bad)} of {total} items of {folder} are unusable, more than {max_bad:.0%}; "
            f"first: {bad[0]}"
        )
    shape = (len(ids), plan["dim"])
    with atomic_write(folder / "vectors.npy") as draft:
        merged = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float32, shape=shape)
        row = 0
        for path, length in zip(paths, lengths, strict=True):
            with np.load(path) as piece:
                merged[row : row + length] = piece["vectors"]
            row += length
        merged.flush()
        del merged
    with atomic_write(folder / "ids.parquet") as draft:
        pd.DataFrame({"id": ids}).to_parquet(draft, index=False)
    meta = plan | {"n": len(ids), "skipped": bad, "sha256": sha256(folder / "vectors.npy")}
    write_json(folder / "manifest.json", meta)
    shutil.rmtree(folder / "shards")
    (folder / "plan.json").unlink()
