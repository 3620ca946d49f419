"""The complete parts of a bank in the making, which survive an interruption."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.banks import storage
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import digest


@dataclass
class Shard:
    """vectors (n, dim) and ids of the usable items; [(id, reason)] of the others."""

    vectors: np.ndarray
    ids: list[str]
    bad: list[tuple[str, str]]


def prepare(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder of shards. What is left of another plan is deleted.

    Raises ConfigError for files of a bank that no manifest and no plan shows to be ours.
    """
    note = folder / storage.PLAN
    try:
        same = json.loads(note.read_text()) == plan
    except (OSError, ValueError):
        same = False
    if not same:
        storage.check_ours(folder)
        storage.discard(folder)
        write_json(note, plan)
    (folder / storage.SHARDS).mkdir(exist_ok=True)


def path_of(folder: Path, start: int) -> Path:
    """The shard of the items from row `start` on."""
    return folder / storage.SHARDS / f"{start:09d}.npz"


def write(folder: Path, start: int, shard: Shard, plan: dict[str, Any]) -> None:
    names, reasons = np.array(shard.ids, dtype=str), np.array(shard.bad, dtype=str).reshape(-1, 2)
    with atomic_write(path_of(folder, start)) as draft, draft.open("wb") as file:
        np.savez(file, vectors=shard.vectors, ids=names, bad=reasons, plan=np.array(_key(plan)))


def read(folder: Path, start: int, plan: dict[str, Any], expected: list[str]) -> Shard | None:
    """The shard of the items `expected` (ids, in order); None if there is none.

    A shard that is damaged, of another plan or of other items is deleted; one line says so.
    """
    path = path_of(folder, start)
    if not path.exists():
        return None
    try:
        with np.load(path) as content:  # checks the CRC-32 of every part
            parts = {name: content[name] for name in ("vectors", "ids", "bad", "plan")}
        shard = Shard(
            parts["vectors"], parts["ids"].tolist(), [tuple(pair) for pair in parts["bad"].tolist()]
        )
        reason = _fault(shard, str(parts["plan"]), plan, expected)
    except Exception as error:  # zipfile and numpy raise errors of many kinds
        reason = f"is damaged ({type(error).__name__})"
    if reason:
        print(f"{path} {reason}; its items are encoded again")
        path.unlink()
        return None
    return shard


def read_vectors(folder: Path, start: int) -> np.ndarray:
    """The vectors of a shard that `read` has checked."""
    with np.load(path_of(folder, start)) as content:
        return content["vectors"]


def _fault(shard: Shard, key: str, plan: dict[str, Any], expected: list[str]) -> str:
    """What is wrong with a shard; "" if nothing is."""
    bad = {id for id, _ in shard.bad}
    if key != _key(plan):
        return "is of another run"
    if shard.ids != [id for id in expected if id not in bad] or len(shard.ids) + len(bad) != len(
        expected
    ):
        return "holds other items"
    if shard.vectors.shape != (len(shard.ids), plan["dim"]) or shard.vectors.dtype != np.float32:
        return f"holds vectors of shape {shard.vectors.shape}"
    return ""


def _key(plan: dict[str, Any]) -> str:
    return digest(json.dumps(plan, sort_keys=True))
