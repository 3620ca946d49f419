"""Vectors computed elsewhere, read from .npy, .safetensors and .pt without executing anything.

What a file may hold:

.npy                an array (n, d) of floats: float16 to float128, any byte order
.safetensors, .pt   a tensor (n, d); tensors by name, nested or not, of which one is (n, d) or is
                    selected by `key`; a list of n vectors, or of batches of vectors; vectors by
                    id, {id: (d,)}, which name the items too
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError

SUFFIXES = (".npy", ".safetensors", ".pt", ".pth")
SHOWN = 5  # names that a message lists


@dataclass
class Matrix:
    """values: array or tensor (n, d) of floats; ids: those that the file itself gives."""

    values: Any
    ids: list[str] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dtype(self) -> str:
        return str(self.values.dtype).removeprefix("torch.")

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Some rows, float64 (k, d)."""
        part = self.values[start:stop]
        return np.asarray(part if isinstance(part, np.ndarray) else part.double(), np.float64)


def read(path: Path, key: str | None = None) -> Matrix:
    """The vectors in a file.

    key: name of one of several tensors; parts of nested names are joined by dots.

    Raises ConfigError for a file that is missing, damaged, or a pickle of more than tensors; for
    anything but one matrix of floats; for tensors of which none is selected.
    """
    if not path.is_file():
        raise ConfigError(f"no file {path}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"vectors are read from .npy, .safetensors and .pt, not from {path.name}")
    matrix = Matrix(_array(path)) if suffix == ".npy" else _tensors(path, key)
    shape = tuple(matrix.values.shape)
    if len(shape) != 2 or 0 in shape:
        raise ConfigError(f"{path} must hold vectors (n, d), its shape is {shape}")
    if not _is_float(matrix.values):
        raise ConfigError(f"{path} must hold floats, not {matrix.dtype}")
    return matrix


def _array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy parses headers with Python's own parser, which raises a lot
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} is not a plain .npy array: {reason}") from error
    if not isinstance(array, np.ndarray):
        raise ConfigError(f"{path} is not a plain .npy array: it is an .npz archive")
    return array


def _tensors(path: Path, key: str | None) -> Matrix:
    content = _loaded(path)
    if key is not None:
        return Matrix(_dense(_selected(path, _named(content), key)))
    if _is_tensor(content):
        return Matrix(_dense(content))
    if isinstance(content, list | tuple):
        return Matrix(_joined(path, content))
    named = _named(content)
    whole = isinstance(content, dict) and len(named) == len(content) > 1
    if whole and {t.ndim for t in named.values()} == {1} and len({*map(len, named.values())}) == 1:
        return Matrix(_stacked(list(named.values())), list(named))
    matrices = [t for t in named.values() if t.ndim > 1]
    chosen = matrices if len(matrices) == 1 else list(named.values())
    if len(chosen) == 1:  # beside it, there may be labels or counts
        return Matrix(_dense(chosen[0]))
    raise ConfigError(f"{path} holds {_listed(named)}; --key selects one")


def _loaded(path: Path) -> Any:
    try:
        return checkpoints.load(path)
    except ConfigError as error:
        if "_reconstruct" in str(error):
            raise ConfigError(
                f"{path} holds numpy arrays, which a .pt file cannot give safely; save them with "
                "numpy.save, or as tensors"
            ) from error
        raise


def _named(content: Any, prefix: str = "") -> dict[str, Any]:
    """Every tensor in nested mappings: {"outer.inner": tensor}."""
    found = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if _is_tensor(value):
            found[f"{prefix}{name}"] = value
        else:
            found |= _named(value, f"{prefix}{name}.")
    return found


def _selected(path: Path, named: dict[str, Any], key: str) -> Any:
    if key not in named:
        raise ConfigError(f"{path} holds {_listed(named)}; --key selects one")
    return named[key]


def _listed(named: dict[str, Any]) -> str:
    names = [f"{name} {tuple(value.shape)}" for name, value in list(named.items())[:SHOWN]]
    more = [f"and {len(named) - SHOWN} more tensors"] if len(named) > SHOWN else []
    return ", ".join(names + more) or "no tensors"


def _joined(path: Path, parts: list | tuple) -> Any:
    """A list of n vectors (d,), or of batches (k, d), as one matrix."""
    shapes = [tuple(part.shape) if _is_tensor(part) else None for part in parts]
    kinds = {shape and (len(shape), *shape[-1:]) for shape in shapes}
    if len(kinds) == 1 and (kind := kinds.pop()) and kind[0] in (1, 2):
        return _stacked(list(parts), join=kind[0] == 2)
    what = "tensors of several shapes" if None not in shapes else "more than tensors"
    raise ConfigError(f"{path} holds a list of {len(parts)} {what}; it must hold vectors (n, d)")


def _stacked(parts: list, join: bool = False) -> Any:
    import torch

    parts = [_dense(part) for part in parts]
    return torch.cat(parts) if join else torch.stack(parts)


def _dense(tensor: Any) -> Any:
    """Without gradient, and not sparse."""
    tensor = tensor.detach()
    return tensor.to_dense() if "sparse" in str(tensor.layout) else tensor


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "ndim") and hasattr(value, "detach")


def _is_float(values: Any) -> bool:
    if isinstance(values, np.ndarray):
        return np.issubdtype(values.dtype, np.floating)
    return values.is_floating_point()
