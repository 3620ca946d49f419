"""Answers of `exmcr demo`: seconds from an upload to the HTML of the answers, after loading.

    python benchmarks/demo.py            in the folder of a finished run; recorded in results.csv
                                         and RESULTS.md
    python benchmarks/demo.py --quick    fewer queries, printed only

Every query is new to the run: the caches of encoder outputs would answer a known one. Needs the
extra `demo`. The run is read through links and not changed.
"""

import statistics
import time
from pathlib import Path

import numpy as np
import record
import soundfile
from PIL import Image
from timing import row

from exmcr import media
from exmcr.common.paths import project_root
from exmcr.project import Project

LIMIT = 1.0  # seconds that an answer may take
UNCHANGED = ("params.yaml", "models", "banks", "pairs", "reports")
SOUND_SECONDS = 10.0  # of an uploaded sound


def linked(folder):
    """A project in `folder` that reads the run of the current folder, with empty caches."""
    root, copy = project_root(), Path(folder) / "run"
    (copy / "data").mkdir(parents=True)
    for name in UNCHANGED:
        if (root / name).exists():
            (copy / name).symlink_to(root / name)
    for path in (root / "data").iterdir():
        if path.name != "features":
            (copy / "data" / path.name).symlink_to(path)
    return Project(copy)


def uploads(project, modality, count, folder):
    """`count` files of test items of a modality, each changed a little; texts instead of files."""
    items = project.items
    rows = items[(items.modality == modality) & (items.split == "test") & (items.path != "")]
    if modality == "text":
        rows = items[(items.modality == "text") & (items.split == "test")]
    rng = np.random.default_rng(0)
    for number, item in enumerate(rows.sample(count, random_state=0).itertuples()):
        if modality == "text":
            yield f"{item.caption} number {number}"
            continue
        path, raw = Path(folder) / f"{modality}-{number}", project.load_item(item)
        yield _written(path, media.videos.still(raw), rng)


def _written(path, raw, rng):
    if isinstance(raw, media.sounds.Sound):
        count = int(SOUND_SECONDS * raw.rate)
        samples = np.resize(raw.samples, count) + rng.normal(size=count) * 1e-3
        path = path.with_suffix(".wav")
        soundfile.write(path, samples, raw.rate)
    elif raw.dtype == np.uint8:
        path = path.with_suffix(".png")
        noise = rng.integers(0, 8, raw.shape, np.uint8)
        Image.fromarray(np.maximum(raw, noise)).save(path)
    else:
        path = path.with_suffix(".npy")
        np.save(path, (raw + rng.normal(size=raw.shape) * 1e-3).astype(np.float32))
    return str(path)


def answers(quick, folder):
    """Median and longest time of answers to new queries, by the modality of the query; answers of
    every modality in turn, by Ex-MCR."""
    from exmcr.demo.engine import Engine
    from exmcr.demo.page import respond

    project = linked(folder)
    engine = Engine(project)
    start = time.perf_counter()
    engine.load()
    rows = [row("loading the encoders, galleries and maps", time.perf_counter() - start, "s")]
    for own in [name for name in engine.modalities if name in ("text", "image", "audio", "points")]:
        files, took = list(uploads(project, own, 4 if quick else 12, folder)), []
        for number, upload in enumerate(files):
            gallery = engine.modalities[number % len(engine.modalities)]
            took.append(_timed(respond, engine, own, upload, gallery))
        claim = f"answer to a {own} query, {len(took)} queries"
        rows.append(row(f"{claim}, median", statistics.median(took), "s", LIMIT))
        rows.append(row(f"{claim}, longest", max(took), "s", LIMIT))
    return rows


def _timed(respond, engine, own, upload, gallery):
    given = {"text": "", "audio": None, "image": None, "points": None} | {own: upload}
    start = time.perf_counter()
    status, _, _ = respond(
        engine,
        words=given["text"],
        words_weight=1,
        without="",
        without_weight=0,
        sound=given["audio"],
        sound_weight=1,
        picture=given["image"],
        picture_weight=1,
        shape=given["points"],
        shape_weight=1,
        video=None,
        video_weight=1,
        modality=gallery,
        method="exmcr",
        k=6,
    )
    took = time.perf_counter() - start
    if status.startswith("⚠"):
        raise RuntimeError(status)
    return took


PARTS = {"answers": answers}

if __name__ == "__main__":
    record.run("demo", __doc__, PARTS)
