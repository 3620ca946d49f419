"""`exmcr check`: the authors' demo, three things in four modalities, against the numbers that they published.

Every table is softmax(10 * cosine) over the three items of the second modality, row by row for those of the first.
Ex-MCR's exist in two editions, in the README and in inference.py of https://github.com/MCR-PEFT/Ex-MCR; which weights
belong to which is not said, so either will do. C-MCR's: https://github.com/MCR-PEFT/C-MCR."""

from pathlib import Path

import numpy as np
import torch

from exmcr.model.exmcr import ExMCR
from exmcr.spaces import load_space, weights
from exmcr.training import projectors

ITEMS = {
    "text": ["a toilet", "BBQ", "a train"],
    "image": ["toilet.jpeg", "BBQ.jpeg", "train.jpeg"],
    "audio": ["toilet.wav", "BBQ.wav", "train.wav"],
    "points": ["toilet.npy", "BBQ.npy", "train.npy"],
}
IMAGE_TEXT = [[0.5737, 0.2242, 0.2021], [0.2454, 0.4756, 0.2790], [0.2541, 0.2530, 0.4929]]
EXMCR = {  # (rows, columns): {edition: table}
    ("image", "text"): {"both": IMAGE_TEXT},
    ("audio", "text"): {
        "README": [[0.9115, 0.0369, 0.0516], [0.1443, 0.7265, 0.1292], [0.1000, 0.0960, 0.8040]],
        "inference.py": [
            [0.5816, 0.2509, 0.1675],
            [0.2025, 0.4903, 0.3072],
            [0.2417, 0.2220, 0.5363],
        ],
    },
    ("points", "image"): {
        "README": [[0.8635, 0.0850, 0.0515], [0.0761, 0.9125, 0.0114], [0.1239, 0.0781, 0.7980]],
        "inference.py": [
            [0.6891, 0.1932, 0.1177],
            [0.1549, 0.7470, 0.0981],
            [0.0945, 0.0841, 0.8214],
        ],
    },
    ("audio", "image"): {
        "README": [[0.9060, 0.0329, 0.0611], [0.0743, 0.8742, 0.0515], [0.0648, 0.0227, 0.9126]],
        "inference.py": [
            [0.5270, 0.2189, 0.2541],
            [0.1978, 0.7140, 0.0881],
            [0.1574, 0.0984, 0.7442],
        ],
    },
    ("points", "text"): {
        "README": [[0.8052, 0.0909, 0.1039], [0.2447, 0.6035, 0.1518], [0.1757, 0.2094, 0.6149]],
        "inference.py": [
            [0.7076, 0.1632, 0.1292],
            [0.1881, 0.5662, 0.2457],
            [0.1429, 0.2350, 0.6221],
        ],
    },
    ("audio", "points"): {
        "README": [[0.9860, 0.0038, 0.0102], [0.0078, 0.9875, 0.0048], [0.0204, 0.0021, 0.9775]],
        "inference.py": [
            [0.8921, 0.0792, 0.0286],
            [0.0729, 0.8420, 0.0851],
            [0.0361, 0.0315, 0.9324],
        ],
    },
}
CMCR = {
    "clap_clip.pt": {
        ("image", "text"): {
            "README": [[0.9681, 0.0219, 0.0100], [0.0403, 0.9398, 0.0199], [0.0045, 0.0044, 0.9910]]
        },
        ("audio", "text"): {
            "README": [[0.9937, 0.0028, 0.0035], [0.0337, 0.9434, 0.0229], [0.0813, 0.0253, 0.8934]]
        },
        ("audio", "image"): {
            "README": [[0.9712, 0.0079, 0.0208], [0.0628, 0.8966, 0.0406], [0.0322, 0.0062, 0.9616]]
        },
    },
    "ulip_clip.pt": {
        ("image", "text"): {
            "README": [[0.7340, 0.1593, 0.1067], [0.2001, 0.5995, 0.2005], [0.1622, 0.1835, 0.6542]]
        },
        ("points", "image"): {
            "README": [[0.6783, 0.1781, 0.1436], [0.1193, 0.7866, 0.0941], [0.1319, 0.2170, 0.6512]]
        },
        ("points", "text"): {
            "README": [[0.7448, 0.1236, 0.1316], [0.2459, 0.5625, 0.1916], [0.2007, 0.2648, 0.5346]]
        },
    },
}
# Largest difference of an entry that passes. [assumed] Theirs start the farthest-point sampling of a cloud at random,
# ours at its first point; the rest is rounding and resampling.
TOLERANCE = {"points": 0.05, "other": 0.01}
LEAF = {
    "audio": ("clap", "ex_clap.pt", "clap_clip.pt"),
    "points": ("ulip2", "ex_ulip.pt", "ulip_clip.pt"),
}  # space, Ex-MCR's file, C-MCR's


