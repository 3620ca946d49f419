"""Embed a folder: what is new or has changed; everything else keeps its vector."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest, sha256
from exmcr.common.locks import locked
from exmcr.corpora.folder import INDEX_NOTE, Listing, scan
from exmcr.index.storage import COLUMNS, FOLDER, KINDS, Index, Part, write
from exmcr.media import MODALITIES, videos
from exmcr.model.exmcr import ExMCR
from exmcr.model.identity import fingerprint

CHUNK = 256  # items between two looks at the clock
PAUSE = 120.0  # seconds after which an unfinished index is stored


@dataclass
class Report:
    """What `build` did.

    place    folder of the index
    items    {modality: items in the index}
    new      {modality: items that were embedded now}
    skipped  [(path, reason)] of what cannot be used
    others   {suffix, or modality that the model lacks: files that were left out}
    """

    place: Path
    items: dict[str, int] = field(default_factory=dict)
    new: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def build(
    folder: str | Path,
    model: ExMCR,
    source: str,
    *,
    place: str | Path | None = None,
    seed: int | None = None,
    kind: str = "exact",
    rebuild: bool = False,
    progress: bool = True,
) -> Report:
    """Make or update the index of a folder.

    source   where the model came from; searches load it from there
    place    folder of the index; default: `.exmcr-index` in the folder
    seed     which projectors; default: the first
    kind     "exact", or "ivfpq" (FAISS) for modalities of 10,000 items or more
    rebuild  start anew instead of keeping the vectors of unchanged files

    A file is unchanged if its content is; it is read again only if its size or time of change is
    another. Interrupted runs keep what they embedded. Raises ConfigError if no file can be used, or
    if the index that is there belongs to another model.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown kind of index '{kind}'; known: {', '.join(KINDS)}")
    root = Path(folder)
    listing = scan(root)
    target = Path(place) if place else root / FOLDER
    note = {"fingerprint": fingerprint(model, seed), "seed": seed, "source": source}
    target.mkdir(parents=True, exist_ok=True)
    with locked(target / ".lock", f"index of {root}"):
        work = _Work(root, target, note, kind)
        if not rebuild and (target / INDEX_NOTE).is_file():
            work.keep(Index(target))
        return work.run(model, listing, progress)


Content = tuple[str, str]  # modality, and SHA-256 of the file or text


class _Work:
    """One update: the vectors that are known, by content, and what cannot be used."""

    def __init__(self, root: Path, place: Path, note: dict[str, Any], kind: str):
        self.root, self.place, self.note, self.kind = root, place, note, kind
        self.vectors: dict[Content, np.ndarray] = {}
        self.reasons: dict[Content, str] = {}
        self.hashes: dict[tuple[str, int, int], str] = {}  # by path, size and time of change

    def keep(self, index: Index) -> None:
        """Take over what an index holds. Raises ConfigError if it is of another model."""
        index.check(self.note["fingerprint"], self.note["source"])
        for modality, part in index.parts.items():
            for row, vector in zip(part.table.itertuples(), part.vectors, strict=True):
                self.vectors[modality, row.sha256] = vector
                self.hashes[row.path, row.size, row.mtime_ns] = row.sha256
        for entry in index.meta["skipped"]:
            if entry["sha256"]:
                self.reasons[entry["modality"], entry["sha256"]] = entry["reason"]

    def run(self, model: ExMCR, listing: Listing, progress: bool) -> Report:
        """Embed what is missing and write the index."""
        report = Report(self.place, skipped=list(listing.skipped), others=listing.others.copy())
        entries = []
        for row in listing.rows:
            if row["modality"] not in model.modalities:
                report.others[row["modality"]] += 1
            else:
                entries.append(self._entry(row))
        table = pd.DataFrame(entries, columns=[*COLUMNS, "reason"])
        try:
            for modality in model.modalities:
                report.new[modality] += self._embed(model, modality, table, progress)
        finally:
            skipped = self._store(table, report)
        report.skipped += [(entry["path"], entry["reason"]) for entry in skipped]
        if not report.items:
            path, reason = (*report.skipped, ("", "the model has none of their modalities"))[0]
            raise ConfigError(f"no file of {self.root} can be used: {path}: {reason}")
        return report

    def _entry(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of the table of the index, with the reason if the file cannot be read."""
        entry = {name: row[name] for name in ("id", "modality", "caption", "path")}
        if not row["path"]:
            text = digest(row["caption"])
            return entry | {"sha256": text, "size": 0, "mtime_ns": 0, "reason": ""}
        path = self.root / row["path"]
        if videos.is_video(path) and not videos.available():  # not by content: it may be installed
            return entry | {"sha256": "", "size": 0, "mtime_ns": 0, "reason": videos.MISSING}
        try:
            status = path.stat()
            key = (row["path"], status.st_size, status.st_mtime_ns)
            content = self.hashes.get(key) or sha256(path)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            return entry | {"sha256": "", "size": 0, "mtime_ns": 0, "reason": reason}
        return entry | {"sha256": content, "size": key[1], "mtime_ns": key[2], "reason": ""}

    def _embed(self, model: ExMCR, modality: str, table: pd.DataFrame, progress: bool) -> int:
        """Encode the contents of a modality that have no vector yet. Returns how many."""
        rows = table[(table.modality == modality) & (table.reason == "")]
        rows = rows.drop_duplicates("sha256")
        new = [
            row
            for row in rows.itertuples()
            if (modality, row.sha256) not in self.vectors
            and (modality, row.sha256) not in self.reasons
        ]
        count, stored = 0, time.monotonic()
        with tqdm(
            total=len(new), desc=modality, unit="item", disable=not (progress and new)
        ) as bar:
            for start in range(0, len(new), CHUNK):
                chunk = new[start : start + CHUNK]
                count += self._encode(model, modality, chunk)
                bar.update(len(chunk))
                if time.monotonic() - stored > PAUSE:
                    self._store(table)
                    stored = time.monotonic()
        return count

    def _encode(self, model: ExMCR, modality: str, rows: list[Any]) -> int:
        raw = [self.root / row.path if row.path else row.caption for row in rows]
        found = model.encode({modality: raw}, seed=self.note["seed"], skip_bad=True, progress=False)
        unusable = {place: reason for _, place, reason in found.skipped}
        for place, reason in unusable.items():
            self.reasons[modality, rows[place].sha256] = reason
        usable = [row for place, row in enumerate(rows) if place not in unusable]
        for row, vector in zip(usable, found[modality], strict=True):
            self.vectors[modality, row.sha256] = vector
        return len(usable)

    def _store(self, table: pd.DataFrame, report: Report | None = None) -> list[dict[str, str]]:
        """Write the index of what has a vector by now. Returns what has none, with reasons."""
        parts, skipped = {}, []
        for modality in [name for name in MODALITIES if name in set(table.modality)]:
            rows = table[table.modality == modality]
            keys = [(modality, content) for content in rows.sha256]
            usable = [key in self.vectors for key in keys]
            if any(usable):
                vectors = np.stack([self.vectors[key] for key in keys if key in self.vectors])
                parts[modality] = Part(rows[usable], vectors)
            for row, key in zip(rows.itertuples(), keys, strict=True):
                if reason := row.reason or self.reasons.get(key):
                    names = {"path": row.id, "modality": row.modality, "sha256": row.sha256}
                    skipped.append(names | {"reason": reason})
        if parts:
            write(self.place, self.root, self.note, parts, skipped, self.kind)
        if report is not None:
            report.items = {name: len(part.table) for name, part in parts.items()}
        return skipped
