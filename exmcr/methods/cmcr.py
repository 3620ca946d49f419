"""C-MCR (arXiv:2305.14381): two spaces connected in a new third one, with a head for each.

Its pseudo-pairs are centered at the overlap only. Both heads are trained, so knowledge of either
space may be lost; Ex-MCR, its successor, leaves one of them unchanged. The shapes of the heads are
those of the authors' files (exmcr.training.cmcr_heads).
"""

import torch

from exmcr.common.errors import ConfigError
from exmcr.methods.maps import Maps, Method
from exmcr.methods.networks import on_arrays, pseudo_pairs
from exmcr.pairing.pools import Pools
from exmcr.training import objectives
from exmcr.training.cmcr_heads import CMCR
from exmcr.training.loop import train

# The large heads, for sounds and images; the small heads, for 3D and texts.
FORMS = ("clap-clip", "ulip-clip")
FORM_BY_OVERLAP = {"text": "clap-clip", "image": "ulip-clip"}  # by what the two spaces share

PAPER = {
    "tau1": 0.01,  # of the aggregation [assumed; corroborated by a public re-use]
    "tau2": 0.01,  # of InfoNCE [assumed]
    "lambda": 0.1,  # weight of the intra-space term [assumed]
    "noise": 0.004,  # variance per dimension of semantic completion [assumed]
    "batch": 10240,  # [assumed]
    "steps": 8000,  # 36 epochs [assumed] of about 2.3 M texts
    "lr": 1e-3,  # [assumed]
    "weight_decay": 0.01,  # AdamW's default [assumed]
}
# Steps and batch as in params.yaml for Ex-MCR, both temperatures chosen on validation concepts of
# the mini corpora. There tau2 moves the mean mAP of the 3D leaf by 2 points (0.02 is best) and that
# of the sound leaf by half a point; tau1, lambda, noise and steps move either by less than one.
MINI = PAPER | {"tau1": 0.02, "tau2": 0.02, "batch": 512, "steps": 100}


def cmcr_loss(
    model: CMCR, batch: dict[str, torch.Tensor], settings: dict
) -> dict[str, torch.Tensor]:
    """The C-MCR objective on one batch of quadruples: {"intra", "inter", "total"}.

    arXiv:2305.14381, section 3.3. total = inter + lambda intra, where all vectors have passed
    their heads (marked by '), and

    inter = InfoNCE(o^L', o^B') + InfoNCE(x', y'), at temperature tau2: the overlap in one space
    against its counterpart in the other, and the two other modalities against each other.
    intra = (|x' - o^L'|^2 + |y' - o^B'|^2) / 2: the two embeddings of one space attract, nothing
    repels [form corroborated by a public re-use].

    settings: tau2, lambda.
    """
    # Both modalities of a space in one pass: BatchNorm sees the mixture that it will see in use.
    x, o_leaf = model.leaf(torch.cat([batch["x_leaf"], batch["o_leaf"]])).chunk(2)
    y, o_base = model.base(torch.cat([batch["y_base"], batch["o_base"]])).chunk(2)
    tau2 = settings["tau2"]
    inter = objectives.infonce(o_leaf, o_base, tau2) + objectives.infonce(x, y, tau2)
    intra = (objectives.intra_loss(x, o_leaf) + objectives.intra_loss(y, o_base)) / 2
    return objectives.combined(inter, intra, settings)


def fit(
    pools: Pools,
    seed: int = 0,
    *,
    form: str = "clap-clip",
    settings: dict | None = None,
    progress: bool = False,
) -> Maps:
    """`fit_heads` as maps of both spaces into the third one."""
    heads = fit_heads(pools, seed, form=form, settings=settings, progress=progress)
    return Maps(leaf=on_arrays(heads.leaf), base=on_arrays(heads.base))


def fit_heads(
    pools: Pools,
    seed: int = 0,
    *,
    form: str = "clap-clip",
    settings: dict | None = None,
    progress: bool = False,
) -> CMCR:
    """Train both heads on the overlap-centered pseudo-pairs of these pools.

    form      one of FORMS
    settings  overrides of MINI

    Returns the heads in eval mode. Raises ConfigError for an unknown form or setting.
    """
    if form not in FORMS:
        raise ConfigError(f"C-MCR has no form {form!r}; known: {', '.join(FORMS)}")
    if unknown := sorted((settings or {}).keys() - MINI.keys()):
        raise ConfigError(f"C-MCR has no setting {', '.join(unknown)}; known: {', '.join(MINI)}")
    settings = MINI | (settings or {})
    pool = pseudo_pairs(pools, ["overlap"], settings["tau1"])
    torch.manual_seed(seed)
    d_leaf, d_base = pools.x_leaf.shape[1], pools.y_base.shape[1]
    model = CMCR(d_leaf, d_base, d_base, small=form == "ulip-clip")
    train(model, pool, settings, seed, loss=cmcr_loss, progress=progress)
    return model.cpu().eval()


def cmcr_settings(params, leaf: str) -> dict:
    """The form of C-MCR for the modality that this leaf shares with the base."""
    return {"form": FORM_BY_OVERLAP.get(params.leaf(leaf).overlap, FORMS[0])}


METHODS = {"cmcr": Method(fit, "arXiv:2305.14381", seeded=True, settings=cmcr_settings)}
