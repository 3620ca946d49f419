"""Three encoders in a few lines, of unequal dimensions, for whole runs in seconds."""

import hashlib
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

from exmcr import config, toy_project
from exmcr.common import checkpoints
from exmcr.common.hashing import digest
from exmcr.common.paths import project_root
from exmcr.project import Project
from exmcr.spaces import SPACES
from exmcr.spaces.base import Space


class Toy(Space):
    """Random vectors that follow from the item, through a matrix that is read from a weight file as the real ones are."""

    def __init__(self, checkpoint="toy.safetensors", root=None):
        path = Path(root or "") / checkpoint
        self.files = (path,)
        self.layer = torch.nn.Linear(16, self.dim, bias=False)
        checkpoints.fill(self.layer, checkpoints.load_state(path), path, "a toy")
        self.fingerprint = digest(self.name, path)

    def encode_batch(self, modality, items):
        seeds = [
            int.from_bytes(hashlib.sha256(repr((modality, item)).encode()).digest()[:4], "big")
            for item in items
        ]
        noise = np.stack([np.random.default_rng(seed).normal(size=16) for seed in seeds]).astype(
            np.float32
        )
        with torch.no_grad():
            return self.layer(torch.from_numpy(noise)).numpy()


class Wide(Toy):
    name, dim, modalities = "wide", 768, ("image", "text")


class Sounds(Toy):
    name, dim, modalities = "sounds", 512, ("audio", "text")


class Shapes(Toy):
    name, dim, modalities = "shapes", 768, ("points", "image", "text")


ALL = (Wide, Sounds, Shapes)


def content(folder: Path) -> dict:
    """Register the three, write their weights into `folder`, and return the content of a small
    params.yaml with them as `spaces: paper`."""
    full = config.read(project_root(Path(__file__).parent) / "params.yaml")
    params = toy_project.toy_params(full) | {"spaces": "paper"}
    for cls in ALL:
        SPACES[cls.name] = f"{__name__}:{cls.__name__}"
        weight = torch.randn(cls.dim, 16, generator=torch.manual_seed(0))
        save_file({"weight": weight}, folder / f"{cls.name}.safetensors")
    params["base"]["paper"] = "wide"
    params["encoders"] = {cls.name: {"checkpoint": f"{cls.name}.safetensors"} for cls in ALL}
    params["leaves"][0]["paper"], params["leaves"][1]["paper"] = "sounds", "shapes"
    params["train"] |= {"steps": 2, "leaves": {}}
    params["extract"]["shard"] = 8
    params["visualize"]["umap_items"] = 60
    return params


def install(folder: Path, monkeypatch) -> dict:
    """`content`, with the registry put back at the end of the test."""
    for cls in ALL:
        monkeypatch.setitem(SPACES, cls.name, "")
    return content(folder)


def with_corpus(folder: Path, corpus: Path, monkeypatch) -> Project:
    """A project in `folder` with the three and the items of the toy corpus below `corpus`."""
    (folder / "params.yaml").write_text(yaml.safe_dump(install(folder, monkeypatch)))
    (folder / "data").symlink_to(corpus / "data")
    return Project(folder)
