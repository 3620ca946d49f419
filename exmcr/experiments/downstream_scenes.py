"""The scenes of the downstream tasks, encoded by the frozen spaces."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from exmcr.common.errors import BadItem, ConfigError
from exmcr.evaluation import compositions, localization
from exmcr.evaluation.compositions import Scene
from exmcr.evaluation.embeddings import Embeddings
from exmcr.spaces.base import Space

if TYPE_CHECKING:
    from exmcr.project import Project

SOUNDING = "audio"


@dataclass
class EncodedScenes:
    """n scenes, and their vectors in the frozen spaces.

    regions   (n, w, d_base): the windows of each image
    cutouts   (n, d_base): the sounding object, cut out by its first box
    words     (n, d_base): the name of the sounding object
    sounds    (n, d_leaf)
    seen      bool (n,): whether the concept occurs in the training sounds of the leaf
    wrong     (n,): row of a scene whose sound does not fit this one
    chance    {metric: (n,)}: expected values if the scores of the windows are random
    """

    scenes: list[Scene]
    regions: np.ndarray
    cutouts: np.ndarray
    words: np.ndarray
    sounds: np.ndarray
    seen: np.ndarray
    wrong: np.ndarray
    chance: dict[str, np.ndarray]


def encode(
    scenes: list[Scene],
    encode_images: Callable[[list[np.ndarray]], np.ndarray],
    words: np.ndarray,
    sounds: np.ndarray,
    seen: np.ndarray,
    seed: int = 0,
) -> EncodedScenes:
    """Encode the windows and the sounding object of each scene.

    encode_images: k images -> (k, d_base) unit rows; words, sounds, seen: as in EncodedScenes.
    Raises ConfigError if every sound fits some scene.
    """
    cutouts = [localization.crops(scene.image, np.array(scene.boxes[:1]))[0] for scene in scenes]
    boxes = [scene.boxes for scene in scenes]
    return EncodedScenes(
        scenes=scenes,
        regions=localization.encode_regions(scenes, encode_images),
        cutouts=encode_images(cutouts),
        words=words,
        sounds=sounds,
        seen=seen,
        wrong=compositions.mismatched(scenes, seed),
        chance=localization.chance(boxes, localization.windows(), seed),
    )


def of_project(project: "Project", split: str = "test", seed: int = 0) -> EncodedScenes:
    """Compositions of the items of a project.

    Raises ConfigError if no leaf has the modality audio, or if the split lacks what they need.
    """
    embeddings, leaf = Embeddings(project), project.params.leaf_of(SOUNDING)
    if leaf is None:
        raise ConfigError("sound localization needs a leaf of modality audio in params.yaml")
    items, base = project.usable_items, project.load_space(project.params.base_space)
    scenes = compositions.scenes(items, project.load_raw, split, seed=seed)
    sounding = items.set_index("id", drop=False).loc[[scene.sound for scene in scenes]]
    names = pd.DataFrame({"modality": "text", "caption": [scene.concept for scene in scenes]})
    trained = items[(items.modality == SOUNDING) & (items.split == "train")]
    return encode(
        scenes,
        lambda images: base.encode("image", images),
        words=embeddings.vectors(project.params.base_space, names),
        sounds=embeddings.own(sounding),
        seen=sounding.concept.isin(set(trained.concept)).to_numpy(),
        seed=seed,
    )


def of_vggss(root: Path, base: Space, leaf: Space, seed: int = 0) -> EncodedScenes:
    """Frames and sounds of VGG-SS on disk (layout: exmcr/corpora/paper/vggss.py).

    Clips without a box, and those whose frame or sound cannot be read, are left out.
    """
    from exmcr.corpora.paper import load_item
    from exmcr.corpora.paper import vggss as reader

    audio = {row["id"]: row for row in reader.rows(root) if row["modality"] == SOUNDING}
    scenes, sounds = [], []
    for scene in compositions.vggss(root):
        try:
            sounds.append(leaf.encode(SOUNDING, [load_item(audio[scene.sound])])[0])
        except BadItem:
            continue
        scenes.append(scene)
    return encode(
        scenes,
        lambda images: base.encode("image", images),
        words=base.encode("text", [scene.concept for scene in scenes]),
        sounds=np.stack(sounds),
        seen=np.zeros(len(scenes), bool),
        seed=seed,
    )
