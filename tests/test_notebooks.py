"""What a committed notebook must look like; that it runs is checked by nbmake."""

import ast
import os
import re
import runpy

import nbformat
import pytest
import yaml

from exmcr.commands.stages import NOTEBOOKS as NOTEBOOK_OF
from exmcr.common.paths import project_root

NOTEBOOKS = sorted((project_root() / "notebooks").glob("*.ipynb"))
NAMES = (
    "00_spaces",
    "01_extract",
    "02_pair",
    "03_train",
    "04_evaluate",
    "05_visualize",
    "06_search",
)


def code_of(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_is_a_notebook_for_every_stage_of_the_pipeline():
    stages = yaml.safe_load((project_root() / "dvc.yaml").read_text())["stages"]
    run = []
    for name, stage in stages.items():
        if name == "corpora":
            continue
        program, command, option = stage["cmd"].split()
        assert (program, option) == ("exmcr", "--notebook"), name
        run.append(NOTEBOOK_OF[command])
        assert f"notebooks/{run[-1]}.ipynb" in stage["deps"], name
    assert tuple(run) == NAMES and set(run) <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_outputs_are_stripped_and_the_smoke_value_is_the_default(path):
    code = code_of(path)
    assert not any(c.outputs or c.execution_count for c in code)
    parameters = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert len(parameters) == 1 and 'project = "toy"' in parameters[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_tell_and_the_library_does(path):
    code = "\n".join(c.source for c in code_of(path))
    assert "class " not in code and "def " not in code


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_lines_of_code_fit_on_a_page(path):
    assert [line for c in code_of(path) for line in c.source.splitlines() if len(line) >= 100] == []


# What a number in prose may be: part of a formula, of code, of a link, a heading, a list, a name.
ALLOWED = re.compile(
    r"""
    \$\$.*?\$\$ | \$.+?\$ | `[^`]*`          # formulas and code
    | \]\([^)]*\) | \bhttps?://\S+ | arXiv:\S+  # links
    | ^\#+\ .*?· | ^\s*\d+\.\ | ^\*\*\d+\.\*\* | \bsections?\ [\d.]+(?:\ (?:to|and)\ [\d.]+)?
    | \bequations?\ \d+ | \b0\d_[a-z]+ | R@\d+ | \b3D\b | \bULIP-2\b | \b(?:19|20)\d\d\b
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


def numbers_in_prose(text):
    """Digits that no cell has computed, each with what stands around it."""
    left = ALLOWED.sub(" ", text)
    return [left[max(0, m.start() - 20) : m.end() + 20] for m in re.finditer(r"\d+", left)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_prose_holds_no_number_that_is_not_computed(path):
    cells = nbformat.read(path, as_version=4).cells
    found = [n for c in cells if c.cell_type == "markdown" for n in numbers_in_prose(c.source)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The gap falls from 0.30 to 0.25.", 4),
        ("mAP is 82 %", 1),
        ("## 3 · In plain PyTorch", 0),
        ("1. `np.log(512)`\n2. $1/n$ of 3", 1),
        (
            "[03_train](03_train.ipynb), section 3.2 ([arXiv:2310.08884](https://arxiv.org/abs/1))",
            0,
        ),
        ("sections 4 to 6 of `x[:64]`, R@1 of 3D shapes in 2026", 0),
        ("$$\n\\frac12\n$$ and 7", 1),
    ],
)
def test_numbers_in_prose_are_found(text, count):
    assert len(numbers_in_prose(text)) == count


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_a_notebook_has_the_frame_of_a_lesson(path):
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    headings = re.findall(r"^## (\d) ·", text, re.MULTILINE)
    assert headings == list("123456789")
    assert cells[0].source.startswith(f"# {path.stem.split('_')[0]} · ") and "**Goal.**" in text
    assert "$$" in text, "a formula"
    code = "\n".join(c.source for c in cells)
    assert re.search(r"assert_(all)?close\(", code), "plain code equals the library"
    assert text.count("<details>") == text.count("</details>") > 0, "solutions, folded"


def test_start_needs_only_what_binder_and_colab_have():
    code = "\n".join(c.source for c in code_of(project_root() / "notebooks/start.ipynb"))
    nodes = list(ast.walk(ast.parse(code)))
    used = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    used |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    used = {name.split(".")[0] for name in used}
    assert used == {"numpy", "torch", "matplotlib", "plotly"}
    wanted = yaml.safe_load((project_root() / "binder/environment.yml").read_text())
    given = {
        re.split("[=>]", name)[0].replace("pytorch-cpu", "torch") for name in wanted["dependencies"]
    }
    assert used <= given and "python" in given
    assert os.access(project_root() / "binder/postBuild", os.X_OK)


def test_the_address_of_the_repository_is_to_be_filled_in_at_one_place():
    for path in NOTEBOOKS:
        count = path.read_text().count("OWNER")
        assert count == (2 if path.stem == "start" else 0), path.name


FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)


def test_every_formula_can_be_drawn_by_the_site():
    conf = runpy.run_path(str(project_root() / "docs/site/conf.py"))
    documents = [path.read_text() for path in (project_root() / "docs").glob("*.md")]
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        documents += [cell.source for cell in cells if cell.cell_type == "markdown"]
    count = 0
    for text in documents:
        for block, inline in FORMULA.findall(re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)):
            formula = conf["SIZES"].sub("", block or inline)
            conf["tex2mathml"](formula, as_block=bool(block))  # raises for an unknown command
            count += 1
    assert count > 50
