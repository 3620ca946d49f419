"""Modality inversion: the text whose vector is nearest to that of an image, or the image nearest to
a text.

CLIP is trained to compare images with texts, not images with images. Inversion turns a search among
items of one modality into one across modalities:

    OTI  image -> a pseudo-word w such that the text "a photo of w" has the vector of the image
    OVI  text -> a patch embedding such that an image of such patches has the vector of the text

Gradient descent through the frozen tower of the other modality finds the pseudo-word or patch; the
vector of its text or image is the query. Method and defaults are those of Mistretta et al., "Cross
the Gap", ICLR 2025, arXiv 2502.04263, and of the code of that paper. One difference: there each
query starts from a random point of its own, here all start from one, so that a result does not
depend on the other queries.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.model.exmcr import ExMCR
from exmcr.spaces.base import Space
from exmcr.spaces.clip import Clip
from exmcr.spaces.mini.space import MiniSpace

STEPS = {"image": 150, "text": 1000}  # of OTI and of OVI
LR = 2e-2
DECAY = 0.01  # weight decay of AdamW
START = 0.02  # standard deviation of the start
BATCH = 64  # vectors inverted at once
TEMPLATE, WORD = "a photo of", "x"  # WORD holds the place of the pseudo-word: one token anywhere


class Inverted(NamedTuple):
    """vectors: float32 (n, d), unit rows. losses: (steps + 1, n), 1 - cosine to the targets."""

    vectors: np.ndarray
    losses: np.ndarray


class Tower(NamedTuple):
    """A frozen tower behind its first layer.

    width   of one pseudo-token
    device  where it runs
    encode  pseudo-tokens (n, k, width) -> vectors (n, d), differentiable, of any norm
    """

    width: int
    device: str
    encode: Callable[[torch.Tensor], torch.Tensor]


def invert_in_base(model: ExMCR, modality: str, vectors: np.ndarray, **options: Any) -> np.ndarray:
    """Vectors of images or texts in the base space of a model, (n, d), as those of the other
    modality.

    options: those of `invert`. Raises ConfigError for another modality, for C-MCR, whose vectors
    are not those of the encoder, and as `tower`.
    """
    if modality not in STEPS or modality not in model.base.modalities:
        raise ConfigError(f"only images and texts of the base can be inverted, not {modality}")
    if model.base.heads:
        raise ConfigError("a model of C-MCR cannot invert: a head changes the vectors of its base")
    return invert(model.space(model.base), modality, vectors, **options).vectors


def invert(
    space: Space,
    modality: str,
    vectors: np.ndarray,
    *,
    steps: int | None = None,
    lr: float = LR,
    tokens: int = 1,
    seed: int = 0,
) -> Inverted:
    """Unit rows (n, d) of a space -> the vectors of its other tower that come nearest to them.

    modality  of `vectors`: "image" (OTI) or "text" (OVI)
    steps     of AdamW; default: 150 for OTI and 1000 for OVI
    tokens    patch embeddings of OVI, each for an equal run of patches; the authors take 1 for
              ViT-B/32 and 4 for ViT-L/14. OTI has one pseudo-word
    seed      of the start, N(0, 0.02^2)

    The same on every call. Raises ConfigError as `tower`, and for steps or tokens below 1.
    """
    _check_modality(modality)
    steps = STEPS[modality] if steps is None else steps
    tokens = tokens if modality == "text" else 1
    if steps < 1 or tokens < 1 or not lr > 0:
        raise ConfigError("inversion needs steps and tokens of 1 or more, and a rate above 0")
    frozen = tower(space, modality)
    start = torch.randn(tokens, frozen.width, generator=torch.Generator().manual_seed(seed)) * START
    parts = [
        _descend(frozen, torch.tensor(vectors[at : at + BATCH]), start, steps, lr)
        for at in range(0, len(vectors), BATCH)
    ]
    if not parts:
        return Inverted(np.empty((0, space.dim), np.float32), np.empty((steps + 1, 0)))
    rows = unit(np.concatenate([part.vectors for part in parts]), "inversion")
    return Inverted(rows, np.concatenate([part.losses for part in parts], axis=1))


def loss_of(frozen: Tower, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 - cosine of each target (n, d) and the vector of its pseudo-tokens (n, k, width): (n,)."""
    return 1 - nn.functional.cosine_similarity(frozen.encode(tokens), targets.to(tokens))


def _descend(
    frozen: Tower, targets: torch.Tensor, start: torch.Tensor, steps: int, lr: float
) -> Inverted:
    losses = []
    with torch.enable_grad():
        tokens = start.to(frozen.device).repeat(len(targets), 1, 1).requires_grad_()
        optimizer = torch.optim.AdamW([tokens], lr=lr, weight_decay=DECAY)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_of(frozen, tokens, targets)
            loss.sum().backward()  # not the mean: each row as if it were alone
            optimizer.step()
            losses.append(loss.detach())
    with torch.no_grad():
        losses.append(loss_of(frozen, tokens, targets))
        vectors = frozen.encode(tokens)
    return Inverted(vectors.float().cpu().numpy(), torch.stack(losses).cpu().numpy())


