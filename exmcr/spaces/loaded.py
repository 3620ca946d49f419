"""The record of loaded weights: models/spaces/<name>-loaded.json, one file per space."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import read_note, write_note
from exmcr.common.hashing import sha256
from exmcr.spaces import weights
from exmcr.spaces.base import Space
from exmcr.spaces.mini import TRAINED_HERE

if TYPE_CHECKING:
    from exmcr.project import Project

COLUMNS = ["space", "modalities", "dim", "fingerprint", "file", "MB", "license", "sha256"]


def record(project: "Project", name: str) -> None:
    """Load a space and record it. Raises ConfigError for missing or foreign weights."""
    if name in project.params.imported:  # nothing to load
        return
    space = project.load_space(name, recorded=False)
    files = [
        {
            "file": path.name,
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "sha256": sha256(path),
            "license": "trained here" if name in TRAINED_HERE else weights.license_of(path),
        }
        for path in space.files
    ]
    content = {
        "space": name,
        "dim": space.dim,
        "modalities": space.modalities,
        "fingerprint": space.fingerprint,
        "options": project.params.encoder_options(name),
        "files": files,
    }
    write_note(project.loaded_path(name), content)


def check(project: "Project", space: Space) -> None:
    """Compare a loaded space with the record, if there is one.

    Raises ConfigError, which names the weight file, if its weights or options are other ones. Banks
    of a damaged space would look like those of another encoder.
    """
    path = project.loaded_path(space.name)
    if not path.is_file():
        return
    known = _read(path)
    if space.fingerprint == known["fingerprint"]:
        return
    recorded = {file["file"]: file["sha256"] for file in known["files"]}
    changed = [str(p) for p in space.files if recorded.get(p.name, "") != sha256(p)]
    what = ", ".join(changed) or "the code or the options of its encoder"
    raise ConfigError(
        f"space '{space.name}' is not the recorded one ({what} changed); run `exmcr spaces` again"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_note(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}; run `exmcr spaces` again") from error


def table(project: "Project") -> pd.DataFrame:
    """The weights that the run has loaded: one row per file, columns COLUMNS.

    A space without weight files has one row with empty cells for the file. Raises ConfigError for
    a space that is not recorded yet.
    """
    rows: list[tuple] = []
    for name in project.spaces:
        if name in project.params.imported:
            continue
        path = project.loaded_path(name)
        if not path.is_file():
            raise ConfigError(f"{path} is missing; run `exmcr spaces` or `dvc repro fit_spaces`")
        space = _read(path)
        shared = (name, ", ".join(space["modalities"]), space["dim"], space["fingerprint"][:12])
        for file in space["files"]:
            own = (file["file"], file["megabytes"], file["license"], file["sha256"][:12])
            rows.append((*shared, *own))
        if not space["files"]:
            rows.append((*shared, "", 0.0, "", ""))
    return pd.DataFrame(rows, columns=COLUMNS)
