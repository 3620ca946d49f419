"""What apt offers, where it is installed, and downloads by it."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exmcr.corpora.mini.fetching import programs
from exmcr.corpora.mini.fetching.transfer import Advance


@dataclass(frozen=True)
class Offer:
    """One version of a package in the lists of apt."""

    name: str
    version: str
    sha256: str


def offers(names: Sequence[str]) -> list[Offer]:
    """Every version of these packages that apt could download; empty without apt.

    root updates the lists first if they lack a package, as in a new container.
    """
    if not shutil.which("apt-cache") or not names:
        return []
    known = _listed(names)
    if {offer.name for offer in known} != set(names) and os.geteuid() == 0:
        programs.run(["apt-get", "-q", "update"], Path.cwd())
        known = _listed(names)
    return known


def _listed(names: Sequence[str]) -> list[Offer]:
    """The records of `apt-cache show`, which fails if it does not know one of the names."""
    output = subprocess.run(
        ["apt-cache", "show", *names], capture_output=True, text=True, errors="replace"
    ).stdout
    known = []
    for record in output.split("\n\n"):
        lines = (line.partition(": ") for line in record.splitlines() if line[:1].strip())
        fields = {key: value.strip() for key, _, value in lines}
        if {"Package", "Version", "SHA256"} <= set(fields):
            known.append(Offer(fields["Package"], fields["Version"], fields["SHA256"]))
    return known


def download(offers: Sequence[Offer], folder: Path, advance: Advance) -> str:
    """Download packages into an empty folder. Returns "", or the reason why apt failed.

    advance: called with the number of bytes that arrived since the last call.
    """
    # A plain download needs no sandbox, whose user could not write here.
    options = ["-q", "-o", "APT::Sandbox::User=root"]
    wanted = [f"{offer.name}={offer.version}" for offer in offers]
    seen = 0

    def watch() -> None:
        nonlocal seen
        size = _size(folder)
        advance(size - seen)
        seen = size

    return programs.run(["apt-get", *options, "download", *wanted], folder, watch)


def _size(folder: Path) -> int:
    sizes = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
            sizes += path.stat().st_size
    return sizes
