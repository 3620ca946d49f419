"""`exmcr import-bank`: embeddings made elsewhere become a bank, so that whoever has features needs no encoder here."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.banks.bank import Bank
from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.media import MODALITIES

ROWS = 65_536  # vectors in memory at once
TOLERANCE = 1e-3  # of a norm that counts as 1: what rounding to half precision may do


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
    strict: bool = False,
    replace: bool = False,
    progress: bool = True,
) -> tuple[Bank, int]:
    """Vectors (n, d) from a file -> a Bank (exmcr.banks) in `folder`, and how many rows had to be scaled to unit norm.

    source       .npy, .safetensors, or .pt (a tensor, or tensors by name); float16 to float64. Nothing in a file is executed
    space        name of the encoder; banks of one encoder bear one name
    fingerprint  of the encoder, where it is known (the `fingerprint` of a space of exmcr); "imported:<space>" without it
    key          which tensor, where a file holds several of them
    ids          one name per row: .txt (a line each), .csv or .parquet (column `id`); without it <file name>/<row>
    captions     one text per row: .txt, .csv or .parquet (column `caption`); kept beside the ids
    strict       refuse rows that are not of unit norm (within 0.001) instead of scaling them
    replace      put the bank in the place of one that is there

    Raises ConfigError, and leaves nothing behind, for a file that is missing, damaged or a pickle of more than tensors, for
    anything but a matrix of floats, for NaN, infinite or zero rows, for ids that repeat, and for lists of another length."""
    source, folder = Path(source), Path(folder)
    if modality not in MODALITIES:
        raise ConfigError(f"modality is one of {', '.join(MODALITIES)}, not '{modality}'")
    if not space or "/" in space or space.startswith("."):
        raise ConfigError(f"a space needs a name that can be a folder's, not '{space}'")
    if (folder / "manifest.json").exists() and not replace:
        raise ConfigError(f"there is a bank at {folder}; --replace puts the new one in its place")
    matrix = _open(source, key)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ConfigError(f"{source} must hold vectors (n, d), its shape is {tuple(matrix.shape)}")
    if "float" not in str(matrix.dtype):
        raise ConfigError(f"{source} must hold floats, not {matrix.dtype}")
    table = _table(source, len(matrix), ids, captions)
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        changed = _write(matrix, draft / "vectors.npy", source, strict, progress)
        table.to_parquet(draft / "ids.parquet", index=False)
        manifest = {
            "space": space,
            "fingerprint": fingerprint or f"imported:{space}",
            "modality": modality,
            "dim": matrix.shape[1],
            "items": hashlib.sha256(table.to_csv(index=False).encode()).hexdigest(),
            "n": len(matrix),
            "skipped": [],
            "sha256": sha256(draft / "vectors.npy"),
            "source": {
                "file": source.name,
                "sha256": sha256(source),
                "dtype": str(matrix.dtype).removeprefix("torch."),
                "scaled": changed,
            },
        }
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        if replace:
            shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Bank(folder), changed


def _open(path: Path, key: str | None):
    """The matrix in a file: a memory-mapped array, or a tensor."""
    if not path.is_file():
        raise ConfigError(f"no file {path}")
    if path.suffix == ".npy":
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ConfigError(f"{path} is not a plain .npy array: {error}") from error
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ConfigError(f"vectors are read from .npy, .safetensors and .pt, not from {path.name}")
    content = checkpoints.load(path)
    if hasattr(content, "ndim"):
        return content
    found = (
        {name: value for name, value in content.items() if hasattr(value, "ndim")}
        if isinstance(content, dict)
        else {}
    )
    if key is None and len(found) == 1:
        return next(iter(found.values()))
    if key not in found:
        raise ConfigError(
            f"{path} holds {', '.join(f'{n} {tuple(v.shape)}' for n, v in found.items()) or 'no tensors'}; --key names one"
        )
    return found[key]


def _write(matrix, path: Path, source: Path, strict: bool, progress: bool) -> int:
    """Copy as float32 unit rows, block by block -> number of rows that were not of unit norm."""
    merged = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=tuple(matrix.shape))
    changed = 0
    for start in tqdm(
        range(0, len(matrix), ROWS), desc=source.name, disable=not progress or len(matrix) <= ROWS
    ):
        part = matrix[start : start + ROWS]
        rows = (
            np.asarray(part, np.float64) if isinstance(part, np.ndarray) else part.double().numpy()
        )
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        for wrong, what in ((~np.isfinite(norm), "NaN or infinite"), (norm == 0, "zero")):
            if wrong.any():
                others = f"{int(wrong.sum()) - 1} more of rows {start} to {start + len(rows) - 1}"
                raise ConfigError(
                    f"{source}: row {start + int(wrong.argmax())} is {what}, and {others}"
                )
        off = np.abs(norm - 1) > TOLERANCE
        if strict and off.any():
            first = int(off.argmax())
            raise ConfigError(
                f"{source}: row {start + first} has norm {norm[first, 0]:.4g} instead of 1; without --strict it would be scaled"
            )
        changed += int(off.sum())
        merged[start : start + len(rows)] = rows / norm
    merged.flush()
    return changed


def _table(source: Path, n: int, ids, captions) -> pd.DataFrame:
    """Column `id`, and `caption` if there are any."""
    table = pd.DataFrame(
        {"id": _column(ids, "id", n) if ids else [f"{source.stem}/{row}" for row in range(n)]}
    )
    twice = table.id[table.id.duplicated()]
    if len(twice):
        raise ConfigError(f"{ids}: {len(twice)} ids occur again, e.g. '{twice.iloc[0]}'")
    if captions:
        table["caption"] = _column(captions, "caption", n)
    return table


def _column(path: str | Path, name: str, n: int) -> list[str]:
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no file {path}")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        elif path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        elif path.suffix == ".txt":
            table = pd.DataFrame(
                {name: path.read_text(encoding="utf-8").removesuffix("\n").split("\n")}
            )
        else:
            raise ConfigError(
                f"{name}s are read from .txt, .csv and .parquet, not from {path.name}"
            )
    except (
        OSError,
        UnicodeDecodeError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        ValueError,
    ) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if name not in table:
        raise ConfigError(
            f"{path} has no column '{name}', only {', '.join(map(str, table.columns))}"
        )
    if len(table) != n:
        raise ConfigError(f"{path} names {len(table)} items, there are {n} vectors")
    return table[name].astype(str).tolist()
