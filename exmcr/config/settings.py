"""The values of settings whose names only a registry knows: of methods, and options of encoders.

A setting has the type of its default. Ranges are by name: a name means the same in every method.
"""

import inspect
import math
from functools import partial
from typing import Any

from exmcr.config.params import Params
from exmcr.config.values import CENTERS, shorter
from exmcr.methods.cmcr import MINI
from exmcr.methods.maps import Method
from exmcr.methods.networks import SETTINGS
from exmcr.methods.registry import METHODS, wrong_settings
from exmcr.spaces import space_class

# least, whether the least is allowed, most; a setting that is not here may be any finite number
POSITIVE, TEMPERATURE = (0.0, False, 1e6), (1e-4, True, 100.0)
NOT_NEGATIVE, SHARE = (0.0, True, 1e6), (0.0, True, 1.0)
RANGES = {
    **dict.fromkeys(("tau", "tau1", "tau2"), TEMPERATURE),
    **dict.fromkeys(("beta", "lr"), POSITIVE),
    **dict.fromkeys(
        (
            "alpha",
            "factor",
            "lambda",
            "noise",
            "power",
            "regress",
            "ridge",
            "weight",
            "weight_decay",
        ),
        NOT_NEGATIVE,
    ),
    **dict.fromkeys(("epsilon", "scale"), POSITIVE),
    **dict.fromkeys(("penalty", "shape"), NOT_NEGATIVE),
    **dict.fromkeys(("switch", "same"), SHARE),
    **dict.fromkeys(("rate_query", "rate_gallery"), NOT_NEGATIVE),
    **dict.fromkeys(("shrink", "share", "settle", "share_projector"), SHARE),
}
# Settings that count something.
COUNTS = (
    *("steps", "batch", "hidden", "out", "dims", "anchors", "keep", "per_item"),
    *("words", "codes", "bits", "rounds", "euler"),
)
CHOICES = {
    "center": ("own", "overlap"),
    "form": ("clap-clip", "ulip-clip"),
    "target": ("o", "y"),
    "rule": ("auto", "agreement", "entropy"),
}
MOST = 10**9
# Settings that hold settings, with the names that these may have.
NESTED = {"settings": tuple(MINI), "member_settings": tuple(METHODS)}


def wrong_method_settings(params: Params) -> list[str]:
    """One line for each method, setting or value under `compare` that does not exist or cannot
    be."""
    wrong = wrong_settings(params)
    for name, chosen in params.compare.items():
        if name in METHODS:
            defaults = _defaults(METHODS[name])
            trained = any(key.startswith("**") for key in defaults)
            known = [key for key in defaults if not key.startswith("**")][2:]
            for key, value in chosen.items():
                if trained and key not in known and key not in SETTINGS:
                    names = ", ".join(sorted({*known, *SETTINGS}))
                    wrong.append(f"compare.{name}.{shorter(key)}: unknown setting; known: {names}")
                    continue
                wrong += _wrong(f"compare.{name}.{key}", key, value, defaults.get(key), name)
    return wrong


def wrong_options(space: str, chosen: dict[str, Any]) -> list[str]:
    """One line for each option of an encoder whose value has the wrong type."""
    wrong, arguments = [], inspect.signature(space_class(space)).parameters
    for option, value in chosen.items():
        default, path = arguments[option].default, f"encoders.{space}.{option}"
        if option == "batch_size":  # of some spaces the default depends on the device: None
            default = 1
        if isinstance(default, str) or default is None:
            if not isinstance(value, str) or not value:
                wrong.append(f"{path}: must be text, is {shorter(value)}")
        else:
            wrong += _wrong(path, option, value, default, space)
    return wrong


def _wrong_nested(path: str, key: str, value: Any, method: str) -> list[str]:
    """What is wrong with settings below a setting: of C-MCR, or of the members of a method."""
    if not isinstance(value, dict):
        return [f"{path}: must be a dictionary of names and values, is {shorter(value)}"]
    known = NESTED[key]
    wrong = [
        f"{path}.{shorter(name)}: unknown name; known: {', '.join(known)}"
        for name in value
        if name not in known
    ]
    for name, inner in value.items():
        if name in METHODS:
            own = _defaults(METHODS[name])
            if not isinstance(inner, dict):
                wrong.append(f"{path}.{name}: must be a dictionary, is {shorter(inner)}")
                continue
            for setting, chosen in inner.items():
                place = f"{path}.{name}.{setting}"
                wrong += _wrong(place, setting, chosen, own.get(setting), method)
        else:
            wrong += _wrong(f"{path}.{name}", name, inner, None, method)
    return wrong


def _defaults(method: Method) -> dict[str, Any]:
    """{argument: default} of the function behind a method; of `**settings`, the name has stars."""
    function = method.after or method.fit
    function = function.func if isinstance(function, partial) else function
    return {
        str(argument) if argument.kind is argument.VAR_KEYWORD else name: argument.default
        for name, argument in inspect.signature(function).parameters.items()
    }


def _wrong(path: str, key: str, value: Any, default: Any, method: str) -> list[str]:
    """What is wrong with one value; [] if nothing."""
    if key in NESTED:
        return _wrong_nested(path, key, value, method)
    if key in CHOICES:
        known = CHOICES[key]
        good, what = value in known, f"must be one of {', '.join(known)}"
    elif key in ("members", "centers"):
        names = CENTERS if key == "centers" else [name for name in METHODS if name != method]
        good = isinstance(value, list) and len(value) > 0 and all(x in names for x in value)
        good = good and len({*value}) == len(value)
        what = f"must be a list of different names out of {', '.join(names)}"
    elif isinstance(default, bool):
        good, what = isinstance(value, bool), "must be true or false"
    elif key in COUNTS or isinstance(default, int):
        good = type(value) is int and 1 <= value <= MOST
        what = f"must be a whole number from 1 to {MOST}"
    elif key in RANGES or isinstance(default, float):
        least, included, most = RANGES.get(key, (-1e6, True, 1e6))
        good = type(value) in (int, float) and math.isfinite(value) and least <= value <= most
        good = good and (included or value > least)
        what = f"must be a number {'from' if included else 'above'} {least:g} to {most:g}"
    else:
        return []
    return [] if good else [f"{path}: {what}, is {shorter(value)}"]
