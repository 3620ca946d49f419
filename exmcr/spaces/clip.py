"""CLIP by open_clip: the image-text space used as base."""

import logging
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.spaces import weights
from exmcr.spaces.base import Space, in_batches


class Clip(Space):
    """Any dual encoder of open_clip; default: OpenAI's ViT-B/32, as in the paper (512-d).

    model        name of an architecture, see `open_clip.list_models()`
    tag          name of its weights, see `open_clip.list_pretrained_tags_by_model(model)`; it also
                 determines the preprocessing
    checkpoint   local file with the weights of `tag` (safetensors or a state dict); default: the
                 weights folder (`exmcr weights`), then the cache of the model hub, then the hub
    precision    "float32", or "bfloat16" (twice as fast on a GPU; part of the fingerprint)
    device       torch device; default: the GPU if there is one
    batch_size   items per forward pass, without influence on the result
    revision     commit, tag or branch of the repository on the model hub; default: the commit that
                 `exmcr weights` pins, else main
    root         project folder, against which a relative `checkpoint` is resolved

    Images of OpenAI's weights are cropped, and texts cleaned, as by the processor of transformers,
    with which the authors of Ex-MCR ran: the crop begins at the lower of two middle pixels (that of
    torchvision at the even one: 24 % of picture sizes differ), and texts are in lower case and NFC,
    while open_clip also straightens quotes and unescapes HTML. Other weights are treated as
    open_clip, with which they were trained, treats them.

    Raises ConfigError for unknown names, for missing or foreign files, and for weights trained with
    another activation than that of the architecture: open_clip only warns of that (QuickGELU), and
    it costs about 4 points of accuracy.
    Source: Radford et al., arXiv 2103.00020; open_clip.
    """

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
        revision: str | None = None,
        root: Path | None = None,
    ):
        import torch

        if precision not in self.choices["precision"]:
            raise ConfigError(
                f"precision must be {' or '.join(self.choices['precision'])}, not '{precision}'"
            )
        known = _check_names(model, tag)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype, self.batch_size = getattr(torch, precision), batch_size
        path = weights.under(root, checkpoint)
        path = path or _find(model, tag, known, weights.folder(root), revision)
        state = _read(path)
        self.files = (path,)
        self.model, self.preprocess, self.tokenize = _build(model, known)
        processing = "open_clip"
        if tag == "openai":
            processing = "transformers: lower middle, lower case, NFC"
            self.tokenize.clean_fn = clean
            _crop_below_the_middle(self.preprocess)
        _fill(self.model, state, path, model)
        self.model.eval().requires_grad_(False)
        self.fingerprint = digest(
            "clip",
            model,
            repr(self.model.visual.preprocess_cfg),
            processing,
            precision,
            checkpoints.state_digest(self.model.state_dict()),
        )
        self.model.to(self.device)
        with torch.inference_mode():
            self.dim = self.model.encode_text(self.tokenize(["a"]).to(self.device)).shape[1]

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Images uint8 (H, W, 3) or strings -> float32 (n, dim), as by encode_image and
        encode_text of open_clip."""
        import torch

        prepare, encode = {
            "image": (self._pixels, self.model.encode_image),
            "text": (lambda texts: self.tokenize(texts).to(self.device), self.model.encode_text),
        }[modality]
        with torch.autocast(
            torch.device(self.device).type, torch.bfloat16, enabled=self.dtype == torch.bfloat16
        ):
            return in_batches(items, self.batch_size, self.device, prepare, encode)

    def _pixels(self, images: list) -> Any:
        import torch
        from PIL import Image

        pixels = torch.stack([self.preprocess(Image.fromarray(image)) for image in images])
        return pixels.to(self.device)


def clean(text: str) -> str:
    """A text as the tokenizer of transformers cleans it: NFC, single blanks, lower case."""
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()


def _crop_below_the_middle(preprocess: Any) -> None:
    """Replace the center crop of a torchvision transform by `CenterCrop`."""
    from torchvision import transforms

    for k, step in enumerate(preprocess.transforms):
        if isinstance(step, transforms.CenterCrop):
            preprocess.transforms[k] = CenterCrop(*step.size)


class CenterCrop:
    """Crop a PIL image around its center; of two possible places, to the one further left or up.

    torchvision rounds half pixels to the even number instead.
    """

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width

    def __call__(self, image: Any) -> Any:
        left, top = (image.width - self.width) // 2, (image.height - self.height) // 2
        return image.crop((left, top, left + self.width, top + self.height))

    def __repr__(self) -> str:
        return f"CenterCrop({self.height}, {self.width})"


def _check_names(model: str, tag: str) -> dict:
    """open_clip's record of the weights `tag`, after a check that they fit the architecture."""
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
        with_or_without = {True: "with", False: "without"}
        raise ConfigError(
            f"QuickGELU mismatch: the weights '{tag}' were trained {with_or_without[trained]} it, "
            f"{model} is built {with_or_without[built]} it; use '{twin}'"
        )
    return known


