"""Collective operations of one process, and of two started by torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from exmcr.common import distributed


def test_a_single_process_gets_its_input_back():
    x = torch.randn(2, 3, 4)
    with distributed.torchrun() as group:
        assert group is None
    assert distributed.rank() == 0 and distributed.size() == 1
    assert distributed.all_reduce(x) is x and distributed.all_gather(x) is x
    assert distributed.broadcast({"a": 1}) == {"a": 1} and distributed.barrier() is None
    layer = torch.nn.Linear(2, 2)
    before = layer.weight.clone()
    distributed.broadcast_module(layer)
    assert torch.equal(layer.weight, before)


def test_use_nests_and_is_undone_after_an_error():
    assert distributed.current() is None
    with distributed.use("outer"):
        with pytest.raises(ZeroDivisionError), distributed.use("inner"):
            assert distributed.current() == "inner"
            1 / 0
        assert distributed.current() == "outer"
        with distributed.use(None):
            assert distributed.current() is None
    assert distributed.current() is None


def one_of_two(folder):
    """Under torchrun: store the results of every operation."""
    with distributed.torchrun() as group:
        rank = distributed.rank(group)
        torch.manual_seed(rank)
        net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        net[1].running_mean.fill_(rank)
        distributed.broadcast_module(net, group)
        own = torch.full((2, 1, 3), float(rank)).transpose(0, 2)  # not contiguous
        results = {
            "size": distributed.size(group),
            "sum": distributed.all_reduce(torch.tensor([1.0, rank]), group).tolist(),
            "maximum": distributed.all_reduce(torch.tensor(rank), group, largest=True).item(),
            "broadcast": distributed.broadcast(f"from {rank}", group),
            "gathered": distributed.all_gather(own, group)[0].tolist(),
            "weight": net[0].weight.tolist(),
            "running_mean": net[1].running_mean.tolist(),
        }
        distributed.barrier(group)
        (folder / f"{rank}.json").write_text(json.dumps(results))


def test_two_processes_agree(tmp_path):
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([*launch, __file__, str(tmp_path)], env=env, check=True, timeout=120)
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one == other
    assert one["size"] == 2 and one["sum"] == [2.0, 1.0] and one["maximum"] == 1
    assert one["broadcast"] == "from 0" and one["running_mean"] == [0.0, 0.0]
    assert one["gathered"] == [[0.0, 0.0], [1.0, 1.0]]
    torch.manual_seed(0)
    assert one["weight"] == torch.nn.Linear(2, 2).weight.tolist()


if __name__ == "__main__":
    one_of_two(Path(sys.argv[1]))
