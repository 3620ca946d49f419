"""The command line of the benchmarks, and the record of their numbers: rows of results.csv and
sections of RESULTS.md. A rerun replaces its own rows and sections."""

import argparse
import csv
import datetime
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from exmcr.common.files import atomic_write, write_text

HERE = Path(__file__).parent
FIGURES = {"growth": HERE / "growth.png"}  # of the parts that draw
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
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"],
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    return git.stdout.strip() or "unknown commit"


def table(rows: list[dict]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join(
        lines + ["| " + " | ".join(str(row[name]) for name in COLUMNS) + " |" for row in rows]
    )


def write(section: str, rows: list[dict], text: str = "") -> None:
    """Replace the rows whose claim starts with '<section>: ', and the section of that name."""
    path = HERE / "results.csv"
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            kept = [
                row for row in csv.DictReader(file) if not row["claim"].startswith(f"{section}: ")
            ]
    with atomic_write(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + rows)

    path = HERE / "RESULTS.md"
    page = (
        path.read_text()
        if path.exists()
        else "# Benchmarks\n\nWritten by `make bench`; do not edit.\n"
    )
    made = f"{datetime.date.today()}, commit {commit()}, {machine()}"
    body = f"## {section}\n\n{made}\n\n{table(rows)}\n\n{text.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", re.M | re.S)
    page = (
        pattern.sub(lambda _: body + "\n", page)
        if pattern.search(page)
        else page.rstrip() + "\n\n" + body
    )
    write_text(path, page.rstrip() + "\n")


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
