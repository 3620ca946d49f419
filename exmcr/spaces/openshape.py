"""OpenShape: colored point clouds in the space of a large CLIP."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.hashing import digest
from exmcr.media import meshes
from exmcr.spaces import weights
from exmcr.spaces.base import Space, in_batches
from exmcr.spaces.clip import Clip
from exmcr.spaces.patches import OpenShapeNetwork, cut
from exmcr.spaces.pointbert import in_equal_lengths

POINTS = 10_000  # as in training
GRAY = 0.4  # color of a cloud without color; in training half of the clouds were so


class Variant(NamedTuple):
    """A published point encoder, and the CLIP into whose space it maps.

    patches, radius, size   how clouds are cut
    hidden, channels        widths that differ between variants
    projected               whether it ends in a projection
    up                      vertical axis of the clouds that it was trained on
    """

    model: str
    tag: str
    patches: int
    radius: float
    size: int
    hidden: int
    channels: int
    projected: bool
    up: str

    def network(self, out: int) -> OpenShapeNetwork:
        out = out if self.projected else 0
        return OpenShapeNetwork(out, hidden=self.hidden, channels=self.channels)


VARIANTS = {
    "vitg14": Variant(
        "ViT-bigG-14", "laion2b_s39b_b160k", 384, 0.2, 64, 1536, 256, projected=True, up="z"
    ),
    "vitl14": Variant(
        "ViT-L-14-quickgelu", "openai", 64, 0.4, 256, 1024, 128, projected=True, up="y"
    ),
    "vitb32": Variant(
        "ViT-B-32-quickgelu", "openai", 64, 0.4, 256, 1024, 128, projected=False, up="y"
    ),
}


class OpenShape(Space):
    """OpenShape with PointBERT for coordinates and colors, and the CLIP that it was trained with.

    variant          "vitg14", the published main model (1280-d), or "vitl14" (768-d) or "vitb32"
                     (512-d), which the authors released for their demo without results; they do
                     not say which weights of CLIP; OpenAI's [assumed]
    checkpoint       file in the format of `openshape-pointbert-<variant>-rgb`, or its tensors as
                     safetensors; default: that file in the weights folder, else in the cache of
                     the model hub
    model, tag       of the CLIP that encodes images and texts; see exmcr.spaces.clip. Default: that
                     of the variant. ViT-bigG-14 has 2.5 billion parameters, 10 GB in memory and
                     twice that while it is loaded
    clip_checkpoint  local file with its weights; default: as for `clip`
    up               vertical axis of all clouds, part of the fingerprint: "y", as in OpenShape's
                     records and in this library's corpora, or "z", as in the meshes (.off) of
                     ModelNet40 [assumed]. Clouds of the other kind are encoded lying down
    precision        of CLIP, "float32" or "bfloat16"; part of the fingerprint
    device           torch device; default: the GPU if there is one
    batch_size       items per forward pass, without influence on the result; default: 32 clouds, 1
                     on a CPU, and 64 images or texts
    root             project folder, against which relative paths are resolved

    A cloud is centered by its mean and scaled to unit radius. Colors are those that
    exmcr.media.points reads; a cloud without any is gray. Of more than 10,000 points a fixed sample
    is used; a cloud of fewer, for which OpenShape's code has no rule, is used whole [assumed]. The
    published code starts the sampling of centers at a random point; here it starts at the first, so
    that a cloud has the same embedding in every run.

    The architecture, the names of the weights and the preprocessing are those of the published
    code; the published weights have not been loaded yet.

    Raises ConfigError for a missing, damaged or foreign weight file, and for a CLIP of other
    dimensions than those of the point encoder.
    Source: Liu et al., arXiv 2305.10764; https://github.com/Colin97/OpenShape_code.
    """

    name = "openshape"
    modalities = ("points", "image", "text")
    choices = {
        "variant": tuple(VARIANTS),
        "up": ("y", "z"),
        "precision": ("float32", "bfloat16"),
    }

    def __init__(
        self,
        variant: str = "vitg14",
        checkpoint: str | Path | None = None,
        model: str | None = None,
        tag: str | None = None,
        clip_checkpoint: str | Path | None = None,
        up: str = "y",
        precision: str = "float32",
        device: str | None = None,
        batch_size: int | None = None,
        root: Path | None = None,
    ):
        for name, value in (("variant", variant), ("up", up)):
            if value not in self.choices[name]:
                raise ConfigError(
                    f"{name} must be one of {', '.join(self.choices[name])}, not '{value}'"
                )
        chosen = VARIANTS[variant]
        path = weights.under(root, checkpoint) or _find(variant, weights.folder(root))
        state = _state(path)
        # A wrong file is noticed before CLIP is loaded, which takes a minute.
        self.network = chosen.network(len(state.get("proj.bias", torch.empty(1))))
        checkpoints.fill(self.network, state, path, f"OpenShape {variant} (xyz, rgb)")
        self.network.eval().requires_grad_(False)
        self.clip = Clip(
            model=model or chosen.model,
            tag=tag or chosen.tag,
            checkpoint=clip_checkpoint,
            precision=precision,
            device=device,
            batch_size=batch_size or 64,
            root=root,
        )
        self.dim, self.device, self.batch_size = self.clip.dim, self.clip.device, batch_size
        if self.network.out != self.dim:
            raise ConfigError(
                f"{path} maps clouds into {self.network.out} dimensions, {model or chosen.model} "
                f"has {self.dim}: it is not the CLIP that this point encoder was trained with"
            )
        self.files = (path, *self.clip.files)
        self._prepared = partial(prepared, swap=up != chosen.up)
        self._cut = partial(cut, patches=chosen.patches, radius=chosen.radius, size=chosen.size)
        self.fingerprint = digest(
            "openshape",
            up,
            repr(chosen),
            "10000 points, unit sphere, gray 0.4; fps from point 0, first points in a ball",
            self.clip.fingerprint,
            checkpoints.state_digest(state),
        )
        self.network.to(self.device)

    def encode_batch(self, modality: str, items: list) -> np.ndarray:
        """Clouds float32 (p, 3), images uint8 (H, W, 3) or strings -> float32 (n, dim).

        The colors of a cloud are its attribute `colors` (exmcr.media.points.Cloud).
        """
        if modality != "points":
            return self.clip.encode_batch(modality, items)
        size = self.batch_size or (1 if torch.device(self.device).type == "cpu" else 32)
        encode = lambda parts: self.network(*parts)
        return in_batches(items, size, self.device, self._patches, encode)

    def _patches(self, clouds: list) -> tuple[Tensor, Tensor]:
        """Clouds of any length -> patches (b, n, size, 9) and centers (b, n, 3)."""
        return in_equal_lengths([self._prepared(cloud) for cloud in clouds], self.device, self._cut)


def prepared(cloud: np.ndarray, swap: bool) -> np.ndarray:
    """A cloud (p, 3) -> float32 (at most 10,000, 6): coordinates in the unit sphere, colors.

    swap: exchange y and z, as the published code does (a reflection, no rotation). Patches hold the
    first points in a ball, so the order of points must not follow the shape: only a cloud of 10,000
    points, as OpenShape's records are, keeps its order.
    """
    colors = getattr(cloud, "colors", None)
    if colors is None:
        colors = np.full(cloud.shape, GRAY, np.float32)
    if len(cloud) != POINTS:
        rows = np.random.default_rng(0).permutation(len(cloud))[:POINTS]
        cloud, colors = cloud[rows], colors[rows]
    axes = [0, 2, 1] if swap else [0, 1, 2]
    return np.hstack([meshes.unit_sphere(cloud[:, axes]), colors]).astype(np.float32)


def _state(path: Path) -> checkpoints.State:
    """The weights of the point encoder under the names of OpenShapeNetwork.

    Those of vitl14 and vitb32 begin with `pc_encoder.`, beside other tensors; vitb32, without a
    projection, has no `ppat.` either.
    """
    state, prefix = checkpoints.load_state(path), "pc_encoder."
    if any(name.startswith(prefix) for name in state):
        state = {k.removeprefix(prefix): x for k, x in state.items() if k.startswith(prefix)}
    if "cls_token" in state:
        state = {f"ppat.{name}": tensor for name, tensor in state.items()}
    return state


def _find(variant: str, folder: Path) -> Path:
    weight = weights.named(f"openshape-pointbert-{variant}-rgb.pt")
    if path := weights.locate(weight, folder):
        return path
    raise ConfigError(
        f"no weights of OpenShape: take {weight.path} from {weight.page}, put it at "
        f"{folder / weight.file}; see `exmcr weights`"
    )
