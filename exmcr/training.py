"""One training loop for every projector that learns from quadruples."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import normalize
from tqdm import trange

from exmcr import objectives
from exmcr.checkpoints import state_digest
from exmcr.projectors import Projector

Quadruples = dict[str, torch.Tensor]


def pick_device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def ex_mcr_loss(projector: Projector, batch: Quadruples, settings: dict) -> dict[str, torch.Tensor]:
    """The Ex-MCR objective on one batch: {"intra", "inter", "total"}. arXiv:2310.08884.

    settings: tau2 (InfoNCE temperature), lambda (weight of intra), terms, overlap_through_fl (whether o passes f_l)."""
    x_l = projector.intra(batch["x_leaf"])
    o_l = projector.intra(batch["o_leaf"]) if settings["overlap_through_fl"] else batch["o_leaf"]
    # Both modalities in one pass, so that BatchNorm sees the mixture it will see in use.
    crossed = projector.inter(torch.cat([x_l, o_l]))
    x, o = crossed.chunk(2)
    inter = objectives.dense(x, o, batch["o_base"], batch["y_base"], settings["tau2"], settings["terms"])
    intra = objectives.intra(x_l, batch["o_leaf"])
    return {"intra": intra, "inter": inter, "total": inter + settings["lambda"] * intra}


def add_noise(batch: Quadruples, variance: float, generator: torch.Generator) -> Quadruples:
    """C-MCR's semantic completion: normalize(e + N(0, variance)) on every embedding. arXiv:2305.14381, section 3.2."""
    if variance == 0:
        return batch
    scale = variance**0.5
    return {
        k: normalize(v + scale * torch.randn(v.shape, generator=generator, device=v.device, dtype=v.dtype), dim=1)
        for k, v in batch.items()
    }


def train(model: torch.nn.Module, pool: Quadruples, settings: dict, seed: int, *, loss: Callable = ex_mcr_loss,
          checkpoint: Path | None = None, progress: bool = True, device: torch.device | None = None) -> list[dict]:  # fmt: skip
    """Train `model` in place on `pool` ({part: (n, d)}). Returns one record of mean losses per epoch.

    settings: steps, batch, lr, weight_decay, noise (variance), and what `loss` reads. AdamW, cosine to zero.
    With `checkpoint`, state is stored once per epoch and an interrupted run of the same settings and seed goes on there,
    to the same weights as an unbroken run. Raises FloatingPointError when the loss is not finite."""
    device = device or pick_device()
    n = len(pool["x_leaf"])
    batch_size = min(settings["batch"], n)
    pool = {k: v.to(device) for k, v in pool.items()}
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["steps"])
    generator = torch.Generator(device=device).manual_seed(seed)
    per_epoch = max(1, n // batch_size)
    epochs = -(-settings["steps"] // per_epoch)
    history: list[dict] = []
    key = repr((sorted((k, str(v)) for k, v in settings.items()), seed, n, _sample_digest(pool)))
    if checkpoint and checkpoint.is_file():
        history = _resume(checkpoint, key, model, optimizer, schedule, generator, device)
    step = sum(record["steps"] for record in history)
    for epoch in trange(len(history), epochs, initial=len(history), total=epochs, desc="epochs", disable=not progress):
        order = torch.randperm(n, generator=generator, device=device)
        sums: dict[str, torch.Tensor] = {}
        done = 0
        for start in range(0, per_epoch * batch_size, batch_size):
            if step == settings["steps"]:
                break
            rows = order[start : start + batch_size]
            batch = add_noise({k: v[rows] for k, v in pool.items()}, settings["noise"], generator)
            losses = loss(model, batch, settings)
            optimizer.zero_grad(set_to_none=True)
            losses["total"].backward()
            optimizer.step()
            schedule.step()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach()
            step, done = step + 1, done + 1
        means = {name: float(total) / done for name, total in sums.items()}
        if not all(map(torch.isfinite, map(torch.tensor, means.values()))):
            raise FloatingPointError(f"loss is not finite in epoch {epoch}: {means}; lower train.lr or raise train.tau2")
        history.append({"epoch": epoch, "steps": done, **means})
        if checkpoint:
            _store(checkpoint, key, model, optimizer, schedule, generator, history)
    model.eval()
    return history


def _sample_digest(pool: Quadruples) -> str:
    """Tells pools of equal size apart, made at another tau1 for instance, by up to 1024 of their rows."""
    n = len(pool["x_leaf"])
    return state_digest({k: v[:: -(-n // 1024)] for k, v in pool.items()})


def _store(path: Path, key, model, optimizer, schedule, generator, history) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    state = {
        "key": key,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "generator": generator.get_state(),
        "history": history,
    }
    torch.save(state, part)
    part.rename(path)


def _resume(path: Path, key, model, optimizer, schedule, generator, device) -> list[dict]:
    state = torch.load(path, map_location=device, weights_only=True)
    if state["key"] != key:  # a checkpoint of other settings, seed or data is not ours to continue
        return []
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    generator.set_state(state["generator"].cpu())
    return state["history"]
