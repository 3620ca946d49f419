"""The model of an index: a folder that `exmcr export` wrote, a project, or a repository."""

from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.paths import project_root
from exmcr.model.exmcr import ExMCR


def open_model(source: str | Path | None = None, device: str | None = None) -> tuple[ExMCR, str]:
    """A model, and where it came from, absolute.

    source: folder with exmcr.json, folder of a project, or "user/name" of a repository of the
    Hugging Face hub; None takes the project at or above the current folder. Raises ConfigError if
    it is none of these.
    """
    if source is None:
        try:
            source = project_root()
        except ConfigError as error:
            raise ConfigError(
                "no model: name a folder that `exmcr export` wrote, or a repository of the hub, by "
                "--model, or a project by --project"
            ) from error
    folder = Path(source)
    if (folder / "exmcr.json").is_file():
        return ExMCR.load(folder, device=device), str(folder.resolve())
    if (folder / "params.yaml").is_file():
        return ExMCR.from_project(folder, device=device), str(folder.resolve())
    if folder.is_absolute() and not folder.exists():
        raise ConfigError(f"there is no model at {folder}; name the model with --model")
    if folder.exists():
        raise ConfigError(
            f"{folder} holds neither exmcr.json (`exmcr export`) nor params.yaml (a project)"
        )
    return ExMCR.from_pretrained(str(source), device=device), str(source)
