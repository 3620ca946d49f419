"""The recipes of CONTRIBUTING.md, applied to a copy of the package: they work, and touch few files."""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from exmcr.common.paths import project_root

ROOT = project_root()
# ```python new FILE, or ```python add FILE after|before LINE
BLOCK = re.compile(r"```python (new|add) (\S+)(?: (after|before) ([^\n]+))?\n(.*?)```", re.S)
MOST = {"corpus": 2, "loss": 1, "modality": 4, "method": 1, "metric": 1}


def recipes() -> dict[str, list[tuple]]:
    """{kind: blocks} of the sections "A <kind>: <n> file(s)"."""
    found = {}
    for section in (ROOT / "CONTRIBUTING.md").read_text().split("\n## ")[1:]:
        kind = section.split(":")[0].removeprefix("A ").removeprefix("An ")
        found[kind] = BLOCK.findall(section)
    return found


def apply(block: tuple, folder: Path) -> None:
    what, file, where, line, code = block
    path = folder / file
    if what == "new":
        assert not path.exists(), file
        path.write_text(code)
        return
    lines = path.read_text().splitlines(keepends=True)
    places = [n for n, text in enumerate(lines) if line in text]
    assert places, f"{file} has no line {line!r}"
    lines.insert(places[0] + (where == "after"), code)
    path.write_text("".join(lines))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package with all five recipes applied."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "exmcr", folder / "exmcr", ignore=shutil.ignore_patterns("__pycache__"))
    for blocks in recipes().values():
        for block in blocks:
            apply(block, folder)
    return folder


@pytest.mark.parametrize("kind", MOST)
def test_a_recipe_touches_few_files(kind):
    files = {block[1] for block in recipes()[kind]}
    assert 0 < len(files) <= MOST[kind], sorted(files)


def test_the_recipes_work_together(copy, tmp_path):
    """One process for all, since importing torch takes seconds: tests/recipes_run.py."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/recipes_run.py"), str(ROOT)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = defaultdict(list)
    for line in done.stdout.splitlines():
        if line.startswith("ok "):
            passed[line.split()[1]].append(line)
    assert set(passed) == set(MOST), done.stdout


def test_the_copy_passes_the_linter(copy):
    config = ROOT / "pyproject.toml"
    files = sorted({str(copy / block[1]) for blocks in recipes().values() for block in blocks})
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(config), "--select", "E,F", *files],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
