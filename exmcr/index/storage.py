"""The files of an index.

exmcr-index.json            which model it belongs to, its files with hashes, what was left out
<modality>-<hash>.npy       float32 (n, d), unit rows in the space of the model
<modality>-<hash>.parquet   one row per vector: id, modality, caption, path, sha256, size, mtime_ns
<modality>-<hash>.faiss     for `kind: ivfpq`

A change writes new files, then the note, then deletes the old ones; so a reader never finds parts
of two versions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, read_note, write_note
from exmcr.common.hashing import check_file, digest, sha256
from exmcr.corpora.folder import INDEX_NOTE
from exmcr.index import ivfpq

FORMAT = "exmcr index 1"
FOLDER = ".exmcr-index"  # in the folder that was indexed, unless another place is chosen
KINDS = ("exact", "ivfpq")
COLUMNS = ["id", "modality", "caption", "path", "sha256", "size", "mtime_ns"]
MEND = "run `exmcr index --rebuild`"


@dataclass
class Part:
    """The items of one modality: their table (COLUMNS) and their vectors, row by row."""

    table: pd.DataFrame
    vectors: np.ndarray
    ivfpq: Path | None = None


class Index:
    """An index, opened and checked.

    place    its folder
    root     the folder that was indexed; paths of items are relative to it
    meta     content of exmcr-index.json
    parts    {modality: Part}
    """

    def __init__(self, place: str | Path):
        """place: the folder of the index, or the one that was indexed.

        Raises ConfigError if there is none, or if it is damaged or of another version.
        """
        self.place = find(place)
        self.meta = _read(self.place)
        self.root = Path(self.meta["root"])
        if self.place.name == FOLDER:  # a folder that was moved took its index with it
            self.root = self.place.parent
        self.parts = {name: self._part(name) for name in self.meta["parts"]}

    @property
    def fingerprint(self) -> str:
        """That of its model (exmcr.model.identity)."""
        return self.meta["model"]["fingerprint"]

    @property
    def seed(self) -> int | None:
        """Which projectors made the vectors; None for the first ones."""
        return self.meta["model"]["seed"]

    @property
    def source(self) -> str:
        """Where its model came from."""
        return self.meta["model"]["source"]

    def __len__(self) -> int:
        return sum(len(part.table) for part in self.parts.values())

    def check(self, fingerprint: str, source: str) -> None:
        """Raises ConfigError if the index belongs to another model than this one."""
        if fingerprint != self.fingerprint:
            raise ConfigError(
                f"index {self.place} belongs to the model {self.source} (fingerprint "
                f"{self.fingerprint[:12]}), not to {source} ({fingerprint[:12]}); use that model, "
                "or `exmcr index --rebuild` with this one"
            )

    def nearest(self, query: np.ndarray, modality: str, k: int = 10) -> pd.DataFrame:
        """The k items of a modality nearest to a query (1, d), or all if there are fewer.

        Returns rows of the table, nearest first, with their cosine as `score`. Raises ConfigError
        for a modality that the index lacks.
        """
        if modality not in self.parts:
            raise ConfigError(f"index {self.place} has no {modality}, only {', '.join(self.parts)}")
        part = self.parts[modality]
        k, query = min(k, len(part.table)), np.ascontiguousarray(query, np.float32)
        if part.ivfpq is None:
            top = ivfpq.exact(part.vectors, query, k)
        else:
            top = ivfpq.search(part.ivfpq, part.vectors, query, k)
        return part.table.iloc[top.indices[0]].assign(score=top.scores[0])

    def _part(self, modality: str) -> Part:
        entry = self.meta["parts"][modality]
        for name, known in entry["files"].items():
            check_file(self.place / name, known, MEND)
        stem = self.place / entry["stem"]
        try:
            table = pd.read_parquet(f"{stem}.parquet")
            vectors = np.load(f"{stem}.npy", mmap_mode="r")
        except Exception as error:  # pandas, pyarrow and numpy raise errors of many kinds
            raise ConfigError(f"index {self.place} cannot be read: {error}; {MEND}") from error
        quantized = Path(f"{stem}.faiss")
        return Part(table, vectors, quantized if quantized.name in entry["files"] else None)


def find(place: str | Path) -> Path:
    """The folder of an index: `place` itself, or FOLDER in it. Raises ConfigError if neither is."""
    for folder in (Path(place), Path(place) / FOLDER):
        if (folder / INDEX_NOTE).is_file():
            return folder
    raise ConfigError(f"no index in {place}; `exmcr index {place}` makes one")


def write(
    place: Path,
    root: Path,
    model: dict[str, Any],
    parts: dict[str, Part],
    skipped: list[dict[str, str]],
    kind: str = "exact",
) -> None:
    """Write an index, replacing one that is there.

    model    {"fingerprint", "seed", "source"}
    skipped  what was left out: {"path", "modality", "reason", "sha256" of the file or ""}
    kind     one of KINDS; a modality with fewer than ivfpq.FEWEST items is searched exactly
    """
    entries, keep = {}, {INDEX_NOTE}
    for modality, part in parts.items():
        entries[modality] = _write_part(place, modality, part, kind)
        keep |= entries[modality]["files"].keys()
    content = {
        "format": FORMAT,
        "root": str(root.resolve()),
        "model": model,
        "kind": kind,
        "parts": entries,
        "skipped": skipped,
    }
    write_note(place / INDEX_NOTE, content)
    for path in place.iterdir():
        if path.suffix in (".npy", ".parquet", ".faiss") and path.name not in keep:
            path.unlink()


def _write_part(place: Path, modality: str, part: Part, kind: str) -> dict[str, Any]:
    vectors = np.ascontiguousarray(part.vectors, np.float32)
    table = part.table[COLUMNS]
    content = digest(vectors.tobytes(), table.to_csv(index=False))
    stem = f"{modality}-{content[:12]}"
    with atomic_write(place / f"{stem}.npy") as draft, draft.open("wb") as file:
        np.save(file, vectors)
    with atomic_write(place / f"{stem}.parquet") as draft:
        table.to_parquet(draft, index=False)
    names = [f"{stem}.npy", f"{stem}.parquet"]
    if kind == "ivfpq" and len(vectors) >= ivfpq.FEWEST:
        names.append(f"{stem}.faiss")
        if not (place / names[-1]).is_file():
            ivfpq.write(place / names[-1], vectors)
    return {
        "stem": stem,
        "items": len(table),
        "files": {name: sha256(place / name) for name in names},
    }


def _read(place: Path) -> dict[str, Any]:
    path = place / INDEX_NOTE
    try:
        content = read_note(path)
        wrong = content.get("format") != FORMAT
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}; {MEND}") from error
    if wrong:
        raise ConfigError(
            f"{path} is of format {content.get('format')!r}, this version reads {FORMAT!r}; {MEND}"
        )
    return content
