"""Projectors trained on centered leaf vectors, for use on vectors as they are."""

import numpy as np
import torch
from torch import nn

from exmcr.common.errors import ConfigError
from exmcr.training.projectors import Projector


def absorb_mean(projector: Projector, x: np.ndarray) -> Projector:
    """Change f_l in place so that a projector trained on normalize(x - mean) takes x itself.

    x: (n, d_leaf), the training pool of the leaf's own modality, unit rows. f_l becomes
    W (s (x - mean)) + b, with s = 1 / mean |x - mean|: the lengths |x - mean| of single items are
    replaced by their mean, and the architecture stays that of the authors. Raises ConfigError
    unless f_l is linear.
    """
    if not isinstance(projector.Head1, nn.Linear):
        raise ConfigError("pair.subtract_mean needs a linear f_l (train.depth_intra: linear)")
    mean = np.asarray(x.mean(axis=0, dtype=np.float64))
    scale = 1 / float(np.linalg.norm(x - mean, axis=1).mean())
    with torch.no_grad():
        weight, bias = projector.Head1.weight, projector.Head1.bias
        bias -= scale * weight @ torch.from_numpy(mean).to(weight)
        weight *= scale
    return projector
