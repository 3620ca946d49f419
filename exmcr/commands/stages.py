"""The stages of a run: `exmcr corpora | spaces | extract | pair | train | evaluate | visualize |
examples`."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exmcr.commands.notebook import NotebookError, execute
from exmcr.commands.options import ProjectFolder, open_project
from exmcr.commands.times import timed
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.files import write_text

if TYPE_CHECKING:
    import pandas as pd

    from exmcr.project import Project

NOTEBOOKS = {
    "spaces": "00_spaces",
    "extract": "01_extract",
    "pair": "02_pair",
    "train": "03_train",
    "evaluate": "04_evaluate",
    "visualize": "05_visualize",
    "examples": "06_search",
}
DISTRIBUTED = ("extract", "train")  # stages whose work torchrun can share among processes

AsNotebook = Annotated[
    bool,
    typer.Option(
        "--notebook",
        help="Execute the notebook of the stage into reports/notebooks, as `dvc repro` does.",
    ),
]


def register(app: typer.Typer) -> None:
    for command in (corpora, spaces, extract, pair, train, evaluate, visualize, examples):
        app.command(rich_help_panel="Stages of a run")(command)


def corpora(project: ProjectFolder = None) -> None:
    """List the raw items that params.yaml names; fetches what is missing.

    Example: `exmcr corpora`
    """

    def work(opened: "Project") -> None:
        from exmcr import pipeline

        items = pipeline.corpora(opened)
        print(f"{opened.items_path}: {len(items)} items")

    _run("corpora", project, work)


def spaces(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Train the mini spaces, or load the real ones once.

    Example: `exmcr spaces`
    """
    from exmcr import pipeline

    _run("spaces", project, lambda opened: _print(pipeline.fit_spaces(opened)), notebook)


def extract(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Encode every item into banks; resumes where an earlier run stopped.

    Example: `exmcr extract`

    Example with 4 processes: `torchrun --nproc-per-node 4 --no-python exmcr extract`
    """
    from exmcr import pipeline

    _run("extract", project, lambda opened: _shared(pipeline.extract, opened), notebook)


def pair(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Make pseudo-pairs from the unpaired banks.

    Example: `exmcr pair`
    """
    from exmcr import pipeline

    _run("pair", project, lambda opened: _print(pipeline.pair(opened)), notebook)


def train(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Train one projector per leaf and seed; resumes where an earlier run stopped.

    Example: `exmcr train`

    Example with 4 processes: `torchrun --nproc-per-node 4 --no-python exmcr train`
    """
    from exmcr import pipeline

    _run("train", project, lambda opened: _shared(pipeline.train, opened), notebook)


def evaluate(project: ProjectFolder = None, notebook: AsNotebook = False) -> None:
    """Score Ex-MCR and the baselines on every task; `exmcr results` prints the table.

    Example: `exmcr evaluate`
    """

    def work(opened: "Project") -> None:
        from exmcr import pipeline
        from exmcr.evaluation import tables

        print(tables.markdown(pipeline.evaluate(opened)))

    _run("evaluate", project, work, notebook)


def visualize(
    project: ProjectFolder = None,
    notebook: Annotated[
        bool, typer.Option("--notebook", hidden=True, help="Accepted as by the other stages.")
    ] = False,
) -> None:
    """Draw the spaces before and after extension, by the notebook of the stage.

    Example: `exmcr visualize`
    """
    _run("visualize", project)


def examples(
    project: ProjectFolder = None,
    notebook: Annotated[
        bool, typer.Option("--notebook", hidden=True, help="Accepted as by the other stages.")
    ] = False,
) -> None:
    """Search the test items with examples of every modality, by the notebook 06_search.

    Example: `exmcr examples`
    """
    _run("examples", project)


def _run(
    name: str,
    folder: Path | None,
    work: Callable[["Project"], None] | None = None,
    notebook: bool = False,
) -> None:
    """Run a stage, by its notebook if it has no `work` or if that is requested.

    Every name in the parameters is checked first. An error that stops the stage is noted in
    reports/stopped.txt, which `make repro` prints below the output of dvc.
    """
    from exmcr.common.paths import project_root

    root = Path(folder).resolve() if folder else project_root()
    note = root / "reports/stopped.txt"
    try:
        note.unlink(missing_ok=True)
        _check_processes(name, notebook)
        project = open_project(root)
        if name == "train" and notebook:  # of which only the end is seen
            _say_overrides(project)
        with timed(name, root):
            if work and not notebook:
                work(project)
            else:
                execute(NOTEBOOKS[name], root)
    except Exception as error:
        expected = isinstance(error, ConfigError | BadItem | NotebookError)
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError, ConfigError):  # the disk may be full or read-only
            if (root / "params.yaml").is_file():
                write_text(note, f"{name}: {reason}\n")
        raise


def _say_overrides(project: "Project") -> None:
    """A changed value of `train` does not reach a leaf that overrides it: say which do."""
    for name, block in project.params.train.leaves.items():
        own = block.model_dump(by_alias=True, exclude_unset=True)
        if own:
            values = ", ".join(f"{key} {value}" for key, value in own.items())
            print(f"train.leaves.{name} overrides train: {values}")


def _check_processes(name: str, notebook: bool) -> None:
    """Raises ConfigError if torchrun started several processes for what runs in one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and (notebook or name not in DISTRIBUTED):
        what = "--notebook" if notebook else name
        raise ConfigError(
            f"{what} runs in one process; torchrun can share {' and '.join(DISTRIBUTED)} only"
        )


def _shared(stage: Callable[..., "pd.DataFrame"], project: "Project") -> None:
    """Run a stage in all processes of torchrun; the first prints the table."""
    from exmcr.common import distributed

    with distributed.torchrun() as group:
        table = stage(project, group=group)
        if distributed.rank(group) == 0:
            _print(table)


def _print(table: "pd.DataFrame") -> None:
    print(table.to_string(index=False))
