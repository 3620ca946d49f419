"""What several test files share: real encoders with random weights, in the files and formats in which the true ones are published.

Each file is made when a test first asks for it, and gone with the session. Tests link to what is here and copy what they change."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    yield folder
    shutil.rmtree(folder)  # 2.5 GB, which pytest would keep for three runs


@pytest.fixture(scope="session")
def clip_weights(weights_folder):
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(open_clip.create_model("ViT-B-32-quickgelu").state_dict(), weights_folder / "ViT-B-32-openai.safetensors")
    return weights_folder / "ViT-B-32-openai.safetensors"


@pytest.fixture(scope="session")
def clap_weights(weights_folder):
    """With the constant that old transformers stored, and what training left beside the tensors."""
    import torch

    from exmcr.spaces import clap

    torch.manual_seed(0)
    network, _ = clap._build(clap._import_laion())
    state = _with_prefix(network) | {"module.text_branch.embeddings.position_ids": torch.arange(514)[None]}
    scalars = {"epoch": 45, "name": "fusion", "best": np.float64(0.5), "optimizer": {"param_groups": [{"lr": 1e-4}]}}
    torch.save({"state_dict": state, **scalars}, weights_folder / "630k-fusion-best.pt")
    return weights_folder / "630k-fusion-best.pt"


@pytest.fixture(scope="session")
def ulip_weights(weights_folder):
    import torch

    from exmcr.spaces.ulip import UlipNetwork

    torch.manual_seed(0)
    args = argparse.Namespace(model="ULIP_PointBERT", npoints=8192, betas=(0.9, 0.98), output_dir="./outputs", distributed=True)
    extras = {"epoch": 249, "best_acc1": np.float64(75.1), "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]}}
    torch.save({"state_dict": _with_prefix(UlipNetwork()), "args": args, **extras}, weights_folder / "pointbert_ULIP-2.pt")
    return weights_folder / "pointbert_ULIP-2.pt"


@pytest.fixture(scope="session")
def tokenizer(weights_folder):
    """A byte-level BPE without merges, filled up to RoBERTa's 50265 entries."""
    folder = weights_folder / "roberta-base"
    folder.mkdir()
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in visible] + [chr(256 + k) for k in range(256 - len(visible))]
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters]
    words += [f"unused{k}" for k in range(50265 - len(words) - 1)] + ["<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.fixture(scope="session")
def random_weights(weights_folder, clip_weights, clap_weights, ulip_weights, tokenizer):
    """A weights folder with all that `spaces: paper` needs."""
    return weights_folder


def _with_prefix(network) -> dict:
    return {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
