"""Kill whole runs at random moments, and compare what the next run leaves with an undisturbed one.

    python tests/kills.py --kills 40
    python tests/kills.py --kills 10 --dvc   # `dvc repro` in a process of its own, killed alone

A run is every stage from spaces to results on the toy corpus, with the encoders of toy_spaces.py. In
every second turn the signal goes to the process group, as Ctrl-C and `timeout` send it.
Prints one line per kill; the exit status is 1 if a run ended with other files than the first.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import forked
import own_embeddings
import torch
import toy_spaces
import yaml

from exmcr import corpora, pipeline
from exmcr.project import Project

STAGES = ("fit_spaces", "extract", "pair", "train", "evaluate")
MADE = ("banks", "pairs", "models", "reports")


def project(root: Path) -> Path:
    params = toy_spaces.content(root) | {"compare": {}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    corpora.build("toy", root)
    return root


def run(root: Path) -> None:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        for stage in STAGES:
            getattr(pipeline, stage)(Project(root))


def killed(work, after: float, by: int, group: bool) -> int:
    """As forked.killed; `group`: the signal goes to the child and to all that it starts."""

    def own_group():
        os.setpgid(0, 0)
        work()

    pid = forked.start(own_group)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, by)
    return forked.result(pid)


DVC = """stages:
  extract: {cmd: exmcr extract, deps: [data/items.parquet], outs: [banks: {cache: false, persist: true}]}
  pair: {cmd: exmcr pair, deps: [banks], outs: [pairs: {cache: false, persist: true}]}
  train: {cmd: exmcr train, deps: [pairs], outs: [models/projectors: {cache: false, persist: true}]}
  evaluate: {cmd: exmcr evaluate, deps: [models/projectors], outs: [reports/results.csv: {cache: false, persist: true}]}
"""


def with_dvc(kills: int, seed: int) -> int:
    """`dvc repro` on imported embeddings: dvc is killed alone, and started again at once."""
    rng, failures, binaries = random.Random(seed), 0, Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        own_embeddings.write(root)
        params = yaml.safe_load((root / "params.yaml").read_text()) | {"compare": {}}
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        (root / "dvc.yaml").write_text(DVC)
        os.chdir(root)
        own_embeddings.import_all()
        env = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        env["PYTHONPATH"] = str(Path(__file__).parents[1])
        for command in ("git init -q", "dvc init -q", "exmcr corpora"):
            subprocess.run(command.split(), env=env, check=True, stdout=subprocess.DEVNULL)
        repro = {"args": ["dvc", "repro"], "env": env, "stdout": subprocess.DEVNULL}
        begin = time.monotonic()
        subprocess.run(**repro, check=True)
        took, whole = time.monotonic() - begin, made(root)
        print(f"{len(whole)} files in {took:.1f} s")
        for turn in range(kills):
            for name in ("pairs", "models", "reports"):
                shutil.rmtree(root / name, ignore_errors=True)
            by, after = forked.SIGNALS[turn % 3], rng.uniform(0.2, 1) * took
            process = subprocess.Popen(**repro, stderr=subprocess.DEVNULL)
            time.sleep(after)
            process.send_signal(by)
            status = process.wait()
            again = subprocess.run(**repro, check=False, stderr=subprocess.DEVNULL).returncode
            same = again == 0 and made(root) == whole
            failures += not same
            print(
                f"{turn + 1}: {by.name} to dvc after {after:.1f} s, status {status}; next run "
                f"{again}, " + ("same files" if same else "OTHER FILES"),
                flush=True,
            )
    print(f"{kills} kills of dvc alone, {failures} runs that ended with other files")
    return int(failures > 0)


def made(root: Path) -> dict[str, bytes]:
    """What the stages made, without the lock files of those that still end."""
    files = {
        f"{name}/{path}": content
        for name in MADE
        for path, content in forked.tree(root / name).items()
    }
    return {
        path: content
        for path, content in files.items()
        if not path.endswith((".lock", "times.json"))
    }


def main(kills: int, seed: int) -> int:
    torch.set_num_threads(1)  # forked children may not use the threads of their parent
    rng, failures = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        root = project(Path(folder))
        run(root)  # imports everything, so that children start at once
        whole = forked.tree(root)
        for name in MADE:
            shutil.rmtree(root / name)
        took = forked.seconds(lambda: run(root))
        assert forked.tree(root) == whole
        print(f"{len(whole)} files in {took:.1f} s")
        for turn in range(kills):
            for name in rng.sample(MADE, rng.randint(1, len(MADE))):
                shutil.rmtree(root / name, ignore_errors=True)
            by, after = forked.SIGNALS[turn % 3], rng.uniform(0, took)
            status = killed(lambda: run(root), after, by, group=turn % 2 == 1)
            left = len(list(root.rglob(".*.part"))), len(list(root.rglob(".*.lock")))
            begin = time.monotonic()
            again = forked.result(forked.start(lambda: run(root)))
            same = again == 0 and forked.tree(root) == whole
            failures += not same
            print(
                f"{turn + 1}: {by.name}{' to the group' if turn % 2 else ''} after {after:.2f} s, status {status}, left {left[0]} drafts "
                f"and {left[1]} locks; next run {time.monotonic() - begin:.1f} s, "
                + ("same files" if same else "OTHER FILES")
            )
    print(f"{kills} kills, {failures} runs that ended with other files")
    return int(failures > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dvc", action="store_true")
    arguments = parser.parse_args()
    sys.exit((with_dvc if arguments.dvc else main)(arguments.kills, arguments.seed))
