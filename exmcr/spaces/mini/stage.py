"""Train the mini spaces of a project, each kept while nothing it depends on changes."""

import json

import pandas as pd

from exmcr.common.hashing import code_digest, digest, sha256
from exmcr.spaces.mini import fit

CODE = ("common", "kernels", "media", "spaces/mini")  # folders whose code decides the weights


def fit_spaces(project) -> pd.DataFrame:
    """Train the mini spaces that the project uses. Returns losses: space, epoch, pair, loss."""
    settings, rows = project.params.fit_spaces, []
    jobs = {
        "mini-image-text": (fit.fit_image_text, settings.image_text, [settings.base_sources]),
        "mini-audio-text": (fit.fit_audio_text, settings.audio_text, []),
        "mini-points": (fit.fit_points, settings.points, [settings.points_sources]),
    }
    for name in project.spaces:
        if name not in jobs:
            continue
        train, tower, sources = jobs[name]
        key = digest(
            sha256(project.items_path), tower.model_dump_json(), repr(sources), code_digest(*CODE)
        )
        history = _kept(project, name, key)
        if history is None:
            history = train(project.items, project.root, tower.model_dump(), *sources)
            _keep(project, name, key, history)
        rows += [
            (name, record["epoch"], pair, loss)
            for record in history
            for pair, loss in record.items()
            if pair != "epoch"
        ]
    return pd.DataFrame(rows, columns=["space", "epoch", "pair", "loss"])


def _note(project, name: str):
    return project.root / "models/spaces" / f"{name}-losses.json"


def _kept(project, name: str, key: str) -> list[dict] | None:
    """The losses of a space that needs no training, else None."""
    note, weights = _note(project, name), _note(project, name).with_name(f"{name}.safetensors")
    if not note.is_file() or not weights.is_file():
        return None
    try:
        known = json.loads(note.read_text())
        same = known["key"] == key and known["sha256"] == sha256(weights)
        return known["losses"] if same else None
    except (ValueError, KeyError, TypeError):
        return None  # a damaged note: train again


def _keep(project, name: str, key: str, history: list[dict]) -> None:
    from exmcr.common.files import write_json

    weights = _note(project, name).with_name(f"{name}.safetensors")
    write_json(_note(project, name), {"key": key, "sha256": sha256(weights), "losses": history})
