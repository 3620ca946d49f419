"""How long each stage of the last run took: reports/times.json, which every stage updates."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from exmcr.common.errors import ConfigError
from exmcr.common.files import write_json

STAGES = ("corpora", "spaces", "extract", "pair", "train", "evaluate", "visualize", "examples")


@contextmanager
def timed(stage: str, root: Path) -> Iterator[None]:
    """Record wall time and peak memory of a stage that ends without error.

    Memory is the largest of a single process, of this one and those that it waited for.
    """
    start, when = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    yield
    seconds = round(time.perf_counter() - start, 1)
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(one).ru_maxrss for one in who) / 1e6  # from kB
    path = root / "reports/times.json"
    entry = {"seconds": seconds, "peak_gb": round(peak, 2), "started": when}
    write_json(path, _read(path) | {stage: entry})


def _read(path: Path) -> dict[str, dict]:
    """The recorded stages; none if the file is missing or damaged, since it can be made again."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def markdown(root: Path) -> str:
    """The recorded stages as a Markdown table. Raises ConfigError if there are none."""
    found = _read(root / "reports/times.json")
    known = [stage for stage in STAGES if stage in found]
    if not known:
        raise ConfigError(f"no times at {root}/reports/times.json; run `make repro`")
    lines = ["| stage | seconds | peak memory (GB) | started (UTC) |", "|---|---|---|---|"]
    for stage in known:
        entry = found[stage]
        when = entry["started"].removesuffix("+00:00").replace("T", " ")
        lines.append(f"| {stage} | {entry['seconds']:.0f} | {entry['peak_gb']:.1f} | {when} |")
    total = sum(found[stage]["seconds"] for stage in known)
    largest = max(found[stage]["peak_gb"] for stage in known)
    lines.append(f"| all | {total:.0f} | {largest:.1f} | |")
    return "\n".join(lines)
