"""The record of loaded weights: models/spaces/<name>-loaded.json, one file per space."""

import json
from typing import TYPE_CHECKING

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_json
from exmcr.common.hashing import sha256
from exmcr.spaces import weights
from exmcr.spaces.mini import TRAINED_HERE

if TYPE_CHECKING:
    from exmcr.project import Project

COLUMNS = ["space", "modalities", "dim", "fingerprint", "file", "MB", "license", "sha256"]


def record(project: "Project", name: str) -> None:
    """Load a space and record it. Raises ConfigError for missing or foreign weights."""
    space = project.load_space(name)
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
    write_json(project.loaded_path(name), content)


def table(project: "Project") -> pd.DataFrame:
    """The weights that the run has loaded: one row per file, columns COLUMNS.

    A space without weight files has one row with empty cells for the file. Raises ConfigError for
    a space that is not recorded yet.
    """
    rows: list[tuple] = []
    for name in project.spaces:
        path = project.loaded_path(name)
        if not path.is_file():
            raise ConfigError(f"{path} is missing; run `exmcr spaces` or `dvc repro fit_spaces`")
        space = json.loads(path.read_text())
        shared = (name, ", ".join(space["modalities"]), space["dim"], space["fingerprint"][:12])
        for file in space["files"]:
            own = (file["file"], file["megabytes"], file["license"], file["sha256"][:12])
            rows.append((*shared, *own))
        if not space["files"]:
            rows.append((*shared, "", 0.0, "", ""))
    return pd.DataFrame(rows, columns=COLUMNS)
