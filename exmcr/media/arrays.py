"""Arrays, lists and tensors as numpy arrays."""

from typing import Any

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
