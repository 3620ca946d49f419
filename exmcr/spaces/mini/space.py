"""The base class of the mini spaces: cached backbones, then towers with one file of weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write, write_json
from exmcr.common.hashing import digest
from exmcr.common.paths import project_root
from exmcr.spaces.base import Space
from exmcr.spaces.mini import backbones, towers
from exmcr.spaces.mini.features import Backbone, Cached

BACKBONES: dict[str, Callable[[], Backbone]] = {
    "image": backbones.ImageBackbone,
    "text": backbones.TextBackbone,
    "audio": backbones.AudioBackbone,
}
POOLED = backbones.ImageBackbone.pooled
IMAGE = 2 * POOLED + towers.TEXT  # length of image features
IMAGE_WORDS = slice(2 * POOLED, IMAGE)  # their sentence features


class MiniSpace(Space):
    """A subclass sets modalities, backbone_names, sizes and semantic, and defines `features`."""

    dim = towers.DIM
    backbone_names: tuple[str, ...] = ()
    sizes: dict[str, int] = {}  # modality -> length of its feature vector
    semantic: dict[str, slice] = {}  # modality -> its sentence features, a part of the vector

    def __init__(self, root: Path | None = None):
        """Load the trained space of a project. Raises ConfigError for missing or foreign weights.

        root: project folder; None takes the one at or above the current folder.
        """
        self._open(root)
        self._load()

    @classmethod
    def untrained(cls, root: Path | None = None) -> Self:
        """The space without towers, to be trained by `fit`."""
        space = cls.__new__(cls)
        space._open(root)
        return space

    def _open(self, root: Path | None) -> None:
        self.root = Path(root or project_root())
        self.cache = self.root / "data/features"
        self.file = self.root / "models/spaces" / f"{self.name}.safetensors"
        self.files = (self.file,)
        self._backbones: dict[str, Cached] = {}

    def _load(self) -> None:
        settings = self.file.with_suffix(".json")
        for path in (self.file, settings):
            if not path.is_file():
                raise ConfigError(
                    f"space '{self.name}' is not trained yet ({path} is missing); "
                    "run `exmcr spaces` or `dvc repro fit_spaces`"
                )
        try:
            self._build(json.loads(settings.read_text()))
            self.towers.load_state_dict(load_file(self.file))
        except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ConfigError(
                f"{self.file} or the .json beside it is damaged; run `exmcr spaces` again: {error}"
            ) from error
        self.towers.eval()
        self.fingerprint = digest(
            self.file, *(self.backbone(name).fingerprint for name in self.backbone_names)
        )

    def _build(self, settings: dict[str, Any]) -> None:
        torch.manual_seed(settings["seed"])
        dropout = settings["dropout"]
        # Text is mapped linearly: there are too few captions to bend the sentence space.
        hidden = {m: 0 if m == "text" else settings["hidden"] for m in self.modalities}
        self.towers = nn.ModuleDict(
            {
                m: towers.Tower(self.sizes[m], hidden[m], dropout, self.semantic.get(m))
                for m in self.modalities
            }
        )

    def backbone(self, name: str) -> Cached:
        """The cached frozen encoder of "image", "text" or "audio", loaded at first use."""
        if name not in self._backbones:
            self._backbones[name] = Cached(BACKBONES[name](), self.cache)
        return self._backbones[name]

    def features(self, modality: str, items: list) -> np.ndarray:
        """Loaded items -> float32 (n, sizes[modality]), the input of the modality's tower."""
        raise NotImplementedError

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Loaded items -> float32 (n, 512), unit rows."""
        with torch.no_grad():
            return self.towers[modality](torch.from_numpy(self.features(modality, items))).numpy()

    def fit(
        self,
        features: dict[str, np.ndarray],
        pairs: list[towers.Pairs],
        settings: dict[str, Any],
        progress: bool = True,
    ) -> list[dict]:
        """Train the towers on paired rows of features, freeze and store them.

        features: modality -> float32 (n, sizes[modality]). settings: epochs, batch, lr,
        weight_decay, noise, temperature, hidden, dropout, seed. Returns the losses, one record per
        epoch (see `towers.train`). Raises ConfigError for a kind of pair without any pair.
        """
        for p in pairs:
            if not len(p.a):
                raise ConfigError(
                    f"space '{self.name}' has no training pairs {p.modality_a}-{p.modality_b}: "
                    "check `corpora` and `fit_spaces` in params.yaml"
                )
        self._build(settings)
        learning = {k: v for k, v in settings.items() if k not in ("hidden", "dropout")}
        tensors = {m: torch.from_numpy(rows) for m, rows in features.items()}
        history = towers.train(self.towers, tensors, pairs, **learning, progress=progress)
        state = {k: v.contiguous() for k, v in self.towers.state_dict().items()}
        with atomic_write(self.file) as draft:
            save_file(state, draft)
        write_json(self.file.with_suffix(".json"), settings)
        return history


def class_names() -> list[str]:
    """The 1000 ImageNet classes in words, at most two names each."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return [", ".join(info.index_to_description(i).split(", ")[:2]) for i in range(1000)]


def semantic_of_logits(logits: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Mean sentence feature of the ImageNet classes, weighted by their predicted probability.

    Logits (n, 1000), sentence features of the class names (1000, 384) -> (n, 384), unit rows.
    """
    odds = np.exp(logits - logits.max(1, keepdims=True))
    mean = (odds / odds.sum(1, keepdims=True)) @ names
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def image_features(space: MiniSpace, images: list) -> np.ndarray:
    """uint8 images (H, W, 3) -> float32 (n, 2944): see `from_outputs`."""
    return from_outputs(space.backbone("image")(images), space)


def from_outputs(raw: np.ndarray, space: MiniSpace) -> np.ndarray:
    """Outputs of the image backbone (n, 3560) -> features (n, 2944).

    Two times 1280 pooled features and 384 sentence features of the content, each part of unit norm.
    """
    pooled = [
        part / np.linalg.norm(part, axis=1, keepdims=True)
        for part in (raw[:, :POOLED], raw[:, POOLED : 2 * POOLED])
    ]
    names = space.backbone("text")(class_names())
    return np.concatenate([*pooled, semantic_of_logits(raw[:, 2 * POOLED :], names)], axis=1)
