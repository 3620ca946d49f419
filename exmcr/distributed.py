"""Several processes that train or extract together, started by torchrun. One process needs none of this and pays nothing.

    torchrun --nproc-per-node 2 -m exmcr extract
    torchrun --nproc-per-node 2 -m exmcr train

Inside `use(group)` the losses of exmcr.objectives and the batch normalisation of exmcr.layers speak of the batch of all
ranks together; outside they speak of their own process. That is the whole coupling: models and losses take no group."""

import gc
import os
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

_current = None


@contextmanager
def use(group):
    """Let losses and batch normalisation see the ranks of `group` (None: this process alone) for the duration."""
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
    """The number of this process in the group, from 0; 0 for a process alone."""
    return 0 if group is None else distributed.get_rank(group)


def size(group=None) -> int:
    """How many processes the group has; 1 for a process alone."""
    return 1 if group is None else distributed.get_world_size(group)


@contextmanager
def torchrun():
    """The group of all processes that torchrun started, or None when it did not start this one.

    NCCL with a GPU per process, gloo otherwise."""
    if "WORLD_SIZE" not in os.environ:
        yield None
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # torchrun notices a process that died; ranks that wait for one with more to do must not give up meanwhile.
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=timedelta(days=1))
    try:
        yield distributed.group.WORLD
    finally:
        gc.collect()  # graphs in cycles hold the group; gloo aborts a process that takes it down only as the interpreter ends
        distributed.destroy_process_group()


def total(tensor: torch.Tensor, group=None, largest: bool = False) -> torch.Tensor:
    """Sum (or maximum) over ranks, in place. No gradient."""
    if group is not None:
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX if largest else distributed.ReduceOp.SUM, group)
    return tensor


def told(value, group=None):
    """What the first rank says: its `value` (anything that pickles) on every rank."""
    if group is None:
        return value
    held = [value]
    distributed.broadcast_object_list(held, distributed.get_global_rank(group, 0), group)
    return held[0]


def wait(group=None) -> None:
    """Until every rank is here."""
    if group is not None:
        distributed.barrier(group)


def gathered(tensor: torch.Tensor, group=None) -> torch.Tensor:
    """(q, n, d) of every rank -> (q, n * size, d), by rank. No gradient."""
    if group is None:
        return tensor
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(size(group))]
    distributed.all_gather(parts, tensor.contiguous(), group)
    return torch.cat(parts, dim=1)
