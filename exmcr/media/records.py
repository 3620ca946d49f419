"""OpenShape records, read without executing what they contain."""

import pickle
from pathlib import Path

import numpy as np

from exmcr.common.errors import BadItem


def read_record(path: str | Path) -> dict:
    """Read an OpenShape record: a dict with `xyz` (n, 3), `rgb`, `id`, `group`, `text`, ...

    Nothing in the file is executed. Source of the format: the Objaverse files of OpenShape (arXiv
    2305.10764), written by `np.save(path, {...})`. Raises BadItem for any other content.
    """
    with Path(path).open("rb") as file:
        content = _unpickle_npy(file)
    record = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    if not isinstance(record, dict) or not isinstance(record.get("xyz"), np.ndarray):
        raise BadItem(f"{Path(path).name} is a pickle, but not of a dict with an array 'xyz'")
    return record


def _unpickle_npy(file):
    """The object in an open .npy file of dtype object, built from containers and arrays only."""
    if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
        raise BadItem("not an .npy file, judging by its first bytes")
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        header(file)
        return _ArrayUnpickler(file).load()
    except BadItem:
        raise
    except Exception as error:  # a damaged pickle can raise almost any error
        raise BadItem(f"not a readable pickle: {type(error).__name__}: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numbers, strings, containers and arrays; refuses any other call before it is made."""

    def find_class(self, module, name):
        # numpy 1.x writes numpy.core, 2.x numpy._core.
        builders = {
            # Only the first argument of _reconstruct, hence not a callable.
            "numpy.ndarray": "ndarray",
            "numpy.dtype": _dtype,
            "numpy.core.multiarray._reconstruct": _empty_array,
            "numpy._core.multiarray._reconstruct": _empty_array,
            "numpy.core.numeric._frombuffer": _array,  # protocol 5
            "numpy._core.numeric._frombuffer": _array,
            "numpy.core.multiarray.scalar": _scalar,
            "numpy._core.multiarray.scalar": _scalar,
            "_codecs.encode": _bytes,  # bytes in protocol 2
            "collections.OrderedDict": dict,
        }
        if f"{module}.{name}" not in builders:
            raise BadItem(f"refused: the pickle calls {module}.{name}")
        return builders[f"{module}.{name}"]


def _empty_array(kind, shape, code):
    return np.empty(0, np.int8)  # __setstate__ sets shape, dtype and content


def _array(content, dtype, shape, order):
    if dtype.hasobject:
        raise BadItem("objects are not read from raw bytes")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _dtype(spec, align=False, copy=True):
    if not isinstance(spec, str):
        raise BadItem("structured arrays are not read from pickles")
    return np.dtype(spec, align=False, copy=True)  # copied, as __setstate__ changes it in place


def _scalar(dtype, content):
    if dtype.hasobject or not isinstance(content, bytes):
        raise BadItem("object scalars are not read from pickles")
    return np.frombuffer(content, dtype, count=1)[0]


def _bytes(text, encoding):
    if encoding != "latin1":
        raise BadItem(f"refused: bytes in encoding {encoding!r}")
    return text.encode("latin1")
