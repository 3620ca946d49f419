"""The two ways in which input can be wrong, and where a stage that cannot go on leaves its reason."""

from pathlib import Path


class ConfigError(ValueError):
    """The caller asked for something impossible: a wrong parameter, a missing or foreign file.

    Raised before any work starts; the message says what is wrong, where, and what to do."""


class BadItem(ValueError):
    """One raw item cannot be used (corrupt image, silent sound, empty cloud, empty caption).

    Extraction skips such an item, counts it and names it in the bank's manifest."""


def note_stop(root: Path, reason: str | None = None) -> None:
    """Write the reason to reports/stopped.txt of the project in `root`: `make repro` repeats it at its end, below what dvc says.

    Without a reason, as a stage starts, what an earlier one left there is deleted."""
    path = root / "reports/stopped.txt"
    path.unlink(missing_ok=True)
    if reason is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason + "\n")
