"""Fit the mini spaces of a project; each is kept until its items, settings or code change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from exmcr.common.errors import ConfigError
from exmcr.common.files import read_note, write_note
from exmcr.common.hashing import code_digest, digest
from exmcr.spaces.mini import fit, speech

if TYPE_CHECKING:
    from exmcr.project import Project

CODE = ("common", "corpora", "media", "spaces/mini")  # folders whose code determines the weights


def fit_spaces(project: "Project") -> pd.DataFrame:
    """Fit the mini spaces that the project uses. Returns losses: space, step, pair, loss.

    A loss is the mean distance, 1 - cosine, of training items and their captions; at the step
    "names" for the names alone, at "fitted" for the fitted tower.

    A space is kept, with these records, if its item table, settings and code are unchanged and its
    files are intact. Raises ConfigError for sources of images that the corpus does not have.
    """
    _check_sources(project)
    jobs, rows = _jobs(project.params.fit_spaces), []
    for name in [name for name in project.spaces if name in jobs]:
        fit_space, settings, sources = jobs[name]
        items = project.items
        decisive = json.dumps([settings, sources], sort_keys=True)
        key = digest(project.items_path, *_media(project), decisive, code_digest(*CODE))
        weights = project.root / "models/spaces" / f"{name}.safetensors"
        records = _kept(weights, key)
        if records is None:
            records = fit_space(items, project.root, settings, *sources)
            note = {"key": key, "files": _files_digest(weights), "losses": records}
            write_note(_losses(weights), note)
        rows += [{"space": name, **record} for record in records]
    return pd.DataFrame(rows, columns=["space", "step", "pair", "loss"])


def _jobs(settings: Any) -> dict[str, tuple[Callable[..., list[dict]], dict[str, Any], list]]:
    """{space: (function, settings, sources of items)} from `fit_spaces`."""
    image_text, audio_text, points = (
        tower.model_dump() for tower in (settings.image_text, settings.audio_text, settings.points)
    )
    speech_text = settings.speech_text.model_dump() if settings.speech_text else {}
    return {
        "mini-image-text": (fit.fit_image_text, image_text, [settings.base_sources]),
        "mini-audio-text": (fit.fit_audio_text, audio_text, []),
        "mini-points": (fit.fit_points, points, [settings.points_sources]),
        "mini-speech-text": (speech.fit_speech_text, speech_text, []),
    }


def _check_sources(project: "Project") -> None:
    """Raise ConfigError, which lists the known ones, for sources without training images.

    A sample of the corpus may lack some of them, which is printed, but not all.
    """
    chosen, wrong = project.params.fit_spaces, []
    lists = {"mini-image-text": "base_sources", "mini-points": "points_sources"}
    for space, key in lists.items():
        if space not in project.spaces:
            continue
        known = sorted(fit.training_items(project.items, "image").source.unique())
        unknown = [name for name in getattr(chosen, key) if name not in known]
        all_lacking = len(unknown) == len(getattr(chosen, key))
        if unknown and (project.params.sample is None or all_lacking):
            wrong.append(f"fit_spaces.{key}: no training images of {', '.join(unknown)}")
        elif unknown:
            print(f"fit_spaces.{key}: the sample has no images of {', '.join(unknown)}")
    if wrong:
        have = f"corpora: {project.params.corpora} has those of {', '.join(known) or 'no source'}"
        raise ConfigError(f"{'; '.join(wrong)}; {have}")


def _media(project: "Project") -> list[Path]:
    """The record of the hashes of rendered files, if there is one."""
    note = project.data / "media.json"
    return [note] if note.is_file() else []


def _losses(weights: Path) -> Path:
    return weights.with_name(f"{weights.stem}-losses.json")


def _files_digest(weights: Path) -> str:
    """Digest of the weights and of the settings beside them, which the space is built from."""
    return digest(weights, weights.with_suffix(".json"))


def _kept(weights: Path, key: str) -> list[dict] | None:
    """The records of a space that need not be fitted, else None."""
    try:
        record = read_note(_losses(weights))
        same = record["key"] == key and record["files"] == _files_digest(weights)
        return record["losses"] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a file is missing or damaged
