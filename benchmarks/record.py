"""The command line that benchmarks share, and where their numbers go: rows of results.csv and sections of RESULTS.md.
A rerun replaces its own."""

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

HERE = Path(__file__).parent
FIGURES = {"growth": HERE / "growth.png"}  # of the parts that draw
COLUMNS = ["claim", "value", "unit", "baseline", "ratio"]


def machine() -> str:
    """Device, threads and library, in one line."""
    cpu = (
        next(
            (
                line.split(":")[1].strip()
                for line in open("/proc/cpuinfo")
                if line.startswith("model name")
            ),
            platform.machine(),
        )
        if os.path.exists("/proc/cpuinfo")
        else platform.processor()
    )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}"


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
    """Replace the rows whose claim starts with '<section>: ' and the section of that name."""
    path = HERE / "results.csv"
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            kept = [
                row for row in csv.DictReader(file) if not row["claim"].startswith(f"{section}: ")
            ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + rows)

    path = HERE / "RESULTS.md"
    page = (
        path.read_text()
        if path.exists()
        else "# Benchmarks\n\nWritten by `make bench`; do not edit.\n"
    )
    body = f"## {section}\n\n{datetime.date.today()}, commit {commit()}, {machine()}\n\n{table(rows)}\n\n{text.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", re.M | re.S)
    page = (
        pattern.sub(lambda _: body + "\n", page)
        if pattern.search(page)
        else page.rstrip() + "\n\n" + body
    )
    path.write_text(page.rstrip() + "\n")


def run(
    section: str, doc: str, parts: dict[str, Callable], measure: Callable | None = None
) -> None:
    """Run the parts that the command line names, and record each when it is done, as section '<section> <part>'.

    doc: docstring of the script. parts: {name: part(quick, folder) -> rows}; the first line of a part's docstring is the question
    that it answers, folder is a temporary one that all parts share, and a part that draws saves FIGURES[name].
    measure: measure(bank, rows, queries), which a part runs as `--measure bank rows queries` in a process of its own."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
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
            question, load = parts[name].__doc__.splitlines()[0], os.getloadavg()[0]
            print(f"{name}: {question} (load {load:.1f})", flush=True)
            rows = parts[name](options.quick, folder)
            if rows and not options.quick:
                note = f"{question} Load average {load:.1f} before and {os.getloadavg()[0]:.1f} after, this benchmark included."
                if name in FIGURES:
                    note += f"\n\n![{question}]({FIGURES[name].name})"
                write(
                    f"{section} {name}",
                    [found | {"claim": f"{section} {name}: {found['claim']}"} for found in rows],
                    note,
                )
