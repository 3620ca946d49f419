"""The stage `train`: one projector per leaf and seed, kept until one of its inputs changes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from exmcr.common import distributed
from exmcr.common.errors import ConfigError
from exmcr.common.files import read_note, write_note
from exmcr.common.hashing import code_digest, digest, sha256
from exmcr.training import projectors
from exmcr.training.centering import absorb_mean
from exmcr.training.fit import fit_projector
from exmcr.training.projectors import Projector

if TYPE_CHECKING:
    from exmcr.config import Leaf
    from exmcr.project import Project

CODE = ("common", "kernels", "training")  # folders whose code determines the weights


def train_leaf(
    project: "Project", leaf: "Leaf", pool: dict[str, torch.Tensor], made_from: str, group=None
) -> Iterator[tuple[int, list[dict]]]:
    """Train the projector of each seed, unless pseudo-pairs, provenance and code are unchanged.

    pool       the quadruples of the leaf, {part: (n, d)}
    made_from  digest of the files that hold them
    group      torch.distributed group whose ranks share every batch; the first rank stores

    Stores models/projectors/<leaf>-seed<seed>.safetensors and its provenance as .json beside it:
    spaces and fingerprints, settings, losses, hashes. Yields (seed, losses per epoch).
    """
    params = project.params
    settings = params.train_settings(leaf.name)
    for seed in params.seeds:
        path = project.projector_path(leaf.name, seed)
        provenance = _provenance(project, leaf, seed)
        key = digest(made_from, json.dumps(provenance, sort_keys=True), code_digest(*CODE))
        kept = distributed.broadcast(_kept_losses(path, key), group)
        if kept is not None:
            yield seed, kept
            continue
        checkpoint = path.with_suffix(".ckpt")
        projector, history = fit_projector(
            pool, settings, seed, checkpoint=checkpoint, group=group, progress=True
        )
        if distributed.rank(group) == 0:
            if params.pair.subtract_mean:
                absorb_mean(projector, project.pools(leaf).x_leaf)
            projectors.save(projector, path)
            made = {"pairs": made_from, "key": key, "sha256": sha256(path), "losses": history}
            write_note(path.with_suffix(".json"), provenance | made)
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
        "leaf_fingerprint": project.fingerprint(own, leaf.modality),
        "base_fingerprint": project.fingerprint(base, leaf.overlap),
        "pair": params.pair_settings(),
        "train": params.train_settings(leaf.name),
    }


def _note(path: Path) -> dict[str, Any]:
    """The provenance of a projector; {} if it is missing or damaged."""
    try:
        return read_note(path.with_suffix(".json"))
    except (OSError, ValueError):
        return {}


def _kept_losses(path: Path, key: str) -> list[dict] | None:
    """The losses of a stored projector, or None if it was not trained under this key, or if the
    file or its note is damaged."""
    note = _note(path)
    intact = note.get("key") == key and path.is_file() and note.get("sha256") == sha256(path)
    return note.get("losses") if intact else None


def trained(project: "Project", leaf: "Leaf", seed: int) -> Projector:
    """The stored projector of a leaf and seed, in eval mode. Raises ConfigError as `checked`."""
    return checked(project, leaf, seed)[0]


def checked(project: "Project", leaf: "Leaf", seed: int) -> tuple[Projector, dict[str, Any]]:
    """The stored projector of a leaf and seed, in eval mode, and its provenance.

    Raises ConfigError if it is missing or damaged, or was trained with other settings than those of
    params.yaml, on other pseudo-pairs than the stored ones, or on the banks of other encoders.
    Pseudo-pairs and banks are compared only where they exist: a model does without them.
    """
    path, again = project.projector_path(leaf.name, seed), "run `exmcr train` again"
    note = _note(path)
    if path.is_file() and not note:
        raise ConfigError(f"{path}: the note {path.stem}.json is missing or damaged; {again}")
    if path.is_file() and note.get("sha256") != sha256(path):
        raise ConfigError(f"{path} is not the file that {path.stem}.json describes; {again}")
    projector = projectors.load(path)
    wanted = _provenance(project, leaf, seed) | {"pairs": project.pairs_digest(leaf)}
    other = [k for k, value in wanted.items() if value is not None and note.get(k) != value]
    if other == ["pairs"]:
        raise ConfigError(f"{path} was trained on other pseudo-pairs; {again}")
    if other:
        names = ", ".join(name for name in other if name != "pairs")
        raise ConfigError(f"{path} was trained with other settings ({names}); {again}")
    return projector, note
