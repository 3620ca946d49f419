"""ExMCR: encode anything, compare anything. The base space, its leaves and their projectors as one model.

    model = ExMCR.from_project(".")  # what this project trained; or .load(folder), .from_official() for the authors' weights
    found = model.encode({"text": ["a dog"], "audio": ["bark.wav"], "points": ["dog.ply"]})
    model.similarity(found["audio"], found["text"])

How it is put together and stored is in exmcr/model_files.py. The frozen encoders are not part of a stored model; they are
loaded when first needed."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from exmcr import media
from exmcr.banks.bank import Bank
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.vectors import unit
from exmcr.kernels.search import TopK, topk
from exmcr.model import files as model_files
from exmcr.model.files import OFFICIAL, Base, Leaf
from exmcr.spaces import load_space
from exmcr.spaces.base import Space
from exmcr.training.projectors import Projector

CHUNK = 64  # raw items in memory at once
ROWS = 65_536  # vectors through a projector at once


class Encoded(dict):
    """{modality: float32 (n, d) unit rows}, and `skipped`: [(modality, position in the list that was given, reason)]."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.skipped: list[tuple[str, int, str]] = []


class Projected:
    """A bank of a leaf as if it were in the base space: rows are projected when they are read, so it may exceed memory."""

    ndim = 2

    def __init__(self, vectors, project, dim: int):
        self.vectors, self.project, self.shape = vectors, project, (len(vectors), dim)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows) -> np.ndarray:
        return self.project(np.atleast_2d(self.vectors[rows]))


