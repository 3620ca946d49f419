"""Which files of each data package are unpacked: of most, the sounds only."""

from pathlib import Path

from exmcr.corpora.mini import debian
from exmcr.corpora.mini.fetching import data_lock

SOUNDS = (".flac", ".mp3", ".oga", ".ogg", ".wav")
PICTURES = (".png", ".webp")
# Package -> suffixes of the files that are unpacked, None for all.
SUFFIXES: dict[str, tuple[str, ...] | None] = {
    "flightgear-data-models": (".ac",),
    "megaglest-data": (*SOUNDS, ".g3d"),
    "openttd-opensfx": (".cat",),
    "scorched3d-data": (*SOUNDS, ".txt"),
    **dict.fromkeys(
        (
            "gcompris-qt-data",
            "openclipart-svg",
            "scratch",
            "sweethome3d-furniture",
            "tuxpaint-stamps-default",
        )
    ),
    **dict.fromkeys(
        (
            "csound-soundfont",
            "fluidr3mono-gm-soundfont",
            "musescore-general-soundfont-small",
            "timgm6mb-soundfont",
        ),
        (".sf2", ".sf3"),
    ),
    "wesnoth-1.16-data": (*SOUNDS, *PICTURES),
    "wordnet-base": ("/data.noun", "/index.noun", "/cntlist.rev"),
}


def fetch(package: str, raw: Path) -> Path:
    """The folder of a package with the files that are used, as `debian.fetch`."""
    return debian.fetch(package, raw, only=SUFFIXES.get(package, SOUNDS))


def unpack(raw: Path) -> None:
    """Unpack every .deb of the data lock, several at a time, as `fetch` does one by one."""
    names = [name for name, entry in data_lock.read().items() if entry.kind == "deb"]
    debian.unpack_together({name: SUFFIXES.get(name, SOUNDS) for name in names}, raw)
