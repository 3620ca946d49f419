"""The authors' models on their demo items, compared with the numbers that they published
(exmcr/model/published.py). The demo items are three objects in four modalities."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from exmcr.model.exmcr import ExMCR
from exmcr.model.published import CMCR, EXMCR, Tables
from exmcr.spaces import load_space, weights
from exmcr.spaces.base import Space
from exmcr.spaces.downloads import git_blob
from exmcr.training import cmcr_heads

ITEMS = {
    "text": ["a toilet", "BBQ", "a train"],
    "image": ["toilet.jpeg", "BBQ.jpeg", "train.jpeg"],
    "audio": ["toilet.wav", "BBQ.wav", "train.wav"],
    "points": ["toilet.npy", "BBQ.npy", "train.npy"],
}
# The leaves: {modality: (space, Ex-MCR's file, C-MCR's file)}.
LEAF = {
    "audio": ("clap", "ex_clap.pt", "clap_clip.pt"),
    "points": ("ulip2", "ex_ulip.pt", "ulip_clip.pt"),
}
BASE = "clip"
# Largest difference of an entry that passes. [assumed] The authors start the farthest-point
# sampling of a cloud at a random point, this library at the first; the rest is rounding and
# resampling.
TOLERANCE = {"points": 0.05, "other": 0.01}

Row = tuple[str, str, float]


def probabilities(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """softmax(10 * cosine) of unit rows (n, d) over unit rows (m, d): (n, m), rows sum to 1."""
    odds = np.exp(10 * rows.astype(np.float64) @ columns.astype(np.float64).T)
    return odds / odds.sum(axis=1, keepdims=True)


def compare(vectors: dict[str, np.ndarray], tables: Tables) -> list[Row]:
    """Compare vectors of the demo items with published tables.

    vectors: {modality: unit rows of the three items}, all in one space.

    Returns (modalities, "pass" or "FAIL", largest difference) for each table whose modalities are
    in `vectors`.
    """
    results = []
    for (a, b), table in tables.items():
        if a not in vectors or b not in vectors:
            continue
        difference = float(np.abs(probabilities(vectors[a], vectors[b]) - np.array(table)).max())
        limit = TOLERANCE["points" if "points" in (a, b) else "other"]
        results.append((f"{a} x {b}", "pass" if difference <= limit else "FAIL", difference))
    return results


def verify(
    items: Path, where: Path, device: str | None = None, root: Path | None = None
) -> tuple[list[tuple[str, str, str, float]], dict[str, list[str]]]:
    """Encode the demo items for which there are files, and compare.

    items   folder with the demo items (assets/ of https://github.com/MCR-PEFT/Ex-MCR)
    where   weights folder
    device  torch device; default: the GPU if there is one
    root    project whose weights folder the encoders use; default: the current one

    Returns rows (model, modalities, verdict, largest difference), and {modality or model: missing
    files} of what could not be compared. Raises ConfigError for damaged files.
    """
    lacking = {m: files for m in ITEMS if (files := missing(m, items, where))}
    frozen = _encoded([m for m in ITEMS if m not in lacking], items, device, root)
    base = {m: vectors for m, vectors in frozen.items() if m not in LEAF}

    def present(modality: str, model: str, file: str) -> bool:
        if not (where / file).is_file():
            lacking[f"{model}, {modality}"] = [file]
        return modality in frozen and (where / file).is_file()

    leaves = [m for m, (_, file, _) in LEAF.items() if present(m, "Ex-MCR", file)]
    official = ExMCR.from_official(where, leaves, device=device)
    extended = base | {m: official.project(m, frozen[m]) for m in leaves}
    rows = [("Ex-MCR", *row) for row in compare(extended, EXMCR)]
    for modality, (_, _, file) in LEAF.items():
        if present(modality, "C-MCR", file):
            common = _cmcr(where / file, base, modality, frozen[modality])
            rows += [(f"C-MCR {file}", *row) for row in compare(common, CMCR[file])]
    return rows, lacking


def not_published(where: Path) -> list[str]:
    """Names of the projector files in a folder whose content is not what the authors published."""
    files = [file for _, *names in LEAF.values() for file in names if (where / file).is_file()]
    return [file for file in files if git_blob(where / file) != weights.named(file).git]


def missing(modality: str, items: Path, where: Path) -> list[str]:
    """Files that are missing for encoding the demo items of a modality: items, and weights that
    are neither in the folder `where` nor in the cache of the model hub."""

    def here(file: str) -> bool:
        return weights.locate(weights.named(file), where) is not None

    files = [] if modality == "text" else [items / name for name in ITEMS[modality]]
    lacking = [str(path) for path in files if not path.is_file()]
    space = LEAF[modality][0] if modality in LEAF else BASE
    if space == "clap":
        tokenizer = ("roberta-base/vocab.json", "roberta-base/merges.txt")
        lacking += [file for file in tokenizer if not here(file)]
    one_of = {
        "clip": ["ViT-B-32-openai.safetensors"],
        "clap": ["630k-fusion-best.pt"],
        "ulip2": [w.file for w in weights.WEIGHTS if w.space == "ulip2"],
    }[space]
    converted = space == "clap" and (where / "630k-fusion-best.safetensors").is_file()
    if not converted and not any(map(here, one_of)):
        lacking.append(" or ".join(one_of))
    return lacking


def _encoded(
    modalities: list[str], items: Path, device: str | None, root: Path | None
) -> dict[str, np.ndarray]:
    """{modality: unit rows of the demo items} in the frozen spaces."""
    settings: dict[str, Any] = {} if device is None else {"device": device}
    spaces: dict[str, Space] = {}
    frozen = {}
    for modality in modalities:
        name = LEAF[modality][0] if modality in LEAF else BASE
        spaces[name] = spaces.get(name) or load_space(name, root, **settings)
        raw = [n if modality == "text" else items / n for n in ITEMS[modality]]
        frozen[modality] = spaces[name].encode(modality, raw)
    return frozen


def _cmcr(
    file: Path, base: dict[str, np.ndarray], modality: str, leaf: np.ndarray
) -> dict[str, np.ndarray]:
    """Vectors of the base and of one leaf in the common space of C-MCR."""
    heads = cmcr_heads.load_cmcr(file)
    with torch.inference_mode():
        common = {m: heads.base(torch.from_numpy(v)).numpy() for m, v in base.items()}
        return common | {modality: heads.leaf(torch.from_numpy(leaf)).numpy()}
