"""The trained part of a mini space: one small tower per modality, from backbone features onto the unit sphere."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import trange

DIM = 512
TEXT = 384  # length of the sentence features every tower can start from


class Tower(nn.Module):
    """normalize(W x + MLP(x)): W carries what is already comparable to text over from the start, the MLP learns the rest.

    x (n, size) -> (n, 512). `semantic` is the slice of x that lives in the sentence-feature space (or None)."""

    def __init__(self, size: int, hidden: int, dropout: float, semantic: slice | None = None):
        super().__init__()
        self.linear = nn.Linear(size, DIM)
        self.mlp = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, DIM))
        self.drop = dropout / 2
        self.semantic = semantic

    def start(self, rotation: torch.Tensor) -> None:
        """Begin with semantic features rotated onto the sphere (rotation: (512, 384), orthonormal columns)."""
        with torch.no_grad():
            self.linear.bias.zero_()
            self.mlp[-1].bias.zero_()
            if self.semantic is not None:
                self.linear.weight.zero_()
                self.linear.weight[:, self.semantic] = rotation
                self.mlp[-1].weight.mul_(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.drop:
            x = x * (torch.rand_like(x) > self.drop)
        return nn.functional.normalize(self.linear(x) + self.mlp(x), dim=1)


class Pairs(NamedTuple):
    """Matching rows of two modalities: row a[i] of the one belongs to any of the rows b[i] of the other."""

    modality_a: str
    modality_b: str
    a: np.ndarray  # int (n,)
    b: list[np.ndarray]  # n arrays of row numbers; the first is preferred


def train(towers: nn.ModuleDict, features: dict[str, torch.Tensor], pairs: list[Pairs], *, epochs: int, batch: int, lr: float,
          weight_decay: float, noise: float, temperature: float, seed: int, progress: bool = True) -> list[dict]:  # fmt: skip
    """Symmetric InfoNCE over every kind of pair; items with the same text are not negatives of each other.

    features: modality -> float32 (n, size). `noise` is the norm of Gaussian noise added to text features, against learning
    captions by heart. Deterministic for a seed. Returns one record per epoch: {"epoch", "<a>-<b>": loss}."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rotation = torch.linalg.qr(torch.randn(DIM, TEXT))[0]
    for tower in towers.values():
        tower.start(rotation)
    log_scale = nn.Parameter(torch.tensor(float(np.log(1 / temperature))))
    optimizer = torch.optim.AdamW([*towers.parameters(), log_scale], lr=lr, weight_decay=weight_decay)
    sizes = [min(batch, len(p.a)) for p in pairs]
    steps = max(1, max(len(p.a) // s for p, s in zip(pairs, sizes, strict=True)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps, pct_start=0.1)
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
            total = sum(losses)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            schedule.step()
            sums += [float(x) for x in losses]
        history.append({"epoch": epoch, **{f"{p.modality_a}-{p.modality_b}": s / steps for p, s in zip(pairs, sums, strict=True)}})
    towers.eval()
    return history


def _endless(n: int, rng):
    while True:
        yield from rng.permutation(n).tolist()


def _contrast(towers, features, p: Pairs, rows, log_scale, noise, rng) -> torch.Tensor:
    # The first caption is the title, the others are keywords: half of the time the title.
    chosen = np.array([p.b[r][0] if rng.random() < 0.6 else p.b[r][rng.integers(len(p.b[r]))] for r in rows])
    a = features[p.modality_a][torch.from_numpy(p.a[rows])]
    b = features[p.modality_b][torch.from_numpy(chosen)]
    same = torch.from_numpy(chosen[:, None] == chosen[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    if p.modality_b == "text" and noise:
        b = b + noise * torch.randn_like(b) / b.shape[1] ** 0.5
    logits = towers[p.modality_a](a) @ towers[p.modality_b](b).T * log_scale.exp().clamp(max=100)
    return -((target * logits.log_softmax(1)).sum(1) + (target * logits.T.log_softmax(1)).sum(1)).mean() / 2
