"""Models on the Hugging Face hub (extra `hub`): the files of `ExMCR.save` and a model card.

Only JSON and safetensors are downloaded, so nothing in a repository is executed.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_text
from exmcr.media.guard import one_line

FILES = ["exmcr.json", "exmcr.safetensors", "models/spaces/*.json", "models/spaces/*.safetensors"]


def download(
    name: str | Path,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder of a model: `name` itself if there is such a folder, else a copy in the cache of
    the repository "user/name" of the hub.

    Raises ConfigError if there is neither, or if it holds no model.
    """
    if Path(name).is_dir():
        folder = Path(name)
    else:
        folder = _snapshot(str(name), revision, cache_dir, token, local_files_only)
    if not (folder / "exmcr.json").is_file():
        raise ConfigError(f"{name} holds no exmcr.json: it is not a model that exmcr wrote")
    return folder


def push(
    save: Callable[[Path], Any],
    card: str,
    repo: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    message: str = "Upload an exmcr model",
    api: Any = None,
) -> str:
    """Create the repository "user/name" if needed, and upload what `save` writes and a card.

    api: a huggingface_hub.HfApi; by default a new one. Returns the address of the commit. Raises
    ConfigError if the hub refuses or cannot be reached.
    """
    hub = _package()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save(folder)
        write_text(folder / "README.md", card)
        client = api or hub.HfApi(token=token)
        try:
            client.create_repo(repo, private=private, exist_ok=True)
            done = client.upload_folder(
                repo_id=repo,
                folder_path=folder,
                commit_message=message,
                revision=revision,
                allow_patterns=[*FILES, "README.md"],
            )
        except _failures(hub) as error:
            raise ConfigError(f"cannot upload to {repo}: {one_line(str(error))}") from error
    return str(getattr(done, "commit_url", done))


def _snapshot(
    name: str,
    revision: str | None,
    cache_dir: str | Path | None,
    token: str | bool | None,
    local_files_only: bool,
) -> Path:
    if name.count("/") != 1:
        raise ConfigError(f"there is no folder {name}, and it is not user/name of a repository")
    hub = _package()
    try:
        place = hub.snapshot_download(
            name,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            allow_patterns=FILES,
        )
    except _failures(hub) as error:
        reason = one_line(str(error))
        raise ConfigError(
            f"no folder {name}, and no model of this name from the hub: {reason}"
        ) from error
    return Path(place)


def _package() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError("the hub needs the package huggingface-hub (extra `hub`)") from error
    return huggingface_hub


def _failures(hub: ModuleType) -> tuple[type[Exception], ...]:
    """Errors of the network, of the hub, and of names that it does not allow."""
    found: tuple[type[Exception], ...] = (OSError, hub.errors.HFValidationError)
    try:
        import httpx
    except ImportError:
        return found
    return (*found, httpx.HTTPError)
