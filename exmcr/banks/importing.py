"""Make a bank of embeddings computed elsewhere, without an encoder (`exmcr import-bank`)."""

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from exmcr.banks.bank import Bank
from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.files import write_json
from exmcr.common.hashing import sha256
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
    strict: bool = False,
    replace: bool = False,
    progress: bool = True,
) -> tuple[Bank, int]:
    """Vectors (n, d) from a file -> a Bank in `folder`, and the number of rows that were scaled to
    unit norm.

    source       .npy, .safetensors, or .pt (a tensor, or tensors by name); float16 to float64.
                 Nothing in the file is executed
    space        name of the encoder, the same for all its banks
    modality     one of exmcr.media.MODALITIES
    fingerprint  of the encoder, if it is a space of exmcr; default: "imported:<space>"
    key          name of the tensor in a file of several
    ids          one id per row: .txt (one per line), .csv or .parquet (column `id`); default:
                 <file name>/<row>
    captions     one text per row: .txt, .csv or .parquet (column `caption`); stored beside the ids
    strict       refuse rows that are not of unit norm (within 0.001) instead of scaling them
    replace      replace a bank that is already in `folder`

    Raises ConfigError, and leaves nothing behind, for a file that is missing, damaged, or a pickle
    of more than tensors; for anything but a matrix of floats; for NaN, infinite or zero rows; for
    repeated ids; for ids or captions of another length.
    """
    source, folder = Path(source), Path(folder)
    if modality not in MODALITIES:
        raise ConfigError(f"modality is one of {', '.join(MODALITIES)}, not '{modality}'")
    if not space or "/" in space or space.startswith("."):
        raise ConfigError(f"the name of a space must be valid for a folder, not '{space}'")
    if (folder / "manifest.json").exists() and not replace:
        raise ConfigError(f"there is a bank at {folder}; --replace puts the new one in its place")
    matrix = _open(source, key)
    table = _table(source, len(matrix), ids, captions)
    manifest = {
        "space": space,
        "fingerprint": fingerprint or f"imported:{space}",
        "modality": modality,
        "dim": matrix.shape[1],
        "items": hashlib.sha256(table.to_csv(index=False).encode()).hexdigest(),
        "n": len(matrix),
        "skipped": [],
    }
    origin = {
        "file": source.name,
        "sha256": sha256(source),
        "dtype": str(matrix.dtype).removeprefix("torch."),
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            draft = Path(scratch) / "bank"  # a folder with the mode that the umask gives
            draft.mkdir()
            scaled = _write(matrix, draft / "vectors.npy", source, strict, progress)
            table.to_parquet(draft / "ids.parquet", index=False)
            checked = {
                "sha256": sha256(draft / "vectors.npy"),
                "source": origin | {"scaled": scaled},
            }
            write_json(draft / "manifest.json", manifest | checked)
            if replace:
                shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error}") from error
    return Bank(folder), scaled


def _open(path: Path, key: str | None) -> Any:
    """The matrix of floats (n, d) in a file: a memory-mapped array, or a tensor."""
    matrix = _read(path, key)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ConfigError(f"{path} must hold vectors (n, d), its shape is {tuple(matrix.shape)}")
    if "float" not in str(matrix.dtype):
        raise ConfigError(f"{path} must hold floats, not {matrix.dtype}")
    return matrix


def _read(path: Path, key: str | None) -> Any:
    if not path.is_file():
        raise ConfigError(f"no file {path}")
    if path.suffix == ".npy":
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ConfigError(f"{path} is not a plain .npy array: {error}") from error
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ConfigError(f"vectors are read from .npy, .safetensors and .pt, not from {path.name}")
    content: Any = checkpoints.load(path)
    if hasattr(content, "ndim"):
        return content
    named = content.items() if isinstance(content, dict) else ()
    tensors = {name: value for name, value in named if hasattr(value, "ndim")}
    if key is None and len(tensors) == 1:
        return next(iter(tensors.values()))
    if key not in tensors:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
        raise ConfigError(f"{path} holds {shapes or 'no tensors'}; --key selects one")
    return tensors[key]


def _write(matrix: Any, path: Path, source: Path, strict: bool, progress: bool) -> int:
    """Copy as float32 unit rows, block by block. Returns the number of rows that were scaled."""
    merged = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=tuple(matrix.shape))
    scaled = 0
    starts = range(0, len(matrix), ROWS)
    for start in tqdm(starts, desc=source.name, disable=not progress or len(matrix) <= ROWS):
        part = matrix[start : start + ROWS]
        is_array = isinstance(part, np.ndarray)
        rows = np.asarray(part, np.float64) if is_array else part.double().numpy()
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        _check_rows(norm, start, source, strict)
        scaled += int((np.abs(norm - 1) > TOLERANCE).sum())
        merged[start : start + len(rows)] = rows / norm
    merged.flush()
    return scaled


def _check_rows(norm: np.ndarray, start: int, source: Path, strict: bool) -> None:
    """Raise ConfigError for unusable rows. norm: (n, 1) of the rows from `start` on."""
    for wrong, what in ((~np.isfinite(norm), "NaN or infinite"), (norm == 0, "zero")):
        if wrong.any():
            first, more = start + int(wrong.argmax()), int(wrong.sum()) - 1
            last = start + len(norm) - 1
            raise ConfigError(
                f"{source}: row {first} is {what}, and {more} more of rows {start} to {last}"
            )
    off = np.abs(norm - 1) > TOLERANCE
    if strict and off.any():
        first = int(off.argmax())
        raise ConfigError(
            f"{source}: row {start + first} has norm {norm[first, 0]:.4g} instead of 1; without "
            "--strict it is scaled"
        )


def _table(
    source: Path, n: int, ids: str | Path | None, captions: str | Path | None
) -> pd.DataFrame:
    """Column `id`, and `caption` if captions are given."""
    names = _column(ids, "id", n) if ids else [f"{source.stem}/{row}" for row in range(n)]
    table = pd.DataFrame({"id": names})
    repeated = table.id[table.id.duplicated()]
    if len(repeated):
        raise ConfigError(f"{ids}: {len(repeated)} repeated ids, e.g. '{repeated.iloc[0]}'")
    if captions:
        table["caption"] = _column(captions, "caption", n)
    return table


def _column(path: str | Path, name: str, n: int) -> list[str]:
    """The n strings of a column in a list file."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no file {path}")
    if path.suffix not in (".txt", ".csv", ".parquet"):
        raise ConfigError(f"{name}s are read from .txt, .csv and .parquet, not from {path.name}")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        elif path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        else:
            # Not splitlines, which also splits at characters that texts contain, such as U+2028.
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            table = pd.DataFrame({name: lines})
    except (OSError, ValueError) as error:  # errors of encoding, of pandas and of pyarrow
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if name not in table:
        columns = ", ".join(map(str, table.columns))
        raise ConfigError(f"{path} has no column '{name}', only {columns}")
    if len(table) != n:
        raise ConfigError(f"{path} has {len(table)} rows for {n} vectors")
    return table[name].astype(str).tolist()
