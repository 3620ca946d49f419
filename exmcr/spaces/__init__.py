"""The spaces by name. Modules are imported when first asked for, because real encoders are slow to import."""

import inspect
from importlib import import_module
from pathlib import Path

from exmcr.errors import ConfigError
from exmcr.spaces.base import Space

SPACES = {
    "mini-image-text": "exmcr.spaces.mini.image_text:MiniImageText",
    "mini-audio-text": "exmcr.spaces.mini.audio_text:MiniAudioText",
    "mini-points": "exmcr.spaces.mini.points:MiniPoints",
    "clip": "exmcr.spaces.clip:Clip",
    "clap": "exmcr.spaces.clap:Clap",
    "ulip2": "exmcr.spaces.ulip:Ulip2",
}


def space_class(name: str) -> type[Space]:
    """The class of a space, whose modalities and options can be asked without loading weights.

    Raises ConfigError for an unknown name, listing the known ones."""
    if name not in SPACES:
        raise ConfigError(f"unknown space '{name}'; known: {', '.join(SPACES)}")
    module, cls = SPACES[name].split(":")
    return getattr(import_module(module), cls)


def options(name: str) -> list[str]:
    """What can be chosen when a space is constructed (`encoders` in params.yaml), besides the project it belongs to."""
    return [option for option in inspect.signature(space_class(name)).parameters if option != "root"]


def load_space(name: str, root: Path | None = None, **options) -> Space:
    """Construct a space by its registry name, for the project in `root` (the one around the caller if None).

    Raises ConfigError for an unknown name, and whatever is wrong with its weights."""
    return space_class(name)(root=root, **options)
