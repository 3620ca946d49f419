"""Semantic completion: Gaussian noise on embeddings. arXiv:2305.14381, section 3.2."""

import torch
from torch.nn.functional import normalize

Batch = dict[str, torch.Tensor]


@torch.no_grad()
def add_noise(batch: Batch, variance: float, generator: torch.Generator) -> Batch:
    """normalize(e + N(0, variance)) of every embedding e of a batch {part: (n, d)}.

    variance is per dimension; at 0 the batch is returned unchanged. Each part has its own draws.
    The result has no gradient.
    """
    if variance == 0:
        return batch

    def noisy(e: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(e.shape, generator=generator, dtype=e.dtype, device=e.device)
        return normalize(e + variance**0.5 * noise, dim=1)

    return {part: noisy(e) for part, e in batch.items()}
