"""The trained part of a mini space: one small network per modality, from backbone features onto
the unit sphere."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import trange

DIM = 512
TEXT = 384  # length of the sentence features from which a tower can start
FIRST_CAPTION = 0.6  # probability of the first caption, the title; the others are keywords


class Tower(nn.Module):
    """normalize(W s + MLP(z)), where s are the sentence features in x, and z is x standardized.

    W is a fixed rotation at the start of training, so that the similarity of sentence features is
    there from the start; the MLP learns the rest. x (n, size) -> (n, 512).

    semantic: slice of x with the sentence features; None leaves W out. hidden: width of the MLP; 0
    leaves it out.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, size: int, hidden: int, dropout: float, semantic: slice | None = None):
        super().__init__()
        self.semantic, self.drop = semantic, dropout / 2
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.linear = nn.Linear(TEXT, DIM, bias=False) if semantic else None
        self.mlp = None
        if hidden:
            self.mlp = nn.Sequential(
                nn.Linear(size, hidden),
                nn.LayerNorm(hidden),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, DIM),
            )

    def start(self, rotation: Tensor, features: Tensor) -> None:
        """Initialize from the training features (n, size) and a rotation of sentence features onto
        the sphere, (512, 384) with orthonormal columns."""
        with torch.no_grad():
            self.mean.copy_(features.mean(0))
            spread = features.std(0)
            # The constant keeps features of almost no variance small.
            self.spread.copy_(spread + 0.05 * spread.mean())
            if self.linear is not None:
                self.linear.weight.copy_(rotation)
            if self.mlp is not None and self.linear is not None:
                last = self.mlp[-1]
                last.get_parameter("weight").mul_(0.1)
                last.get_parameter("bias").zero_()

    def forward(self, x: Tensor) -> Tensor:
        out = x.new_zeros(())
        if self.linear is not None:
            out = out + self.linear(x[:, self.semantic])
        if self.mlp is not None:
            z = (x - self.mean) / self.spread
            if self.training:
                z = nn.functional.dropout(z, self.drop)
            out = out + self.mlp(z)
        return nn.functional.normalize(out, dim=1)


class Pairs(NamedTuple):
    """Matching rows of two modalities: row a[i] matches any of the rows b[i].

    Pairs of the same `group` are not negatives of each other (every bark is a bark).
    """

    modality_a: str
    modality_b: str
    a: np.ndarray  # int (n,)
    b: list[np.ndarray]  # n arrays of row numbers, the preferred one first
    group: np.ndarray  # int (n,)


def train(
    towers: nn.ModuleDict,
    features: dict[str, Tensor],
    pairs: list[Pairs],
    *,
    epochs: int,
    batch: int,
    lr: float,
    weight_decay: float,
    noise: float,
    temperature: float,
    seed: int,
    progress: bool = True,
) -> list[dict]:
    """Train by symmetric InfoNCE over every kind of pair. Deterministic for a seed.

    features: modality -> float32 (n, size). noise: norm of Gaussian noise added to text features,
    against memorizing captions. temperature: its initial value; it is learned. lr: the maximum of
    a one-cycle schedule. Returns one record per epoch: {"epoch", "<a>-<b>": loss}.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rotation = torch.linalg.qr(torch.randn(DIM, TEXT))[0]
    for modality, tower in towers.items():
        assert isinstance(tower, Tower)
        tower.start(rotation, features[modality])
    log_scale = nn.Parameter(torch.tensor(float(np.log(1 / temperature))))
    optimizer = torch.optim.AdamW(
        [*towers.parameters(), log_scale], lr=lr, weight_decay=weight_decay
    )
    sizes = [min(batch, len(p.a)) for p in pairs]
    steps = max(1, max(len(p.a) // s for p, s in zip(pairs, sizes, strict=True)))
    total = epochs * steps
    # OneCycleLR divides by zero if its first phase, a tenth of the steps, is exactly one step.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=total, pct_start=0.2 if total == 10 else 0.1
    )
    history = []
    towers.train()
    for epoch in trange(epochs, desc="towers", disable=not progress):
        sums = np.zeros(len(pairs))
        orders = [_endless(len(p.a), rng) for p in pairs]
        for _ in range(steps):
            losses = []
            for p, size, order in zip(pairs, sizes, orders, strict=True):
                rows = np.array([next(order) for _ in range(size)])
                losses.append(_contrast(towers, features, p, rows, log_scale, noise, rng))
            optimizer.zero_grad()
            sum(losses, torch.zeros(())).backward()
            optimizer.step()
            schedule.step()
            sums += [loss.item() for loss in losses]
        names = [f"{p.modality_a}-{p.modality_b}" for p in pairs]
        history.append({"epoch": epoch, **dict(zip(names, (sums / steps).tolist()))})
    towers.eval()
    return history


def _endless(n: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(n).tolist()


def _contrast(
    towers: nn.ModuleDict,
    features: dict[str, Tensor],
    p: Pairs,
    rows: np.ndarray,
    log_scale: Tensor,
    noise: float,
    rng: np.random.Generator,
) -> Tensor:
    """Symmetric InfoNCE of a batch of pairs, with a uniform target over all matching rows."""
    chosen = np.array([_one_of(p.b[row], rng) for row in rows])
    a = features[p.modality_a][torch.from_numpy(p.a[rows])]
    b = features[p.modality_b][torch.from_numpy(chosen)]
    if p.modality_b == "text" and noise:
        b = b + noise * torch.randn_like(b) / b.shape[1] ** 0.5
    group = p.group[rows]
    same = (chosen[:, None] == chosen[None, :]) | (group[:, None] == group[None, :])
    target = torch.from_numpy(same).float()
    target = target / target.sum(1, keepdim=True)
    logits = towers[p.modality_a](a) @ towers[p.modality_b](b).T * log_scale.exp().clamp(max=100)
    both = (target * logits.log_softmax(1)).sum(1) + (target * logits.T.log_softmax(1)).sum(1)
    return -both.mean() / 2


def _one_of(matches: np.ndarray, rng: np.random.Generator) -> int:
    if rng.random() < FIRST_CAPTION:
        return matches[0]
    return matches[rng.integers(len(matches))]
