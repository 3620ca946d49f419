"""A model as an encoder of MTEB, the Massive Text Embedding Benchmark 2.x (extra `mteb`).

    import mteb
    from exmcr.model.mteb_encoder import MTEBEncoder

    mteb.evaluate(MTEBEncoder(model), mteb.get_tasks(["Flickr30kT2IRetrieval"]))

https://github.com/embeddings-benchmark/mteb: `EncoderProtocol` in mteb/models/models_protocols.py.
"""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder

from exmcr.model.exmcr import ExMCR
from exmcr.model.identity import fingerprint
from exmcr.model.queries import combine

MODALITIES = ("text", "image", "audio")  # that MTEB and exmcr have in common
log = logging.getLogger(__name__)


class MTEBEncoder(AbsEncoder):
    """What MTEB evaluates: its batches in, unit rows in the base space out.

    model     the model
    name      "organization/model" in MTEB's tables
    seed      which projectors; default: the first
    unusable  (modality, reason) of items that could not be encoded, such as silent sounds. They get
              one fixed vector, since MTEB needs a row for each item
    """

    def __init__(self, model: ExMCR, name: str = "exmcr/exmcr", seed: int | None = None):
        self.model, self.seed = model, seed
        self.unusable: list[tuple[str, str]] = []
        self.mteb_model_meta = _meta(model, name, seed)

    def encode(self, inputs: Iterable[dict[str, Any]], **_: Any) -> np.ndarray:
        """Batches {"text" | "image" | "audio": list} -> float32 (n, d), unit rows.

        An item of several modalities, such as a picture with a question, becomes the normalized sum
        of its parts. Instructions and prompts are not used.
        """
        rows = [self._batch(batch) for batch in inputs]
        return np.concatenate(rows) if rows else np.empty((0, self.model.base.out), np.float32)

    def _batch(self, batch: dict[str, Any]) -> np.ndarray:
        parts: list[list[np.ndarray]] = []
        for modality in MODALITIES:
            if modality not in batch or modality not in self.model.modalities:
                continue
            items = list(batch[modality])
            parts = parts or [[] for _ in items]
            given = [place for place, item in enumerate(items) if item is not None]
            vectors = self._encode(modality, [raw(modality, items[place]) for place in given])
            for place, vector in zip(given, vectors, strict=True):
                if vector is not None:
                    parts[place].append(vector[None])
        return np.concatenate([combine(own) if own else self._fixed() for own in parts])

    def _encode(self, modality: str, items: list[Any]) -> list[np.ndarray | None]:
        found = self.model.encode({modality: items}, seed=self.seed, skip_bad=True, progress=False)
        lost = {place for _, place, _ in found.skipped}
        for _, _, reason in found.skipped:
            self.unusable.append((modality, reason))
            log.warning("an item of %s is encoded as a fixed vector: %s", modality, reason)
        vectors = iter(found[modality])
        return [None if place in lost else next(vectors) for place in range(len(items))]

    def _fixed(self) -> np.ndarray:
        row = np.zeros((1, self.model.base.out), np.float32)
        row[0, 0] = 1
        return row


def raw(modality: str, item: Any) -> Any:
    """An item of a batch of MTEB as exmcr loads it."""
    if modality == "audio" and isinstance(item, dict):
        samples = np.asarray(item["array"])
        if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:  # (channels, n)
            samples = samples.T
        return samples, item["sampling_rate"]
    if modality == "image" and isinstance(item, torch.Tensor):  # (3, H, W), floats in [0, 1]
        pixels = item if item.dtype == torch.uint8 else (item.clamp(0, 1) * 255).round().byte()
        return pixels.permute(1, 2, 0).cpu().numpy()
    return item


def _meta(model: ExMCR, name: str, seed: int | None) -> ModelMeta:
    parameters = sum(
        weight.numel()
        for leaf in model.leaves.values()
        for weight in leaf.projector(seed).parameters()
    )
    return ModelMeta(
        loader=None,
        name=name,
        revision=fingerprint(model, seed)[:40],
        release_date=None,
        languages=None,
        n_parameters=parameters,
        memory_usage_mb=None,
        max_tokens=None,
        embed_dim=model.base.out,
        license=None,
        open_weights=True,
        public_training_code=None,
        public_training_data=None,
        framework=["PyTorch"],
        similarity_fn_name="cosine",
        use_instructions=False,
        training_datasets=None,
        modalities=[name for name in MODALITIES if name in model.modalities],
    )
