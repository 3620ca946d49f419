"""Several processes that train or extract together, started by torchrun.

    torchrun --nproc-per-node 2 --no-python exmcr extract
    torchrun --nproc-per-node 2 --no-python exmcr train

Inside `use(group)`, losses and batch normalization cover the batch of all ranks together; outside
it, the batch of their own process. Models and losses take no group argument. A group of None is a
single process, for which every function here returns its input.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist

T = TypeVar("T")
Group = Any  # a torch.distributed process group, or None

_current: Group = None


@contextmanager
def use(group: Group) -> Iterator[None]:
    """Let losses and batch normalization cover all ranks of `group` (None: this process alone)."""
    global _current
    before, _current = _current, group
    try:
        yield
    finally:
        _current = before


def current() -> Group:
    """The group of the innermost `use`, or None."""
    return _current


def rank(group: Group = None) -> int:
    """Number of this process in the group, from 0; 0 for a single process."""
    return 0 if group is None else dist.get_rank(group)


def size(group: Group = None) -> int:
    """Number of processes in the group; 1 for a single process."""
    return 1 if group is None else dist.get_world_size(group)


@contextmanager
def torchrun() -> Iterator[Group]:
    """The group of all processes that torchrun started; None if this process was started alone.

    NCCL with one GPU per process if there are GPUs, gloo otherwise.
    """
    if "WORLD_SIZE" not in os.environ:
        yield None
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # torchrun notices a process that died; ranks that wait for a slower one must not time out.
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(days=1))
    try:
        yield dist.group.WORLD
    finally:
        # Autograd graphs in reference cycles hold the group, and gloo aborts a process that
        # releases it only at interpreter exit.
        gc.collect()
        dist.destroy_process_group()


def all_reduce(tensor: torch.Tensor, group: Group = None, largest: bool = False) -> torch.Tensor:
    """Sum (or maximum) over ranks, in place. No gradient."""
    if group is not None:
        dist.all_reduce(tensor, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM, group)
    return tensor


def broadcast(value: T, group: Group = None) -> T:
    """The `value` of the first rank, on every rank. It may be anything that can be pickled."""
    if group is None:
        return value
    values = [value]
    dist.broadcast_object_list(values, dist.get_global_rank(group, 0), group)
    return values[0]


def broadcast_module(module: torch.nn.Module, group: Group = None) -> None:
    """Copy the parameters and buffers of the first rank to every rank, in place."""
    if group is not None:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.data, dist.get_global_rank(group, 0), group)


def barrier(group: Group = None) -> None:
    """Wait for every rank."""
    if group is not None:
        dist.barrier(group)


def all_gather(tensor: torch.Tensor, group: Group = None) -> torch.Tensor:
    """(q, n, d) of every rank -> (q, n * size, d), in order of ranks. No gradient."""
    if group is None:
        return tensor
    like = torch.contiguous_format
    parts = [torch.empty_like(tensor, memory_format=like) for _ in range(size(group))]
    dist.all_gather(parts, tensor.contiguous(), group)
    return torch.cat(parts, dim=1)
