"""The training loop as one writes it first: the baseline that exmcr.training.loop is measured and
tested against.

Torch's own layers, the plain losses of exmcr/training/objectives.py, AdamW with default options,
noise by randn. Batches and noise are drawn in the same order as in exmcr.training.loop, so both
take the same steps. The projector is the library's, whose biases without effect are not trained.
"""

import torch
from torch.nn.functional import normalize

from exmcr import kernels
from exmcr.training.objectives import exmcr_loss


def loss(projector, batch, settings):
    """`exmcr_loss` in plain code, whatever the switch says."""
    with kernels.plain():
        return exmcr_loss(projector, batch, settings)


def train(projector, pool, settings, seed):
    """Train `projector` in place on the device of `pool`. Returns the total loss of every step."""
    device = pool["x_leaf"].device
    projector.to(device).train()
    optimizer = torch.optim.AdamW(
        projector.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["steps"])
    generator = torch.Generator(device).manual_seed(seed)
    totals: list[torch.Tensor] = []
    while len(totals) < settings["steps"]:
        for rows in _epoch(len(pool["x_leaf"]), settings["batch"], generator, device):
            batch = {part: e[rows] for part, e in pool.items()}
            batch = {part: _noisy(e, settings["noise"], generator) for part, e in batch.items()}
            losses = loss(projector, batch, settings)
            optimizer.zero_grad()
            losses["total"].backward()
            optimizer.step()
            schedule.step()
            totals.append(losses["total"].detach())
            if len(totals) == settings["steps"]:
                break
    return [float(total) for total in totals]


def _epoch(n, batch, generator, device):
    """Rows of every full batch of an epoch, in random order."""
    return torch.randperm(n, generator=generator, device=device).split(batch)[: n // batch]


def _noisy(e, variance, generator):
    if variance == 0:
        return e
    noise = torch.randn(e.shape, generator=generator, device=e.device, dtype=e.dtype)
    return normalize(e + variance**0.5 * noise, dim=1)
