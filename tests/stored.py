"""Projectors as the stage `train` stores them, without training."""

import json

import torch

from exmcr.common.hashing import sha256
from exmcr.training import projectors
from exmcr.training.projectors import Projector


def store(project, leaf, seed, sizes, fingerprints=("l", "b"), **changed):
    """A random Projector(*sizes) of a leaf and seed, with the note beside it; `changed` replaces
    entries of the note. Returns its path."""
    torch.manual_seed(seed)
    path = project.projector_path(leaf.name, seed)
    projectors.save(Projector(*sizes), path)
    note = {
        "sha256": sha256(path),
        "leaf_space": project.params.leaf_space(leaf),
        "base_space": project.params.base_space,
        "leaf_fingerprint": fingerprints[0],
        "base_fingerprint": fingerprints[1],
        "pair": project.params.pair_settings(),
        "train": project.params.train_settings(leaf.name),
    }
    path.with_suffix(".json").write_text(json.dumps(note | changed))
    return path
