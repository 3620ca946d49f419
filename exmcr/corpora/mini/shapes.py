"""Shapes of two games and a flight simulator: animals, people, buildings, vehicles.

Debian packages megaglest-data (CC-BY-SA 3.0), flightgear-data-models (GPL-2 or later) and
scorched3d-data (GPL-2 or later, CC-BY-SA 3.0). shapes.yaml names the meshes that are used. They
have no icons and are never trained on: their names and concepts are what the points leaf is tested
with, beside furniture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.corpora.items import row
from exmcr.corpora.mini import contents, meshes
from exmcr.corpora.mini.concepts import named_shapes
from exmcr.corpora.mini.pictures import series
from exmcr.media.meshes import sample_mesh


@dataclass(frozen=True)
class Collection:
    """The shapes of one package.

    suffix: of mesh files, a key of meshes.READERS; folders: in which the names of shapes.yaml
    begin.
    """

    package: str
    license: str
    suffix: str
    folders: tuple[str, ...]


COLLECTIONS = {
    "megaglest": Collection(
        "megaglest-data",
        "CC-BY-SA-3.0",
        ".g3d",
        (
            "usr/share/games/megaglest/techs/megapack/factions",
            "usr/share/games/megaglest/tilesets",
        ),
    ),
    "flightgear": Collection(
        "flightgear-data-models", "GPL-2.0-or-later", ".ac", ("usr/share/games/flightgear/Models",)
    ),
    "scorched3d": Collection(
        "scorched3d-data",
        "GPL-2.0-or-later, CC-BY-SA-3.0",
        ".txt",
        (
            "usr/share/games/scorched3d/data/globalmods/none/data/meshes",
            "usr/share/games/scorched3d/data/globalmods/apoc/data/meshes",
        ),
    ),
}


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield (row, path of the mesh). Raises ConfigError if a listed mesh is missing."""
    for source, collection in COLLECTIONS.items():
        root = contents.fetch(collection.package, raw)
        for name, (concept, caption) in named_shapes(source).items():
            files = [root / f / f"{name}{collection.suffix}" for f in collection.folders]
            path = next((file for file in files if file.is_file()), None)
            if path is None:
                raise ConfigError(f"{collection.package} has no mesh '{name}' (see shapes.yaml)")
            id, group = f"{source}/shape/{name}", f"{source}:shape:{series(caption)}"
            yield row(id, "points", [caption], concept, source, collection.license, group), path


def cloud(path: Path, n: int, seed: int) -> np.ndarray:
    """n points on the surface of a shape, float32 (n, 3), centered, the longest side 1, y up.

    The formats have no common unit. Raises BadItem for a mesh that is unreadable or without area.
    """
    vertices, faces = meshes.read(path.read_bytes(), path.suffix)
    points = sample_mesh(vertices, faces, n, seed)
    low, high = points.min(0), points.max(0)
    return ((points - (low + high) / 2) / (high - low).max()).astype(np.float32)
