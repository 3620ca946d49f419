"""Sound localization: which part of an image makes the sound? The score of a region is the cosine
of its crop with the sound.

Windows of two sizes slide over the image; each is encoded by the frozen base as an image of its
own. The heat of a place is the mean score of the windows around it, weighted by their distance.
Three metrics, each a mean over scenes:

pointing  share whose hottest place lies in a box of the sounding object (if several places are
          equally hot: their share inside)
ciou      share with cIoU >= 0.5, if the map is cut halfway between its least and greatest heat;
          cIoU = sum of g over A / (sum of g + |A outside G|), A: the cells kept, g: the boxes, G:
          where g > 0 (arXiv:1803.03849, section 4). With boxes, where g is 0 or 1, it is
          intersection over union
auc       area under the share with cIoU >= t, for t = 0, 0.05, ..., 1
"""

from collections.abc import Callable, Sequence

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.evaluation.compositions import Box, Scene

SCALES = (0.2, 0.3)  # sides of the windows, as fractions of the image; windows move by half a side
NEAR = 0.25  # standard deviation of the weight of a window, as a fraction of its side
GRID = 64  # cells of a heat map per side
THRESHOLDS = np.arange(21) * 0.05
METRICS = ("pointing", "ciou", "auc")
DRAWS = 20  # random maps per scene for the estimate of chance


def windows(scales: tuple[float, ...] = SCALES) -> np.ndarray:
    """Boxes (w, 4) as fractions: left, top, right, bottom. The last of a row ends at the edge."""
    boxes = []
    for side in scales:
        count = max(1, int(np.ceil((1 - side) / (side / 2) - 1e-9)) + 1)
        starts = np.linspace(0, 1 - side, count)
        boxes += [(x, y, x + side, y + side) for y in starts for x in starts]
    return np.array(boxes)


def crops(image: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    """The regions of an image, uint8 (H, W, 3), as images of at least one pixel."""
    height, width = image.shape[:2]
    edges = np.rint(np.asarray(boxes) * (width, height, width, height)).astype(int)
    return [
        np.ascontiguousarray(image[top : max(bottom, top + 1), left : max(right, left + 1)])
        for left, top, right, bottom in edges
    ]


def inside(boxes: Sequence[Box] | np.ndarray) -> np.ndarray:
    """bool (len(boxes), GRID, GRID): the cells whose center is in the box."""
    center = (np.arange(GRID) + 0.5) / GRID
    left, top, right, bottom = np.asarray(boxes, float).reshape(-1, 4).T[:, :, None]
    across, down = (left <= center) & (center < right), (top <= center) & (center < bottom)
    return down[:, :, None] & across[:, None, :]


def heat(scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Heat maps, float64 (n, GRID, GRID), of n scenes with scores (n, w) of the windows (w, 4).

    Each place has the mean score of the windows, weighted by a Gaussian of its distance from the
    center of a window. (A plain mean over the windows that contain a place blurs twice as far.)
    """
    cell = (np.arange(GRID) + 0.5) / GRID
    left, top, right, bottom = boxes.T[:, :, None]
    across = np.exp(-0.5 * ((cell - (left + right) / 2) / (NEAR * (right - left))) ** 2)
    down = np.exp(-0.5 * ((cell - (top + bottom) / 2) / (NEAR * (bottom - top))) ** 2)
    weight = (down[:, :, None] * across[:, None, :]).reshape(len(boxes), -1)
    return (scores @ (weight / weight.sum(axis=0))).reshape(-1, GRID, GRID)


def share_inside(regions: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """The share of each window (w, 4) that lies in a box, the largest over boxes: (w,) in [0, 1].

    These scores give the upper bound of localization with windows.
    """
    corner, end = np.asarray(boxes)[:, None, :2], np.asarray(boxes)[:, None, 2:]
    sides = np.clip(np.minimum(regions[:, 2:], end) - np.maximum(regions[:, :2], corner), 0, None)
    return (sides.prod(axis=2) / (regions[:, 2:] - regions[:, :2]).prod(axis=1)).max(axis=0)


def pointing(heat: np.ndarray, boxes: Sequence[Box]) -> float:
    """Whether the hottest place of a map (GRID, GRID) is in a box: 0 or 1, except for ties."""
    return float(np.logical_or.reduce(inside(boxes))[heat == heat.max()].mean())


def consensus_iou(heat: np.ndarray, boxes: Sequence[Box], threshold: float = 0.5) -> float:
    """cIoU of one map (GRID, GRID), in [0, 1]. threshold: the cut, from least (0) to greatest (1)
    heat."""
    truth = inside(boxes).any(axis=0).astype(float)
    kept = heat >= heat.min() + threshold * (heat.max() - heat.min())
    return float(truth[kept].sum() / (truth.sum() + (kept & (truth == 0)).sum()))


def per_scene(heats: np.ndarray, boxes: Sequence[Sequence[Box]]) -> dict[str, np.ndarray]:
    """Maps (n, GRID, GRID) and the boxes of each -> {metric: (n,)}; a metric is the mean."""
    overlap = np.array([consensus_iou(h, b) for h, b in zip(heats, boxes, strict=True)])
    success = (overlap[:, None] >= THRESHOLDS).astype(float)
    trapezoids = (success[:, 1:] + success[:, :-1]) / 2  # of equal width on [0, 1]
    return {
        "pointing": np.array([pointing(h, b) for h, b in zip(heats, boxes, strict=True)]),
        "ciou": (overlap >= 0.5).astype(float),
        "auc": trapezoids.mean(axis=1),
    }


def chance(
    boxes: Sequence[Sequence[Box]], regions: np.ndarray, seed: int = 0
) -> dict[str, np.ndarray]:
    """The metrics of random scores of the windows on these scenes: {metric: (n,)}, means over
    DRAWS maps each."""
    rng = np.random.default_rng(seed)
    draws = [
        per_scene(heat(rng.standard_normal((len(boxes), len(regions))), regions), boxes)
        for _ in range(DRAWS)
    ]
    return {metric: np.mean([draw[metric] for draw in draws], axis=0) for metric in METRICS}


def encode_regions(
    scenes: list[Scene],
    encode: Callable[[list[np.ndarray]], np.ndarray],
    regions: np.ndarray | None = None,
) -> np.ndarray:
    """Every window of every scene, encoded by the base: float32 (n, w, dim).

    encode: images -> (number of images, dim), unit rows; regions: boxes (w, 4), by default
    `windows()`. Raises ConfigError if there is no scene.
    """
    from tqdm import tqdm

    if not scenes:
        raise ConfigError("no scene to localize sounds in: no frame with a box could be read")
    boxes = windows() if regions is None else regions
    bar = tqdm(scenes, desc="encoding regions", unit="scene")
    return np.stack([encode(crops(scene.image, boxes)) for scene in bar])
