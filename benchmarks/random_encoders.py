"""The real encoders at full size with random weights, in the published files and formats.

Each function writes into a folder, which can then serve as a weights folder, and returns the path
that it wrote. For tests and benchmarks.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch


def clip(folder: Path) -> Path:
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(
        open_clip.create_model("ViT-B-32-quickgelu").state_dict(),
        folder / "ViT-B-32-openai.safetensors",
    )
    return folder / "ViT-B-32-openai.safetensors"


def clap(folder: Path) -> Path:
    """With the buffer that old versions of transformers stored, and the values that training left
    beside the tensors."""
    from exmcr.spaces import clap

    torch.manual_seed(0)
    network, _ = clap._build(clap._import_laion())
    state = _with_prefix(network) | {
        "module.text_branch.embeddings.position_ids": torch.arange(514)[None]
    }
    scalars = {
        "epoch": 45,
        "name": "fusion",
        "best": np.float64(0.5),
        "optimizer": {"param_groups": [{"lr": 1e-4}]},
    }
    torch.save({"state_dict": state, **scalars}, folder / "630k-fusion-best.pt")
    return folder / "630k-fusion-best.pt"


def ulip(folder: Path) -> Path:
    from exmcr.spaces.ulip import UlipNetwork

    torch.manual_seed(0)
    args = argparse.Namespace(
        model="ULIP_PointBERT",
        npoints=8192,
        betas=(0.9, 0.98),
        output_dir="./outputs",
        distributed=True,
    )
    extras = {
        "epoch": 249,
        "best_acc1": np.float64(75.1),
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
    }
    torch.save(
        {"state_dict": _with_prefix(UlipNetwork()), "args": args, **extras},
        folder / "pointbert_ULIP-2.pt",
    )
    return folder / "pointbert_ULIP-2.pt"


def tokenizer(folder: Path) -> Path:
    """That of CLAP: a byte-level BPE without merges, padded to the 50265 entries of RoBERTa."""
    folder = folder / "roberta-base"
    folder.mkdir()
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in visible] + [chr(256 + k) for k in range(256 - len(visible))]
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters]
    words += [f"unused{k}" for k in range(50265 - len(words) - 1)] + ["<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def _with_prefix(network) -> dict:
    return {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
