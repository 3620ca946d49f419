"""The offline corpus: real pictures, sounds and 3D models that Linux distributions ship as data packages."""

import hashlib
import json
import multiprocessing
import os
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from exmcr.common.errors import BadItem
from exmcr.common.hashing import sha256, stable_uniform
from exmcr.corpora import items as table
from exmcr.corpora import splits
from exmcr.corpora.mini import (
    emoji,
    furniture,
    games,
    gcompris,
    openclipart,
    pictures,
    samples,
    scratch,
    soundfonts,
    tuxpaint,
)

POINTS = 10_000
BAD_SHARE = 0.05  # more unusable items than this is a broken download, not a few odd files


def build(root: Path, paper: list[dict] = ()) -> Path:
    """Fetch, unpack and render everything once; write data/items.parquet and data/skipped.json. Returns the table's path.

    Files already rendered are kept, so an interrupted run goes on where it was.
    Raises ConfigError when a package cannot be had, RuntimeError when more than 5 % of the items are unusable."""
    data = root / "data"
    tasks = list(tqdm(_plan(data / "raw"), desc="listing items", unit="item", smoothing=0))
    for item, _ in tasks:
        item["path"] = f"media/{item['id']}{SUFFIX[item['modality']]}"
    jobs = [(job, str(data / item["path"])) for item, job in tasks]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        outcomes = list(
            tqdm(
                pool.imap(_make, jobs, chunksize=16),
                total=len(jobs),
                desc="rendering items",
                unit="item",
            )
        )
    rows, digests, skipped = [], {}, []
    for (item, _), (digest, reason) in zip(tasks, outcomes, strict=True):
        if reason:
            skipped.append({"id": item["id"], "reason": reason})
        else:
            rows.append(item)
            digests[item["id"]] = digest
    (data / "skipped.json").write_text(json.dumps(skipped, indent=1) + "\n")
    print(f"{len(rows)} items, {len(skipped)} unusable (named in data/skipped.json)")
    if len(skipped) > BAD_SHARE * len(tasks):
        raise RuntimeError(
            f"{len(skipped)} of {len(tasks)} items are unusable, more than {BAD_SHARE:.0%}; see data/skipped.json"
        )
    rows = _without_repeated_sounds(rows, digests)
    splits.merge_duplicates(rows, digests)
    splits.assign(rows)
    rows = _without_spare_questions(rows)
    rows += _texts(rows)
    path = data / "items.parquet"
    items = table.write(rows, path)
    print(items.groupby(["modality", "split"]).size().unstack(fill_value=0))
    return path


SUFFIX = {"image": ".png", "audio": ".wav", "points": ".npy"}


def _plan(raw: Path):
    """Yield (row, job) for every item; a job says how its file is made."""
    for item, path in [
        *openclipart.items(raw),
        *tuxpaint.items(raw),
        *scratch.items(raw),
        *samples.items(raw),
        *games.items(raw),
    ]:
        yield item, ("picture" if item["modality"] == "image" else "sound", path, path.suffix)
    for item, drawing in emoji.items(raw):
        yield item, ("drawing", drawing)
    for item, content, suffix in gcompris.items(raw):
        yield item, ("picture" if item["modality"] == "image" else "sound", content, suffix)
    for item, note in soundfonts.items(raw):
        yield item, ("note", *note)
    seen = Counter()
    for model, mesh, icon, picture in furniture.items(raw):
        seen[model["id"]] += 1
        if seen[model["id"]] == 1:
            yield model, ("cloud", *mesh)
            yield icon, ("icon", *picture)


@cache
def _player(font: Path) -> soundfonts.Player:
    return soundfonts.Player(font)


def _make(job) -> tuple[str, str]:
    """Make one file, in a worker process -> (SHA-256 of the file, "" or the reason why there is none)."""
    (kind, *how), target = job[0], Path(job[1])
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _MAKERS[kind](target, *how)
        return sha256(target), ""
    except BadItem as error:
        return "", str(error)


