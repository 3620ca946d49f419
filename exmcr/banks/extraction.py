"""Encode items into a bank, shard by shard: complete shards survive an interruption."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.banks import shards, storage
from exmcr.banks.bank import Bank, read_manifest
from exmcr.banks.shards import Shard
from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.common.files import remove_abandoned
from exmcr.media.ahead import Loaded, load_ahead
from exmcr.media.chunks import in_chunks

SHARD = 512  # items; a killed process loses at most one shard
BAD_SHARE = 0.05
AHEAD = 2  # shards loaded while one is encoded, if their items fit into limits.CHUNK bytes


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

    A finished, undamaged bank of the same space, items and fingerprint is opened as it is. Any
    other bank in `folder` is made anew, except one of imported embeddings. A second process waits
    until the bank is done.

    Raises ConfigError if `items` is empty, if more than `max_bad` are unusable, if the disk is
    full, and for imported embeddings in `folder`.
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
    job = _Job(folder, plan, items, max_bad)
    rank = distributed.rank(group)
    with storage.lock(folder) if rank == 0 else nullcontext():
        starts: list[int] | None = None
        if rank == 0 and not job.is_finished():
            starts = job.missing()
        starts = distributed.broadcast(starts, group)
        if starts is not None:
            job.encode(space, load, starts, progress, group)
            distributed.barrier(group)
            if rank == 0:
                job.finish()
            distributed.barrier(group)
        return Bank(folder)


def forget(folder: str | Path) -> None:
    """Delete a bank of another corpus, which would be mistaken for one of this corpus.

    Imported embeddings (with `source` in their manifest) stay. Raises ConfigError for a damaged
    manifest, which does not say whether they are imported.
    """
    folder = Path(folder)
    if (folder / "manifest.json").is_file():
        with storage.lock(folder):
            if "source" not in read_manifest(folder):
                print(f"deleting {folder}, a bank of another corpus")
                storage.discard(folder)


@dataclass
class _Job:
    """A bank to be made: its folder, the provenance it will have, its items."""

    folder: Path
    plan: dict[str, Any]
    items: pd.DataFrame
    max_bad: float

    def is_finished(self) -> bool:
        """Whether the bank is there and undamaged. Deletes what a killed process left beside it.

        Raises ConfigError for imported embeddings, which cannot be made again here.
        """
        manifest = self.folder / "manifest.json"
        if not manifest.exists():
            return False
        if b'"source": {' in manifest.read_bytes():
            raise ConfigError(
                f"{self.folder} holds imported embeddings, which `exmcr extract` does not replace; "
                "delete the folder, or import them under the name of another space"
            )
        try:
            bank = Bank(self.folder)
            same = all(bank.meta.get(k) == v for k, v in self.plan.items() if k != "shard")
            if same:
                self._check_counts(len(bank), len(bank.meta["skipped"]), len(self.items))
        except ConfigError as error:
            print(f"{str(error).rpartition('; ')[0]}; making it again")
            return False
        if same:
            storage.discard_shards(self.folder)
            (self.folder / storage.PLAN).unlink(missing_ok=True)
            remove_abandoned(self.folder)
        return same

    def missing(self) -> list[int]:
        """The first row of each shard that is to be made."""
        shards.prepare(self.folder, self.plan)
        return [start for start in self._starts() if self._read(start) is None]

    def encode(
        self,
        space: Encoder,
        load: Callable[[Any], Any],
        starts: list[int],
        progress: bool,
        group: distributed.Group,
    ) -> None:
        """Make this rank's part of these shards. Stops early if too many items are unusable."""
        rank, ranks = distributed.rank(group), distributed.size(group)
        modality, size, bad = self.plan["modality"], self.plan["shard"], 0
        description = f"{space.name} {modality}"
        quiet = True if not progress or rank > 0 else None  # None: shown in a terminal only
        total = len(self.items)
        with tqdm(total=total, desc=description, unit="item", disable=quiet) as bar:
            bar.update(total - sum(min(size, total - start) for start in starts))
            own = starts[rank::ranks]
            for start, shard in _encoded(space, modality, load, self.items, own, size):
                shards.write(self.folder, start, shard, self.plan)
                bar.update((len(shard.ids) + len(shard.bad)) * ranks)  # others are about as far
                bad += len(shard.bad)
                if bad > self.max_bad * total:
                    return

    def finish(self) -> None:
        """Merge the shards into a bank."""
        ids: list[str] = []
        bad: list[tuple[str, str]] = []
        for shard in filter(None, map(self._read, self._starts())):
            ids += shard.ids
            bad += shard.bad
        self._check_bad(bad)
        self._check_counts(len(ids), len(bad), len(self.items))
        skipped = [{"id": id, "reason": reason} for id, reason in bad]
        blocks = (shards.read_vectors(self.folder, start) for start in self._starts())
        storage.write_vectors(self.folder, blocks, (len(ids), self.plan["dim"]))
        meta = self.plan | {"n": len(ids), "skipped": skipped}
        storage.finish(self.folder, pd.DataFrame({"id": ids}), meta)
        storage.discard_shards(self.folder)
        (self.folder / storage.PLAN).unlink()

    def _starts(self) -> range:
        return range(0, len(self.items), self.plan["shard"])

    def _read(self, start: int) -> Shard | None:
        part = self.items.id.iloc[start : start + self.plan["shard"]]
        return shards.read(self.folder, start, self.plan, part.tolist())

    def _check_bad(self, bad: list[tuple[str, str]]) -> None:
        """Raise ConfigError if too many items are unusable. Their shards are deleted, so that the
        next run loads the items again, which may have been repaired."""
        if len(bad) <= self.max_bad * len(self.items):
            return
        for start in self._starts():
            shard = self._read(start)
            if shard and shard.bad:
                shards.path_of(self.folder, start).unlink()
        id, reason = bad[0]
        raise ConfigError(
            f"{len(bad)} of {len(self.items)} items of {self.folder} are unusable, more than "
            f"{self.max_bad:.0%}; the first is {id}: {reason}. Repair or remove them, and run "
            "`exmcr extract` again"
        )

    def _check_counts(self, usable: int, skipped: int, total: int) -> None:
        if usable + skipped != total:
            raise ConfigError(
                f"{self.folder} has {usable} vectors and {skipped} skipped items for {total} "
                "items; run `exmcr extract` again"
            )


