"""Sound localization: which part of a picture makes the sound? The score of a region is the cosine of its crop with the sound.

Windows of two sizes slide over the picture; each is encoded by the frozen base as a picture of its own. The heat of a place is
the mean score of the windows around it, near ones counting more. Three numbers, each a mean over scenes:

pointing  share whose hottest place lies in a box of the sounding object (among places equally hot: their share inside)
ciou      share with cIoU >= 0.5, where the map is cut at half between its least and greatest heat, and
          cIoU = sum of g over A / (sum of g + |A outside G|), A: the cells kept, g: the boxes, G: where g > 0
          (arXiv:1803.03849, section 4; with boxes, where g is 0 or 1, it is intersection over union)
auc       area under the share with cIoU >= t, for t = 0, 0.05, ..., 1"""

from collections.abc import Callable

import numpy as np

from exmcr.evaluation.compositions import Box, Scene

SCALES = (0.2, 0.3)  # sides of the windows as fractions of the picture's; they move by half a side
NEAR = 0.25  # standard deviation of a window's influence on the heat around its center, as a fraction of its side
GRID = 64  # cells of a heat map per side
THRESHOLDS = np.arange(21) * 0.05
METRICS = ("pointing", "ciou", "auc")
DRAWS = 20  # random maps per scene from which chance is told


def windows(scales: tuple[float, ...] = SCALES) -> np.ndarray:
    """Boxes (w, 4) in fractions: left, top, right, bottom; the last of a row ends at the edge."""
    found = []
    for side in scales:
        starts = np.linspace(0, 1 - side, max(1, int(np.ceil((1 - side) / (side / 2) - 1e-9)) + 1))
        found += [(x, y, x + side, y + side) for y in starts for x in starts]
    return np.array(found)


def crops(image: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    """The regions of a picture, uint8 (H, W, 3) each."""
    height, width = image.shape[:2]
    edges = np.rint(np.asarray(boxes) * (width, height, width, height)).astype(int)
    return [
        np.ascontiguousarray(image[top : max(bottom, top + 1), left : max(right, left + 1)])
        for left, top, right, bottom in edges
    ]


def inside(boxes) -> np.ndarray:
    """bool (len(boxes), GRID, GRID): the cells whose center is in the box."""
    center = (np.arange(GRID) + 0.5) / GRID
    left, top, right, bottom = np.asarray(boxes, float).reshape(-1, 4).T[:, :, None]
    across, down = (left <= center) & (center < right), (top <= center) & (center < bottom)
    return down[:, :, None] & across[:, None, :]


def heat(scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Scores (n, w) of the windows (w, 4) of n scenes -> float64 (n, GRID, GRID): the mean score of the windows, weighted by a
    Gaussian of the distance from a window's center. (A plain mean over the windows on a place blurs twice as far.)"""
    cell = (np.arange(GRID) + 0.5) / GRID
    left, top, right, bottom = boxes.T[:, :, None]
    across = np.exp(-0.5 * ((cell - (left + right) / 2) / (NEAR * (right - left))) ** 2)
    down = np.exp(-0.5 * ((cell - (top + bottom) / 2) / (NEAR * (bottom - top))) ** 2)
    weight = (down[:, :, None] * across[:, None, :]).reshape(len(boxes), -1)
    return (scores @ (weight / weight.sum(axis=0))).reshape(-1, GRID, GRID)


def share_inside(regions: np.ndarray, boxes: list[Box]) -> np.ndarray:
    """How much of each window (w, 4) lies in its fullest box, (w,) in [0, 1]: the scores that whoever knows the truth would give."""
    corner, end = np.asarray(boxes)[:, None, :2], np.asarray(boxes)[:, None, 2:]
    sides = np.clip(np.minimum(regions[:, 2:], end) - np.maximum(regions[:, :2], corner), 0, None)
    return (sides.prod(axis=2) / (regions[:, 2:] - regions[:, :2]).prod(axis=1)).max(axis=0)


def pointing(heat: np.ndarray, boxes: list[Box]) -> float:
    """Whether the hottest place of a map (GRID, GRID) is in a box, 0 or 1 unless places are equally hot."""
    return float(inside(boxes).any(axis=0)[heat == heat.max()].mean())


def consensus_iou(heat: np.ndarray, boxes: list[Box], threshold: float = 0.5) -> float:
    """cIoU of one map (GRID, GRID), in [0, 1]. threshold: where to cut between least (0) and greatest (1) heat."""
    truth = inside(boxes).any(axis=0).astype(float)
    kept = heat >= heat.min() + threshold * (heat.max() - heat.min())
    return float(truth[kept].sum() / (truth.sum() + (kept & (truth == 0)).sum()))


def per_scene(heats: np.ndarray, boxes: list[list[Box]]) -> dict[str, np.ndarray]:
    """Maps (n, GRID, GRID) and the boxes of each -> {metric: (n,)}; the mean over scenes is the metric."""
    overlap = np.array([consensus_iou(h, b) for h, b in zip(heats, boxes, strict=True)])
    success = (overlap[:, None] >= THRESHOLDS).astype(float)
    return {
        "pointing": np.array([pointing(h, b) for h, b in zip(heats, boxes, strict=True)]),
        "ciou": (overlap >= 0.5).astype(float),
        "auc": (success[:, 1:] + success[:, :-1]).mean(axis=1)
        / 2,  # trapezoids of equal width on [0, 1]
    }


def chance(boxes: list[list[Box]], regions: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """What random scores of the windows give, on these scenes: {metric: (n,)}, means over DRAWS maps each."""
    rng = np.random.default_rng(seed)
    draws = [
        per_scene(heat(rng.standard_normal((len(boxes), len(regions))), regions), boxes)
        for _ in range(DRAWS)
    ]
    return {metric: np.mean([draw[metric] for draw in draws], axis=0) for metric in METRICS}


def encode_regions(
    scenes: list[Scene], encode: Callable, regions: np.ndarray | None = None
) -> np.ndarray:
    """Every window of every scene as the base sees it: float32 (n, w, dim). encode: list of pictures -> (len, dim) unit rows."""
    from tqdm import tqdm

    regions = windows() if regions is None else regions
    return np.stack(
        [
            encode(crops(scene.image, regions))
            for scene in tqdm(scenes, desc="encoding regions", unit="scene")
        ]
    )
