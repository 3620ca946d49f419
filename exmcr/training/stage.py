"""The stage `train`: one projector per leaf and seed, kept while nothing it depends on changes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.common.files import write_json
from exmcr.common.hashing import code_digest, digest, sha256
from exmcr.training import projectors
from exmcr.training.fit import fit_projector
from exmcr.training.projectors import Projector

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project

CODE = ("common", "kernels", "training")  # folders whose code decides what a projector becomes


def train_leaf(
    project: "Project", leaf: "Leaf", pool: dict[str, torch.Tensor], made_from: str, group=None
) -> Iterator[tuple[int, list[dict]]]:
    """Train the projector of each seed, or keep it; yields (seed, losses per epoch).

    pool: the quadruples of the leaf, {part: (n, d)}; made_from: digest of the files that hold them.

    Stores models/projectors/<leaf>-seed<seed>.safetensors and, as .json beside it, its
    provenance: spaces and fingerprints, settings, losses, hashes.
    """
    params = project.params
    settings = params.train_settings(leaf.name)
    for seed in params.seeds:
        path = project.projector_path(leaf.name, seed)
        key = digest(made_from, json.dumps(settings, sort_keys=True), str(seed), code_digest(*CODE))
        note = _note(path)
        kept = note.get("key") == key and path.is_file() and note.get("sha256") == sha256(path)
        if distributed.broadcast(kept, group):
            yield seed, note["losses"]
            continue
        checkpoint = path.with_suffix(".ckpt")
        projector, history = fit_projector(
            pool, settings, seed, checkpoint=checkpoint, group=group, progress=True
        )
        if distributed.rank(group) == 0:
            projectors.save(projector, path)
            provenance = _provenance(project, leaf, seed)
            write_json(
                path.with_suffix(".json"),
                provenance | {"key": key, "sha256": sha256(path), "losses": history},
            )
            checkpoint.unlink(missing_ok=True)
        yield seed, history


def _provenance(project: "Project", leaf: "Leaf", seed: int) -> dict:
    params = project.params
    own, base = params.leaf_space(leaf), params.base_space
    return {
        "leaf": leaf.name,
        "modality": leaf.modality,
        "seed": seed,
        "leaf_space": own,
        "base_space": base,
        "leaf_fingerprint": project.bank(own, leaf.modality, "train").fingerprint,
        "base_fingerprint": project.bank(base, leaf.overlap, "train").fingerprint,
        "pair": params.pair_settings(),
        "train": params.train_settings(leaf.name),
    }


def _note(path: Path) -> dict:
    note = path.with_suffix(".json")
    try:
        content = json.loads(note.read_text()) if note.is_file() else {}
    except ValueError:
        return {}  # damaged: the projector is trained again
    return content if isinstance(content, dict) else {}


def trained(project: "Project", leaf: "Leaf", seed: int) -> Projector:
    """The stored projector of a leaf and seed, in eval mode.

    Raises ConfigError if it is missing, damaged, or was trained with other settings than those of
    params.yaml.
    """
    path = project.projector_path(leaf.name, seed)
    projector, note = projectors.load(path), _note(path)
    wanted = {
        "pair": project.params.pair_settings(),
        "train": project.params.train_settings(leaf.name),
        "leaf_space": project.params.leaf_space(leaf),
        "base_space": project.params.base_space,
    }
    other = [name for name, value in wanted.items() if note.get(name) != value]
    if other or note.get("sha256") != sha256(path):
        what = f"was trained with another {', '.join(other)}" if other else "has been changed"
        raise ConfigError(
            f"{path} {what} than params.yaml and its note say; run `exmcr train` again"
        )
    return projector
