"""Sinkhorn's algorithm, and a hop in which no overlap item is a hub.

In the hop, a few texts resemble most sounds and take most of the weight. Here the weights of the
training items are balanced by entropic optimal transport (Cuturi 2013, arXiv:1306.0895): every
overlap item receives the same mass over the pool of x. The resulting factor of each overlap item
is kept, and reweights the hop of new items.
"""

import numpy as np
import torch

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.maps import Maps, Method
from exmcr.pairing.pools import Pools

ROWS = 4096  # new items per block


def log_factors(
    scores: torch.Tensor, epsilon: float, rounds: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sinkhorn in the log domain: u (n,), v (m,) of the plan exp(scores / epsilon + u_i + v_j).

    scores (n, m): similarities. After `rounds` updates of both, the columns of the plan sum to 1/m
    exactly and its rows to 1/n nearly.
    """
    n, m = scores.shape
    logits = scores / epsilon
    u, v = scores.new_zeros(n), scores.new_zeros(m)
    for _ in range(rounds):
        u = -float(np.log(n)) - torch.logsumexp(logits + v, dim=1)
        v = -float(np.log(m)) - torch.logsumexp(logits + u[:, None], dim=0)
    return u, v


def log_plan(scores: torch.Tensor, epsilon: float, rounds: int) -> torch.Tensor:
    """log of the entropic transport plan (n, m) of these similarities between uniform marginals."""
    u, v = log_factors(scores, epsilon, rounds)
    return scores / epsilon + u[:, None] + v


def sinkhorn_hop(
    pools: Pools,
    seed: int = 0,
    *,
    tau: float = 0.05,
    balance: float = 1.0,
    rounds: int = 5,
    items: int = 2048,
) -> Maps:
    """x -> normalize(softmax(x O^L / tau + balance v) O^B), with the factors v of the plan between
    X^L and O^L at epsilon = tau.

    balance  1: the full factors; 0: the plain hop
    items    at most this many items of X^L, drawn by `seed`, decide the factors

    Raises ConfigError for tau <= 0 or balance < 0.
    """
    if tau <= 0 or balance < 0:
        raise ConfigError(
            f"hop-sinkhorn needs tau > 0 and balance >= 0, got tau {tau}, balance {balance}"
        )
    chosen = np.random.default_rng(seed).permutation(len(pools.x_leaf))[:items]
    keys = torch.from_numpy(np.array(pools.o_leaf, np.float32))
    values = torch.from_numpy(np.array(pools.o_base, np.float32))
    sample = torch.from_numpy(np.array(pools.x_leaf[np.sort(chosen)], np.float32))
    _, v = log_factors(sample @ keys.T, tau, rounds)

    def leaf(x: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(np.array(x, np.float32)).split(ROWS)
        means = [((q @ keys.T / tau + balance * v).softmax(dim=1) @ values).numpy() for q in rows]
        return unit(np.concatenate(means))

    return Maps(leaf=leaf)


METHODS = {"hop-sinkhorn": Method(sinkhorn_hop, "arXiv:1306.0895", seeded=True)}
