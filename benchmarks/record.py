"""Where benchmark numbers go: rows of results.csv and sections of RESULTS.md. A rerun replaces its own."""

import csv
import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

import torch

HERE = Path(__file__).parent
COLUMNS = ["claim", "value", "unit", "baseline", "ratio"]


def machine() -> str:
    """Device, threads and library, in one line."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine()) \
        if os.path.exists("/proc/cpuinfo") else platform.processor()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}"


def commit() -> str:
    git = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=HERE, capture_output=True, text=True)
    return git.stdout.strip() or "unknown commit"


def table(rows: list[dict]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join(lines + ["| " + " | ".join(str(row[name]) for name in COLUMNS) + " |" for row in rows])


def write(section: str, rows: list[dict], text: str = "") -> None:
    """Replace the rows whose claim starts with '<section>: ' and the section of that name."""
    path = HERE / "results.csv"
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if not row["claim"].startswith(f"{section}: ")]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + rows)

    path = HERE / "RESULTS.md"
    page = path.read_text() if path.exists() else "# Benchmarks\n\nWritten by `make bench`; do not edit.\n"
    body = f"## {section}\n\n{datetime.date.today()}, commit {commit()}, {machine()}\n\n{table(rows)}\n\n{text.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", re.M | re.S)
    page = pattern.sub(lambda _: body + "\n", page) if pattern.search(page) else page.rstrip() + "\n\n" + body
    path.write_text(page.rstrip() + "\n")
