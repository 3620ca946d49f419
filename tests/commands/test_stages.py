"""`torchrun -m exmcr extract` and `train` on a whole project: what two processes leave, one of them killed on the way, is what one leaves."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import toy_spaces
import yaml

from exmcr import corpora, pipeline
from exmcr.banks.bank import Bank
from exmcr.commands import main as cli
from exmcr.common import distributed
from exmcr.spaces import SPACES
from exmcr.training import projectors

KILLED = "sounds text"  # while this is encoded; all of `wide` is done by then


def two(folder: Path, attempt: str):
    """What each process of torchrun does: `exmcr extract`, in which the second is killed at the first attempt, then `exmcr train`.

    Stores how many items it encoded."""
    rank, encoded = os.environ["RANK"], Counter()
    encode_batch = toy_spaces.Toy.encode_batch

    def watched(self, modality, items):
        what = f"{self.name} {modality}"
        if (rank, attempt, what, encoded[what]) == (
            "1",
            "first",
            KILLED,
            8,
        ):  # one shard done, the next one loaded
            os.kill(os.getpid(), signal.SIGKILL)
        encoded[what] += len(items)
        return encode_batch(self, modality, items)

    toy_spaces.Toy.encode_batch = watched
    for cls in (toy_spaces.Wide, toy_spaces.Sounds, toy_spaces.Shapes):
        SPACES[cls.name] = f"toy_spaces:{cls.__name__}"
    with (
        distributed.torchrun() as group
    ):  # one for both commands: gloo does not bear to be set up twice in a process
        distributed.torchrun = lambda: contextlib.nullcontext(group)
        for command in ("extract", "train"):
            assert cli.main([command, "--project", str(folder)]) == 0
    (folder / f"encoded-{rank}.json").write_text(json.dumps(encoded))


def kept(folder: Path) -> Counter:
    """Items by "space modality" that are on disk, in banks and in shards of unfinished ones."""
    found = Counter()
    for ids in folder.glob("banks/*/*/*/ids.parquet"):
        found["{} {}".format(*ids.parts[-4:-2])] += len(pd.read_parquet(ids))
    for path in folder.glob("banks/*/*/*/shards/*.npz"):
        with np.load(path) as shard:
            found["{} {}".format(*path.parts[-5:-3])] += len(shard["ids"])
    return found


def test_two_processes_one_of_them_killed_leave_the_project_of_one(
    tmp_path, monkeypatch, capsys, request
):
    one, other = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(
        1
    )  # as in the processes: sums by another number of threads have other last bits
    params = toy_spaces.install(one, monkeypatch)
    (one / "params.yaml").write_text(yaml.safe_dump(params))
    corpora.build("toy", one)
    project = pipeline.Project(one)
    pipeline.fit_spaces(project)
    shutil.copytree(one, other)
    assert cli.main(["extract", "--project", str(one)]) == 0
    pipeline.pair(project)
    shutil.copytree(one / "pairs", other / "pairs")
    assert cli.main(["train", "--project", str(one)]) == 0
    tables = capsys.readouterr().out

    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }

    def launch(attempt):
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--nproc-per-node",
                "2",
                __file__,
                str(other),
                attempt,
            ],
            env=env,
            timeout=200,
            capture_output=True,
            text=True,
        )

    assert launch("first").returncode != 0
    before = kept(other)
    done = launch("second")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("skipped") == done.stdout.count("inter") == 1, (
        "the first process prints, and it alone"
    )
    assert done.stdout.splitlines()[0].split() == tables.splitlines()[0].split()

    paths = sorted(path.relative_to(one) for path in one.glob("banks/**/*") if path.is_file())
    assert (
        paths
        == sorted(path.relative_to(other) for path in other.glob("banks/**/*") if path.is_file())
        and len(paths) == 3 * 21
    )
    for path in paths:
        assert (one / path).read_bytes() == (other / path).read_bytes(), path

    everything = Counter()
    for bank in map(Bank, {path.parent for path in one.glob("banks/*/*/*/*")}):
        everything[f"{bank.meta['space']} {bank.meta['modality']}"] += len(bank)
    after = [Counter(json.loads((other / f"encoded-{rank}.json").read_text())) for rank in (0, 1)]
    assert (
        before["wide image"] == everything["wide image"]
        and 8 <= before[KILLED] < everything[KILLED]
    ), "it was killed in the middle"
    assert after[0] and after[1] and before + after[0] + after[1] == everything, (
        "what was done is not encoded again"
    )

    for name in ("audio-seed0", "points-seed0"):
        mine, theirs = (
            projectors.load(folder / f"models/projectors/{name}.safetensors")
            for folder in (one, other)
        )
        # AdamW divides a gradient that is zero up to rounding by itself, so that float32 weights of no effect differ; in float64,
        # in test_training.py, all agree.
        with torch.no_grad():
            dim = mine.Head1.weight.shape[1]
            x = torch.nn.functional.normalize(
                torch.randn(50, dim, generator=torch.manual_seed(0)), dim=1
            )
            assert torch.allclose(mine(x), theirs(x), rtol=0, atol=5e-3)
        notes = [(folder / f"models/projectors/{name}.json").read_text() for folder in (one, other)]
        assert notes[0] == notes[1]
    losses, its = (pd.read_csv(folder / "reports/losses.csv") for folder in (one, other))
    pd.testing.assert_frame_equal(losses, its, rtol=0, atol=1e-5)
    assert not list((other / "models/projectors").glob("*.ckpt"))


if __name__ == "__main__":
    two(Path(sys.argv[1]), sys.argv[2])
