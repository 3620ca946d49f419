"""Frozen spaces by name (stage `fit_spaces`, notebook 00_spaces).

base.py     the interface of a space
clip.py, clap.py, ulip.py (with pointbert.py)   the spaces of the paper
clap_hf.py                              CLAP by transformers
openshape.py (with patches.py)          OpenShape, for colored point clouds
weights.py  their weight files: sources (weight_table.py), local folder, download, hashes
mini/       small spaces trained here, for offline runs
loaded.py   the record of the weights that a run has loaded

Modules are imported when first used, because real encoders are slow to import.
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.spaces.base import Space

SPACES = {
    "mini-image-text": "exmcr.spaces.mini.image_text:MiniImageText",
    "mini-audio-text": "exmcr.spaces.mini.audio_text:MiniAudioText",
    "mini-points": "exmcr.spaces.mini.points:MiniPoints",
    "mini-speech-text": "exmcr.spaces.mini.speech:MiniSpeechText",
    "clip": "exmcr.spaces.clip:Clip",
    "clap": "exmcr.spaces.clap:Clap",
    "ulip2": "exmcr.spaces.ulip:Ulip2",
    "clap-hf": "exmcr.spaces.clap_hf:ClapHf",
    "openshape": "exmcr.spaces.openshape:OpenShape",
}


def space_class(name: str) -> type[Space]:
    """The class of a space; its modalities and options are known without loading weights.

    Raises ConfigError for an unknown name, listing the known ones.
    """
    if name not in SPACES:
        raise ConfigError(f"unknown space '{name}'; known: {', '.join(SPACES)}")
    module, cls = SPACES[name].split(":")
    return getattr(import_module(module), cls)


def options(name: str) -> list[str]:
    """Constructor arguments that `encoders` in params.yaml may set (all but the project root)."""
    return [o for o in inspect.signature(space_class(name)).parameters if o != "root"]


def wrong_options(name: str, chosen: dict[str, Any]) -> list[str]:
    """One line for each option of a space that does not exist or has an impossible value."""
    known, choices, wrong = options(name), space_class(name).choices, []
    for option, value in chosen.items():
        path = f"encoders.{name}.{option}"
        if option not in known:
            names = f"known: {', '.join(known)}" if known else "this space has none"
            wrong.append(f"{path}: unknown option; {names}")
        elif option in choices and value not in choices[option]:
            wrong.append(f"{path}: must be one of {', '.join(choices[option])}, is {value!r}")
        elif option == "batch_size" and (type(value) is not int or value < 1):
            wrong.append(f"{path}: must be a whole number > 0, is {value!r}")
    return wrong


def load_space(name: str, root: Path | None = None, **options: Any) -> Space:
    """Construct a space by its registry name.

    root: project folder, against which relative paths are resolved; None takes the one at or above
    the current folder. A constructor without an argument `root` does not receive it.

    Raises ConfigError for an unknown name or option, and for anything wrong with the weights.
    """
    cls = space_class(name)
    if wrong := wrong_options(name, options):
        raise ConfigError("; ".join(wrong))
    if "root" in inspect.signature(cls).parameters:
        options["root"] = root
    return cls(**options)
