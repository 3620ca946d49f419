"""A linear teacher, then a student on unpaired data: SOTAlign (Roschmann et al., ICML 2026,
arXiv:2602.23353).

Stage 1 fits a simple teacher on the pairs. Stage 2 trains alignment layers on the pairs with a
contrastive loss, and on unpaired items with KLOT: the KL divergence between the entropic transport
plans of teacher and student similarities. Plans keep the relations of items and ignore what differs
between the two scales. Here the pairs are the overlap and the unpaired items x and y; only the leaf
has a layer, so the base is unchanged. ASIF, whose own space changes the base, can be a teacher too.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.methods.baselines import hop, lstsq, procrustes, rotation
from exmcr.methods.cca import cca
from exmcr.methods.exmcr_plus import exmcr_plus
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import Batch, Head, fitted, on_arrays
from exmcr.methods.relative import asif
from exmcr.methods.ridge import ridge
from exmcr.methods.sinkhorn import log_plan
from exmcr.methods.vocabulary import tensor
from exmcr.pairing.pools import Pools
from exmcr.training.objectives import infonce

TEACHERS: dict[str, Callable[..., Maps]] = {
    "procrustes": procrustes,
    "ridge": ridge,
    "lstsq": lstsq,
    "cca": cca,
    "hop": hop,
    "asif": asif,
    "exmcr+": exmcr_plus,
}
EPSILON_TEACHER = 0.005  # of the authors' code, as the epsilon 0.05 and 100 rounds below


class KLOT(torch.autograd.Function):
    """KL(P* || P) of the transport plans of teacher and student similarities, each (n, m).

    The gradient with respect to the student's similarities is (P - P*) / epsilon, by theorem 5.1 of
    the paper, without differentiating Sinkhorn's iterations.
    """

    @staticmethod
    def forward(ctx, student, teacher, epsilon, epsilon_teacher, rounds):
        mine = log_plan(student, epsilon, rounds)
        target = log_plan(teacher, epsilon_teacher, rounds)
        ctx.save_for_backward((mine.exp() - target.exp()) / epsilon)
        return (target.exp() * (target - mine)).sum()

    @staticmethod
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None, None, None


class Student(nn.Module):
    """A head on the leaf, and the teacher's similarities of the unpaired items beside it."""

    similarities: torch.Tensor

    def __init__(self, start: np.ndarray, hidden: int, similarities: torch.Tensor):
        super().__init__()
        d_leaf, d_base = start.shape
        self.head = Head(d_leaf, d_base, hidden)
        with torch.no_grad():
            self.head.linear.weight.copy_(tensor(start.T))
            self.head.linear.bias.zero_()
        self.register_buffer("similarities", similarities)


def sotalign(
    pools: Pools,
    seed: int = 0,
    *,
    teacher: str = "ridge",
    teacher_settings: dict | None = None,
    weight: float = 1.0,
    epsilon: float = 0.05,
    rounds: int = 20,
    items: int = 4096,
    hidden: int = 256,
    **settings,
) -> Maps:
    """InfoNCE on the overlap + weight * KLOT on unpaired x and y; the head starts as the rotation
    of Procrustes.

    teacher   a name in TEACHERS, fitted with teacher_settings
    epsilon   of the student's plan; that of the teacher's is EPSILON_TEACHER
    items     at most this many x and y each, drawn by `seed`, are used
    rounds    of Sinkhorn's algorithm; the authors' code has 100
    settings  overrides of networks.SETTINGS

    Raises ConfigError for an unknown teacher.
    """
    if teacher not in TEACHERS:
        raise ConfigError(f"sotalign: unknown teacher {teacher!r}; known: {', '.join(TEACHERS)}")
    rng = np.random.default_rng(seed)
    x, y = (
        bank[np.sort(rng.permutation(len(bank))[:items])] for bank in (pools.x_leaf, pools.y_base)
    )
    known = TEACHERS[teacher](pools, seed, **(teacher_settings or {}))
    pool = _unpaired(pools, x, y, seed)

    def loss(model: Student, batch: Batch, given: dict) -> Batch:
        rows, columns = batch["x_row"][:, 0], batch["y_row"][:, 0]
        paired = infonce(model.head(batch["o_leaf"]), batch["o_base"], given["tau2"])
        student = model.head(batch["x_leaf"]) @ batch["y_base"].T
        target = model.similarities[rows][:, columns]
        klot = KLOT.apply(student, target, epsilon, EPSILON_TEACHER, rounds)
        return {"total": paired + weight * klot}

    similarities = _similarities(known, x, y)
    start = rotation(pools.o_leaf, pools.o_base)
    # No noise: rows of the pool are numbers of items, and the teacher saw the items themselves.
    student = fitted(
        lambda: Student(start, hidden, similarities), pool, seed, loss, {"noise": 0.0} | settings
    )
    return Maps(leaf=on_arrays(student.head))


def _similarities(maps: Maps, x: np.ndarray, y: np.ndarray) -> torch.Tensor:
    """Those of the teacher between all x and all y, (n, m)."""
    if maps.sparse is None:
        return tensor(maps.leaf(x) @ maps.base(y).T)
    leaf, base = maps.sparse
    return tensor((leaf(x) @ base(y).T).toarray())


def _unpaired(pools: Pools, x: np.ndarray, y: np.ndarray, seed: int) -> Batch:
    """A row for each overlap item, with an unrelated x and y, and their numbers, beside it."""
    rng, n = np.random.default_rng(seed), len(pools.o_leaf)
    rows, columns = (rng.permutation(np.resize(np.arange(len(bank)), n)) for bank in (x, y))
    return {
        "x_leaf": tensor(x[rows]),
        "y_base": tensor(y[columns]),
        "o_leaf": tensor(pools.o_leaf),
        "o_base": tensor(pools.o_base),
        "x_row": torch.from_numpy(rows)[:, None],
        "y_row": torch.from_numpy(columns)[:, None],
    }


def _settings_of_teacher(name: str):
    """The settings of a teacher under `compare`: it is fitted as it is by itself."""
    return lambda params, leaf: {"teacher_settings": params.method_settings(name)}


def _taught_by(name: str) -> Method:
    fit = partial(sotalign, teacher=name)
    return Method(fit, "arXiv:2602.23353", seeded=True, settings=_settings_of_teacher(name))


METHODS = {
    "sotalign": _taught_by("ridge"),
    "sotalign-asif": _taught_by("asif"),
    "sotalign-exmcr+": _taught_by("exmcr+"),
}