def tower(space: Space, modality: str) -> Tower:
    """The tower that vectors of `modality` are inverted through: that of the other modality.

    Clip        its text tower behind the token embedding, its image tower behind the first
                convolution; in float32, whatever the precision of the space
    MiniSpace   MiniLM behind its token embedding, in PyTorch; encoding runs the same network in
                ONNX Runtime, which has no gradients. With `looks` (towers.py), images have a part
                that no text has: the loss ends above 0, and that part is lost

    Raises ConfigError for a modality other than image and text, for a tower without such a layer,
    and for OVI in a MiniSpace, which picks the likeliest class names: no gradient leads to another
    choice.
    """
    _check_modality(modality)
    if isinstance(space, Clip):
        return _text_of_clip(space) if modality == "image" else _image_of_clip(space)
    if isinstance(space, MiniSpace) and modality == "image":
        return _text_of_mini(space)
    reason = (
        "it picks the likeliest class names, through which no gradient passes"
        if isinstance(space, MiniSpace)
        else "only clip and the mini spaces can be inverted"
    )
    raise ConfigError(f"space '{space.name}' cannot invert {modality}s: {reason}")


def _check_modality(modality: str) -> None:
    if modality not in STEPS:
        raise ConfigError(f"only images and texts can be inverted, not {modality}")


def _text_of_clip(space: Clip) -> Tower:
    network = space.model
    owner = getattr(network, "text", network)  # some text towers are modules of their own
    embedding = getattr(owner, "token_embedding", None)
    if not isinstance(embedding, nn.Embedding):
        raise ConfigError(f"the text tower of space '{space.name}' has no token embedding")
    ids, without = (space.tokenize([text])[0] for text in (f"{TEMPLATE} {WORD}", TEMPLATE))
    place = int((ids != without).int().argmax())
    ids = ids.to(space.device)

    def encode(tokens: torch.Tensor) -> torch.Tensor:
        with _shortened(owner, place + 2):
            return _with_changed_output(
                embedding,
                lambda output: _with_word(output, place, tokens),
                lambda: network.encode_text(ids.expand(len(tokens), -1)),
            )

    return Tower(embedding.embedding_dim, space.device, encode)


def _image_of_clip(space: Clip) -> Tower:
    visual = space.model.visual
    patches = getattr(visual, "conv1", None)
    if not isinstance(patches, nn.Conv2d) or not hasattr(visual, "class_embedding"):
        raise ConfigError(f"the image tower of space '{space.name}' is not a ViT of open_clip")

    def encode(tokens: torch.Tensor) -> torch.Tensor:
        blank = torch.zeros(len(tokens), 3, *visual.image_size, device=space.device)
        return _with_changed_output(
            patches,
            lambda output: _as_patches(tokens, output),
            lambda: space.model.encode_image(blank.to(tokens.dtype)),
        )

    return Tower(patches.out_channels, space.device, encode)


def _text_of_mini(space: MiniSpace) -> Tower:
    backbone: Any = space.backbone("text").backbone
    network, tokenizer = backbone.network()
    embedding = network.model.embeddings.word_embeddings
    ids = torch.tensor(tokenizer.encode(f"{TEMPLATE} {WORD}").ids)[None]
    place = ids.shape[1] - 2  # before the token that ends a text
    center, map_ = (torch.tensor(space.text_map[name]) for name in ("center", "map"))

    def encode(tokens: torch.Tensor) -> torch.Tensor:
        repeated = ids.expand(len(tokens), -1)
        sentences = _with_changed_output(
            embedding,
            lambda output: _with_word(output, place, tokens),
            lambda: network(repeated, torch.ones_like(repeated)),
        )
        return (sentences - center) @ map_

    return Tower(embedding.embedding_dim, "cpu", encode)


@contextlib.contextmanager
def _shortened(owner: Any, length: int) -> Iterator[None]:
    """Keep the first `length` of the 77 positions of a text, where the vector is read from one of
    them and each sees only those before it: the same vector in a tenth of the time."""
    pool = getattr(owner, "text_pool_type", getattr(owner, "pool_type", ""))
    if pool not in ("argmax", "eos") or getattr(owner, "cls_emb", None) is not None:
        yield
        return

    def shorten(_module: Any, inputs: tuple, options: dict) -> tuple[tuple, dict] | None:
        mask = options.get("attn_mask")
        if mask is None:
            return None
        return (inputs[0][:, :length],), options | {"attn_mask": mask[:length, :length]}

    hook = owner.transformer.register_forward_pre_hook(shorten, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _with_changed_output(
    layer: nn.Module,
    change: Callable[[torch.Tensor], torch.Tensor],
    run: Callable[[], torch.Tensor],
) -> torch.Tensor:
    """What `run` returns while the output of a layer is changed."""
    hook = layer.register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        return run()
    finally:
        hook.remove()


def _with_word(embedded: torch.Tensor, place: int, tokens: torch.Tensor) -> torch.Tensor:
    """Token embeddings (n, length, width) with a pseudo-word (n, 1, width) at a place."""
    return torch.cat([embedded[:, :place], tokens, embedded[:, place + 1 :]], dim=1)


def _as_patches(tokens: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Pseudo-tokens (n, k, width) in place of patches (n, width, rows, columns), in runs of equal
    length in the order of the patches."""
    count = patches.shape[2] * patches.shape[3]
    chosen = torch.arange(count, device=tokens.device) * tokens.shape[1] // count
    return tokens[:, chosen].transpose(1, 2).reshape(patches.shape)
