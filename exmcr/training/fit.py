"""Make and train the projector for given quadruples."""

from typing import Any

import torch

from exmcr.training.loop import train
from exmcr.training.losses import loss_named
from exmcr.training.projectors import Projector

SHAPE = ("hidden", "depth_intra", "depth_inter")  # settings that determine the architecture


def fit_projector(
    pool: dict[str, torch.Tensor], settings: dict[str, Any], seed: int, **options
) -> tuple[Projector, list[dict]]:
    """Train a new projector on quadruples {part: (n, d)}.

    settings  the `train` block for one leaf (Params.train_settings): the settings of `loop.train`,
              and optionally loss (a name in losses.LOSSES), hidden, depth_intra, depth_inter
    options   further arguments of `loop.train`; `loss` there takes precedence over the setting

    Returns the projector (eval mode, on the CPU) and one record of mean losses per epoch.
    Raises ConfigError for an unknown loss or depth.
    """
    torch.manual_seed(seed)
    shape = {name: settings[name] for name in SHAPE if name in settings}
    projector = Projector(pool["x_leaf"].shape[1], pool["o_base"].shape[1], **shape)
    options.setdefault("loss", loss_named(settings.get("loss", "exmcr")))
    history = train(projector, pool, settings, seed, **options)
    return projector.cpu().eval(), history
