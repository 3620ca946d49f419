"""The real architectures with a few narrow layers and random weights, in the published formats."""

import json

import open_clip
import torch
from safetensors.torch import save_file

from exmcr.spaces import openshape, patches

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
VISION = {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}


def clip(folder, monkeypatch, name="tiny", dim=768, **changed):
    """Register an architecture of open_clip with the weights `random`, and write these into the
    folder under the name that the weights folder has for them. changed: of its configuration."""
    config = {"embed_dim": dim, "vision_cfg": VISION, "text_cfg": TEXT} | changed
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
    known = {"random": {"url": "", "mean": MEAN, "std": STD}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, known)
    torch.manual_seed(0)
    path = folder / f"{name}-random.safetensors"
    save_file(open_clip.create_model(name).state_dict(), path)
    return path


def tokenizer(folder):
    """A byte-level BPE without merges: 262 tokens."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in visible] + [chr(256 + k) for k in range(256 - len(visible))]
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters, "<mask>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return len(words)


def clap(folder, dim=512, fusion=True):
    """A folder as `save_pretrained` of transformers writes it."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    text = {"vocab_size": tokenizer(folder), "hidden_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 90}
    audio = {"depths": [1, 1], "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 16}
    audio |= {"hidden_size": 32, "enable_fusion": fusion, "fusion_type": "aff_2d"}
    audio |= {} if fusion else {"fusion_type": None}
    torch.manual_seed(0)
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=dim))
    for name, tensor in model.named_parameters():
        if "weight" in name and tensor.ndim > 1:  # those of transformers start near zero
            torch.nn.init.normal_(tensor, std=0.2)
    model.save_pretrained(folder)
    truncation = "fusion" if fusion else "rand_trunc"
    ClapFeatureExtractor(frequency_min=50, truncation=truncation).save_pretrained(folder)
    return folder


def openshape_network(monkeypatch):
    """A narrow point encoder in place of the published ones, with few patches."""
    small = {"dim": 64, "depth": 2, "heads": 2}
    network = lambda out, hidden, channels: patches.OpenShapeNetwork(
        out, hidden=hidden // 32, channels=channels // 16, **small
    )
    monkeypatch.setattr(openshape, "OpenShapeNetwork", network)
    for name, variant in openshape.VARIANTS.items():
        fewer = variant._replace(patches=variant.patches // 16, size=8)
        monkeypatch.setitem(openshape.VARIANTS, name, fewer)


def openshape_weights(folder, dim=512, variant="vitg14"):
    """As the authors published them: vitg14 as their training code writes it, a state dict beside
    optimizer and scores; the others without anything that training needs."""
    torch.manual_seed(1)
    state = openshape.VARIANTS[variant].network(dim).state_dict()
    path = folder / f"openshape-pointbert-{variant}-rgb.pt"
    if variant != "vitg14":
        ppat = "" if variant == "vitb32" else "ppat."
        state = {f"pc_encoder.{k.replace('ppat.', ppat)}": x for k, x in state.items()}
        torch.save(state | {"tau": torch.ones(1)}, path)
        return path
    rest = {"optimizer": {"state": {}, "param_groups": [{"lr": 5e-4}]}, "epoch": 3}
    rest |= {"best_lvis_acc": torch.tensor(0.46), "logit_scale": {"logit_scale": torch.ones(1)}}
    state = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": state, "text_proj": None, **rest}, path)
    return path
