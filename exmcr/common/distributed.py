"""Several processes that train or extract together, started by torchrun. One process pays nothing.

    torchrun --nproc-per-node 2 --no-python exmcr extract
    torchrun --nproc-per-node 2 --no-python exmcr train

Inside `use(group)`, losses and batch normalization run over the batch of all ranks together;
outside it they run over the batch of their own process. Models and losses take no group argument.
"""

import gc
import os
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed as dist

_current = None


@contextmanager
def use(group):
    """Let losses and batch normalization span the ranks of `group` (None: this process alone)."""
    global _current
    before, _current = _current, group
    try:
        yield
    finally:
        _current = before


def current():
    """The group of the innermost `use`, or None."""
    return _current


def rank(group=None) -> int:
    """Number of this process in the group, from 0; 0 for a single process."""
    return 0 if group is None else dist.get_rank(group)


def size(group=None) -> int:
    """Number of processes in the group; 1 for a single process."""
    return 1 if group is None else dist.get_world_size(group)


@contextmanager
def torchrun():
    """The group of all processes that torchrun started, or None if it did not start this one.

    NCCL with one GPU per process, gloo otherwise.
    """
    if "WORLD_SIZE" not in os.environ:
        yield None
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # torchrun notices a process that died; ranks waiting for a slower one must not give up.
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(days=1))
    try:
        yield dist.group.WORLD
    finally:
        # Autograd graphs in reference cycles hold the group, and gloo aborts a process that
        # releases it only at interpreter exit.
        gc.collect()
        dist.destroy_process_group()


def all_reduce(tensor: torch.Tensor, group=None, largest: bool = False) -> torch.Tensor:
    """Sum (or maximum) over ranks, in place. No gradient."""
    if group is not None:
        dist.all_reduce(tensor, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM, group)
    return tensor


def broadcast(value, group=None):
    """The `value` of the first rank (anything that pickles) on every rank."""
    if group is None:
        return value
    held = [value]
    dist.broadcast_object_list(held, dist.get_global_rank(group, 0), group)
    return held[0]


def barrier(group=None) -> None:
    """Wait for every rank."""
    if group is not None:
        dist.barrier(group)


def all_gather(tensor: torch.Tensor, group=None) -> torch.Tensor:
    """(q, n, d) of every rank -> (q, n * size, d), in order of ranks. No gradient."""
    if group is None:
        return tensor
    parts = [
        torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(size(group))
    ]
    dist.all_gather(parts, tensor.contiguous(), group)
    return torch.cat(parts, dim=1)
