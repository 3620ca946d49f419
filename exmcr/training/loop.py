"""The training loop of every projector that learns from quadruples."""

import hashlib
import io
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

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
EVERY = 25  # steps between two checkpoints, at least: an epoch of a small pool may be a single step
DIGEST = hashlib.sha256().digest_size  # bytes
CODE = code_digest("kernels", "training")  # a checkpoint of other code is not continued


def pick_device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    model: torch.nn.Module,
    pool: Quadruples,
    settings: dict[str, Any],
    seed: int,
    *,
    loss: Callable[..., dict[str, torch.Tensor]] = exmcr_loss,
    checkpoint: Path | None = None,
    progress: bool = True,
    device: torch.device | None = None,
    group=None,
) -> list[dict]:
    """Train `model` in place on `pool` ({part: (n, d)}). Returns one record of mean losses per
    epoch: epoch, steps, and each loss by name.

    settings    steps, batch, lr, weight_decay, noise (variance), and those that `loss` reads.
                AdamW, cosine schedule to zero
    loss        loss(model, batch, settings) -> {"total": scalar to minimize, other losses}
    checkpoint  file that holds the state after an epoch, written again EVERY steps later at the
                earliest. An interrupted run with the same settings, seed, pool and code continues
                there, to the same weights as an unbroken run
    group       torch.distributed group whose ranks share each batch (exmcr.common.distributed) and
                hold the same pool. The losses, and the weights up to rounding, are those of one
                process with the same settings. The first rank writes the checkpoint

    On CUDA the pool is copied to the device if it fits, and otherwise fed from pinned memory one
    batch ahead; products are TF32. Without a group a step is one CUDA graph, so `loss` must not
    read values back.

    Raises FloatingPointError for a loss that is not finite, ConfigError for a batch that the ranks
    cannot share equally.
    """
    device = device or pick_device()
    n, on_gpu = len(pool["x_leaf"]), device.type == "cuda"
    batch_size, ranks = min(settings["batch"], n), distributed.size(group)
    if batch_size % ranks:
        raise ConfigError(f"a batch of {batch_size} cannot be shared equally by {ranks} ranks")
    model.to(device).train()
    distributed.broadcast_module(model, group)
    optimizer = _optimizer(model, settings, device)
    generator = torch.Generator(device=device).manual_seed(seed)
    key, history = _key(settings, seed, pool, device), []
    if checkpoint and checkpoint.is_file():
        history = _resume(checkpoint, key, model, optimizer, generator, device)

    fast = kernels.enabled() or group is not None
    step = _Step(model, loss, settings, optimizer, generator, group, fast)
    advance = Graph(step, generator) if on_gpu and fast and group is None else step
    feed = Feed(pool, device)
    if not on_gpu:
        keep_memory()
    per_epoch = max(1, n // batch_size)
    epochs = -(-settings["steps"] // per_epoch)
    start = len(history)
    hidden = None if progress else True  # None: shown in a terminal only, not in a notebook
    bar = tqdm(range(start, epochs), "epochs", epochs, initial=start, disable=hidden)
    taken = stored = sum(record["steps"] for record in history)
    with distributed.use(group), matmul_precision("tf32" if on_gpu else "float32"):
        for epoch in bar:
            order = torch.randperm(n, generator=generator, device=device)
            steps = min(per_epoch, settings["steps"] - taken)
            for batch in feed(order[: steps * batch_size].split(batch_size)):
                _set_rate(optimizer, _cosine(settings["lr"], taken, settings["steps"]))
                advance(batch)
                taken += 1
            means = step.mean_losses(steps)
            if not all(map(math.isfinite, means.values())):
                raise FloatingPointError(
                    f"loss is not finite in epoch {epoch}: {means}; "
                    "lower train.lr or raise train.tau2"
                )
            history.append({"epoch": epoch, "steps": steps, **means})
            due = taken - stored >= EVERY or taken == settings["steps"]
            if checkpoint and due and distributed.rank(group) == 0:
                _store(checkpoint, key, model, optimizer, generator, history)
                stored = taken
    model.eval()
    return history


class _Step:
    """One training step on a batch on the device, from the noise to the weights."""

    def __init__(self, model, loss, settings, optimizer, generator, group, fast):
        self.model, self.loss, self.settings = model, loss, settings
        self.optimizer, self.generator = optimizer, generator
        self.group, self.fast = group, fast
        self.sums: dict[str, torch.Tensor] = {}  # of the losses, since the last mean_losses()

    def __call__(self, batch: Quadruples) -> None:
        batch = _share(add_noise(batch, self.settings["noise"], self.generator), self.group)
        with TrainingLayers() if self.fast else nullcontext():
            losses = self.loss(self.model, batch, self.settings)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        _add_gradients(self.model, self.group)
        self.optimizer.step()
        for name, value in losses.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value, requires_grad=False)
            self.sums[name].add_(value.detach())

    def mean_losses(self, steps: int) -> dict[str, float]:
        """Means over the last `steps` steps. Starts the next sums in place, for the CUDA graph."""
        means = {name: float(value) / steps for name, value in self.sums.items()}
        for value in self.sums.values():
            value.zero_()
        return means


def _optimizer(
    model: torch.nn.Module, settings: dict[str, Any], device: torch.device
) -> torch.optim.Optimizer:
    on_gpu = device.type == "cuda"
    # A CUDA graph reads the learning rate from the device.
    rate = torch.tensor(float(settings["lr"]), device=device) if on_gpu else settings["lr"]
    decay = settings["weight_decay"]
    return torch.optim.AdamW(
        model.parameters(), lr=rate, weight_decay=decay, fused=True, capturable=on_gpu
    )


def _cosine(rate: float, taken: int, steps: int) -> float:
    """The learning rate after `taken` of `steps` steps."""
    return rate * (1 + math.cos(math.pi * taken / steps)) / 2


def _share(batch: Quadruples, group) -> Quadruples:
    """The rows of this rank. Every rank draws the noise of the whole batch first, so the noise is
    that of a single process."""
    return {k: v.chunk(distributed.size(group))[distributed.rank(group)] for k, v in batch.items()}


def _add_gradients(model: torch.nn.Module, group) -> None:
    """Sum the gradients of all ranks. No mean: each rank holds its share of one loss."""
    if group is not None:
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        flat = distributed.all_reduce(torch.cat([grad.flatten() for grad in grads]), group)
        for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))


