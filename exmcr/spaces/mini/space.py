"""What the three mini spaces share: backbones with a cache in front, towers behind, one file of weights each."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.common.paths import project_root
from exmcr.spaces.base import Space
from exmcr.spaces.mini import backbones, towers
from exmcr.spaces.mini.features import Cached


class MiniSpace(Space):
    """A subclass names its modalities and says how raw items become features (`features`)."""

    dim = towers.DIM
    semantic: dict[
        str, slice | None
    ] = {}  # modality -> where sentence-like features sit in its feature vector
    sizes: dict[str, int] = {}  # modality -> length of its feature vector

    def __init__(self, root: Path | None = None, trained: bool = True):
        """`trained=False` gives a space to be trained by `fit`. Raises ConfigError when the weights are missing or foreign."""
        self.root = Path(root or project_root())
        self.file = self.root / "models/spaces" / f"{self.name}.safetensors"
        self.files = (self.file,)
        self._backbones: dict[str, Cached] = {}
        if trained:
            if not self.file.is_file():
                raise ConfigError(
                    f"space '{self.name}' is not trained yet ({self.file} is missing); run notebooks/00_spaces.ipynb"
                )
            self.settings = json.loads(self.file.with_suffix(".json").read_text())
            self._build()
            self.towers.load_state_dict(load_file(self.file))
            self.towers.eval()
            self.fingerprint = digest(
                self.file, *(self.backbone(m).fingerprint for m in self.backbone_names)
            )

    backbone_names: tuple[str, ...] = ()

    def backbone(self, name: str) -> Cached:
        """The frozen encoder of "image", "text" or "audio", with its cache of features; loaded when first asked for."""
        if name not in self._backbones:
            cls = {
                "image": backbones.ImageBackbone,
                "text": backbones.TextBackbone,
                "audio": backbones.AudioBackbone,
            }[name]
            self._backbones[name] = Cached(cls(), self.root / "data/features")
        return self._backbones[name]

    def features(self, modality: str, items: list) -> np.ndarray:
        """Loaded items -> float32 (n, sizes[modality]), the input of the modality's tower."""
        raise NotImplementedError

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        with torch.no_grad():
            return self.towers[modality](torch.from_numpy(self.features(modality, items))).numpy()

    def _build(self) -> None:
        torch.manual_seed(self.settings["seed"])
        # Words move as a whole, by one matrix: captions are too few to bend sentence space for.
        hidden = {m: 0 if m == "text" else self.settings["hidden"] for m in self.modalities}
        self.towers = nn.ModuleDict(
            {
                m: towers.Tower(
                    self.sizes[m], hidden[m], self.settings["dropout"], self.semantic.get(m)
                )
                for m in self.modalities
            }
        )

    def fit(
        self,
        features: dict[str, np.ndarray],
        pairs: list[towers.Pairs],
        settings: dict,
        progress: bool = True,
    ) -> list[dict]:
        """Train the towers on paired rows of features, freeze and store them. Returns the losses, one record per epoch.

        settings: epochs, batch, lr, weight_decay, noise, temperature, hidden, dropout, seed."""
        self.settings = dict(settings)
        self._build()
        learning = {k: v for k, v in settings.items() if k not in ("hidden", "dropout")}
        history = towers.train(
            self.towers,
            {m: torch.from_numpy(f) for m, f in features.items()},
            pairs,
            **learning,
            progress=progress,
        )
        self.file.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in self.towers.state_dict().items()}, self.file)
        self.file.with_suffix(".json").write_text(json.dumps(self.settings, indent=1) + "\n")
        return history


def semantic_of_logits(logits: np.ndarray, names: np.ndarray) -> np.ndarray:
    """What an ImageNet classifier says, in words: (n, 1000) logits, (1000, 384) sentence features -> (n, 384), unit norm."""
    odds = np.exp(logits - logits.max(1, keepdims=True))
    mean = (odds / odds.sum(1, keepdims=True)) @ names
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def class_names() -> list[str]:
    """The 1000 ImageNet classes in words, at most two names each."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return [", ".join(info.index_to_description(i).split(", ")[:2]) for i in range(1000)]


POOLED = backbones.ImageBackbone.pooled
IMAGE = 2 * POOLED + towers.TEXT  # length of a picture's features; the last 384 are sentence-like
IMAGE_WORDS = slice(2 * POOLED, IMAGE)


def image_features(space: MiniSpace, images: list) -> np.ndarray:
    """uint8 images -> float32 (n, 2944): see `looked`."""
    return looked(space.backbone("image")(images), space)


def looked(raw: np.ndarray, space: MiniSpace) -> np.ndarray:
    """Outputs of the image backbone (n, 3560) -> (n, 2944): two times 1280 pooled features and 384 sentence features of
    what they show, each part of unit norm."""
    pooled = [
        part / np.linalg.norm(part, axis=1, keepdims=True)
        for part in (raw[:, :POOLED], raw[:, POOLED : 2 * POOLED])
    ]
    names = space.backbone("text")(class_names())
    return np.concatenate([*pooled, semantic_of_logits(raw[:, 2 * POOLED :], names)], axis=1)
