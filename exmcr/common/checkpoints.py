"""Weight files of others, read without executing anything in them, and named by what they hold."""

import argparse
import contextlib
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256


def load(path: str | Path) -> dict:
    """Read `.safetensors`, or anything torch.save wrote -> the object in it, tensors on the CPU.

    Only tensors, containers, numbers, argparse.Namespace and numpy scalars are let through; those two are what the
    published CLAP and ULIP files carry beside their tensors. Raises ConfigError for a missing, damaged or unsafe file."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"no weight file {path}; `exmcr weights` says where it comes from and where to put it"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(f"{path} is not a plain weight file: {_first_line(error)}") from error
    except (
        SafetensorError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
    ) as error:
        raise ConfigError(
            f"{path} cannot be read; is the download complete? {_first_line(error)}"
        ) from error


def load_state(path: str | Path) -> dict:
    """`load`, reduced to the tensors by name: the content of `state_dict` if there is one, `module.` prefixes dropped.

    The prefix is what DistributedDataParallel leaves behind. Raises ConfigError if the file holds no named tensors."""
    import torch

    content = load(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(v, torch.Tensor) for v in content.values())
    ):
        raise ConfigError(f"{path} holds no state dict (names and tensors)")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def fill(module, state: dict, path: str | Path, architecture: str) -> None:
    """Load `state` into a torch module, every name and shape matching. Raises ConfigError that lists what differs."""
    own = module.state_dict()
    missing, foreign = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [
        f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}"
        for k in own
        if k in state and own[k].shape != state[k].shape
    ]
    if missing or foreign or shapes:
        parts = [
            f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for what, names in (
                ("missing", missing),
                ("unknown", foreign),
                ("of another shape", shapes),
            )
            if names
        ]
        raise ConfigError(
            f"{path} is of another architecture than {architecture}: {'; '.join(parts)}"
        )
    module.load_state_dict(state)


def state_digest(state: dict) -> str:
    """SHA-256 hex over names, types, shapes and values, in order of names: equal for .pt and .safetensors of one model."""
    import torch

    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(
            memoryview(tensor.reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else b""
        )
    return total.hexdigest()


def convert_once(source: str | Path, target: str | Path) -> Path:
    """Keep the tensors of `source` as `target` (.safetensors), and both SHA-256 in `target`.json.

    Later calls only compare: a source that changed is converted again, a target that changed is a ConfigError.
    The source may be thrown away after the first call; a `target` that comes alone is taken as it is."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    source, target = Path(source), Path(target)
    note = target.with_name(target.name + ".json")
    if target.is_file() and not source.is_file() and not note.is_file():
        return target
    if target.is_file() and note.is_file():
        known = json.loads(note.read_text())
        stamp = _stamp(source) if source.is_file() else known["source_stamp"]
        if stamp == known["source_stamp"]:
            if sha256(target) != known["sha256"]:
                raise ConfigError(
                    f"{target} is not the file that was converted from {known['source']}; delete it and run again"
                )
            return target
    state = {
        name: tensor.contiguous().clone() for name, tensor in load_state(source).items()
    }  # clone: tied tensors
    # Named after the process, so that two sessions converting at once cannot mix their halves.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.callback(draft.unlink, missing_ok=True)
            save_file(state, draft, metadata={"format": "pt"})
            known = {
                "source": source.name,
                "source_stamp": _stamp(source),
                "source_sha256": sha256(source),
                "sha256": sha256(draft),
            }
            os.replace(draft, target)
        note.write_text(json.dumps(known, indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot write {target}: {error}") from error
    return target


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _harmless() -> list:
    numbers = [
        getattr(np.dtypes, f"{name}DType")
        for name in ("Float64", "Float32", "Int64", "Int32", "Bool")
    ]
    return [argparse.Namespace, np.core.multiarray.scalar, np.dtype, *numbers]


def _first_line(error: Exception) -> str:
    """The sentence of a long torch message that names the culprit."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [
        type(error).__name__
    ]
    line = next((line for line in lines if "Unsupported" in line or "GLOBAL" in line), lines[0])
    if line.startswith("Unsupported operand"):
        return "it was not written by torch.save, or holds more than tensors; is it perhaps a web page, saved under this name?"
    return line.split(". ")[0][:300]
