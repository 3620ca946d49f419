"""Two spaces that see one latent, with everything known: what methods are tested on."""

from dataclasses import dataclass

import numpy as np

from exmcr.pairing.pools import Pools


@dataclass
class World:
    """pools: what a method may see. x, o_leaf, o_base, y: held-out things, row by row the same, in each space and modality."""

    pools: Pools
    x: np.ndarray
    o_leaf: np.ndarray
    o_base: np.ndarray
    y: np.ndarray


def world(
    n: int = 500,
    *,
    overlap: int | None = None,
    d: int = 32,
    latent: int = 8,
    gap: float = 0.4,
    noise: float = 0.02,
    private: float = 0.0,
    held: int = 100,
    seed: int = 0,
) -> World:
    """Things are unit vectors of `latent` numbers. Each space turns them its own way, moves every modality off by `gap` in a
    direction of its own, and adds noise of norm about `noise` * sqrt(d). `private` is the norm of a part that fills the other
    d - latent - 2 directions at random, anew in each space: what one encoder sees and the other does not.

    Pools show n different things each, `overlap` (default n) things in both spaces. All rows float32 of unit norm."""
    rng = np.random.default_rng(seed)
    turn = {space: np.linalg.qr(rng.normal(size=(d, d)))[0] for space in ("leaf", "base")}

    def rows(v):
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    def things(count):
        return rows(rng.normal(size=(count, latent)))

    def seen(z, space, modality):
        axes = turn[space]
        v = z @ axes[:latent] + gap * axes[latent + modality] + noise * rng.normal(size=(len(z), d))
        if private:
            v = v + private * rows(rng.normal(size=(len(z), d - latent - 2))) @ axes[latent + 2 :]
        return rows(v).astype(np.float32)

    o, test = things(overlap or n), things(held)
    pools = Pools(
        seen(things(n), "leaf", 0),
        seen(o, "leaf", 1),
        seen(o, "base", 0),
        seen(things(n), "base", 1),
        {"leaf": "synthetic"},
    )
    return World(
        pools,
        seen(test, "leaf", 0),
        seen(test, "leaf", 1),
        seen(test, "base", 0),
        seen(test, "base", 1),
    )


def r1(maps, x: np.ndarray, y: np.ndarray) -> float:
    """R@1 of leaf vectors among base vectors, row i of one matching row i of the other."""
    similarity = maps.leaf(x) @ maps.base(y).T
    return float((similarity.argmax(axis=1) == np.arange(len(x))).mean())


def project(root, concepts: int = 40, seed: int = 0):
    """A project on disk without encoders: items of four modalities, `concepts` kinds of thing each, and banks that see the
    same latent in three spaces. Names and registry are those of the mini spaces. Returns the open exmcr.project.Project."""
    from pathlib import Path

    import pandas as pd
    import yaml

    from exmcr import config
    from exmcr.project import Project

    here = Path(__file__).parents[1] / "params.yaml"
    params = yaml.safe_load(here.read_text()) | {"seeds": [0, 1]}
    params.pop("compare", None)
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    config.load(root / "params.yaml")
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(concepts, 8))
    rows, latent = [], []
    for split, copies in (("train", 4), ("val", 1), ("test", 2)):
        for modality in ("text", "image", "audio", "points"):
            for kind in range(concepts):
                for copy in range(copies):
                    name = f"{modality}/{split}/{kind}/{copy}"
                    caption = f"thing {kind}" + (f" {split} {copy}" if modality == "text" else "")
                    rows.append(
                        {
                            "id": name,
                            "modality": modality,
                            "split": split,
                            "caption": caption,
                            "concept": f"thing {kind}",
                            "source": "synthetic",
                            "of": "",
                            "path": "",
                            "start": 0.0,
                            "seconds": 0.0,
                        }
                    )
                    latent.append(kinds[kind] + 0.1 * rng.normal(size=8))
    for kind in range(concepts):  # what tasks ask with: the name itself
        rows.append(
            rows[0] | {"id": f"name/{kind}", "caption": f"thing {kind}", "concept": f"thing {kind}"}
        )
        latent.append(kinds[kind])
    items, latent = pd.DataFrame(rows), np.array(latent)
    (root / "data").mkdir()
    items.to_parquet(root / "data/items.parquet")
    spaces = {
        "mini-image-text": ("image", "text"),
        "mini-audio-text": ("audio", "text"),
        "mini-points": ("points", "image", "text"),
    }
    for space, modalities in spaces.items():
        axes = np.linalg.qr(rng.normal(size=(16, 16)))[0][:8]
        for modality in modalities:
            for split in ("train", "val", "test"):
                which = ((items.modality == modality) & (items.split == split)).to_numpy()
                v = latent[which] @ axes + 0.02 * rng.normal(size=(which.sum(), 16))
                _write_bank(
                    root / "banks" / space / modality / split,
                    items.id[which],
                    v / np.linalg.norm(v, axis=1, keepdims=True),
                )
    return Project(root)


def _write_bank(folder, ids, vectors) -> None:
    import pandas as pd

    folder.mkdir(parents=True)
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    pd.DataFrame({"id": ids.to_numpy()}).to_parquet(folder / "ids.parquet")
    sign(folder)


def sign(folder, fingerprint: str = "synthetic") -> None:
    """Write the manifest of a bank as it is now."""
    import json

    from exmcr.common.hashing import sha256

    space, modality = folder.parts[-3:-1]
    meta = {"space": space, "modality": modality, "fingerprint": fingerprint}
    meta["sha256"] = sha256(folder / "vectors.npy")
    (folder / "manifest.json").write_text(json.dumps(meta))
