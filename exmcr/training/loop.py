"""One training loop for every projector that learns from quadruples."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from tqdm import trange

from exmcr import kernels
from exmcr.common import distributed
from exmcr.common.checkpoints import state_digest
from exmcr.common.errors import ConfigError
from exmcr.common.files import atomic_write
from exmcr.common.hashing import code_digest
from exmcr.kernels.gpu import Feed, Graph
from exmcr.kernels.layers import TrainingLayers, keep_memory
from exmcr.kernels.tiles import matmul_precision
from exmcr.training.noise import add_noise
from exmcr.training.objectives import exmcr_loss

Quadruples = dict[str, torch.Tensor]
CODE = code_digest("kernels", "training")  # a checkpoint of other code is not continued


def pick_device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    model: torch.nn.Module,
    pool: Quadruples,
    settings: dict,
    seed: int,
    *,
    loss: Callable = exmcr_loss,
    checkpoint: Path | None = None,
    progress: bool = True,
    device: torch.device | None = None,
    group=None,
) -> list[dict]:
    """Train `model` in place on `pool` ({part: (n, d)}). Returns one record of mean losses per epoch.

    settings: steps, batch, lr, weight_decay, noise (variance), and what `loss` reads. AdamW, cosine to zero.
    With `checkpoint`, state is stored once per epoch and an interrupted run of the same settings and seed goes on there,
    to the same weights as an unbroken run. Raises FloatingPointError when the loss is not finite.

    group: torch.distributed group whose ranks share each batch (exmcr.distributed). All hold the same pool; the losses, and
    the weights up to rounding, are those of one process with the same settings. The first rank writes the checkpoint.
    Raises ConfigError when the batch cannot be shared equally.

    On CUDA the pool lies on the device if it fits there, and otherwise is fed from pinned memory one
    batch ahead; products are TF32, and without a group a step is one CUDA graph, so `loss` must not read values back."""
    device = device or pick_device()
    n = len(pool["x_leaf"])
    batch_size, ranks = min(settings["batch"], n), distributed.size(group)
    if batch_size % ranks:
        raise ConfigError(f"a batch of {batch_size} cannot be shared equally by {ranks} ranks")
    model.to(device).train()
    if group is not None:
        for tensor in (*model.parameters(), *model.buffers()):
            torch.distributed.broadcast(
                tensor.data, torch.distributed.get_global_rank(group, 0), group
            )
    on_gpu = device.type == "cuda"
    fast = kernels.enabled() or group is not None
    # A graph reads the learning rate from the device; elsewhere a number will do.
    rate = torch.tensor(float(settings["lr"]), device=device) if on_gpu else settings["lr"]
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=rate,
        weight_decay=settings["weight_decay"],
        fused=True,
        capturable=on_gpu,
    )
    generator = torch.Generator(device=device).manual_seed(seed)
    per_epoch = max(1, n // batch_size)
    epochs = -(-settings["steps"] // per_epoch)
    history: list[dict] = []
    key = repr(
        (sorted((k, str(v)) for k, v in settings.items()), seed, n, CODE, _sample_digest(pool))
    )
    if checkpoint and checkpoint.is_file():
        history = _resume(checkpoint, key, model, optimizer, generator, device)
    step = sum(record["steps"] for record in history)
    sums: dict[str, torch.Tensor] = {}

    def advance(batch: Quadruples) -> None:
        """One step on a batch on the device, from the noise to the weights; the losses are added to `sums`."""
        batch = _share(add_noise(batch, settings["noise"], generator), group)
        with TrainingLayers() if fast else nullcontext():
            losses = loss(model, batch, settings)
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        _add_gradients(model, group)
        optimizer.step()
        for name, value in losses.items():
            if name not in sums:
                sums[name] = torch.zeros_like(value, requires_grad=False)
            sums[name].add_(value.detach())

    feed = Feed(pool, device)
    if on_gpu and group is None and fast:
        advance = Graph(advance, generator)
    if not on_gpu:
        keep_memory()
    with distributed.use(group), matmul_precision("tf32" if on_gpu else "float32"):
        for epoch in trange(
            len(history),
            epochs,
            initial=len(history),
            total=epochs,
            desc="epochs",
            disable=not progress,
        ):
            order = torch.randperm(n, generator=generator, device=device)
            done = min(per_epoch, settings["steps"] - step)
            for batch in feed(order[: done * batch_size].split(batch_size)):
                _set_rate(
                    optimizer,
                    settings["lr"] * (1 + math.cos(math.pi * step / settings["steps"])) / 2,
                )
                advance(batch)
                step += 1
            means = {name: float(value) / done for name, value in sums.items()}
            for value in sums.values():
                value.zero_()
            if not all(map(math.isfinite, means.values())):
                raise FloatingPointError(
                    f"loss is not finite in epoch {epoch}: {means}; lower train.lr or raise train.tau2"
                )
            history.append({"epoch": epoch, "steps": done, **means})
            if checkpoint and distributed.rank(group) == 0:
                _store(checkpoint, key, model, optimizer, generator, history)
    model.eval()
    return history


def _share(batch: Quadruples, group) -> Quadruples:
    """This rank's rows. Every rank draws the noise of the whole batch, so that it is the noise of a single process."""
    return {k: v.chunk(distributed.size(group))[distributed.rank(group)] for k, v in batch.items()}


def _add_gradients(model: torch.nn.Module, group) -> None:
    """Each rank has its share of the gradient of one loss: the gradient is their sum (no mean)."""
    if group is not None:
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        flat = distributed.all_reduce(torch.cat([grad.flatten() for grad in grads]), group)
        for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))


def _set_rate(optimizer, value: float) -> None:
    for part in optimizer.param_groups:
        if torch.is_tensor(part["lr"]):
            part["lr"].fill_(value)
        else:
            part["lr"] = value


def _sample_digest(pool: Quadruples) -> str:
    """Tells pools of equal size apart, made at another tau1 for instance, by up to 1024 of their rows."""
    n = len(pool["x_leaf"])
    return state_digest({k: v[:: -(-n // 1024)] for k, v in pool.items()})


def _store(path: Path, key, model, optimizer, generator, history) -> None:
    state = {
        "key": key,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "history": history,
    }
    with atomic_write(path) as draft:
        torch.save(state, draft)


def _resume(path: Path, key, model, optimizer, generator, device) -> list[dict]:
    state = torch.load(path, map_location=device, weights_only=True)
    if state["key"] != key:  # a checkpoint of other settings, seed or data is not ours to continue
        return []
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"].cpu())
    return state["history"]
