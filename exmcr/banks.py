"""Embeddings on disk: many unit vectors of one modality in one space, with the ids of their items.

banks/<space>/<modality>/<split>/
    vectors.npy    float32 (n, dim), memory-mapped by readers
    ids.parquet    column `id`, row by row
    manifest.json  what made it: space, fingerprint, modality, items, skipped items with reasons, SHA-256 of vectors.npy
While a bank is being made its folder holds shards; whatever is complete is kept when the run is interrupted."""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr import distributed
from exmcr.errors import BadItem, ConfigError
from exmcr.files import sha256

SHARD = 512  # items; a kill loses at most one shard of each process
BAD_SHARE = 0.05
AHEAD = 2  # shards loaded while one is encoded: they lie in memory decoded


class Bank:
    """A finished bank, opened. `vectors` float32 (n, dim) memory-mapped, `ids` object array (n,)."""

    def __init__(self, folder: str | Path, verify: bool = False):
        """Raises ConfigError when the bank is missing or empty, or (with `verify`) when its vectors were changed."""
        self.folder = Path(folder)
        manifest = self.folder / "manifest.json"
        if not manifest.is_file():
            raise ConfigError(f"no bank at {self.folder}; run the extract stage (notebooks/01_extract.ipynb)")
        self.meta = json.loads(manifest.read_text())
        self.vectors = np.load(self.folder / "vectors.npy", mmap_mode="r")
        self.ids = pd.read_parquet(self.folder / "ids.parquet").id.to_numpy()
        if len(self.ids) != len(self.vectors) or not len(self.ids):
            raise ConfigError(f"bank {self.folder} has {len(self.vectors)} vectors for {len(self.ids)} ids; delete it and extract again")
        if verify and sha256(self.folder / "vectors.npy") != self.meta["sha256"]:
            raise ConfigError(f"{self.folder}/vectors.npy is not the file its manifest describes; delete the bank and extract again")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """That of the encoder which made the vectors: Space.fingerprint."""
        return self.meta["fingerprint"]

    @cached_property
    def row(self) -> dict[str, int]:
        """id -> row"""
        return {id: n for n, id in enumerate(self.ids)}

    def take(self, ids) -> np.ndarray:
        """Vectors of these items, in this order -> float32 (len(ids), dim). Raises KeyError for an id not in the bank."""
        return np.asarray(self.vectors[[self.row[i] for i in ids]])


def aligned(a: Bank, b: Bank) -> tuple[np.ndarray, np.ndarray]:
    """The same items in two spaces, row by row: (n, dim_a), (n, dim_b) over the ids both banks hold.

    Raises ConfigError when they share none."""
    common = [i for i in a.ids if i in b.row]
    if not common:
        raise ConfigError(f"banks {a.folder} and {b.folder} share no item")
    return a.take(common), b.take(common)


def extract(space, modality: str, items: pd.DataFrame, folder: str | Path, load: Callable, *, shard: int = SHARD,
            max_bad: float = BAD_SHARE, progress: bool = True, group=None) -> Bank:  # fmt: skip
    """Encode `items` (rows of the item table) with `space` into a bank, going on where an earlier run stopped.

    load(row) brings a raw item into memory or raises BadItem; such an item is skipped, counted and named in the manifest.
    A finished bank of the same space, items and fingerprint is opened as it is; anything else there is made anew.
    group: torch.distributed group whose ranks see one file system and share the shards; the bank is, to the byte, that of one process.
    Raises ConfigError when `items` is empty, RuntimeError when more than `max_bad` of them are unusable."""
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
    first, todo = distributed.rank(group) == 0, None
    if first and not _is_finished(folder, plan):
        shards = _prepare(folder, plan)
        todo = [start for start in range(0, len(items), shard) if not (shards / f"{start:09d}.npz").exists()]
    todo = distributed.told(todo, group)
    if todo is None:
        return Bank(folder)
    mine = todo[distributed.rank(group) :: distributed.size(group)]
    with tqdm(total=len(items), desc=f"{space.name} {modality}", unit="item", disable=not (progress and first)) as bar:
        bar.update(len(items) - sum(min(shard, len(items) - start) for start in todo))
        for start, loaded, ids, bad in _loaded(load, items, mine, shard):
            _write_shard(folder / "shards" / f"{start:09d}.npz", space.encode(modality, loaded), ids, bad)
            bar.update((len(ids) + len(bad)) * distributed.size(group))  # the others are about as far
    distributed.wait(group)
    if first:
        _finish(folder, plan, len(items), max_bad)
    distributed.wait(group)
    return Bank(folder)


