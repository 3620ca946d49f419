"""Make a bank of embeddings computed elsewhere, without an encoder (`exmcr import-bank`)."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.banks import lists, matrices, storage
from exmcr.banks.bank import Bank
from exmcr.banks.matrices import Matrix
from exmcr.common.errors import ConfigError
from exmcr.common.files import draft_path, drafts_of, explained, remove_draft
from exmcr.common.hashing import sha256
from exmcr.common.names import check_name
from exmcr.media import MODALITIES

ROWS = 65_536  # vectors in memory at once
TOLERANCE = 1e-3  # deviation from norm 1 that rounding to half precision may cause


def import_bank(
    source: str | Path,
    folder: str | Path,
    space: str,
    modality: str,
    *,
    fingerprint: str | None = None,
    key: str | None = None,
    ids: str | Path | None = None,
    captions: str | Path | None = None,
    concepts: str | Path | None = None,
    strict: bool = False,
    replace: bool = False,
    progress: bool = True,
) -> tuple[Bank, int]:
    """Vectors (n, d) from a file -> a Bank in `folder`, and the number of rows that were scaled to
    unit norm.

    source       .npy, .safetensors or .pt; matrices.py says what they may hold. Nothing in the
                 file is executed
    space        name of the encoder, the same for all its banks
    modality     one of exmcr.media.MODALITIES
    fingerprint  of the encoder, if it is a space of exmcr; default: "imported:<space>"
    key          name of the tensor in a file of several
    ids          one id per row: .txt (one per line), .csv or .parquet (column `id`), see lists.py;
                 default: those in the file itself, else <file name>/<row>
    captions     one text per row: .txt, .csv or .parquet (column `caption`); stored beside the ids
    concepts     one noun per row: .txt, .csv or .parquet (column `concept`); items of one concept
                 match in evaluation. Default: the caption
    strict       refuse rows that are not of unit norm (within 0.001) instead of scaling them
    replace      replace a bank that is already in `folder`

    Raises ConfigError, and leaves everything as it was, for a file that is missing, damaged, or a
    pickle of more than tensors; for anything but a matrix of floats; for NaN, infinite or zero
    rows; for repeated ids; for ids, captions or concepts of another length; for a folder that holds
    anything but a bank; for a full disk.
    """
    source, folder = Path(source), Path(folder).resolve()
    if modality not in MODALITIES:
        raise ConfigError(f"modality is one of {', '.join(MODALITIES)}, not '{modality}'")
    check_name("space", space)
    storage.check_place(folder, replace)
    matrix = matrices.read(source, key)
    table = _table(source, matrix, ids, captions, concepts)
    manifest = {
        "space": space,
        "fingerprint": fingerprint or f"imported:{space}",
        "modality": modality,
        "dim": matrix.values.shape[1],
        "items": hashlib.sha256(table.to_csv(index=False).encode()).hexdigest(),
        "n": len(matrix),
        "skipped": [],
    }
    origin = {"file": source.name, "sha256": sha256(source), "dtype": matrix.dtype}
    with explained(folder), storage.lock(folder):
        _restore(folder)
        storage.check_place(folder, replace)
        scratch = draft_path(folder)
        try:
            new = scratch / "new"
            new.mkdir(parents=True)
            rows = _Rows(matrix, source, strict, progress)
            storage.write_vectors(new, rows, (len(matrix), matrix.values.shape[1]))
            storage.finish(new, table, manifest | {"source": origin | {"scaled": rows.scaled}})
            if folder.exists():
                folder.rename(scratch / "old")
            new.rename(folder)
        finally:
            _restore(folder)
            shutil.rmtree(scratch, ignore_errors=True)
    return Bank(folder), rows.scaled


def _restore(folder: Path) -> None:
    """Put back the bank that a replacement had taken away before it was stopped."""
    for scratch in drafts_of(folder):
        if (scratch / "old").is_dir() and not folder.exists():
            (scratch / "old").rename(folder)
        remove_draft(scratch)


class _Rows:
    """The rows of a matrix as float32 blocks of unit norm. scaled: how many were not yet."""

    def __init__(self, matrix: Matrix, source: Path, strict: bool, progress: bool):
        self.matrix, self.source = matrix, source
        self.strict, self.progress = strict, progress
        self.scaled = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        starts, hidden = range(0, len(self.matrix), ROWS), len(self.matrix) <= ROWS
        for start in tqdm(starts, desc=self.source.name, disable=hidden or not self.progress):
            rows = self.matrix.rows(start, start + ROWS)
            largest = np.abs(rows).max(axis=1, keepdims=True)
            self._check(largest, start)
            rows = (
                rows / largest
            )  # squares of very large or small numbers leave the range of floats
            norm = np.linalg.norm(rows, axis=1, keepdims=True)
            self._count(norm * largest, start)
            yield (rows / norm).astype(np.float32)

    def _check(self, largest: np.ndarray, start: int) -> None:
        """Raise ConfigError for unusable rows. largest: (n, 1), of the rows from `start` on."""
        for wrong, what in ((~np.isfinite(largest), "NaN or infinite"), (largest == 0, "zero")):
            if wrong.any():
                first, more = start + int(wrong.argmax()), int(wrong.sum()) - 1
                raise ConfigError(
                    f"{self.source}: row {first} is {what}, and {more} more of rows {start} to "
                    f"{start + len(wrong) - 1}"
                )

    def _count(self, norm: np.ndarray, start: int) -> None:
        """Count rows that are not of unit norm; raise ConfigError for one if `strict`."""
        off = np.abs(norm - 1) > TOLERANCE
        self.scaled += int(off.sum())
        if self.strict and off.any():
            first = int(off.argmax())
            raise ConfigError(
                f"{self.source}: row {start + first} has norm {norm[first, 0]:.4g} instead of 1; "
                "without --strict it is scaled"
            )


def _table(
    source: Path,
    matrix: Matrix,
    ids: str | Path | None,
    captions: str | Path | None,
    concepts: str | Path | None,
) -> pd.DataFrame:
    """Column `id`, and `caption` and `concept` if they are given."""
    n = len(matrix)
    if ids and matrix.ids:
        raise ConfigError(
            f"{source} names its rows itself, e.g. {matrix.ids[0]!r}; leave out --ids"
        )
    if ids:
        names = lists.ids(ids, n)
    elif matrix.ids:
        names = lists.cleaned(matrix.ids, source)
    else:
        names = [f"{source.stem}/{row}" for row in range(n)]
    table = pd.DataFrame({"id": lists.unique(names, ids or source)})
    if captions:
        table["caption"] = lists.captions(captions, n)
    if concepts:
        table["concept"] = lists.concepts(concepts, n)
    return table
