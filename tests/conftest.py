"""What several test files share: real encoders with random weights, in the files and formats in which the true ones are published."""

import argparse
import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def write_tokenizer():
    return _write_tokenizer


def _write_tokenizer(folder: Path) -> Path:
    """A byte-level BPE without merges, filled up to RoBERTa's 50265 entries."""
    folder.mkdir()
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in visible] + [chr(256 + k) for k in range(256 - len(visible))]
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters]
    words += [f"unused{k}" for k in range(50265 - len(words) - 1)] + ["<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory):
    """A weights folder with all that `spaces: paper` needs (2.5 GB while the session lasts). Tests copy what they change."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    from exmcr.spaces import clap
    from exmcr.spaces.ulip import UlipNetwork

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(open_clip.create_model("ViT-B-32-quickgelu").state_dict(), folder / "ViT-B-32-openai.safetensors")
    network, _ = clap._build(clap._import_laion())
    torch.save({"state_dict": _with_prefix(network), "epoch": 45}, folder / "630k-fusion-best.pt")
    _write_tokenizer(folder / "roberta-base")
    torch.save({"state_dict": _with_prefix(UlipNetwork()), "args": argparse.Namespace(model="ULIP_PointBERT")}, folder / "pointbert_ULIP-2.pt")
    return folder


def _with_prefix(network) -> dict:
    return {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