class ExMCR:
    """base: Base; leaves: [Leaf], each with a modality of its own; settings: {registry name: arguments of load_space} for
    encoders that need any (a checkpoint, a device); device: where projectors run, by default the GPU if there is one. Projectors
    are taken over: put into eval mode, without gradients, on that device.

    Raises ConfigError when parts do not fit together."""

    def __init__(
        self,
        base: Base,
        leaves: list[Leaf],
        settings: dict[str, dict] | None = None,
        device: str | None = None,
    ):
        self.base, self.leaves, self.settings = (
            base,
            {leaf.name: leaf for leaf in leaves},
            settings or {},
        )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._spaces: dict[str, Space] = {}
        modalities = [leaf.modality for leaf in leaves]
        if len(self.leaves) != len(leaves) or len(set(modalities)) != len(modalities):
            raise ConfigError(
                f"each leaf needs a name and a modality of its own, not {[(leaf.name, leaf.modality) for leaf in leaves]}"
            )
        for leaf in leaves:
            if not leaf.projectors:
                raise ConfigError(f"leaf '{leaf.name}' has no projector")
            for seed, projector in leaf.projectors.items():
                sizes = projector.dim, projector.out
                if sizes != (leaf.dim, base.dim):
                    raise ConfigError(
                        f"the projector of leaf '{leaf.name}', seed {seed}, maps {sizes[0]} to {sizes[1]} dimensions, "
                        f"'{leaf.space}' has {leaf.dim} and the base {base.dim}"
                    )
                projector.eval().requires_grad_(False).to(self.device)

    # where models come from and go to

    @classmethod
    def from_project(
        cls,
        project,
        seeds: Iterable[int] | None = None,
        settings: dict[str, dict] | None = None,
        device: str | None = None,
    ) -> "ExMCR":
        """The projectors of a project (exmcr.pipeline.Project, or its folder), of all its seeds unless `seeds` names some.

        Raises ConfigError when a projector or the note beside it is missing, or when leaves were trained towards different bases."""
        base, leaves, options = model_files.of_project(project, seeds)
        return cls(base, leaves, options | (settings or {}), device)

    @classmethod
    def from_official(
        cls,
        folder: str | Path | None = None,
        modalities: Iterable[str] = tuple(OFFICIAL),
        settings: dict[str, dict] | None = None,
        device: str | None = None,
    ) -> "ExMCR":
        """The authors' Ex-MCR: `ex_clap.pt` and `ex_ulip.pt` in `folder` (the weights folder), with clip, clap and ulip2.

        `modalities` may leave one out. The files do not say which encoder weights they were trained on, so there is no
        fingerprint to compare; `exmcr check` compares results instead. Raises ConfigError for a missing or foreign file."""
        return cls(*model_files.official(folder, modalities), settings, device)

    @classmethod
    def load(
        cls, folder: str | Path, settings: dict[str, dict] | None = None, device: str | None = None
    ) -> "ExMCR":
        """Read what `save` wrote. Raises ConfigError when a file is missing, damaged, or not of this model."""
        return cls(*model_files.read(folder), settings, device)

    def save(self, folder: str | Path) -> Path:
        """Write exmcr.safetensors and exmcr.json into `folder`, in place of a model that is there. Returns the folder."""
        return model_files.write(folder, self.base, list(self.leaves.values()))

    # what it does

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be encoded, in the order of exmcr.media.MODALITIES."""
        own = {*self.base.modalities, *(leaf.modality for leaf in self.leaves.values())}
        return tuple(m for m in media.MODALITIES if m in own)

    def leaf_of(self, modality: str) -> Leaf | None:
        """The leaf that brings this modality, or None when the base has it. Raises ConfigError when neither does."""
        for leaf in self.leaves.values():
            if leaf.modality == modality:
                return leaf
        if modality not in self.base.modalities:
            raise ConfigError(
                f"this model has no modality '{modality}', only {', '.join(self.modalities)}"
            )
        return None

    def space(self, part: Base | Leaf) -> Space:
        """The encoder of the base or of a leaf, loaded when first asked for.

        Raises ConfigError when it is another one than the projectors were trained on."""
        if part.space not in self._spaces:
            self._spaces[part.space] = load_space(part.space, **self.settings.get(part.space, {}))
        space = self._spaces[part.space]
        self._same_encoder(part, space.name, space.fingerprint, "the encoder here")
        if space.dim != part.dim:  # which only weights without a fingerprint leave open
            raise ConfigError(
                f"the encoder '{space.name}' here has {space.dim} dimensions, the projectors were trained for {part.dim}"
            )
        return space

    def encode(
        self,
        items: dict[str, list],
        *,
        seed: int | None = None,
        skip_bad: bool = False,
        progress: bool = True,
    ) -> Encoded:
        """Raw items by modality -> float32 (n, d) unit rows in the base space, by modality.

        items     {"text": strings, "image": paths, PIL images or uint8 (H, W, 3), "audio": paths or (samples, rate),
                  "points": paths or (n, 3) arrays}; any subset
        seed      which projector of each leaf; the first if there are several
        skip_bad  leave out what cannot be used, and name it in `skipped` of the result, instead of raising BadItem
        Raises BadItem naming the item, ConfigError for an unknown modality, missing weights or another encoder than the
        projectors were trained on (both fingerprints are named)."""
        result = Encoded()
        for modality, raw in items.items():
            if isinstance(raw, (str, bytes, Path)):
                raise ConfigError(
                    f"items of {modality} must be a list, not a single {type(raw).__name__}"
                )
            self.leaf_of(modality)  # an unknown modality is an error before any work
        for modality, raw in items.items():
            leaf, raw = self.leaf_of(modality), list(raw)
            if leaf is not None:
                self._projector(leaf, seed)
            space = self.space(leaf or self.base)
            parts = [np.empty((0, self.base.dim), np.float32)]
            bar = tqdm(
                total=len(raw),
                desc=f"{space.name} {modality}",
                unit="item",
                disable=not progress or len(raw) <= CHUNK,
            )
            for start in range(0, len(raw), CHUNK):
                loaded = []
                for place, item in enumerate(raw[start : start + CHUNK], start):
                    try:
                        loaded.append(media.load(modality, item))
                    except BadItem as error:
                        if not skip_bad:
                            raise BadItem(
                                f"{modality} item {place} ({_name(item)}): {error}"
                            ) from error
                        result.skipped.append((modality, place, str(error)))
                if loaded:
                    vectors = space.encode_loaded(modality, loaded)
                    parts.append(
                        vectors if leaf is None else self.project(leaf.name, vectors, seed)
                    )
                bar.update(min(CHUNK, len(raw) - start))
            bar.close()
            result[modality] = np.concatenate(parts)
        return result

    def project(self, leaf: str, vectors, seed: int | None = None) -> np.ndarray:
        """Vectors of a leaf's own modality, (n, leaf dim) or a Bank of them -> float32 (n, base dim) unit rows.

        Raises ConfigError for an unknown leaf or seed, another dimension, or a bank of another encoder; FloatingPointError
        for NaN, infinite or zero rows."""
        if leaf not in self.leaves:
            raise ConfigError(f"no leaf '{leaf}', only {', '.join(self.leaves)}")
        part = self.leaves[leaf]
        projector = self._projector(part, seed)
        if isinstance(vectors, Bank):
            if vectors.meta["modality"] != part.modality:
                raise ConfigError(
                    f"leaf '{leaf}' brings {part.modality}, {vectors.folder} holds {vectors.meta['modality']}"
                )
            self._same_encoder(
                part, vectors.meta["space"], vectors.fingerprint, f"bank {vectors.folder}"
            )
            vectors = vectors.vectors
        vectors = vectors if isinstance(vectors, np.ndarray) else np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != part.dim:
            raise ConfigError(f"leaf '{leaf}' takes vectors (n, {part.dim}), not {vectors.shape}")
        result = np.empty((len(vectors), self.base.dim), np.float32)
        for start in range(0, len(vectors), ROWS):
            rows = unit(np.asarray(vectors[start : start + ROWS], np.float32), f"leaf '{leaf}'")
            with torch.inference_mode():
                result[start : start + len(rows)] = (
                    projector(torch.from_numpy(rows).to(self.device)).cpu().numpy()
                )
        return result

    def gallery(self, bank: Bank | str | Path, seed: int | None = None):
        """A bank of the base or of a leaf as rows in the base space, (n, d), read from disk when they are needed.

        Raises ConfigError for a modality that is not searched in that space, or a bank of another encoder."""
        bank = bank if isinstance(bank, Bank) else Bank(bank)
        leaf = self.leaf_of(bank.meta["modality"])
        self._same_encoder(
            leaf or self.base, bank.meta["space"], bank.fingerprint, f"bank {bank.folder}"
        )
        if leaf is None:
            return bank.vectors
        self._projector(leaf, seed)
        return Projected(
            bank.vectors, lambda rows: self.project(leaf.name, rows, seed), self.base.dim
        )

    def search(self, queries: np.ndarray, gallery, k: int = 10, seed: int | None = None) -> TopK:
        """The k best of a gallery for every query, exact: scores (n, k), cosines, descending; indices (n, k), rows.

        queries  (n, d) in the base space; gallery: a Bank or its folder, or rows in the base space (m, d).
        With a Bank, `bank.ids[found.indices]` are the items. Raises ConfigError when k exceeds the gallery."""
        if isinstance(gallery, (Bank, str, Path)):
            gallery = self.gallery(gallery, seed)
        return topk(np.asarray(queries, np.float32), gallery, k)

    @staticmethod
    def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Cosines of unit rows: (n, d), (m, d) -> (n, m), between -1 and 1. Raises ConfigError for other shapes."""
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
            raise ConfigError(f"similarity needs (n, d) and (m, d), not {a.shape} and {b.shape}")
        return a @ b.T

    @staticmethod
    def combine(queries: list[np.ndarray], weights: list[float] | None = None) -> np.ndarray:
        """The sum of queries, "this sound and this picture": k arrays (n, d) of unit rows -> float32 (n, d) unit rows.

        weights  one number each, 1 by default; below 0 is "but not". Raises ConfigError for arrays or weights that do not
        fit, FloatingPointError when a sum has no direction."""
        if not queries or len({np.shape(q) for q in queries}) != 1 or np.ndim(queries[0]) != 2:
            raise ConfigError(
                f"queries to be summed must be arrays (n, d) of one shape, not {[np.shape(q) for q in queries]}"
            )
        weights = [1.0] * len(queries) if weights is None else list(weights)
        if len(weights) != len(queries) or not np.isfinite(weights).all():
            raise ConfigError(f"{len(queries)} queries need as many finite weights, not {weights}")
        return unit(
            sum(w * np.asarray(q, np.float32) for w, q in zip(weights, queries)), "weighted sum"
        )

    def _projector(self, leaf: Leaf, seed: int | None) -> Projector:
        if seed is None:
            return next(iter(leaf.projectors.values()))
        if seed not in leaf.projectors:
            raise ConfigError(
                f"leaf '{leaf.name}' has no projector of seed {seed}, only of {', '.join(map(str, leaf.projectors))}"
            )
        return leaf.projectors[seed]

    def _same_encoder(self, part: Base | Leaf, name: str, fingerprint: str, whose: str) -> None:
        """Without a recorded fingerprint, as with the authors' files, the name is all there is to compare."""
        if (fingerprint == part.fingerprint) if part.fingerprint else (name == part.space):
            return
        what = (
            f"projector '{part.name}' was trained on vectors of"
            if isinstance(part, Leaf)
            else "the projectors were trained towards"
        )
        raise ConfigError(
            f"{what} '{part.space}', fingerprint {part.fingerprint or 'not recorded'}; {whose} is '{name}', fingerprint {fingerprint}. "
            "Use the same weights and preprocessing, or train again on these"
        )


def _name(item) -> str:
    if isinstance(item, (str, Path)):
        text = str(item)
        return text if len(text) <= 80 else f"…{text[-79:]}"
    return type(item).__name__
