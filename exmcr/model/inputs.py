"""What `encode` accepts besides items by modality: what users of sentence-transformers pass.

One item or a list of items, of any modalities:

    "a dog"                                 a text, or a file with a known suffix that exists
    Path("bark.wav")                        a file, by its suffix; a video is an image
    PIL image, uint8 array (H, W, 3)        an image
    (samples, rate), {"array": samples, "sampling_rate": rate}   a sound
    float array (n, 3)                      a point cloud
    {"audio": "bark.wav"}                   an item of this modality, whatever its type
    {"image": "a.png", "text": "at night"}  one item of several parts: the normalized sum
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exmcr.common.errors import BadItem, ConfigError
from exmcr.media import MODALITIES
from exmcr.media.suffixes import modality_of
from exmcr.model.queries import combine

NUMBER = int | float | np.number
ByModality = Callable[[dict[str, list]], dict[str, np.ndarray]]


def is_by_modality(items: Any) -> bool:
    """Whether this is {modality: list of items}, rather than one item or a list of items."""
    return isinstance(items, dict) and not _is_sound(items)


def encode_mixed(items: Any, encode: ByModality, dim: int, prompt: str = "") -> np.ndarray:
    """Encode one item, float32 (dim,), or a list of them, (n, dim); all rows are of unit norm.

    encode: {modality: list} -> {modality: unit rows}; prompt: is put before each text. Raises
    BadItem for an item whose modality cannot be told.
    """
    single = _is_single(items)
    parts = [_parts(item, place) for place, item in enumerate([items] if single else items)]
    lists: dict[str, list] = {}
    places: list[list[tuple[str, int]]] = []
    for named in parts:
        places.append([(m, len(lists.setdefault(m, []))) for m in named])
        for modality, item in named.items():
            lists[modality].append(prompt + item if modality == "text" and prompt else item)
    vectors = encode(lists)
    rows = [combine([vectors[m][at : at + 1] for m, at in named]) for named in places]
    result = np.concatenate(rows) if rows else np.empty((0, dim), np.float32)
    return result[0] if single else result


def encode_as(
    encode: Callable[..., Any],
    items: Any,
    dim: int,
    seed: int | None = None,
    progress: bool = True,
    *,
    prompt: str | None = None,
    batch_size: int | None = None,
    show_progress_bar: bool | None = None,
    convert_to_numpy: bool = True,
    convert_to_tensor: bool = False,
    normalize_embeddings: bool = True,
) -> Any:
    """`encode_mixed` with the arguments of sentence-transformers.

    encode               ExMCR.encode, for items by modality
    convert_to_tensor    a tensor instead of an array; neither, a list of tensors
    batch_size, normalize_embeddings   have no effect: the spaces choose their batches, and rows are
                         always of unit norm
    """
    shown = progress if show_progress_bar is None else show_progress_bar

    def by_modality(lists: dict[str, list]) -> dict[str, np.ndarray]:
        return encode(lists, seed=seed, progress=shown)

    if is_by_modality(items):
        vectors: Any = by_modality(items)
        return {m: _converted(v, convert_to_numpy, convert_to_tensor) for m, v in vectors.items()}
    vectors = encode_mixed(items, by_modality, dim, prompt or "")
    return _converted(vectors, convert_to_numpy, convert_to_tensor)


def _converted(vectors: np.ndarray, to_numpy: bool, to_tensor: bool) -> Any:
    if to_numpy and not to_tensor:
        return vectors
    tensor = torch.from_numpy(vectors)
    return tensor if to_tensor or vectors.ndim == 1 else list(tensor)


def guess(item: Any) -> str | None:
    """The modality of one item by its type, or by the suffix of its file; None if unknown."""
    if isinstance(item, str):
        return (_file_modality(item) if Path(item[-255:]).suffix else None) or "text"
    if isinstance(item, Path):
        return modality_of(item)
    if _is_sound(item):
        return "audio"
    if isinstance(item, np.ndarray | torch.Tensor):
        if item.ndim == 3:
            return "image"
        return "points" if item.ndim == 2 and item.shape[1] == 3 else None
    return "image" if hasattr(item, "getbands") else None  # a PIL image


def _file_modality(item: str) -> str | None:
    try:
        return modality_of(item) if Path(item).is_file() else None
    except (OSError, ValueError):  # too long, or not a path
        return None


def _is_sound(item: Any) -> bool:
    if isinstance(item, dict):
        return {"array", "sampling_rate"} <= item.keys()
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], NUMBER)


def _is_single(items: Any) -> bool:
    if isinstance(items, str | bytes | Path | dict) or _is_sound(items):
        return True
    if isinstance(items, np.ndarray):
        return items.dtype.kind not in "OUS"  # an array of texts is a list
    return isinstance(items, torch.Tensor) or not isinstance(items, Iterable)


def _parts(item: Any, place: int) -> dict[str, Any]:
    """{modality: what to load} of one item."""
    if isinstance(item, dict) and not _is_sound(item):
        if not item or (unknown := [name for name in item if name not in MODALITIES]):
            names = f" {', '.join(map(repr, unknown))}" if item else ""
            raise ConfigError(
                f"item {place}: unknown modality{names}; known: {', '.join(MODALITIES)}"
            )
        return {str(name): _raw(value) for name, value in item.items()}
    modality = guess(item)
    if modality is None:
        kind = f"file {item.name}" if isinstance(item, Path) else type(item).__name__
        raise BadItem(f"item {place}: the modality of a {kind} is unknown; pass {{modality: item}}")
    return {modality: _raw(item)}


def _raw(item: Any) -> Any:
    if isinstance(item, dict):
        return item["array"], item["sampling_rate"]
    return item
