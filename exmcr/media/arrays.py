"""Arrays, lists and tensors as numpy arrays, and the header of .npy files."""

from typing import Any, BinaryIO

import numpy as np

from exmcr.common.errors import BadItem


def as_array(values: Any) -> np.ndarray:
    """Array, nested lists or torch tensor (any device, with or without gradient) -> numpy array.

    Raises BadItem for masked values, sparse tensors, and values that do not form an array.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise BadItem("the array has masked values; fill or remove them")
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # numpy has no such type
            values = values.float()
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # e.g. rows of unequal length
        raise BadItem(f"not an array: {error}") from error


def npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype of an .npy file, which is then read up to its
    data.

    Raises BadItem if it is no .npy file or of an unknown version. A damaged header raises errors
    of many kinds: call it within exmcr.media.guard.bad_items.
    """
    prefix = np.lib.format.MAGIC_PREFIX
    if file.read(len(prefix)) != prefix:
        raise BadItem("not an .npy file, judging by its first bytes")
    file.seek(0)
    version = np.lib.format.read_magic(file)
    readers: dict[tuple[int, int], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise BadItem(f"not a readable .npy: unknown version {version}")
    return readers[version](file)
