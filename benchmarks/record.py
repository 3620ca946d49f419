"""The command line of the benchmarks, and the record of their numbers: rows of results.csv and
sections of RESULTS.md. A rerun replaces its own rows and sections.

python benchmarks/record.py FOLDER  take over the record in FOLDER, measured on another machine
"""

import argparse
import csv
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from exmcr.common.files import atomic_write, write_text

HERE = Path(__file__).parent
FIGURES = {"growth": HERE / "growth.png"}  # of the parts that draw
TITLE = "# Benchmarks\n\nWritten by `make bench` and `make bench-gpu`; do not edit.\n"
COLUMNS = ["claim", "value", "unit", "baseline", "ratio"]


def machine() -> str:
    """Device, threads and library, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cpu = models[0] if models else platform.processor() or platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return f"{cpu}, {cores} cores, {threads} threads, {gpu}, torch {torch.__version__}"


def commit() -> str:
    """The state of the code, or "unknown commit" in a copy without its history."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        git = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown commit"
    return git.stdout.strip() or "unknown commit"


def table(rows: list[dict]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join(
        lines + ["| " + " | ".join(str(row[name]) for name in COLUMNS) + " |" for row in rows]
    )


def write(
    section: str, rows: list[dict], text: str = "", folder: Path = HERE, code: str = ""
) -> None:
    """Replace the rows whose claim starts with '<section>: ', and the section of that name.

    folder: where results.csv and RESULTS.md lie. code: the commit, where git cannot tell it.
    """
    made = f"{datetime.date.today()}, commit {code or commit()}, {machine()}"
    body = f"{made}\n\n{table(rows)}\n\n" if rows else f"{made}\n\n"
    _replace_rows(folder / "results.csv", section, rows)
    _replace_sections(folder / "RESULTS.md", {section: body + text.strip()})


def merge(source: Path, folder: Path = HERE) -> list[str]:
    """Copy every section and its rows from the record in `source`. Returns their names."""
    found = _sections((source / "RESULTS.md").read_text())
    rows = _rows(source / "results.csv")
    for section in found:
        own = [row for row in rows if row["claim"].startswith(f"{section}: ")]
        _replace_rows(folder / "results.csv", section, own)
    _replace_sections(folder / "RESULTS.md", found)
    return list(found)


def _rows(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _replace_rows(path: Path, section: str, rows: list[dict]) -> None:
    kept = [row for row in _rows(path) if not row["claim"].startswith(f"{section}: ")]
    with atomic_write(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + rows)


def _sections(page: str) -> dict[str, str]:
    """{name: text} of the sections of a page."""
    parts = re.split(r"^## (.+)\n", page, flags=re.M)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2])}


def _replace_sections(path: Path, new: dict[str, str]) -> None:
    page = path.read_text() if path.exists() else TITLE
    sections = _sections(page) | new
    head = page.partition("\n## ")[0].strip()
    body = "".join(f"\n\n## {name}\n\n{text}" for name, text in sections.items())
    write_text(path, head + body + "\n")


def run(
    section: str, doc: str, parts: dict[str, Callable], measure: Callable | None = None
) -> None:
    """Run the chosen parts, and record each when it is done, as section '<section> <part>'.

    doc      docstring of the script
    parts    {name: part(quick, folder) -> rows}. The docstring of a part says what it measures;
             folder is temporary and shared by all parts; a part that draws saves FIGURES[name]
    measure  measure(bank, rows, queries), which a part runs in its own process as
             `--measure bank rows queries`
    """
    parser = argparse.ArgumentParser(description=" ".join(doc.split("\n\n")[0].split()))
    parser.add_argument("--quick", action="store_true", help="smaller sizes, nothing recorded")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=parts,
        default=list(parts),
        help="some parts; the records of the others stay",
    )
    if measure:
        parser.add_argument(
            "--measure", nargs=3, metavar=("BANK", "ROWS", "QUERIES"), help=argparse.SUPPRESS
        )
    options = parser.parse_args()
    if measure and options.measure:
        bank, m, n = options.measure
        return measure(bank, int(m), int(n))
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            about, load = " ".join((parts[name].__doc__ or "").split()), os.getloadavg()[0]
            print(f"{name}: {about} (load {load:.1f})", flush=True)
            rows = parts[name](options.quick, folder)
            if not rows or options.quick:
                continue
            for one in rows:
                one["claim"] = f"{section} {name}: {one['claim']}"
            after = f"{os.getloadavg()[0]:.1f} after, this benchmark included"
            note = f"{about} Load average {load:.1f} before and {after}."
            if name in FIGURES:
                note += f"\n\n![{about}]({FIGURES[name].name})"
            write(f"{section} {name}", rows, note)


if __name__ == "__main__":
    print("taken over:", ", ".join(merge(Path(sys.argv[1]))))
