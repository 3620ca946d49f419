"""Weight files from elsewhere, read without executing anything in them."""

import argparse
import hashlib
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import sha256

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]


def load(path: str | Path) -> Any:
    """Read a `.safetensors` file, or any file written by torch.save; tensors are on the CPU.

    Accepts only tensors, containers, numbers, argparse.Namespace and numpy scalars; the published
    CLAP and ULIP files hold the last two beside their tensors. Raises ConfigError if the file is
    missing, damaged or unsafe.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"no weight file {path}; `exmcr weights` says where it comes from and where to put it"
        )
    damaged = (
        SafetensorError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        OverflowError,
        MemoryError,
        AssertionError,
        zipfile.BadZipFile,
        struct.error,
    )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(f"{path} is not a plain weight file: {_first_line(error)}") from error
    except damaged as error:
        raise ConfigError(
            f"{path} cannot be read; is the download complete? {_first_line(error)}"
        ) from error


def load_state(path: str | Path) -> State:
    """`load`, reduced to named tensors: the content of `state_dict` if there is one.

    Drops the `module.` prefix that DistributedDataParallel adds. Raises ConfigError if the file
    holds no named tensors.
    """
    import torch

    content = load(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(value, torch.Tensor) for value in content.values())
    ):
        raise ConfigError(f"{path} holds no state dict (names and tensors)")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def fill(module: "torch.nn.Module", state: State, path: str | Path, architecture: str) -> None:
    """Load `state` into a torch module; every name and shape must match.

    path and architecture name the file and the module in errors. Raises ConfigError that lists
    the differences.
    """
    own = module.state_dict()
    missing, foreign = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    differences = {"missing": missing, "unknown": foreign, "of another shape": shapes}
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in differences.items()
        if names
    ]
    if parts:
        raise ConfigError(
            f"{path} is of another architecture than {architecture}: {'; '.join(parts)}"
        )
    module.load_state_dict(state)


def state_digest(state: State) -> str:
    """SHA-256 hex digest over names, types, shapes and values, sorted by name.

    Equal for the .pt and the .safetensors file of one model.
    """
    import torch

    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def convert_once(source: str | Path, target: str | Path) -> Path:
    """Copy the tensors of `source` to `target` (.safetensors), with the SHA-256 of both files in
    `target`.json. Returns `target`.

    Later calls only compare: they convert a changed source again and raise ConfigError for a
    changed target. `source` may be deleted after the first call. A `target` that has neither a
    source nor a note is used as it is.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    source, target = Path(source), Path(target)
    note = target.with_name(target.name + ".json")
    if target.is_file() and not source.is_file() and not note.is_file():
        return target
    if target.is_file() and note.is_file():
        known = _read_note(note)
        if not source.is_file() or _stamp(source) == known["source_stamp"]:
            if sha256(target) != known["sha256"]:
                raise ConfigError(
                    f"{target} is not the file that was converted from {known['source']}; "
                    "delete it and run again"
                )
            return target
    # Tied tensors share memory, which safetensors refuses.
    state = {name: tensor.contiguous().clone() for name, tensor in load_state(source).items()}
    try:
        with atomic_write(target) as draft:
            save_file(state, draft, metadata={"format": "pt"})
            known = {
                "source": source.name,
                "source_stamp": _stamp(source),
                "source_sha256": sha256(source),
                "sha256": sha256(draft),
            }
        write_json(note, known)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot write {target}: {error}") from error
    return target


def _read_note(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        return {key: known[key] for key in ("source", "source_stamp", "sha256")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{note} is damaged: delete it and run again") from error


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _harmless() -> list:
    """What `load` accepts besides tensors and containers. numpy 2 renamed numpy.core."""
    scalar = np.float64(0).__reduce__()[0]
    numbers = ("Float64", "Float32", "Int64", "Int32", "Bool")
    return [
        argparse.Namespace,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(getattr(np.dtypes, f"{name}DType") for name in numbers),
    ]


def _first_line(error: Exception) -> str:
    """The informative sentence of a long torch message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = lines or [type(error).__name__]
    line = next((line for line in lines if "Unsupported" in line or "GLOBAL" in line), lines[0])
    if line.startswith("Unsupported operand"):
        return (
            "it was not written by torch.save, or holds more than tensors; "
            "is it perhaps a web page, saved under this name?"
        )
    return line.split(". ")[0][:300]
