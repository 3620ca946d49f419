"""The training loop as one writes it first: what exmcr.training is measured against, and tested against.

Torch's own layers, AdamW as it comes, a matrix of logits for each of the four pairs, cross entropy both ways, noise by randn of
every embedding. Batches are drawn and terms are weighted as exmcr.training does, so that both take the same steps (in float32 on a CPU, where
exmcr.noise draws otherwise, only without noise). The projector is the library's, so biases without effect are not trained here either."""

import torch
from torch.nn.functional import cross_entropy, normalize


def loss(projector, batch, settings):
    """The Ex-MCR objective (arXiv:2310.08884), all four terms: {"intra", "inter", "total"}, each a scalar.

    batch: {x_leaf, o_leaf (n, d_leaf), o_base, y_base (n, d_base)} of unit rows; settings: tau2, lambda."""
    x_l = projector.intra(batch["x_leaf"])
    x, o = projector.inter(torch.cat([x_l, batch["o_leaf"]])).chunk(2)
    target, inter = torch.arange(len(x), device=x.device), 0
    for a in (x, o):
        for b in (batch["o_base"], batch["y_base"]):
            logits = a @ b.T / settings["tau2"]
            inter = inter + (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 8
    intra = (x_l - batch["o_leaf"]).square().sum(1).mean()
    return {"intra": intra, "inter": inter, "total": inter + settings["lambda"] * intra}


def train(projector, pool, settings, seed):
    """Train `projector` in place on `pool`, where that lies. Returns the total loss of every step."""
    device = pool["x_leaf"].device
    projector.to(device).train()
    optimizer = torch.optim.AdamW(
        projector.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["steps"])
    generator, found, n = torch.Generator(device).manual_seed(seed), [], len(pool["x_leaf"])
    while len(found) < settings["steps"]:
        for rows in torch.randperm(n, generator=generator, device=device).split(settings["batch"])[
            : n // settings["batch"]
        ]:
            batch = {k: v[rows] for k, v in pool.items()}
            batch = {
                k: normalize(
                    v
                    + settings["noise"] ** 0.5
                    * torch.randn(v.shape, generator=generator, device=device, dtype=v.dtype),
                    dim=1,
                )
                for k, v in batch.items()
            }
            losses = loss(projector, batch, settings)
            optimizer.zero_grad()
            losses["total"].backward()
            optimizer.step()
            schedule.step()
            found.append(losses["total"].detach())
            if len(found) == settings["steps"]:
                break
    return [float(value) for value in found]
