"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        help="Folder with params.yaml; default: the one at or above the current folder.",
        show_default=False,
    ),
]
Subset = Annotated[
    str, typer.Option("--subset", help="Which test queries: all, seen or unseen concepts.")
]
SUBSETS = ("all", "seen", "unseen")


def check_subset(subset: str) -> str:
    """Raises typer.BadParameter for another name."""
    if subset not in SUBSETS:
        raise typer.BadParameter(f"'{subset}' is not one of {', '.join(SUBSETS)}")
    return subset
