"""Train the mini spaces of a project; each is kept until its items, settings or code change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from exmcr.common.files import write_json
from exmcr.common.hashing import code_digest, digest
from exmcr.spaces.mini import fit

if TYPE_CHECKING:
    from exmcr.project import Project

CODE = ("common", "corpora", "media", "spaces/mini")  # folders whose code determines the weights


def fit_spaces(project: "Project") -> pd.DataFrame:
    """Train the mini spaces that the project uses. Returns losses: space, epoch, pair, loss.

    A space is kept, with the losses of its training, if its item table, settings and code are
    unchanged and its files are intact.
    """
    jobs, rows = _jobs(project.params.fit_spaces), []
    for name in [name for name in project.spaces if name in jobs]:
        train, settings, sources = jobs[name]
        items = project.items
        decisive = json.dumps([settings, sources], sort_keys=True)
        key = digest(project.items_path, decisive, code_digest(*CODE))
        weights = project.root / "models/spaces" / f"{name}.safetensors"
        history = _kept(weights, key)
        if history is None:
            history = train(items, project.root, settings, *sources)
            record = {"key": key, "files": _files_digest(weights), "losses": history}
            write_json(_losses(weights), record)
        for record in history:
            epoch = record["epoch"]
            rows += [(name, epoch, pair, loss) for pair, loss in record.items() if pair != "epoch"]
    return pd.DataFrame(rows, columns=["space", "epoch", "pair", "loss"])


def _jobs(settings: Any) -> dict[str, tuple[Callable[..., list[dict]], dict[str, Any], list]]:
    """{space: (function, settings of training, sources of items)} from `fit_spaces`."""
    image_text, audio_text, points = (
        tower.model_dump() for tower in (settings.image_text, settings.audio_text, settings.points)
    )
    return {
        "mini-image-text": (fit.fit_image_text, image_text, [settings.base_sources]),
        "mini-audio-text": (fit.fit_audio_text, audio_text, []),
        "mini-points": (fit.fit_points, points, [settings.points_sources]),
    }


def _losses(weights: Path) -> Path:
    return weights.with_name(f"{weights.stem}-losses.json")


def _files_digest(weights: Path) -> str:
    """Digest of the weights and of the settings beside them, which the space is built from."""
    return digest(weights, weights.with_suffix(".json"))


def _kept(weights: Path, key: str) -> list[dict] | None:
    """The losses of a space that need not be trained, else None."""
    try:
        record = json.loads(_losses(weights).read_text())
        same = record["key"] == key and record["files"] == _files_digest(weights)
        return record["losses"] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a file is missing or damaged
