"""The root of a project."""

from pathlib import Path

from exmcr.common.errors import ConfigError


def project_root(start: Path | None = None) -> Path:
    """The folder that holds params.yaml, at or above `start` (default: the current folder).

    papermill runs notebooks in the caller's folder and nbmake in the notebook's; both find the
    same root. Raises ConfigError if there is none.
    """
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise ConfigError(
        f"no params.yaml in {here} or above it; run inside a project or use --project"
    )
