"""The spaces by name. Modules are imported when first asked for, because real encoders are slow to import."""

from importlib import import_module

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


def load_space(name: str, **settings) -> Space:
    """Construct a space by its registry name; `settings` are passed on to its class.

    Raises ConfigError for an unknown name, listing the known ones."""
    if name not in SPACES:
        raise ConfigError(f"unknown space '{name}'; known: {', '.join(SPACES)}")
    module, cls = SPACES[name].split(":")
    return getattr(import_module(module), cls)(**settings)
