"""Which weights a run has loaded: models/spaces/<name>-loaded.json, one note per space."""

import json

import pandas as pd

from exmcr.common.files import write_json
from exmcr.common.hashing import sha256
from exmcr.spaces import weights
from exmcr.spaces.mini import TRAINED_HERE

COLUMNS = ["space", "modalities", "dim", "fingerprint", "file", "MB", "license", "sha256"]


def record(project, name: str) -> None:
    """Load a space and write its note. Raises ConfigError for missing or foreign weights."""
    space = project.load_space(name)
    files = []
    for path in space.files:
        known = weights.described(path)
        license = known.license if known else "not known: no file of `exmcr weights`"
        files.append(
            {
                "file": path.name,
                "megabytes": round(path.stat().st_size / 1e6, 1),
                "sha256": sha256(path),
                "license": "trained here" if name in TRAINED_HERE else license,
            }
        )
    note = {
        "space": name,
        "dim": space.dim,
        "modalities": space.modalities,
        "fingerprint": space.fingerprint,
        "options": project.params.encoder_options(name),
        "files": files,
    }
    write_json(project.loaded_path(name), note)


def table(project) -> pd.DataFrame:
    """What the run has loaded: one row per weight file, columns as in COLUMNS."""
    rows = []
    for name in project.spaces:
        note = json.loads(project.loaded_path(name).read_text())
        shared = (name, ", ".join(note["modalities"]), note["dim"], note["fingerprint"][:12])
        for file in note["files"]:
            own = (file["file"], file["megabytes"], file["license"], file["sha256"][:12])
            rows.append((*shared, *own))
    return pd.DataFrame(rows, columns=COLUMNS)