def probabilities(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """softmax(10 * cosine) of unit rows: (n, d), (m, d) -> (n, m), rows sum to 1."""
    odds = np.exp(10 * rows.astype(np.float64) @ columns.astype(np.float64).T)
    return odds / odds.sum(axis=1, keepdims=True)


def compare(vectors: dict[str, np.ndarray], tables: dict) -> list[tuple[str, str, float, str]]:
    """Unit rows of the three items by modality, in one space -> (what, "pass" or "FAIL", largest difference, edition).

    One entry per table whose modalities are there; of several editions the nearest counts."""
    results = []
    for (a, b), editions in tables.items():
        if a not in vectors or b not in vectors:
            continue
        found = probabilities(vectors[a], vectors[b])
        apart, edition = min(
            (float(np.abs(found - np.array(table)).max()), edition)
            for edition, table in editions.items()
        )
        limit = TOLERANCE["points" if "points" in (a, b) else "other"]
        results.append((f"{a} x {b}", "pass" if apart <= limit else "FAIL", apart, edition))
    return results


def missing(modality: str, items: Path, where: Path) -> list[str]:
    """Files that encoding the demo's items of this modality lacks: items, and weights neither in `where` nor in the hub's cache."""
    here = lambda file: weights.locate(weights.named(file), where) is not None
    space = LEAF.get(modality, ("clip",))[0]
    lacking = (
        []
        if modality == "text"
        else [str(items / name) for name in ITEMS[modality] if not (items / name).is_file()]
    )
    if space == "clap":
        one_of = ["630k-fusion-best.pt"]
        found = here(one_of[0]) or (where / "630k-fusion-best.safetensors").is_file()
        lacking += [
            file
            for file in ("roberta-base/vocab.json", "roberta-base/merges.txt")
            if not here(file)
        ]
    else:
        one_of = {
            "clip": ["ViT-B-32-openai.safetensors"],
            "ulip2": [w.file for w in weights.WEIGHTS if w.space == "ulip2"],
        }[space]
        found = any(map(here, one_of))
    return lacking if found else [*lacking, " or ".join(one_of)]


def verify(
    items: Path, where: Path, device: str | None = None
) -> tuple[list[tuple], dict[str, list[str]]]:
    """Encode what there are files for, and compare. Returns rows (model, what, verdict, largest difference, edition), and
    what could not be compared: {modality or model: files that are missing}. Raises ConfigError for damaged files."""
    lacking = {m: files for m in ITEMS if (files := missing(m, items, where))}
    settings = (
        {} if device is None else {name: {"device": device} for name in ("clip", "clap", "ulip2")}
    )
    spaces, frozen = {}, {}
    for modality in ITEMS:
        if modality not in lacking:
            name = LEAF.get(modality, ("clip",))[0]
            spaces[name] = spaces.get(name) or load_space(name, **settings.get(name, {}))
            frozen[modality] = spaces[name].encode(
                modality, [n if modality == "text" else items / n for n in ITEMS[modality]]
            )

    def present(modality: str, model: str, file: str) -> bool:
        if not (where / file).is_file():
            lacking[f"{model}, {modality}"] = [file]
        return modality in frozen and (where / file).is_file()

    base = {m: v for m, v in frozen.items() if m not in LEAF}
    leaves = [m for m, (_, ex, _) in LEAF.items() if present(m, "Ex-MCR", ex)]
    official = ExMCR.from_official(where, leaves, device=device)
    rows = [
        ("Ex-MCR", *row)
        for row in compare(base | {m: official.project(m, frozen[m]) for m in leaves}, EXMCR)
    ]
    for modality, (_, _, file) in LEAF.items():
        if present(modality, "C-MCR", file):
            heads = projectors.load_cmcr(where / file)
            with torch.inference_mode():
                common = {m: heads.base(torch.from_numpy(v)).numpy() for m, v in base.items()}
                common[modality] = heads.leaf(torch.from_numpy(frozen[modality])).numpy()
            rows += [(f"C-MCR {file}", *row) for row in compare(common, CMCR[file])]
    return rows, lacking