def _items_digest(items: pd.DataFrame) -> str:
    """Changes if an item is added, moved, renamed or reworded, and if its file changes, provided
    that the table has the column `sha256`."""
    columns = [c for c in ("id", "caption", "path", "start", "seconds", "sha256") if c in items]
    return hashlib.sha256(items[columns].to_csv(index=False).encode()).hexdigest()


def _encoded(
    space: Encoder,
    modality: str,
    load: Callable[[Any], Any],
    items: pd.DataFrame,
    starts: list[int],
    size: int,
) -> Iterator[tuple[int, Shard]]:
    """Yield (start, shard) of the shards that start at these rows.

    While items are encoded, threads load those of the next AHEAD shards. A shard of large items is
    encoded in several parts, so that neither takes more than limits.CHUNK bytes.
    """
    parts = [list(items.iloc[start : start + size].itertuples()) for start in starts]
    stream = load_ahead(load, list(chain.from_iterable(parts)), AHEAD * size)
    with closing(stream):
        for start, part in zip(starts, parts, strict=True):
            shard, vectors = Shard(np.empty((0, space.dim), np.float32), [], []), []
            for chunk in in_chunks(_usable(islice(stream, len(part)), shard), size):
                vectors.append(space.encode_loaded(modality, chunk))
                del chunk  # while the next one is loaded
            if vectors:
                shard.vectors = np.concatenate(vectors)
            yield start, shard


def _usable(loaded: Iterable[Loaded], shard: Shard) -> Iterator[Any]:
    """The usable ones of the items of a shard, in which ids and reasons are noted."""
    for item, value, reason in loaded:
        if reason is None:
            shard.ids.append(item.id)
            yield value
        else:
            shard.bad.append((item.id, reason))
