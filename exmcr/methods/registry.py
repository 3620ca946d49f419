"""The methods of the comparison.

A module of this folder that defines METHODS = {name: Method(...)} adds these methods; their
settings are an entry of `compare` in params.yaml. Every loss of exmcr.training.losses.LOSSES is a
method as well (exmcr.py). exmcr/evaluation/bench.py fits and scores methods,
exmcr/experiments/sweep.py tunes their settings.
"""

import inspect
import pkgutil
from collections.abc import Callable
from functools import partial
from importlib import import_module

import numpy as np

from exmcr import methods
from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Method

Similarity = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _collect() -> dict[str, Method]:
    """The METHODS of every module of this folder, in the order of the modules' names."""
    found: dict[str, Method] = {}
    for module in pkgutil.iter_modules(methods.__path__):
        if module.name != "registry":
            imported = import_module(f"{methods.__name__}.{module.name}")
            found |= getattr(imported, "METHODS", {})
    return found


METHODS = _collect()


def method_named(name: str) -> Method:
    """A registered method. Raises ConfigError, listing the known names."""
    if name not in METHODS:
        raise ConfigError(f"unknown method '{name}'; known: {', '.join(METHODS)}")
    return METHODS[name]


def seeds_of(params, name: str) -> list[int]:
    """The seeds with which a method is fitted: those of params.yaml, or 0 if none matters.

    Raises ConfigError for an unknown method.
    """
    return list(params.seeds) if method_named(name).seeded else [0]


def fitted_name(name: str) -> str:
    """The method whose fit a method uses: "hop" for "hop+invgc", which only adds a post-processor,
    else itself. Raises ConfigError for an unknown method."""
    return name.rsplit("+", 1)[0] if method_named(name).after else name


def settings_of(params, name: str, leaf: str) -> dict:
    """Keyword arguments of the fit of a method for one leaf; those of "hop+invgc" are those of
    "hop". params: exmcr.config.Params. Raises ConfigError for an unknown method."""
    method = method_named(name)
    settings = method.settings(params, leaf) if method.settings else {}
    return settings | params.method_settings(fitted_name(name))


def after_of(params, name: str) -> Similarity | None:
    """The post-processor of a method with its settings, or None."""
    after = method_named(name).after
    return partial(after, **params.method_settings(name)) if after else None


def wrong_settings(params) -> list[str]:
    """One line for each method or setting under `compare` that does not exist."""
    wrong = []
    for name, settings in params.compare.items():
        if name not in METHODS:
            wrong.append(f"compare.{name}: unknown method; known: {', '.join(METHODS)}")
            continue
        known = _known_settings(params, METHODS[name])
        if known is not None:
            wrong += [
                f"compare.{name}.{key}: unknown setting; known: {', '.join(sorted(known))}"
                for key in sorted(settings.keys() - known)
            ]
    return wrong


def check_settings(params) -> None:
    """Raises ConfigError if `compare` names a method or a setting that does not exist."""
    if wrong := wrong_settings(params):
        raise ConfigError("\n".join(wrong))


def _known_settings(params, method: Method) -> set[str] | None:
    """Names that `compare` may set; None if the method checks them itself."""
    function, positional = (method.after, 4) if method.after else (method.fit, 2)
    arguments = list(inspect.signature(function).parameters.values())[positional:]
    if any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
        return None
    elsewhere = method.settings(params, params.leaves[0].name) if method.settings else {}
    fixed = method.fit.keywords if isinstance(method.fit, partial) else {}
    names = {argument.name for argument in arguments} - {"loss", "progress"}
    return names - elsewhere.keys() - fixed.keys()
