"""The stages of a run: `exmcr corpora | spaces | extract | pair | train | evaluate | visualize`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from exmcr.commands.options import ProjectFolder
from exmcr.common.errors import BadItem, ConfigError

NOTEBOOKS = {
    "spaces": "00_spaces",
    "extract": "01_extract",
    "pair": "02_pair",
    "train": "03_train",
    "evaluate": "04_evaluate",
    "visualize": "05_visualize",
}
AsNotebook = Annotated[
    bool,
    typer.Option(
        "--notebook",
        help="Execute the notebook of the stage into reports/notebooks, as `dvc repro` does.",
    ),
]


def register(app: typer.Typer) -> None:
    for command in (corpora, spaces, extract, pair, train, evaluate, visualize):
        app.command(rich_help_panel="Stages of a run")(command)


def corpora(project: ProjectFolder = None) -> None:
    """List the raw items that params.yaml names; fetches what is missing.

    Example: `exmcr corpora`
    """
    from exmcr import pipeline

    with _stage("corpora", project) as opened:
        items = pipeline.corpora(opened)
        print(f"{opened.items_path}: {len(items)} items")


def spaces(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Train the mini spaces, or load the real ones once.

    Example: `exmcr spaces`
    """
    _run("spaces", project, notebook, lambda p: _pipeline().fit_spaces(p))


def extract(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Encode every item into banks; resumes where an earlier run stopped.

    Example with 4 processes: `torchrun --nproc-per-node 4 --no-python exmcr extract`
    """
    _run("extract", project, notebook, _distributed("extract"))


def pair(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Make pseudo-pairs from the unpaired banks.

    Example: `exmcr pair`
    """
    _run("pair", project, notebook, lambda p: _pipeline().pair(p))


def train(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Train one projector per leaf and seed; resumes where an earlier run stopped.

    Example with 4 processes: `torchrun --nproc-per-node 4 --no-python exmcr train`
    """
    _run("train", project, notebook, _distributed("train"))


def evaluate(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Score Ex-MCR and the baselines on every task; `exmcr results` prints the table.

    Example: `exmcr evaluate`
    """
    _run("evaluate", project, notebook, lambda p: _pipeline().evaluate(p))


def visualize(project: ProjectFolder = None, notebook: AsNotebook = True) -> None:
    """Draw the spaces before and after extension (always by its notebook).

    Example: `exmcr visualize`
    """
    _run("visualize", project, True, None)


def _pipeline():
    from exmcr import pipeline

    return pipeline


def _distributed(name: str) -> Callable:
    def run(project):
        from exmcr.common import distributed

        with distributed.torchrun() as group:
            table = getattr(_pipeline(), name)(project, group=group)
            return table if distributed.rank(group) == 0 else None

    return run


def _run(name: str, project: Path | None, notebook: bool, stage: Callable | None) -> None:
    with _stage(name, project) as opened:
        if notebook or stage is None:
            from exmcr.commands.notebook import execute

            execute(NOTEBOOKS[name], opened.root)
        else:
            table = stage(opened)
            if table is not None:
                print(table.to_string(index=False))


@contextmanager
def _stage(name: str, folder: Path | None) -> Iterator:
    """The project, every name in its parameters checked; what stops the stage is noted.

    `make repro` repeats reports/stopped.txt at its end, below the output of dvc.
    """
    from exmcr import config
    from exmcr.common.paths import project_root
    from exmcr.project import Project

    root = Path(folder).resolve() if folder else project_root()
    note = root / "reports/stopped.txt"
    note.unlink(missing_ok=True)
    try:
        project = Project(root)
        config.check_names(project.params)
        yield project
    except (ConfigError, BadItem) as error:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{name}: {error}\n")
        raise
