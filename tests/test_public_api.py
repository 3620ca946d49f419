"""`from exmcr import ExMCR, Bank, load_space`: what it gives, and what it does not load."""

import subprocess
import sys

import pytest

import exmcr

# The public names need none of these: they belong to projects, figures and notebooks.
ABSENT = (
    "exmcr.pipeline",
    "exmcr.project",
    "exmcr.config",
    "exmcr.methods",
    "exmcr.evaluation",
    "exmcr.figures",
    "pydantic",
    "typer",
    "dvc",
    "matplotlib",
    "plotly",
    "umap",
    "sklearn",
    "papermill",
    "jupyter_client",
    "IPython",
    "transformers",
    "open_clip",
)
IMPORT = """
import sys, time
import torch
alone = time.process_time()
from exmcr import ExMCR, Bank, load_space
seconds = time.process_time() - alone
print(alone, seconds, *(name for name in {absent} if name in sys.modules))
"""


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_public_names_load_neither_projects_nor_figures_and_little_beside_torch():
    """In processor time, and against torch, so that a busy machine does not matter."""
    torch, rest, *present = python(IMPORT.replace("{absent}", repr(ABSENT)))
    assert present == []
    assert float(rest) < min(float(torch), 3)


def test_the_package_alone_loads_nothing():
    code = (
        "import sys, exmcr; print(*(m for m in ('torch', 'numpy', 'pandas') if m in sys.modules))"
    )
    assert python(code) == []


def test_every_public_name_is_where_it_is_defined():
    from exmcr.banks.bank import Bank
    from exmcr.model.exmcr import ExMCR
    from exmcr.spaces import load_space

    assert (exmcr.Bank, exmcr.ExMCR, exmcr.load_space) == (Bank, ExMCR, load_space)
    assert set(exmcr.__all__) <= set(dir(exmcr))
    from exmcr import __version__

    assert __version__ == exmcr.__version__


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'exmcr' has no attribute 'Model'"):
        exmcr.Model
    with pytest.raises(ImportError):
        exec("from exmcr import Model")


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert version("exmcr") == exmcr.__version__