def _set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    for part in optimizer.param_groups:
        if torch.is_tensor(part["lr"]):
            part["lr"].fill_(value)
        else:
            part["lr"] = value


def _key(settings: dict[str, Any], seed: int, pool: Quadruples, device: torch.device) -> str:
    """Identifies a run. Up to 1024 rows distinguish pools of equal size, such as those of two
    values of tau1. Random generators differ between types of device."""
    n = len(pool["x_leaf"])
    rows = state_digest({k: v[:: -(-n // 1024)] for k, v in pool.items()})
    chosen = sorted((k, str(v)) for k, v in settings.items())
    return repr((chosen, seed, n, device.type, CODE, rows))


def _store(path: Path, key, model, optimizer, generator, history) -> None:
    state = {
        "key": key,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "history": history,
    }
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_write(path) as draft:
        draft.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())


def _resume(path: Path, key, model, optimizer, generator, device) -> list[dict]:
    """Restore the state of the same run, if the checkpoint holds it. Returns its history.

    torch.load does not notice changed bytes, so the file begins with the SHA-256 of the rest.
    """
    content = path.read_bytes()
    if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
        print(f"{path} is damaged; training starts again")
        return []
    state = torch.load(io.BytesIO(content[DIGEST:]), map_location=device, weights_only=True)
    if state["key"] != key:
        return []
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"].cpu())
    return state["history"]
