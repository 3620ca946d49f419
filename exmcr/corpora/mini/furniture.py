"""Sweet Home 3D furniture: textured shapes with a name, an icon and their real size.

Debian package sweethome3d-furniture. Licenses by library, as the package states: CC0, CC-BY 3.0 US,
CC-BY 3.0.
"""

import re
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import BadItem
from exmcr.corpora.items import row
from exmcr.corpora.mini import contents
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series
from exmcr.media import mesh_files
from exmcr.media.meshes import sample_mesh

SOURCE = "furniture"
CREDITS = ("blend swap", "scpts")  # tags that name where a shape comes from
LICENSES = {
    "BlendSwap-CC-0": "CC0-1.0",
    "KatorLegaz": "CC-BY-3.0-US",
    "Reallusion": "CC-BY-3.0-US",
}

_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")  # of a character that Latin-1 lacks

Mesh = tuple[Path, str, list[float]]  # library, name in it, (width, height, depth) in meters
Icon = tuple[Path, str]  # library, name in it


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Mesh, dict[str, Any], Icon]]:
    """Yield (row of a shape, its mesh, row of its icon, the icon)."""
    folder = contents.fetch("sweethome3d-furniture", raw) / "usr/share/sweethome3d/furniture"
    for library in sorted(folder.glob("*.sh3f")):
        license = LICENSES.get(library.stem, "CC-BY-3.0")
        with zipfile.ZipFile(library) as archive:
            entries = _catalog(archive)
        for entry in entries:
            name = entry["name"]
            # In meters; y is up.
            size = [float(entry.get(key, 0)) / 100 for key in ("width", "height", "depth")]
            id = f"{SOURCE}/{library.stem}/{Path(entry['model']).stem}"
            tags = [tag.strip().lower() for tag in entry.get("tags", "").split(",")]
            tags = [tag for tag in tags if tag and tag not in CREDITS]
            captions = [name, *(f"{name}, {tag}" for tag in tags[:3])]
            # One group per name: zero-shot classification needs names without training shapes.
            common = captions, concept_of(name), SOURCE, license, f"{SOURCE}:{series(name)}"
            shape = row(id, "points", *common)
            icon = row(f"{id}/icon", "image", *common, of=id)
            mesh = library, entry["model"].lstrip("/"), size
            yield shape, mesh, icon, (library, entry["icon"].lstrip("/"))


def _catalog(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    """The entries of the catalog, a Java properties file with lines key#number=value."""
    entries: dict[int, dict[str, str]] = {}
    for line in archive.read("PluginFurnitureCatalog.properties").decode("latin-1").splitlines():
        key, equals, value = line.partition("=")
        name, mark, number = key.strip().partition("#")
        if equals and mark and number.isdigit():
            value = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), value.strip())
            entries.setdefault(int(number), {})[name] = value
    return [
        entry for _, entry in sorted(entries.items()) if {"name", "model", "icon"} <= set(entry)
    ]


def read(library: Path, name: str) -> bytes:
    """The content of a file in a library."""
    return _opened(library).read(name)


def cloud(library: Path, shape: str, size: list[float], n: int, seed: int) -> np.ndarray:
    """n points on the surface of a shape, float32 (n, 3) in meters, y up.

    library, shape: archive and name of the mesh in it; size: of the bounding box in meters, 0 if
    unknown. Raises BadItem for a mesh without area.
    """
    vertices, faces = mesh_files.read_obj(read(library, shape))
    if faces is None or len(faces) == 0:
        raise BadItem("mesh has no faces")
    points = sample_mesh(vertices, faces, n, seed)
    low, high = points.min(0), points.max(0)
    extent = np.where(high > low, high - low, 1)
    # Where the catalog has no size, the mesh is taken to be in centimeters.
    scale = np.where(np.array(size) > 0, np.array(size) / extent, 0.01)
    return ((points - (low + high) / 2) * scale).astype(np.float32)


@cache
def _opened(library: Path) -> zipfile.ZipFile:
    """An archive, which stays open: reading its list of files takes longer than a small mesh."""
    return zipfile.ZipFile(library)
