"""ULIP-2: point clouds, images and texts, all three encoders from one published file."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.media import meshes
from exmcr.spaces import weights
from exmcr.spaces.base import Space, in_batches
from exmcr.spaces.pointbert import GROUP_SIZE, PointBERT, group, in_equal_lengths

NORMALIZATIONS = {"as_stored": lambda cloud: cloud, "unit_sphere": meshes.unit_sphere}


class UlipNetwork(nn.Module):
    """PointBERT and SLIP's image and text encoders, 512-d; names as in `pointbert_ULIP-2.pt`."""

    def __init__(self):
        super().__init__()
        import timm
        from open_clip.transformer import QuickGELU, Transformer

        self.point_encoder = PointBERT()
        self.pc_projection = nn.Parameter(torch.randn(768, 512) * 512**-0.5)
        self.visual = timm.create_model("vit_base_patch16_224", num_classes=0)
        self.image_projection = nn.Parameter(torch.randn(768, 512) * 768**-0.5)
        self.token_embedding = nn.Embedding(49408, 512)
        self.positional_embedding = nn.Parameter(torch.randn(77, 512) * 0.01)
        self.transformer = Transformer(width=512, layers=12, heads=8, act_layer=QuickGELU)
        self.ln_final = nn.LayerNorm(512)
        self.text_projection = nn.Parameter(torch.randn(512, 512) * 512**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def encode_points(self, groups: Tensor, centers: Tensor) -> Tensor:
        """Groups and centers from `pointbert.group` -> (b, 512)."""
        return self.point_encoder(groups, centers) @ self.pc_projection

    def encode_image(self, images: Tensor) -> Tensor:
        """Normalized images (b, 3, 224, 224) -> (b, 512): the class token, projected."""
        return self.visual(images) @ self.image_projection

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Tokens (b, 77) -> (b, 512): the feature at the end-of-text token, projected."""
        length, device = tokens.shape[1], tokens.device
        causal = torch.full((length, length), -torch.inf, device=device).triu(1)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        x = self.transformer(x, attn_mask=causal.to(self.ln_final.weight.dtype))
        end = tokens.argmax(dim=1)  # the end-of-text token has the largest number
        return (
            self.ln_final(x)[torch.arange(len(tokens), device=device), end] @ self.text_projection
        )


class Ulip2(Space):
    """ULIP-2 with the PointBERT encoder for coordinates without color (512-d).

    checkpoint     file in the format of `pointbert_ULIP-2.pt`, or its tensors as safetensors;
                   default: that file in the weights folder, else the one that has replaced it on
                   the model hub (their fingerprints differ)
    normalization  of clouds, part of the fingerprint: "as_stored", as the authors of Ex-MCR treat
                   OpenShape's Objaverse records, which have unit radius; or "unit_sphere", centered
                   by the mean, as in ULIP's evaluation on ModelNet40
    device         torch device; default: the GPU if there is one
    batch_size     items per forward pass, without influence on the result; default: 32, and 1 cloud
                   on a CPU, where the 16,384 grouped points of a cloud fill the caches
    root           project folder, against which a relative `checkpoint` is resolved

    A cloud may have any number of points; training used 8,000 to 10,000. Clouds are y-up, as in
    Objaverse and ShapeNet; .off meshes of ModelNet40 are z-up, which their reader says.
    Raises ConfigError for a missing, damaged or foreign weight file.
    Source: Xue et al., arXiv 2305.08275.
    """

    name = "ulip2"
    dim = 512
    modalities = ("points", "image", "text")
    choices = {"normalization": tuple(NORMALIZATIONS)}

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        normalization: str = "as_stored",
        device: str | None = None,
        batch_size: int | None = None,
        root: Path | None = None,
    ):
        if normalization not in NORMALIZATIONS:
            raise ConfigError(
                f"unknown normalization '{normalization}'; known: {', '.join(NORMALIZATIONS)}"
            )
        path = weights.under(root, checkpoint) or _find(weights.folder(root))
        state = checkpoints.load_state(path)
        self.files = (path,)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.normalize, self.batch_size = NORMALIZATIONS[normalization], batch_size
        self.network = UlipNetwork()
        checkpoints.fill(self.network, state, path, "ULIP-2 with PointBERT (xyz)")
        self.fingerprint = digest(
            "ulip2",
            normalization,
            "fps from point 0; Resize 224, ImageNet; loaders v2",
            checkpoints.state_digest(state),
        )
        self.network.eval().requires_grad_(False).to(self.device)
        self._prepare_images, self._tokenize = _image_transform(), _tokenizer()

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Clouds float32 (p, 3), images uint8 (H, W, 3) or strings -> float32 (n, 512)."""
        prepare, encode = {
            "points": (self._groups, lambda groups: self.network.encode_points(*groups)),
            "image": (self._pixels, self.network.encode_image),
            "text": (lambda texts: self._tokenize(texts).to(self.device), self.network.encode_text),
        }[modality]
        on_cpu = torch.device(self.device).type == "cpu"
        size = self.batch_size or (1 if modality == "points" and on_cpu else 32)
        return in_batches(items, size, self.device, prepare, encode)

    def _groups(self, clouds: list) -> tuple[Tensor, Tensor]:
        """Clouds of any length -> groups (b, 512, 32, 3) and centers (b, 512, 3)."""
        # A group needs 32 points. Repeating the points of a smaller cloud changes nothing, because
        # groups are reduced by maxima.
        clouds = [
            cloud if len(cloud) >= GROUP_SIZE else np.resize(cloud, (GROUP_SIZE, 3))
            for cloud in map(self.normalize, clouds)
        ]
        return in_equal_lengths(clouds, self.device, group)

    def _pixels(self, images: list) -> Tensor:
        from PIL import Image

        pixels = torch.stack([self._prepare_images(Image.fromarray(image)) for image in images])
        return pixels.to(self.device)


def _find(folder: Path) -> Path:
    """The original file, else its replacement on the hub."""
    rows = [weight for weight in weights.WEIGHTS if weight.space == "ulip2"]
    for weight in sorted(rows, key=lambda weight: weight.file != "pointbert_ULIP-2.pt"):
        if path := weights.locate(weight, folder):
            return path
    places = " or ".join(f"{weight.file} (from {weight.page})" for weight in rows)
    raise ConfigError(f"no weights of ULIP-2: put {places} into {folder}; see `exmcr weights`")


def _image_transform():
    """SLIP's evaluation transform: shorter side to 224, center crop, ImageNet statistics."""
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.Resize(224),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ]
    )


def _tokenizer():
    """CLIP's byte-pair encoding, 77 tokens, as bundled with open_clip."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=77)
