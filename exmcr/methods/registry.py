"""The methods of the comparison: a method, a loss or a post-processor joins by one entry of METHODS; its settings are in params.yaml
under `compare`. exmcr.compare runs and ranks them, exmcr.sweep tries their settings."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from exmcr import config, losses
from exmcr.errors import ConfigError
from exmcr.evaluation.postprocess import inverted_softmax, invgc, mean_shift
from exmcr.methods import Maps, cmcr, exmcr
from exmcr.methods.baselines import direct, hop, lstsq, procrustes
from exmcr.methods.cca import cca
from exmcr.methods.exmcr_plus import exmcr_plus
from exmcr.methods.freebind import freebind
from exmcr.methods.omnibind import omnibind
from exmcr.methods.oneencoder import oneencoder
from exmcr.methods.relative import asif, relative
from exmcr.methods.ridge import ridge
from exmcr.methods.translation import translation
from exmcr.methods.unimodal import unimodal
from exmcr.methods.xbt import xbt


@dataclass(frozen=True)
class Method:
    """fit       fit(pools, seed, **settings) -> Maps
    paper     where it is from
    seeded    whether the seed matters; if not, it runs once
    settings  (params, leaf name) -> keyword arguments of fit that depend on the leaf or stand elsewhere in params.yaml; those
              in params["compare"] come on top
    after     post-processor: (queries (n, d), gallery (m, d), query bank, gallery bank, **settings) -> similarity (n, m), from
              unit rows in the common space; the banks are the training vectors of the same two modalities. The entry is named
              <method>+<post-processor>: the settings of the fit are those of the method, its own are the post-processor's"""

    fit: Callable[..., Maps]
    paper: str = ""
    seeded: bool = False
    settings: Callable[[dict, str], dict] | None = None
    after: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None


def ex_mcr_settings(params: dict, leaf: str) -> dict:
    """What the stages `pair` and `train` use for this leaf."""
    return {"pair": params["pair"], "train": config.train_settings(params, leaf)}


def cmcr_settings(params: dict, leaf: str) -> dict:
    """The form of C-MCR that was made for what this leaf shares with the base."""
    overlap = next(one["overlap"] for one in params["leaves"] if one["name"] == leaf)
    return {"form": cmcr.FORM_BY_OVERLAP[overlap]}


def with_loss(loss: Callable, paper: str, **fixed) -> Method:
    """Ex-MCR with another inter-space loss. fixed: arguments of fit that are not to be set in params.yaml."""
    return Method(partial(exmcr.fit, loss=loss, **fixed), paper, seeded=True, settings=ex_mcr_settings)


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
    # Ex-MCR: the paper's, with the losses of others, and recipes of our own
    "exmcr": Method(exmcr.fit, "arXiv:2310.08884", seeded=True, settings=ex_mcr_settings),
    "exmcr+": Method(exmcr_plus, "ours, after arXiv:2310.08884", seeded=True, settings=ex_mcr_settings),
    "exmcr-cwcl": with_loss(losses.cwcl_loss, "arXiv:2309.14580", weight=None),  # has none
    "exmcr-align+uniform": with_loss(losses.align_uniform_loss, "arXiv:2405.18570"),
    "exmcr-symile": with_loss(losses.symile_loss, "arXiv:2411.01053"),
    "exmcr-geodesic": with_loss(losses.geodesic_loss, "arXiv:2203.03897"),
    "exmcr-mod-x": with_loss(losses.mod_x_loss, "arXiv:2305.07437"),
    # post-processors, each on the maps of the method before the +
    "hop+inverted-softmax": Method(hop, "arXiv:1702.03859", after=inverted_softmax),
    "hop+invgc": Method(hop, "arXiv:2310.13276", after=invgc),
    "hop+mean-shift": Method(hop, "arXiv:2203.02053", after=mean_shift),
}


def settings_of(params: dict, name: str, leaf: str) -> dict:
    """Keyword arguments of a method's fit for one leaf; those of "hop+invgc" are those of "hop".

    Raises ConfigError for an unknown method."""
    method = _method(name)
    fitted = name.rsplit("+", 1)[0] if method.after else name
    given = method.settings(params, leaf) if method.settings else {}
    return given | own_settings(params, fitted)


def after_of(params: dict, name: str) -> Callable | None:
    """The post-processor of an entry with its settings: (queries, gallery, query bank, gallery bank) -> similarity."""
    after = _method(name).after
    return after and partial(after, **own_settings(params, name))


def own_settings(params: dict, name: str) -> dict:
    """What params.yaml says of an entry itself under `compare`; {} when it says nothing."""
    return (params.get("compare") or {}).get(name) or {}


def _method(name: str) -> Method:
    if name not in METHODS:
        raise ConfigError(f"compare: unknown method '{name}'; known: {', '.join(METHODS)}")
    return METHODS[name]


def check_settings(params: dict) -> None:
    """Raises ConfigError when the block `compare` names a method or a setting that does not exist."""
    for name, settings in (params.get("compare") or {}).items():
        if name not in METHODS:
            raise ConfigError(f"compare.{name} is no method; known: {', '.join(METHODS)}")
        method = METHODS[name]
        arguments = list(inspect.signature(method.after or method.fit).parameters.values())[4 if method.after else 2 :]
        if any(p.kind is p.VAR_KEYWORD for p in arguments):
            continue  # those check what they are given themselves
        elsewhere = method.settings(params, params["leaves"][0]["name"]) if method.settings else {}
        fixed = method.fit.keywords if isinstance(method.fit, partial) else {}
        known = {p.name for p in arguments} - {"loss", "progress"} - set(elsewhere) - set(fixed)
        unknown = set(settings or {}) - known
        if unknown:
            raise ConfigError(f"compare.{name}: unknown settings {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