def _picture(target, source, suffix):
    pictures.store(source, target, svg=suffix == ".svg")


def _drawing(target, image):
    pictures.store(image, target)


def _icon(target, library, name):
    import zipfile

    with zipfile.ZipFile(library) as archive:
        pictures.store(archive.read(name), target)


def _sound(target, source, suffix):
    import io

    import soundfile

    from exmcr.media import sounds

    if isinstance(source, bytes):
        try:
            samples_, rate = soundfile.read(io.BytesIO(source), dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise BadItem(f"unreadable sound: {error}") from error
        sound = sounds.load((samples_, rate))
    else:
        sound = sounds.load(source, 0, MAX_SECONDS)
    _write_wav(target, sound.samples[: int(MAX_SECONDS * sound.rate)], sound.rate)


MAX_SECONDS = 10.0


def _write_wav(target: Path, samples_: np.ndarray, rate: int) -> None:
    import soundfile

    part = target.with_suffix(".part")
    soundfile.write(part, np.clip(samples_, -1, 1), rate, format="WAV", subtype="PCM_16")
    part.rename(target)


def _note(target, font, bank, program, keys):
    sound = _player(font).play(bank, program, keys)
    if np.abs(sound).max() < 1e-3:
        raise BadItem("the soundfont is silent on this key")
    _write_wav(target, sound, soundfonts.RATE)


def _cloud(target, library, model, size):
    points = furniture.cloud(library, model, size, POINTS, seed=0)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, points)
    part.rename(target)


_MAKERS = {
    "picture": _picture,
    "drawing": _drawing,
    "icon": _icon,
    "sound": _sound,
    "note": _note,
    "cloud": _cloud,
}


def _without_repeated_sounds(rows: list[dict], digests: dict[str, str]) -> list[dict]:
    """Some packages ship one recording under several names ("ram", "mountain goat"); the first name keeps it."""
    first: dict[str, str] = {}
    return [
        r
        for r in rows
        if r["modality"] != "audio" or first.setdefault(digests[r["id"]], r["id"]) == r["id"]
    ]


def _without_spare_questions(rows: list[dict]) -> list[dict]:
    """An instrument is trained on several pitches but asked for once, and no concept asks more than a few questions:
    or the tests would be mostly instruments."""
    spare = tuple(f"/key-{key}" for key in soundfonts.KEYS[1:])
    asked = Counter()
    kept = []
    for item in sorted(rows, key=lambda r: stable_uniform(r["id"])):
        if item["modality"] == "audio" and item["split"] != "train":
            if "/program-" in item["id"] and item["id"].endswith(spare):
                continue
            asked[item["concept"], item["source"]] += 1
            if asked[item["concept"], item["source"]] > splits.QUESTIONS:
                continue
        kept.append(item)
    return sorted(kept, key=lambda r: r["id"])


def _texts(rows: list[dict]) -> list[dict]:
    """One text per distinct caption and split, besides the names of ImageNet's classes as unpaired training texts."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    names = [info.index_to_description(i).split(",")[0] for i in range(1000)]
    found: dict[tuple[str, str], dict] = {}
    captions = [
        (item["split"], caption, item["concept"], item["source"])
        for item in rows
        for caption in item["captions"]
    ]
    # The noun itself is what a sound is asked to be recognized as.
    captions += [
        (item["split"], item["concept"], item["concept"], item["source"])
        for item in rows
        if item["modality"] == "audio"
    ]
    for split, caption, concept, source in captions + [
        ("train", name, "", "imagenet-names") for name in names
    ]:
        if caption:
            digest = hashlib.sha256(caption.encode()).hexdigest()[:12]
            group = f"text:{split}:{digest}"
            text = table.row(
                f"text/{split}/{digest}",
                "text",
                [caption],
                concept,
                source,
                "as its source",
                group,
                split=split,
            )
            found.setdefault((split, caption), text)
    return list(found.values())
