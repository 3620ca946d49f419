"""The methods of the comparison.

A method or post-processor is added by one entry of METHODS, and its settings by an entry of
`compare` in params.yaml; a loss is added by one entry of exmcr.training.losses.LOSSES.
exmcr/evaluation/bench.py fits and scores methods, exmcr/experiments/sweep.py tunes their settings.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.methods import cmcr, exmcr
from exmcr.methods.baselines import direct, hop, lstsq, procrustes
from exmcr.methods.cca import cca
from exmcr.methods.exmcr_plus import exmcr_plus
from exmcr.methods.freebind import freebind
from exmcr.methods.maps import Maps
from exmcr.methods.omnibind import omnibind
from exmcr.methods.oneencoder import oneencoder
from exmcr.methods.postprocessing import inverted_softmax, invgc, mean_shift
from exmcr.methods.relative import asif, relative
from exmcr.methods.ridge import ridge
from exmcr.methods.translation import translation
from exmcr.methods.unimodal import unimodal
from exmcr.methods.xbt import xbt
from exmcr.training.losses import LOSSES, Loss

Similarity = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Method:
    """An entry of the comparison.

    fit       fit(pools, seed, **settings) -> Maps
    paper     its source
    seeded    whether the result depends on the seed; if not, it is fitted once
    settings  (params, leaf name) -> keyword arguments of fit that depend on the leaf or come from
              other blocks of params.yaml; those under `compare` take precedence
    after     post-processor (exmcr/methods/postprocessing.py), applied to the maps of fit. Such an
              entry is named <method>+<post-processor>: its fit has the settings of the method, its
              own settings are those of the post-processor
    """

    fit: Callable[..., Maps]
    paper: str = ""
    seeded: bool = False
    settings: Callable[[Any, str], dict] | None = None
    after: Callable[..., np.ndarray] | None = None


def exmcr_settings(params, leaf: str) -> dict:
    """The settings of the stages `pair` and `train` for this leaf."""
    return {"pair": params.pair_settings(), "train": params.train_settings(leaf)}


def cmcr_settings(params, leaf: str) -> dict:
    """The form of C-MCR for the modality that this leaf shares with the base."""
    return {"form": cmcr.FORM_BY_OVERLAP.get(params.leaf(leaf).overlap, cmcr.FORMS[0])}


def _with_loss(loss: Loss) -> Method:
    """Ex-MCR with another inter-space loss."""
    fit = partial(exmcr.fit, loss=loss.function)
    if "weight" not in inspect.signature(loss.function).parameters:
        fit = partial(fit, weight=None)  # cannot be set in params.yaml
    return Method(fit, loss.paper, seeded=True, settings=exmcr_settings)


METHODS: dict[str, Method] = {
    "direct": Method(direct),
    "lstsq": Method(lstsq),
    "procrustes": Method(procrustes, "Schönemann 1966"),
    "translation": Method(translation, "arXiv:2311.00664"),
    "ridge": Method(ridge, "arXiv:2307.05591"),
    "cca": Method(cca, "arXiv:2503.05283"),
    "hop": Method(hop),
    "relative": Method(relative, "arXiv:2209.15430", seeded=True),
    "asif": Method(asif, "arXiv:2210.01738"),
    "unimodal": Method(unimodal, "arXiv:2409.19425", seeded=True),
    "xbt": Method(xbt, "arXiv:2405.14715", seeded=True),
    "oneencoder": Method(oneencoder, "arXiv:2409.11059", seeded=True),
    "freebind": Method(freebind, "arXiv:2405.04883", seeded=True),
    "omnibind": Method(omnibind, "arXiv:2407.11895", seeded=True),
    "cmcr": Method(cmcr.fit, "arXiv:2305.14381", seeded=True, settings=cmcr_settings),
    # Ex-MCR as published, our variant, and Ex-MCR with the losses of other papers
    "exmcr": Method(exmcr.fit, "arXiv:2310.08884", seeded=True, settings=exmcr_settings),
    "exmcr+": Method(
        exmcr_plus, "ours, after arXiv:2310.08884", seeded=True, settings=exmcr_settings
    ),
    **{f"exmcr-{name}": _with_loss(loss) for name, loss in LOSSES.items() if name != "exmcr"},
    # post-processors, each on the maps of the method before the last +
    "hop+inverted-softmax": Method(hop, "arXiv:1702.03859", after=inverted_softmax),
    "hop+invgc": Method(hop, "arXiv:2310.13276", after=invgc),
    "hop+mean-shift": Method(hop, "arXiv:2203.02053", after=mean_shift),
}


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


def settings_of(params, name: str, leaf: str) -> dict:
    """Keyword arguments of the fit of a method for one leaf; those of "hop+invgc" are those of
    "hop". params: exmcr.config.Params. Raises ConfigError for an unknown method."""
    method = method_named(name)
    fitted = name.rsplit("+", 1)[0] if method.after else name
    settings = method.settings(params, leaf) if method.settings else {}
    return settings | params.method_settings(fitted)


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
                for key in settings.keys() - known
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