def _build(model: str, known: dict) -> tuple[Any, Any, Any]:
    """The network with random weights, its image transform and its tokenizer.

    known: open_clip's record of the weights. Raises ConfigError if a part of the architecture, such
    as the tokenizer of SigLIP, must come from the model hub and does not.
    """
    import open_clip

    level = logging.root.manager.disable
    # open_clip warns that the network is random; the weights follow.
    logging.disable(logging.WARNING)
    try:
        network, _, preprocess = open_clip.create_model_and_transforms(
            model,
            pretrained=None,
            pretrained_text=False,
            image_mean=known.get("mean"),
            image_std=known.get("std"),
            image_interpolation=known.get("interpolation"),
            image_resize_mode=known.get("resize_mode"),
        )
        return network, preprocess, open_clip.get_tokenizer(model)
    except Exception as error:  # of open_clip, timm, transformers and the client of the hub
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"open_clip cannot build {model} here ({type(error).__name__}: {reason}); some "
            "architectures take their tokenizer or text tower from the model hub or its cache"
        ) from error
    finally:
        logging.disable(level)


def _find(model: str, tag: str, known: dict, folder: Path, revision: str | None = None) -> Path:
    """The file in the weights folder, else in the cache of the model hub, else from the hub."""
    path = folder / f"{model.removesuffix('-quickgelu')}-{tag}.safetensors"
    if path.is_file():
        return path
    from open_clip import pretrained

    row = next((weight for weight in weights.WEIGHTS if weight.file == path.name), None)
    repository, _, file = known.get("hf_hub", "").rpartition("/")
    try:
        if row is not None:
            return Path(
                pretrained.download_pretrained_from_hf(
                    row.repo, filename=row.path, revision=revision or row.revision
                )
            )
        if repository:
            return Path(
                pretrained.download_pretrained_from_hf(
                    repository, filename=file or None, revision=revision or "main"
                )
            )
        return Path(pretrained.download_pretrained(known))
    except Exception as error:  # the client of the hub raises a dozen unrelated types
        raise ConfigError(
            f"no weights '{tag}' of {model}: no file {path}, and the model hub failed "
            f"({type(error).__name__}); put the file there, `exmcr weights` lists its source"
        ) from error


def _read(path: Path) -> dict:
    if path.suffix in (".npz", ".npy"):
        raise ConfigError(f"{path}: big_vision arrays are not supported, use a safetensors file")
    return checkpoints.load_state(path)


def _fill(network: Any, state: dict, path: Path, model: str) -> None:
    """Load `state` into the network. Raises ConfigError for weights of another architecture."""
    from open_clip.factory import load_checkpoint

    own = network.state_dict()
    if state.keys() == own.keys():
        return checkpoints.fill(network, state, path, model)
    # open_clip reads the naming schemes of other trainers and of transformers from the file itself,
    # but it would silently interpolate the positions of another image size or text length.
    for name in own:
        if not name.endswith("positional_embedding") or name not in state:
            continue
        if state[name].shape != own[name].shape:
            raise ConfigError(
                f"{path} is of another architecture than {model}: {name} is "
                f"{tuple(state[name].shape)}, not {tuple(own[name].shape)}"
            )
    try:
        load_checkpoint(network, str(path), strict=True, weights_only=True)
    except pickle.UnpicklingError:
        # open_clip cannot open it, so no naming scheme applies; `fill` lists the differences.
        checkpoints.fill(network, state, path, model)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} is of another architecture than {model}: {str(error)[:300]}"
        ) from error
