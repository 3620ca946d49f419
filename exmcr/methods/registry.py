"""The methods of the comparison. A method or a post-processor joins by one entry of METHODS, and
its settings by an entry of `compare` in params.yaml; a loss joins by one entry of
exmcr.training.losses.LOSSES.

exmcr/evaluation/bench.py fits and scores them, exmcr/experiments/sweep.py tries their settings.
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
    """fit       fit(pools, seed, **settings) -> Maps
    paper     where it is from
    seeded    whether the seed matters; if not, it runs once
    settings  (params, leaf name) -> keyword arguments of fit that depend on the leaf or are set
              elsewhere in params.yaml; those under `compare` come on top
    after     post-processor: (queries (n, d), gallery (m, d), query bank, gallery bank, **settings)
              -> similarity (n, m), from unit rows in the common space; the banks are the training
              vectors of the same two modalities. Such an entry is named <method>+<post-processor>:
              its fit has the settings of the method, its own settings are the post-processor's
    """

    fit: Callable[..., Maps]
    paper: str = ""
    seeded: bool = False
    settings: Callable[[Any, str], dict] | None = None
    after: Similarity | None = None


def exmcr_settings(params, leaf: str) -> dict:
    """What the stages `pair` and `train` use for this leaf."""
    return {"pair": params.pair_settings(), "train": params.train_settings(leaf)}


def cmcr_settings(params, leaf: str) -> dict:
    """The form of C-MCR for the modality that this leaf shares with the base."""
    return {"form": cmcr.FORM_BY_OVERLAP.get(params.leaf(leaf).overlap, cmcr.FORMS[0])}


def _with_loss(loss: Loss) -> Method:
    """Ex-MCR with another inter-space loss."""
    weighted = "weight" in inspect.signature(loss.function).parameters
    fixed = {} if weighted else {"weight": None}  # not to be set in params.yaml
    fit = partial(exmcr.fit, loss=loss.function, **fixed)
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
    # Ex-MCR as published, our recipe, and Ex-MCR with the losses of other papers
    "exmcr": Method(exmcr.fit, "arXiv:2310.08884", seeded=True, settings=exmcr_settings),
    "exmcr+": Method(
        exmcr_plus, "ours, after arXiv:2310.08884", seeded=True, settings=exmcr_settings
    ),
    **{f"exmcr-{name}": _with_loss(loss) for name, loss in LOSSES.items() if name != "exmcr"},
    # post-processors, each on the maps of the method before the +
    "hop+inverted-softmax": Method(hop, "arXiv:1702.03859", after=inverted_softmax),
    "hop+invgc": Method(hop, "arXiv:2310.13276", after=invgc),
    "hop+mean-shift": Method(hop, "arXiv:2203.02053", after=mean_shift),
}


def method_named(name: str) -> Method:
    """A registered method. Raises ConfigError, listing the known names."""
    if name not in METHODS:
        raise ConfigError(f"unknown method '{name}'; known: {', '.join(METHODS)}")
    return METHODS[name]


def settings_of(params, name: str, leaf: str) -> dict:
    """Keyword arguments of a method's fit for one leaf; those of "hop+invgc" are those of "hop".

    Raises ConfigError for an unknown method.
    """
    method = method_named(name)
    fitted = name.rsplit("+", 1)[0] if method.after else name
    given = method.settings(params, leaf) if method.settings else {}
    return given | params.method_settings(fitted)


def after_of(params, name: str) -> Similarity | None:
    """The post-processor of an entry with its settings, or None."""
    after = method_named(name).after
    return after and partial(after, **params.method_settings(name))


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
    function, skipped = (method.after, 4) if method.after else (method.fit, 2)
    arguments = list(inspect.signature(function).parameters.values())[skipped:]
    if any(p.kind is p.VAR_KEYWORD for p in arguments):
        return None
    elsewhere = method.settings(params, params.leaves[0].name) if method.settings else {}
    fixed = method.fit.keywords if isinstance(method.fit, partial) else {}
    return {p.name for p in arguments} - {"loss", "progress"} - set(elsewhere) - set(fixed)
