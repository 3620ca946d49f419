"""OpenSFX, the sounds of a transport game, with their names: trains, ships, planes, animals.

Debian package openttd-opensfx (CC-BY-SA 3.0 as a whole). A .cat file begins with the position
and size of every entry; an entry is a name and the content of a WAV file.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exmcr.common.errors import ConfigError
from exmcr.corpora.items import row
from exmcr.corpora.mini import contents
from exmcr.corpora.mini.concepts import named_sounds

SOURCE, LICENSE = "opensfx", "CC-BY-SA-3.0"
_POSITION = 0x7FFFFFFF  # the highest bit is a flag


def items(raw: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield (row, content of the WAV file) of the named sounds: others are mixed from them."""
    known = named_sounds(SOURCE)
    path = next(contents.fetch("openttd-opensfx", raw).rglob("opensfx.cat"))
    for number, (name, content) in enumerate(read(path)):
        if name in known:
            concept, caption = known[name]
            id, group = f"{SOURCE}/sound/{number:02d}", f"{SOURCE}:sound:{name}"
            yield row(id, "audio", [caption], concept, SOURCE, LICENSE, group), content


def read(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every entry of a .cat file, names without their credits.

    Raises ConfigError if it is no such file.
    """
    blob = path.read_bytes()
    try:
        (first,) = struct.unpack_from("<I", blob)
        for entry in range(0, first & _POSITION, 8):
            position, size = struct.unpack_from("<2I", blob, entry)
            position &= _POSITION
            content = position + 1 + blob[position]
            if content + size > len(blob):
                raise IndexError("an entry lies behind the end of the file")
            name = blob[position + 1 : content].decode("latin-1").rstrip("\0")
            yield name.split('".')[0].strip('"'), blob[content : content + size]
    except (struct.error, IndexError) as error:
        raise ConfigError(f"{path} is not a sound collection: {error}") from error
