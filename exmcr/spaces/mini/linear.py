"""The last part of a tower: a linear map of the appearance, trained by InfoNCE.

The regression moves an item toward its own captions. A contrastive loss also moves it away from
the captions of other items, as in CLIP. It needs vectors that still have errors, and a regression
reproduces its own training items almost exactly. So the map is trained on held-out vectors: each
is predicted by a regression that has not seen the item or its near-duplicates.
"""

from typing import Any

import numpy as np
import torch
from scipy.linalg import solve
from torch.nn.functional import normalize

from exmcr.spaces.mini.vectors import principal_axes

FOLDS = 4
BATCH = 1024
LR = 0.001
AXES = 512  # principal axes of the appearance; with twice as many, validation is no better
SAME = 1 - 1e-5  # cosine from which two texts count as one


def held_out(kernel: np.ndarray, goals: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """What a kernel regression fitted without the fold of an item predicts for it, (n, d).

    kernel: (n, n), with the ridge on the diagonal. goals: (n, d). groups: of near-duplicates (n,);
    a group is in one of four folds. With a single group there is nothing to fit, and the
    predictions are zero.
    """
    folds = np.unique(groups, return_inverse=True)[1] % FOLDS
    predicted = np.zeros_like(goals)
    for fold in np.unique(folds):
        own, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(rest):
            fitted = solve(kernel[np.ix_(rest, rest)], goals[rest], assume_a="pos")
            predicted[own] = kernel[np.ix_(own, rest)] @ fitted
    return predicted


def fit(
    vectors: np.ndarray, appearance: np.ndarray, texts: np.ndarray, settings: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """A map M (k, d) and offset c (d,): normalize(vectors + appearance M - c) is near its texts.

    vectors: held-out vectors (n, d), unit rows. appearance: (n, k). texts: the vector of each
    item's captions (n, d), unit rows. settings: steps (of AdamW, from M = 0), tau and seed.
    """
    mean, axes = appearance.mean(axis=0), principal_axes(appearance, AXES)
    inputs = (appearance - mean) @ axes.T
    scale = np.sqrt((inputs**2).sum(axis=1).mean()) + 1e-9
    matrix = axes.T @ _trained(vectors, inputs / scale, texts, settings) / scale
    return matrix, mean @ matrix


def _trained(
    vectors: np.ndarray, inputs: np.ndarray, texts: np.ndarray, settings: dict[str, Any]
) -> np.ndarray:
    v, x, t = (torch.from_numpy(rows.astype(np.float32)) for rows in (vectors, inputs, texts))
    m = torch.zeros(x.shape[1], v.shape[1], requires_grad=True)
    optimizer = torch.optim.AdamW([m], lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["steps"])
    generator = torch.Generator().manual_seed(settings["seed"])
    for _ in range(settings["steps"]):
        rows = torch.randperm(len(v), generator=generator)[:BATCH]
        moved = normalize(v[rows] + x[rows] @ m, dim=1)
        optimizer.zero_grad()
        infonce(moved, t[rows], settings["tau"]).backward()
        optimizer.step()
        schedule.step()
    return m.detach().numpy()


def infonce(items: torch.Tensor, texts: torch.Tensor, tau: float) -> torch.Tensor:
    """InfoNCE in both directions; all items of one text are positives of each other.

    items, texts: (n, d), unit rows; rows i belong together. tau: temperature.
    """
    logits = items @ texts.T / tau
    same = (texts @ texts.T > SAME).float()
    positives = same / same.sum(dim=1, keepdim=True)
    by_item = (positives * logits.log_softmax(dim=1)).sum(dim=1)
    by_text = (positives * logits.T.log_softmax(dim=1)).sum(dim=1)
    return -(by_item + by_text).mean() / 2
