"""Encode items into a bank, shard by shard: whatever is complete survives an interruption."""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.banks.bank import Bank
from exmcr.common import distributed
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import sha256

SHARD = 512  # items; a kill loses at most one shard of each process
BAD_SHARE = 0.05
AHEAD = 2  # shards loaded while one is encoded: they lie in memory decoded


def extract(
    space,
    modality: str,
    items: pd.DataFrame,
    folder: str | Path,
    load: Callable,
    *,
    shard: int = SHARD,
    max_bad: float = BAD_SHARE,
    progress: bool = True,
    group=None,
) -> Bank:
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
        todo = [
            start
            for start in range(0, len(items), shard)
            if not (shards / f"{start:09d}.npz").exists()
        ]
    todo = distributed.broadcast(todo, group)
    if todo is None:
        return Bank(folder)
    mine = todo[distributed.rank(group) :: distributed.size(group)]
    with tqdm(
        total=len(items),
        desc=f"{space.name} {modality}",
        unit="item",
        disable=not (progress and first),
    ) as bar:
        bar.update(len(items) - sum(min(shard, len(items) - start) for start in todo))
        for start, loaded, ids, bad in _loaded(load, items, mine, shard):
            _write_shard(
                folder / "shards" / f"{start:09d}.npz",
                space.encode_loaded(modality, loaded),
                ids,
                bad,
            )
            bar.update(
                (len(ids) + len(bad)) * distributed.size(group)
            )  # the others are about as far
    distributed.barrier(group)
    if first:
        _finish(folder, plan, len(items), max_bad)
    distributed.barrier(group)
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
    return (
        all(meta.get(k) == v for k, v in plan.items() if k != "shard")
        and (folder / "vectors.npy").is_file()
    )


def _prepare(folder: Path, plan: dict) -> Path:
    """An empty or resumable folder of shards that belong to this very plan."""
    shards, note = folder / "shards", folder / "plan.json"
    if not note.is_file() or json.loads(note.read_text()) != plan:
        shutil.rmtree(folder, ignore_errors=True)
        shards.mkdir(parents=True)
        write_json(note, plan)
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


def _write_shard(
    path: Path, vectors: np.ndarray, ids: list[str], bad: list[tuple[str, str]]
) -> None:
    with atomic_write(path) as draft, draft.open("wb") as file:
        np.savez(
            file,
            vectors=vectors,
            ids=np.array(ids, dtype=str),
            bad=np.array(bad, dtype=str).reshape(-1, 2),
        )


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
        raise RuntimeError(
            f"{len(bad)} of {total} items of {folder} are unusable, more than {max_bad:.0%}; first: {bad[0]}"
        )
    with atomic_write(folder / "vectors.npy") as draft:
        merged = np.lib.format.open_memmap(
            draft, mode="w+", dtype=np.float32, shape=(len(ids), plan["dim"])
        )
        at = 0
        for path, length in zip(paths, lengths, strict=True):
            with np.load(path) as piece:
                merged[at : at + length] = piece["vectors"]
            at += length
        merged.flush()
        del merged
    pd.DataFrame({"id": ids}).to_parquet(folder / "ids.parquet", index=False)
    meta = plan | {"n": len(ids), "skipped": bad, "sha256": sha256(folder / "vectors.npy")}
    write_json(folder / "manifest.json", meta)
    shutil.rmtree(shards)
    (folder / "plan.json").unlink()


def forget(folder: Path) -> None:
    """Delete a bank of another corpus, which would be taken for one of this corpus.

    Imported embeddings (with a `source` in their manifest) stay.
    """
    manifest = folder / "manifest.json"
    if manifest.is_file() and "source" not in json.loads(manifest.read_text()):
        print(f"{folder} is of another corpus and is deleted")
        shutil.rmtree(folder)
