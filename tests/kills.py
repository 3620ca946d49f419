"""Kill whole runs at random moments, and compare what the next run leaves with an undisturbed one.

    python tests/kills.py --kills 40

A run is every stage from spaces to projectors on the toy corpus, with the encoders of toy_spaces.py.
Prints one line per kill; the exit status is 1 if a run ended with other files than the first.
"""

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import forked
import torch
import toy_spaces
import yaml

from exmcr import corpora, pipeline
from exmcr.project import Project

STAGES = ("fit_spaces", "extract", "pair", "train")
MADE = ("banks", "pairs", "models", "reports")


def project(root: Path) -> Path:
    params = toy_spaces.content(root)
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    corpora.build("toy", root)
    return root


def run(root: Path) -> None:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        for stage in STAGES:
            getattr(pipeline, stage)(Project(root))


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
            status = forked.killed(lambda: run(root), after, by)
            left = len(list(root.rglob(".*.part"))), len(list(root.rglob(".*.lock")))
            begin = time.monotonic()
            again = forked.result(forked.start(lambda: run(root)))
            same = again == 0 and forked.tree(root) == whole
            failures += not same
            print(
                f"{turn + 1}: {by.name} after {after:.2f} s, status {status}, left {left[0]} drafts "
                f"and {left[1]} locks; next run {time.monotonic() - begin:.1f} s, "
                + ("same files" if same else "OTHER FILES")
            )
    print(f"{kills} kills, {failures} runs that ended with other files")
    return int(failures > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.exit(main(arguments.kills, arguments.seed))
