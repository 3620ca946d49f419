"""ExMCR: the base space, its leaves and their projectors as one model.

    model = ExMCR.from_project(".")  # what this project trained
    vectors = model.encode({"text": ["a dog"], "audio": ["bark.wav"], "points": ["dog.ply"]})
    model.similarity(vectors["audio"], vectors["text"])

`ExMCR.load(folder)` reads a saved model, `ExMCR.from_official()` the authors' weights. The frozen
encoders are not part of a stored model; they are loaded at first use.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from tqdm import tqdm

from exmcr import media
from exmcr.banks.bank import Bank
from exmcr.common.errors import ConfigError
from exmcr.kernels.search import TopK, topk
from exmcr.media.chunks import in_chunks
from exmcr.model import files, hub, inputs, queries
from exmcr.model.card import model_card
from exmcr.model.encoded import Encoded, Projected, apply, load_items
from exmcr.model.files import OFFICIAL, Settings, merged
from exmcr.model.parts import Base, Leaf, check_parts, check_registered, check_space, vectors_of
from exmcr.spaces import load_space
from exmcr.spaces.base import Space

if TYPE_CHECKING:
    from exmcr.project import Project

CHUNK = 64  # raw items in memory at once, fewer if they are large


class ExMCR:
    """A base space extended by leaves: every modality as unit vectors of the base.

    base      the frozen base space
    leaves    each with a name and a modality of its own. Their projectors are put into eval mode,
              without gradients, on `device`
    settings  {registry name: arguments of load_space} for encoders that need any, e.g. a
              checkpoint or a device
    device    where projectors run; by default the GPU if there is one

    Raises ConfigError if the parts do not fit together.
    """

    def __init__(
        self,
        base: Base,
        leaves: Sequence[Leaf],
        settings: Settings | None = None,
        device: str | None = None,
    ):
        check_parts(base, leaves)
        self.base, self.settings = base, settings or {}
        self.leaves = {leaf.name: leaf for leaf in leaves}
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._spaces: dict[str, Space] = {}
        for part in (base.heads, *(leaf.projectors for leaf in leaves)):
            for projector in part.values():
                projector.eval().requires_grad_(False).to(self.device)

    # construction and storage

    @classmethod
    def from_project(
        cls,
        project: "Project | str | Path",
        seeds: Iterable[int] | None = None,
        settings: Settings | None = None,
        device: str | None = None,
        leaves: Iterable[str] | None = None,
    ) -> "ExMCR":
        """The projectors that a project (or its folder) trained, by default of all its seeds.

        leaves: names; by default the first leaf of each modality.

        Raises ConfigError if a projector or the note beside it is missing or damaged, or if
        projectors were trained with other settings than those of params.yaml, or on different
        encoders.
        """
        base, parts, own = files.of_project(project, seeds, leaves)
        model = cls(base, parts, merged(own, settings), device)
        model._spaces |= files.lookups(project, [base, *parts])
        return model

    @classmethod
    def from_official(
        cls,
        folder: str | Path | None = None,
        modalities: Iterable[str] = tuple(OFFICIAL),
        settings: Settings | None = None,
        device: str | None = None,
    ) -> "ExMCR":
        """The authors' Ex-MCR: ex_clap.pt and ex_ulip.pt with the spaces clip, clap and ulip2.

        folder: where the files are, by default the weights folder; modalities: of the leaves to
        read. The files do not record the encoder weights that they were trained on, so no
        fingerprint can be compared; `exmcr verify` compares results instead.

        Raises ConfigError for a missing or foreign file.
        """
        return cls(*files.official(folder, modalities), settings, device)

    @classmethod
    def load(
        cls, folder: str | Path, settings: Settings | None = None, device: str | None = None
    ) -> "ExMCR":
        """Read what `save` wrote. Raises ConfigError if a file is missing, damaged, or does not
        belong to this model."""
        base, leaves, options = files.read(folder)
        return cls(base, leaves, merged(options, settings), device)

    def save(self, folder: str | Path) -> Path:
        """Write exmcr.safetensors and exmcr.json into a folder, replacing a model that is there,
        with the weights of mini spaces and the options of other encoders. Returns the folder."""
        return files.write(folder, self.base, list(self.leaves.values()), self.settings)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        settings: Settings | None = None,
        device: str | None = None,
        **options,
    ) -> "ExMCR":
        """Load a folder that `save` wrote, or the repository "user/name" of the Hugging Face hub.

        options: revision, cache_dir, token, local_files_only. Raises ConfigError if it holds no
        model, or cannot be reached.
        """
        return cls.load(hub.download(name, **options), settings, device)

    def push_to_hub(self, name: str, project: "Project | None" = None, **options) -> str:
        """Upload the model with a card to the repository "user/name" of the hub. Returns its
        address. project: the run whose results the card shows; options: those of hub.push."""
        card = model_card(self.base, self.leaves.values(), name, project)
        return hub.push(self.save, card, name, **options)

    # parts

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be encoded, in the order of exmcr.media.MODALITIES."""
        known = {*self.base.modalities, *(leaf.modality for leaf in self.leaves.values())}
        return tuple(name for name in media.MODALITIES if name in known)

    def leaf_of(self, modality: str) -> Leaf | None:
        """The leaf that adds this modality, or None if the base has it. Raises ConfigError if the
        model does not have it."""
        for leaf in self.leaves.values():
            if leaf.modality == modality:
                return leaf
        if modality not in self.base.modalities:
            known = ", ".join(self.modalities)
            raise ConfigError(f"this model has no modality '{modality}', only {known}")
        return None

    def space(self, part: Base | Leaf) -> Space:
        """The encoder of the base or of a leaf, loaded at the first call. Raises ConfigError if it
        is not the one that the projectors were trained on."""
        if part.space not in self._spaces:
            try:
                own = self.settings.get(part.space, {})
                self._spaces[part.space] = load_space(part.space, **own)
            except ConfigError:
                check_registered(part)
                raise
        check_space(part, self._spaces[part.space])
        return self._spaces[part.space]

    # vectors

    @overload
    def encode(self, items: dict[str, list], **options: Any) -> Encoded: ...
    @overload
    def encode(self, items: Any, **options: Any) -> Any: ...
    def encode(
        self,
        items,
        *,
        seed: int | None = None,
        skip_bad: bool = False,
        progress: bool = True,
        **options,
    ):
        """Raw items by modality -> {modality: float32 (n, d) unit rows of the base space}.

        items     any subset of {"text": strings, "image": paths (also of videos), PIL images or
                  uint8 (H, W, 3), "audio": paths or (samples, rate), "points": paths or (n, 3)}.
                  Or one item, or a list of items of any modalities (exmcr/model/inputs.py): then
                  an array (d,) or (n, d) results; `options` are those of inputs.encode_as
        seed      which projector of each leaf; default: the first
        skip_bad  leave out items that cannot be used and list them in `skipped` of the result,
                  instead of raising BadItem

        Raises BadItem that names the item; ConfigError for an unknown modality, missing weights,
        or another encoder than the projectors were trained on (with both fingerprints).
        """
        if options or not inputs.is_by_modality(items):
            if skip_bad:
                raise ConfigError("skip_bad needs items by modality, {modality: list}")
            return inputs.encode_as(self.encode, items, self.base.out, seed, progress, **options)
        for modality, raw in items.items():  # all of them before any work
            if isinstance(raw, str | bytes | Path):
                kind = type(raw).__name__
                raise ConfigError(f"items of {modality} must be a list, not a single {kind}")
            self.leaf_of(modality)
        result = Encoded()
        for modality, raw in items.items():
            result[modality] = self._encode(
                modality, list(raw), seed, result.skipped if skip_bad else None, progress
            )
        return result

    def _encode(
        self, modality: str, items: list, seed: int | None, skipped: list | None, progress: bool
    ) -> np.ndarray:
        leaf = self.leaf_of(modality)
        if leaf is not None:
            leaf.projector(seed)  # an unknown seed is an error before the encoder is loaded
        space = self.space(leaf or self.base)
        parts = [np.empty((0, self.base.out), np.float32)]
        window = space.windows.get(modality, {})
        hidden = not progress or len(items) <= CHUNK
        with tqdm(
            total=len(items), desc=f"{space.name} {modality}", unit="item", disable=hidden
        ) as bar:
            for start in range(0, len(items), CHUNK):
                chunk = items[start : start + CHUNK]
                usable = load_items(modality, chunk, start, skipped, window)
                for loaded in in_chunks(usable, CHUNK):
                    vectors = space.encode_loaded(modality, loaded)
                    own = self.project(leaf.name, vectors, seed) if leaf else vectors
                    parts.append(own if leaf else self._of_base(vectors, seed))
                bar.update(len(chunk))
        return np.concatenate(parts)

    def project(self, leaf: str, vectors, seed: int | None = None) -> np.ndarray:
        """Vectors of a leaf's own modality, (n, leaf dim) or a Bank -> float32 (n, base dim) unit
        rows.

        Raises ConfigError for an unknown leaf or seed, other dimensions, or a bank of another
        encoder or modality; FloatingPointError for NaN, infinite or zero rows.
        """
        if leaf not in self.leaves:
            raise ConfigError(f"no leaf '{leaf}', only {', '.join(self.leaves)}")
        part = self.leaves[leaf]
        projector = part.projector(seed)
        if isinstance(vectors, Bank):
            vectors = vectors_of(part, vectors)
        vectors = vectors if isinstance(vectors, np.ndarray) else np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != part.dim:
            raise ConfigError(f"leaf '{leaf}' takes vectors (n, {part.dim}), not {vectors.shape}")
        return apply(projector, vectors, self.base.out, self.device, f"leaf '{leaf}'")

    def _of_base(self, vectors: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Vectors of the base where all modalities meet: unchanged, or through a head of C-MCR."""
        head = self.base.head(seed)
        return vectors if head is None else apply(head, vectors, self.base.out, self.device, "base")

    # search

    def gallery(self, bank: Bank | str | Path, seed: int | None = None) -> np.ndarray | Projected:
        """A bank of the base or of a leaf as rows of the base space, (n, d), read when needed.

        Raises ConfigError for an unknown modality or seed, or a bank of another encoder.
        """
        bank = bank if isinstance(bank, Bank) else Bank(bank)
        leaf = self.leaf_of(bank.meta["modality"])
        if leaf is None:
            vectors = vectors_of(self.base, bank)
            if self.base.head(seed) is None:
                return vectors
            return Projected(vectors, lambda rows: self._of_base(rows, seed), self.base.out)
        leaf.projector(seed)
        vectors, name = vectors_of(leaf, bank), leaf.name
        return Projected(vectors, lambda rows: self.project(name, rows, seed), self.base.out)

    def search(self, queries: np.ndarray, gallery, k: int = 10, seed: int | None = None) -> TopK:
        """The k nearest rows of a gallery for each query, exact.

        queries  (n, d) in the base space
        gallery  a Bank, its folder, or rows of the base space (m, d)
        seed     which projector, if the gallery is a bank of a leaf; default: the first

        Returns scores (n, k), descending cosines, and indices (n, k), rows of the gallery. The
        items of a Bank are `bank.ids[indices]`. Raises ConfigError if k exceeds the gallery.
        """
        if isinstance(gallery, Bank | str | Path):
            gallery = self.gallery(gallery, seed)
        return topk(np.asarray(queries, np.float32), gallery, k)

    similarity = staticmethod(queries.similarity)
    combine = staticmethod(queries.combine)
