"""Semantic completion: Gaussian noise on embeddings. arXiv:2305.14381, section 3.2."""

import torch
from torch.nn.functional import normalize


def add_noise(
    batch: dict[str, torch.Tensor], variance: float, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """normalize(e + N(0, variance)) of every embedding e of a batch {part: (n, d)}.

    `variance` is per dimension; at 0 the batch is returned unchanged. No gradient.
    """
    if variance == 0:
        return batch
    return {
        part: normalize(rows + variance**0.5 * _normal_like(rows, generator), dim=1)
        for part, rows in batch.items()
    }


def _normal_like(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.empty_like(rows).normal_(generator=generator)
