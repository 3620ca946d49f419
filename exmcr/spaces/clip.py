"""CLIP through open_clip: the image-text space that serves as base."""

import logging
import pickle
from pathlib import Path

import numpy as np

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.spaces import weights
from exmcr.spaces.base import Space, in_batches


class Clip(Space):
    """Any dual encoder of open_clip; by default OpenAI's ViT-B/32, which is what the paper uses (512-d).

    model        name of an architecture, `open_clip.list_models()`
    tag          which weights, `open_clip.list_pretrained_tags_by_model(model)`; decides preprocessing, too
    checkpoint   a local file with the weights of `tag` (safetensors or a state dict) instead of the model hub;
                 without it, the weights folder (`exmcr weights`) is tried before the hub's cache and the hub
    precision    "float32", or "bfloat16" (GPU: twice as fast; part of the fingerprint)
    device       torch device; by default the GPU if there is one
    batch_size   items per forward pass; no influence on the result
    root         project folder, from which a relative `checkpoint` is understood

    Raises ConfigError for unknown names, missing or foreign files, and for weights trained with another activation than
    the architecture has: open_clip only warns of that (QuickGELU), and it costs about 4 points of accuracy.
    Source: Radford et al., arXiv 2103.00020; open_clip."""

    name = "clip"
    modalities = ("image", "text")
    choices = {"precision": ("float32", "bfloat16")}

    def __init__(
        self,
        model: str = "ViT-B-32-quickgelu",
        tag: str = "openai",
        checkpoint: str | Path | None = None,
        precision: str = "float32",
        device: str | None = None,
        batch_size: int = 64,
        root: Path | None = None,
    ):
        import open_clip
        import torch

        if precision not in self.choices["precision"]:
            raise ConfigError(
                f"precision must be {' or '.join(self.choices['precision'])}, not '{precision}'"
            )
        known = _check_names(model, tag)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype, self.batch_size = getattr(torch, precision), batch_size
        path = _find(model, tag, known, weights.under(root, checkpoint))
        state = _read(path)
        self.files = (path,)
        level = logging.root.manager.disable
        logging.disable(
            logging.WARNING
        )  # open_clip's remark that the network is random: the weights come next
        try:
            self.model, _, self.preprocess = open_clip.create_model_and_transforms(
                model,
                pretrained=None,
                pretrained_text=False,
                image_mean=known.get("mean"),
                image_std=known.get("std"),
                image_interpolation=known.get("interpolation"),
                image_resize_mode=known.get("resize_mode"),
            )
        finally:
            logging.disable(level)
        self.tokenize = open_clip.get_tokenizer(model)
        _fill(self.model, state, path, model)
        self.model.eval().requires_grad_(False)
        self.fingerprint = digest(
            "clip",
            model,
            repr(self.model.visual.preprocess_cfg),
            precision,
            checkpoints.state_digest(self.model.state_dict()),
        )
        self.model.to(self.device)
        with torch.inference_mode():
            self.dim = self.model.encode_text(self.tokenize(["a"]).to(self.device)).shape[1]

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Images uint8 (H, W, 3), or strings -> float32 (n, dim), as open_clip's encode_image and encode_text give them."""
        import torch
        from PIL import Image

        if modality == "image":
            prepare = lambda part: torch.stack(
                [self.preprocess(Image.fromarray(image)) for image in part]
            ).to(self.device)
            encode = self.model.encode_image
        else:
            prepare, encode = (
                lambda part: self.tokenize(part).to(self.device),
                self.model.encode_text,
            )
        with torch.autocast(
            torch.device(self.device).type, torch.bfloat16, enabled=self.dtype == torch.bfloat16
        ):
            return in_batches(items, self.batch_size, self.device, prepare, encode)


def _check_names(model: str, tag: str) -> dict:
    """open_clip's record of a set of weights, once it is sure that model and weights belong together."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    config = open_clip.get_model_config(model)
    if config is None:
        raise ConfigError(f"open_clip has no model '{model}'; open_clip.list_models() lists them")
    known = get_pretrained_cfg(model, tag)
    if not known:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise ConfigError(
            f"open_clip has no weights '{tag}' for {model}, only: {', '.join(tags) or 'none'}"
        )
    trained, built = bool(known.get("quick_gelu")), bool(config.get("quick_gelu"))
    if trained != built:
        twin = f"{model}-quickgelu" if trained else model.removesuffix("-quickgelu")
        raise ConfigError(
            f"QuickGELU mismatch: the weights '{tag}' were trained {'with' if trained else 'without'} it, {model} is built "
            f"{'with' if built else 'without'} it; ask for '{twin}'"
        )
    return known


def _find(model: str, tag: str, known: dict, checkpoint: str | Path | None) -> Path:
    if checkpoint is not None:
        return Path(checkpoint)
    name = f"{model.removesuffix('-quickgelu')}-{tag}.safetensors"
    in_folder = weights.folder() / name
    if in_folder.is_file():
        return in_folder
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(known))
    except (
        Exception
    ) as error:  # the hub's client raises a dozen kinds, all of which mean the same to the caller
        raise ConfigError(
            f"no weights '{tag}' of {model}: neither {in_folder} nor the model hub ({type(error).__name__}); "
            "put that file there, `exmcr weights` says where it comes from"
        ) from error


def _read(path: Path) -> dict:
    if path.suffix in (".npz", ".npy"):
        raise ConfigError(f"{path}: big_vision arrays are not supported, use a safetensors file")
    return checkpoints.load_state(path)


def _fill(network, state: dict, path: Path, model: str) -> None:
    from open_clip.factory import load_checkpoint

    own = network.state_dict()
    if state.keys() == own.keys():
        return checkpoints.fill(network, state, path, model)
    # Other spellings (of other trainers, of transformers) are known to open_clip, which reads the file itself. But it
    # would silently interpolate the positions of another image size or text length.
    for name in own:
        if (
            name.endswith("positional_embedding")
            and name in state
            and state[name].shape != own[name].shape
        ):
            raise ConfigError(
                f"{path} is of another architecture than {model}: {name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
            )
    try:
        load_checkpoint(network, str(path), strict=True, weights_only=True)
    except pickle.UnpicklingError:
        checkpoints.fill(
            network, state, path, model
        )  # a file that open_clip refuses to open is not one of its own: this says how it differs
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} is of another architecture than {model}: {str(error)[:300]}"
        ) from error
