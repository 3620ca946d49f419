"""What a stored model needs besides its projectors, so that it can be opened on another machine.

The weights of mini spaces are a few megabytes and travel with the model, in models/spaces of its
folder. Other encoders have public weights: their options are recorded in exmcr.json, and loading
says which file is missing (`exmcr weights`).
"""

import shutil
from pathlib import Path
from typing import Any

from exmcr.common.files import atomic_write

LOCAL = ("root", "device", "batch_size")  # arguments of load_space that depend on the machine


def _files(root: Path, space: str) -> list[Path]:
    """The weights of a mini space in a project, and the settings beside them."""
    weights = root / "models/spaces" / f"{space}.safetensors"
    return [weights, weights.with_suffix(".json")]


def carry(folder: Path, settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Copy the weights of mini spaces into a model's folder. Returns the options of the encoders
    that exmcr.json records, with absolute paths.

    settings: {space: arguments of load_space}; `root` is the project that has the weights.
    """
    recorded = {}
    for space, options in settings.items():
        root = options.get("root")
        own = _files(Path(root), space) if root else []
        if own and all(path.is_file() for path in own):
            for source, target in zip(own, _files(folder, space), strict=True):
                if source.resolve() != target.resolve():
                    with atomic_write(target) as draft:
                        shutil.copyfile(source, draft)
        recorded[space] = {
            name: _absolute(name, value, root)
            for name, value in options.items()
            if name not in LOCAL
        }
    return {space: options for space, options in recorded.items() if options}


def _absolute(name: str, value: Any, root: Path | None) -> Any:
    """A path relative to the project, if there is such a file, as an absolute one; a checkpoint may
    also be a folder."""
    if isinstance(value, str) and root:
        path = Path(root) / value
        if path.is_file() or (name.endswith("checkpoint") and path.is_dir()):
            return str(path.resolve())
    return value


def options_here(folder: Path, recorded: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Arguments of load_space for a stored model: recorded ones, and the folder as the root of mini
    spaces whose weights it has."""
    options = {space: dict(chosen) for space, chosen in recorded.items()}
    for weights in (folder / "models/spaces").glob("*.safetensors"):
        options.setdefault(weights.stem, {})["root"] = folder.resolve()
    return options