def _items_digest(items: pd.DataFrame) -> str:
    """Changes when an item is added, moved, renamed or reworded; not when its file is replaced by another of that name."""
    wanted = [c for c in ("id", "caption", "path", "start", "seconds") if c in items]
    return hashlib.sha256(items[wanted].to_csv(index=False).encode()).hexdigest()


def _is_finished(folder: Path, plan: dict) -> bool:
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return False
    meta = json.loads(manifest.read_text())
    return all(meta.get(k) == v for k, v in plan.items() if k != "shard") and (folder / "vectors.npy").is_file()


def _prepare(folder: Path, plan: dict) -> Path:
    """An empty or resumable folder of shards that belong to this very plan."""
    shards, note = folder / "shards", folder / "plan.json"
    if not note.is_file() or json.loads(note.read_text()) != plan:
        shutil.rmtree(folder, ignore_errors=True)
        shards.mkdir(parents=True)
        _write_text(note, json.dumps(plan))
    return shards


def _loaded(load, items: pd.DataFrame, starts: list[int], shard: int):
    """Yield (start, items in memory, their ids, [(id, reason) of bad ones]) of each shard, in order.

    While one shard is encoded, threads load the AHEAD next ones, item by item."""

    def attempt(item):
        try:
            return load(item), None
        except BadItem as error:
            return None, str(error)

    def finished(start, part, futures):
        found = [(item.id, *future.result()) for item, future in zip(part, futures, strict=True)]
        good = [(id, loaded) for id, loaded, reason in found if reason is None]
        bad = [(id, reason) for id, _, reason in found if reason is not None]
        return start, [loaded for _, loaded in good], [id for id, _ in good], bad

    workers = max(2, min(8, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
    pool, waiting = ThreadPoolExecutor(workers), deque()
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


def _write_shard(path: Path, vectors: np.ndarray, ids: list[str], bad: list[tuple[str, str]]) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, vectors=vectors, ids=np.array(ids, dtype=str), bad=np.array(bad, dtype=str).reshape(-1, 2))
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)  # a shard is there as a whole or not at all


def _finish(folder: Path, plan: dict, total: int, max_bad: float) -> None:
    ids, bad, lengths = [], [], []
    shards = folder / "shards"
    paths = sorted(shards.glob("*.npz"))
    for path in paths:
        with np.load(path) as piece:
            ids += piece["ids"].tolist()
            bad += [{"id": i, "reason": r} for i, r in piece["bad"].tolist()]
            lengths.append(len(piece["ids"]))
    if len(bad) > max_bad * total:
        raise RuntimeError(f"{len(bad)} of {total} items of {folder} are unusable, more than {max_bad:.0%}; first: {bad[0]}")
    part = folder / "vectors.part"
    merged = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(ids), plan["dim"]))
    at = 0
    for path, length in zip(paths, lengths, strict=True):
        with np.load(path) as piece:
            merged[at : at + length] = piece["vectors"]
        at += length
    merged.flush()
    del merged
    part.rename(folder / "vectors.npy")
    pd.DataFrame({"id": ids}).to_parquet(folder / "ids.parquet", index=False)
    meta = plan | {"n": len(ids), "skipped": bad, "sha256": sha256(folder / "vectors.npy")}
    _write_text(folder / "manifest.json", json.dumps(meta, indent=1) + "\n")
    shutil.rmtree(shards)
    (folder / "plan.json").unlink()


def _write_text(path: Path, text: str) -> None:
    """As a whole or not at all: half a plan would stop every later run."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)
