"""The trained part of a mini space: one small tower per modality, from backbone features onto the unit sphere."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import trange

DIM = 512
TEXT = 384  # length of the sentence features every tower can start from


class Tower(nn.Module):
    """normalize(W s + MLP(z)): s are the sentence-like features among x, z is all of x, standardized.

    W carries what is comparable to text over from the start; the MLP learns the rest. x (n, size) -> (n, 512).
    `semantic` is the slice of x that lives in sentence-feature space (None: there is no s); hidden 0 leaves the MLP out."""

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

    def start(self, rotation: torch.Tensor, features: torch.Tensor) -> None:
        """Begin with sentence features rotated onto the sphere (rotation: (512, 384), orthonormal columns)."""
        with torch.no_grad():
            self.mean.copy_(features.mean(0))
            spread = features.std(0)
            self.spread.copy_(
                spread + 0.05 * spread.mean()
            )  # a feature that hardly varies is not blown up
            if self.linear is not None:
                self.linear.weight.copy_(rotation)
            if self.mlp is not None and self.linear is not None:
                self.mlp[-1].weight.mul_(0.1)
                self.mlp[-1].bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = 0
        if self.linear is not None:
            out = self.linear(x[:, self.semantic])
        if self.mlp is not None:
            z = (x - self.mean) / self.spread
            if self.training:
                z = nn.functional.dropout(z, self.drop)
            out = out + self.mlp(z)
        return nn.functional.normalize(out, dim=1)


class Pairs(NamedTuple):
    """Matching rows of two modalities: row a[i] of the one belongs to any of the rows b[i] of the other.

    Pairs of the same `group` are not negatives of each other (all barks are barks)."""

    modality_a: str
    modality_b: str
    a: np.ndarray  # int (n,)
    b: list[np.ndarray]  # n arrays of row numbers; the first is preferred
    group: np.ndarray  # int (n,)


def train(
    towers: nn.ModuleDict,
    features: dict[str, torch.Tensor],
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
    """Symmetric InfoNCE over every kind of pair.

    features: modality -> float32 (n, size). `noise` is the norm of Gaussian noise added to text features, against learning
    captions by heart. Deterministic for a seed. Returns one record per epoch: {"epoch", "<a>-<b>": loss}."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rotation = torch.linalg.qr(torch.randn(DIM, TEXT))[0]
    for modality, tower in towers.items():
        tower.start(rotation, features[modality])
    log_scale = nn.Parameter(torch.tensor(float(np.log(1 / temperature))))
    optimizer = torch.optim.AdamW(
        [*towers.parameters(), log_scale], lr=lr, weight_decay=weight_decay
    )
    sizes = [min(batch, len(p.a)) for p in pairs]
    steps = max(1, max(len(p.a) // s for p, s in zip(pairs, sizes, strict=True)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=epochs * steps, pct_start=0.1
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
            total = sum(losses)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            schedule.step()
            sums += [float(x) for x in losses]
        history.append(
            {
                "epoch": epoch,
                **{
                    f"{p.modality_a}-{p.modality_b}": s / steps
                    for p, s in zip(pairs, sums, strict=True)
                },
            }
        )
    towers.eval()
    return history


def _endless(n: int, rng):
    while True:
        yield from rng.permutation(n).tolist()


def _contrast(towers, features, p: Pairs, rows, log_scale, noise, rng) -> torch.Tensor:
    # The first caption is the title, the others are keywords: more often the title.
    chosen = np.array(
        [p.b[r][0] if rng.random() < 0.6 else p.b[r][rng.integers(len(p.b[r]))] for r in rows]
    )
    a = features[p.modality_a][torch.from_numpy(p.a[rows])]
    b = features[p.modality_b][torch.from_numpy(chosen)]
    group = p.group[rows]
    same = torch.from_numpy(
        (chosen[:, None] == chosen[None, :]) | (group[:, None] == group[None, :])
    ).float()
    target = same / same.sum(1, keepdim=True)
    if p.modality_b == "text" and noise:
        b = b + noise * torch.randn_like(b) / b.shape[1] ** 0.5
    logits = towers[p.modality_a](a) @ towers[p.modality_b](b).T * log_scale.exp().clamp(max=100)
    return (
        -(
            (target * logits.log_softmax(1)).sum(1) + (target * logits.T.log_softmax(1)).sum(1)
        ).mean()
        / 2
    )
