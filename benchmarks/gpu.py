"""A GPU at the scale of the paper: aggregation, search, training, encoders, agreement with the CPU.

python benchmarks/gpu.py               all sections (at most 6 minutes on one H100), recorded in
                                       results.csv and RESULTS.md
python benchmarks/gpu.py --out FOLDER  recorded in that folder; `python benchmarks/record.py FOLDER`
                                       takes it over
python benchmarks/gpu.py --only train search

Without a GPU this is a dry run at tiny sizes on the CPU: it shows that the code runs, its numbers
mean nothing, and it writes no record unless --out is given. The encoders, whose size is fixed, run
there only if --only names them.

An error in one section is recorded in full, and the others go on.
"""

import argparse
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import gpu_agreement
import gpu_encoders
import gpu_scale
import gpu_train
import record
import torch
from gpu_setup import Setup

Section = Callable[[Setup], Iterator[dict]]
SECTIONS: dict[str, Section] = {
    "card": gpu_scale.card,
    "agreement": gpu_agreement.agreement,
    "aggregate": gpu_scale.aggregation,
    "search": gpu_scale.search,
    "clip": gpu_encoders.clip,
    "ulip2": gpu_encoders.ulip2,
    "clap": gpu_encoders.clap,
    # Last: after an error in the capture of a graph, a process may fail everywhere.
    "train": gpu_train.train,
}
ENCODERS = ("clip", "ulip2", "clap")
DRY_SCALE = 1e-3


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen sections. Returns the number of sections that failed."""
    options = _parser().parse_args(arguments)
    setup = _setup(options)
    print(record.machine(), flush=True)
    if setup.dry:
        print("No GPU: a dry run on the CPU at tiny sizes, whose numbers mean nothing.", flush=True)
    folder = Path(options.out) if options.out else (None if setup.dry else record.HERE)
    chosen = options.only or [name for name in SECTIONS if not (setup.dry and name in ENCODERS)]
    start, rows, errors = time.perf_counter(), [], {}
    for name in chosen:
        spent = time.perf_counter() - start
        print(f"{name} ({spent:.0f} s so far)", flush=True)
        if spent > options.budget:
            errors[name] = f"not run: {options.budget} s were spent before it"
            continue
        own, errors[name] = _run(SECTIONS[name], setup)
        rows += [(name, row) for row in own]
        if folder is not None:
            _record(folder, name, own, errors[name], options.code)
    print(f"\n{_table(rows)}\n")
    failed = {name: error for name, error in errors.items() if error}
    for name, error in failed.items():
        print(f"FAILED {name}: {error.strip()}", flush=True)
    print(f"{len(chosen) - len(failed)} of {len(chosen)} sections complete")
    return len(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="default: all")
    parser.add_argument("--out", help="folder of the record; default: benchmarks/")
    parser.add_argument("--scale", type=float, help="factor of all sizes; default: 1, 0.001 dry")
    parser.add_argument("--device", help="cuda or cpu; default: cuda if there is one")
    parser.add_argument(
        "--budget", type=float, default=300, help="seconds; no section starts later"
    )
    parser.add_argument("--code", default="", help="the commit, where git cannot tell it")
    return parser


def _setup(options: argparse.Namespace) -> Setup:
    chosen = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(chosen)
    default = 1.0 if device.type == "cuda" else DRY_SCALE
    return Setup(device, default if options.scale is None else options.scale)


def _run(section: Section, setup: Setup) -> tuple[list[dict], str]:
    """The rows of a section, up to an error, and the text of that error or ""."""
    rows: list[dict] = []
    try:
        for row in section(setup):
            rows.append(row)
    except Exception:
        error = traceback.format_exc()
        print(error, flush=True)
        return rows, error
    finally:
        if setup.device.type == "cuda":
            torch.cuda.empty_cache()
    return rows, ""


def _record(folder: Path, name: str, rows: list[dict], error: str, code: str) -> None:
    section = f"gpu {name}"
    claims = [row | {"claim": f"{section}: {row['claim']}"} for row in rows]
    text = " ".join((SECTIONS[name].__doc__ or "").split())
    if error:
        text += f"\n\nThis section stopped early:\n\n```\n{error.strip()}\n```"
    record.write(section, claims, text, folder, code)


def _table(rows: list[tuple[str, dict]]) -> str:
    """All rows as aligned text."""
    cells = [("section", *record.COLUMNS)]
    cells += [(name, *(str(row[column]) for column in record.COLUMNS)) for name, row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells
    )


if __name__ == "__main__":
    raise SystemExit(min(1, main()))
