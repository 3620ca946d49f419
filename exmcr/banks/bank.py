"""A finished bank, opened and checked."""

import unicodedata
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.common.errors import ConfigError
from exmcr.common.files import read_note
from exmcr.common.hashing import check_file

NEEDED = ("fingerprint", "sha256")  # keys that every manifest has


class Bank:
    """A finished bank.

    folder   its folder
    meta     content of manifest.json
    vectors  float32 (n, dim), unit rows, memory-mapped
    ids      object array (n,)
    """

    def __init__(self, folder: str | Path, verify: bool = True):
        """Open the bank in a folder.

        verify: compare vectors and ids with the SHA-256 in the manifest, once per process.

        Raises ConfigError, which names the file and what to do, for a bank that is missing, empty,
        damaged, or put together from several.
        """
        import pandas as pd  # takes longer to import than the rest of the public API

        self.folder = Path(folder)
        self.meta = read_manifest(self.folder)
        mend = how_to_mend(self.meta)
        vectors, ids = self.folder / "vectors.npy", self.folder / "ids.parquet"
        if verify:
            check_file(vectors, self.meta["sha256"], mend)
            if "ids_sha256" in self.meta:  # older versions recorded the vectors only
                check_file(ids, self.meta["ids_sha256"], mend)
        try:
            self.vectors = np.load(vectors, mmap_mode="r")
            self.ids = pd.read_parquet(ids).id.to_numpy()
        except Exception as error:  # numpy, pandas and pyarrow raise errors of many kinds
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"{self.folder} cannot be read: {reason}; {mend}") from error
        if len(self.ids) != len(self.vectors) or not len(self.ids):
            raise ConfigError(
                f"{self.folder} has {len(self.vectors)} vectors for {len(self.ids)} ids; {mend}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the space that made the vectors (Space.fingerprint)."""
        return self.meta["fingerprint"]

    @cached_property
    def row(self) -> dict[str, int]:
        """id -> row number."""
        return {id: row for row, id in enumerate(self.ids)}

    def take(self, ids: Iterable[str]) -> np.ndarray:
        """Vectors of the given items in the given order, float32 (len(ids), dim).

        Raises KeyError for an id that is not in the bank.
        """
        return np.asarray(self.vectors[[self.row[id] for id in ids]])


def read_manifest(folder: Path) -> dict[str, Any]:
    """The content of manifest.json. Raises ConfigError if it is missing or damaged."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise ConfigError(f"no bank at {folder}; run `exmcr extract` or `dvc repro extract`")
    try:
        content = read_note(path, since="ids_sha256")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}; {how_to_mend({})}") from error
    missing = [key for key in NEEDED if key not in content]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}; {how_to_mend(content)}")
    return content


def how_to_mend(meta: dict[str, Any]) -> str:
    """What to do about a damaged bank with this manifest ({}: the manifest is damaged too)."""
    if "source" in meta:
        return "import it again (`exmcr import-bank --replace`)"
    return "run `exmcr extract`, which makes it again" + ("" if meta else ", or import it again")


def common_ids(a: Bank, b: Bank) -> tuple[list[str], list[str]]:
    """The items that both banks hold, in the order of `a`: their ids in `a`, and in `b`.

    Ids are compared in Unicode form NFC, since file systems differ in how they write an umlaut.
    Prints how many items of either bank have no partner. Raises ConfigError if all are without.
    """
    in_b = {_nfc(id): id for id in b.ids}
    both = [(id, in_b[_nfc(id)]) for id in a.ids if _nfc(id) in in_b]
    hint = _almost(a, b, len(both))
    if not both:
        raise ConfigError(f"banks {a.folder} and {b.folder} share no item{hint}")
    if len(both) < max(len(a), len(b)):
        print(
            f"{a.folder} and {b.folder} share {len(both)} items; {len(a) - len(both)} of {len(a)} "
            f"and {len(b) - len(both)} of {len(b)} are left out{hint}"
        )
    return [id for id, _ in both], [id for _, id in both]


def aligned(a: Bank, b: Bank) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of the items that both banks hold (`common_ids`), row by row: (n, dim_a),
    (n, dim_b). Raises ConfigError if they share none."""
    in_a, in_b = common_ids(a, b)
    return a.take(in_a), b.take(in_b)


def _nfc(id: str) -> str:
    return unicodedata.normalize("NFC", str(id))


def _almost(a: Bank, b: Bank, exact: int) -> str:
    """How many more items would match if case and blanks did not count, for a message."""
    if exact == max(len(a), len(b)):
        return ""
    loose = [{"".join(_nfc(id).casefold().split()) for id in bank.ids} for bank in (a, b)]
    more = len(loose[0] & loose[1]) - exact
    return f" ({more} more ids differ in case or blanks only)" if more > 0 else ""
