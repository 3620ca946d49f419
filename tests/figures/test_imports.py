"""What a figure module imports decides which DVC stages depend on which code."""

import subprocess
import sys

CHECK = """
import importlib, sys
def loaded(*folders):
    return [name for name in sys.modules if name.split(".")[1:2] and name.split(".")[0] == "exmcr" and name.split(".")[1] in folders]
for name in ("style", "training", "spaces"):
    importlib.import_module(f"exmcr.figures.{name}")
assert not loaded("pairing", "training", "methods", "evaluation", "spaces", "banks", "kernels"), loaded("pairing", "kernels", "evaluation")
for name in ("items", "pairing", "gallery"):
    importlib.import_module(f"exmcr.figures.{name}")
assert not loaded("methods", "evaluation", "training"), loaded("methods", "evaluation", "training")
for name in ("results", "concepts", "geometry", "maps", "gaps", "comparison", "localization"):
    importlib.import_module(f"exmcr.figures.{name}")
above = ("pipeline", "model", "experiments", "commands", "toy_project", "project")
assert not loaded(*above), loaded(*above)
assert not {"umap", "plotly"} & set(sys.modules)
"""


def test_a_module_imports_only_what_its_figures_need():
    run = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
