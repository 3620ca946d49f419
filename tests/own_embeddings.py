"""Embeddings of two spaces that see one latent, as files, and their import into a project."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from exmcr import config
from exmcr.commands.main import main
from exmcr.common.paths import project_root

KINDS = 6


def exmcr(*arguments):
    return main([str(argument) for argument in arguments])


def write(tmp_path, kinds_of_things=KINDS):
    """Fill a folder with params.yaml for two imported spaces, and files of vectors."""
    params = config.read(project_root(Path(__file__).parent) / "params.yaml")
    params |= {"corpora": "imported", "spaces": "mine", "seeds": [0], "encoders": None}
    params["imported"] = {"my-clip": ["image", "text"], "my-clap": ["audio", "text"]}
    params["base"] = {"mine": "my-clip"}
    params["leaves"] = [
        {"name": "audio", "modality": "audio", "overlap": "text", "mine": "my-clap"}
    ]
    params["train"] |= {"steps": 150, "batch": 32, "hidden": 64, "leaves": None}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(kinds_of_things, 8))
    axes = {space: rng.normal(size=(8, 12)) for space in ("my-clip", "my-clap")}
    for name, count in (("train", 8), ("val", 2), ("test", 3)):
        for kind in ("images", "sounds"):
            labels = [f"thing {n}" for n in range(kinds_of_things)] * count
            space = "my-clip" if kind == "images" else "my-clap"
            rows = np.tile(kinds, (count, 1)) + 0.2 * rng.normal(size=(len(labels), 8))
            np.save(tmp_path / f"{kind}-{name}.npy", rows @ axes[space])
            (tmp_path / f"{kind}-{name}.txt").write_text("\n".join(labels) + "\n")
    words = [f"thing {n}" for n in range(kinds_of_things)]
    pd.DataFrame({"id": [f"word/{n}" for n in range(kinds_of_things)], "caption": words}).to_csv(
        tmp_path / "words.csv", index=False
    )
    for space in axes:
        np.save(tmp_path / f"words-{space}.npy", kinds @ axes[space])


def import_all():
    for kind, space, modality in (("images", "my-clip", "image"), ("sounds", "my-clap", "audio")):
        for split in ("train", "val", "test"):
            source = [f"{kind}-{split}.npy", "--captions", f"{kind}-{split}.txt"]
            where = ["--space", space, "--modality", modality, "--split", split]
            assert exmcr("import-bank", *source, *where) == 0
    for space in ("my-clip", "my-clap"):
        source = [f"words-{space}.npy", "--ids", "words.csv", "--captions", "words.csv"]
        assert exmcr("import-bank", *source, "--space", space, "--modality", "text") == 0
