"""Sweet Home 3D furniture: textured models with a name, an icon and their real size. Debian package sweethome3d-furniture.

Licenses by library: BlendSwap-CC-0 CC0, the others CC-BY 3.0 (or the Free Art License), as the package states."""

import zipfile
from pathlib import Path

import numpy as np

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian
from exmcr.corpora.mini.concepts import concept_of
from exmcr.corpora.mini.pictures import series

SOURCE = "furniture"
LICENSES = {"BlendSwap-CC-0": "CC0-1.0"}


def _catalog(archive: zipfile.ZipFile) -> list[dict]:
    """The catalog is a Java properties file: key#number=value."""
    models: dict[int, dict] = {}
    for line in archive.read("PluginFurnitureCatalog.properties").decode("latin-1").splitlines():
        key, found, value = line.partition("=")
        name, hash, number = key.strip().partition("#")
        if found and hash and number.isdigit():
            models.setdefault(int(number), {})[name] = value.strip()
    return [m for _, m in sorted(models.items()) if {"name", "model", "icon"} <= m.keys()]


def items(raw: Path):
    """Yield (row of the model, (archive, model), row of its icon, (archive, icon))."""
    folder = debian.fetch("sweethome3d-furniture", raw) / "usr/share/sweethome3d/furniture"
    for library in sorted(folder.glob("*.sh3f")):
        license = LICENSES.get(library.stem, "CC-BY-3.0")
        with zipfile.ZipFile(library) as archive:
            for entry in _catalog(archive):
                name = entry["name"]
                size = [
                    float(entry.get(k, 0)) / 100 for k in ("width", "height", "depth")
                ]  # meters; y is up
                id = f"{SOURCE}/{library.stem}/{Path(entry['model']).stem}"
                tags = [t.strip() for t in entry.get("tags", "").split(",") if t.strip()]
                captions = [name, *(f"{name}, {t.lower()}" for t in tags[:3])]
                # One group a name: names never trained is what zero-shot classification asks for.
                group = f"{SOURCE}:{series(name)}"
                concept = concept_of(name)
                model = row(id, "points", captions, concept, SOURCE, license, group)
                icon = row(f"{id}/icon", "image", captions, concept, SOURCE, license, group, of=id)
                yield (
                    model,
                    (library, entry["model"].lstrip("/"), size),
                    icon,
                    (library, entry["icon"].lstrip("/")),
                )


def cloud(library: Path, model: str, size: list[float], n: int, seed: int) -> np.ndarray:
    """n points on the model's surface in meters, y up, float32 (n, 3). Raises BadItem for a mesh without area."""
    import io

    import trimesh

    from exmcr.common.errors import BadItem
    from exmcr.media.meshes import sample_mesh

    with zipfile.ZipFile(library) as archive:
        text = archive.read(model).decode("latin-1")
    try:
        mesh = trimesh.load(
            io.StringIO(text), file_type="obj", force="mesh", process=False, skip_materials=True
        )
        vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    except Exception as error:  # trimesh raises whatever its parser stumbled over
        raise BadItem(f"unreadable mesh: {error}") from error
    if len(faces) == 0:
        raise BadItem("mesh has no faces")
    points = sample_mesh(vertices, faces, n, seed)
    low, high = points.min(0), points.max(0)
    extent = np.where(high > low, high - low, 1)
    # Catalog sizes are of the bounding box; a missing one leaves the model's own scale (centimeters).
    scale = np.where(np.array(size) > 0, np.array(size) / extent, 0.01)
    return ((points - (low + high) / 2) * scale).astype(np.float32)
