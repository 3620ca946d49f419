"""Tar shards as webdataset and img2dataset write them.

The files of one item have the same name up to the suffix, such as 000000012.jpg with a caption in
000000012.txt, or in a field of 000000012.json: "caption", "text" or "captions", a string or a list
of strings. Suffixes of other modalities: exmcr.media.MODALITIES; upper and lower case are the same.
The order of the files in a shard does not matter.

0.left.png belongs to 0.txt: a word between dots does not count as a part of the name if there are
other files of the shorter name. A dot inside of a name is a part of it: "Track 2.0 (Clean).mp3".

An item has at most one file of each modality; the first one is taken. A warning says how many files
of a shard are left out, and why.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from exmcr import media
from exmcr.common.errors import ConfigError
from exmcr.corpora.paper.layout import LeftOut, Row, row
from exmcr.media.tars import Tar, open_tar

CAPTIONS = (".txt", ".json")  # in this order
FIELDS = ("caption", "text", "captions")
LONGEST = 1 << 20  # bytes of a caption file
WORD = re.compile(r"[A-Za-z_]\w*")

Key = tuple[str, str]  # folder and name of an item


def rows(root: Path, split: str = "") -> Iterator[Row]:
    """Rows of all shards below root, in order of their names.

    root: a folder, or one shard; split: folder below root to read, "" reads all.
    """
    shards = [root]
    if root.is_dir():
        shards = sorted(p for p in (root / split).rglob("*") if p.suffix.lower() == ".tar")
    if not shards:
        raise ConfigError(f"no .tar in {root / split}")
    for shard in shards:
        left_out = LeftOut(str(shard))
        yield from _shard(open_tar(str(shard)), shard, root.parent, split, left_out)
        left_out.warn()


def _shard(tar: Tar, shard: Path, above: Path, split: str, left_out: LeftOut) -> Iterator[Row]:
    # The folders keep shards of the same name apart.
    name = shard.relative_to(above).with_suffix("").as_posix()
    for key, files in _originals(tar, left_out).items():
        group = "/".join(part for part in (name, *key) if part)
        for kind, members in files.items():
            if kind not in CAPTIONS:
                path = f"{shard}::{members[0]}"
                yield row("webdataset", split, f"{group}/{kind}", kind, group=group, path=path)
                if rest := members[1:]:
                    left_out.add(f"further {kind} files of one item", rest[0], len(rest))
        for k, caption in enumerate(_captions(tar, files, left_out)):
            id = f"{group}/text/{k + 1}" if k else f"{group}/text"
            yield row("webdataset", split, id, "text", group=group, caption=caption)


def _originals(tar: Tar, left_out: LeftOut) -> dict[Key, dict[str, list[str]]]:
    """{key of an item: {modality or suffix of captions: its members}}, in the order of the tar."""
    kinds = {suffix: suffix for suffix in CAPTIONS}
    for modality, entry in media.MODALITIES.items():
        kinds |= {suffix: kinds.get(suffix, modality) for suffix in entry.suffixes}
    known: list[tuple[Key, str, str]] = []
    for member in tar.members:
        folder, _, name = member.rpartition("/")
        stem, suffix = os.path.splitext(name)
        kind = kinds.get(suffix.lower())
        if kind and not name.startswith("."):
            known.append(((folder, stem), kind, member))
        else:
            left_out.add(f"{suffix or 'hidden'} files", member)
    keys = {key for key, _, _ in known}
    items: dict[Key, dict[str, list[str]]] = {}
    for key, kind, member in known:
        items.setdefault(_shortest(key, keys), {}).setdefault(kind, []).append(member)
    return items


def _shortest(key: Key, keys: set[Key]) -> Key:
    """The key without words behind dots, as long as a file of the shorter name exists."""
    folder, stem = key
    shorter, _, word = stem.rpartition(".")
    if shorter and WORD.fullmatch(word) and (folder, shorter) in keys:
        return _shortest((folder, shorter), keys)
    return key


def _captions(tar: Tar, files: dict[str, list[str]], left_out: LeftOut) -> list[str]:
    """The captions in the .txt file of an item, else in its .json file."""
    for kind in CAPTIONS:
        for member in files.get(kind, ()):
            try:
                captions = _read_captions(tar, member, kind)
            except (OSError, ValueError, RecursionError) as error:
                left_out.add(f"unreadable {kind} files ({type(error).__name__})", member)
                continue
            if captions:
                return captions
    return []


def _read_captions(tar: Tar, member: str, kind: str) -> list[str]:
    """Raises OSError or ValueError if a caption file is too large, damaged, or not UTF-8."""
    if tar.members[member].size > LONGEST:
        raise ValueError(f"more than {LONGEST} bytes")
    content = tar.read(member)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding)
    note = {"caption": text} if kind == ".txt" else json.loads(text)
    if not isinstance(note, dict):
        return []
    for field in FIELDS:
        value = note.get(field)
        texts = value if isinstance(value, list) else [value]
        if captions := [t.strip() for t in texts if isinstance(t, str) and t.strip()]:
            return list(dict.fromkeys(captions))
    return []
