"""Train, val and test of the mini corpus. Hashes decide, so that a new item moves no other.

audio   Concepts are divided first. Some have no training sound (`unseen` in the results); a
        concept with many recordings (drums, guitars) always has some. Of the other concepts, whole
        packages are held out, so that a test clip of a `seen` concept is another recording: those
        of HELD_OUT for all concepts, others concept by concept. Sounds without a concept are
        training sounds.
points  Names are divided, with all shapes and icons of a name: test names have no training shape.
        The packages of HELD_OUT_SHAPES have no training shapes.
image   Groups (title series, identical files, near-duplicates) are divided. Concepts of test sounds
        or shapes give more pictures to test, at most half of theirs, so that galleries contain
        positives.
text    A text has the split of the items that it describes.
"""

from collections import Counter, defaultdict
from typing import Any

from exmcr.common.hashing import stable_uniform

UNSEEN_TEST, UNSEEN_VAL = 0.3, 0.2  # share of the sound concepts that are not a large family
FAMILY = 9  # a concept with this many recordings is a large family
# Packages whose named sounds are never trained on, in whichever split.
HELD_OUT = {
    **dict.fromkeys(("wesnoth", "scorched3d", "megaglest", "simutrans"), "test"),
    **dict.fromkeys(("sound-icons", "freedesktop", "gnome-audio"), "test"),
    **dict.fromkeys(("opensfx", "lincity", "lugaru", "bzflag"), "val"),
    **dict.fromkeys(("tuxmath", "deepin", "oxygen"), "val"),
}
# Soundfonts made of the recordings of another one: the two are held out together, and this one has
# no queries. Found by comparing spectrograms.
COPIES = {"csound": "timgm6mb", "musescore": "fluidr3mono"}
MAX_HELD_OUT = 10  # test (val) recordings of one concept and package; the others are not used
MAX_NOTES = 4  # the same for the notes of a soundfont, which would be half of all queries
NOTE_KEY = 60  # MIDI key at which instruments are held out, middle C
SHAPES_VAL = 0.12  # share of the names of these packages that are val; the others are test
HELD_OUT_SHAPES = ("megaglest", "flightgear", "scorched3d")
NAME_TEST, NAME_VAL = 0.30, 0.10  # share of furniture names
IMAGE_TEST, IMAGE_VAL = 0.06, 0.05  # share of picture groups, besides those chosen by concept
STAMP_TEST = 0.15  # the same for tuxpaint, whose captions are the cleanest
PER_CONCEPT = 4  # test picture groups of a concept of test sounds or shapes; half as many for val

Row = dict[str, Any]


def merge_duplicates(rows: list[Row], digests: dict[str, str]) -> None:
    """Give items with the same file content one group, in place.

    rows: of the item table; digests: {item id: hash of its file}.
    """
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while parent.setdefault(group, group) != group:
            group = parent[group]
        return group

    first: dict[str, str] = {}
    for item in rows:
        if digest := digests.get(item["id"]):
            a, b = root(item["group"]), root(first.setdefault(digest, item["group"]))
            parent[max(a, b)] = min(a, b)
    for item in rows:
        item["group"] = root(item["group"])


def assign(rows: list[Row]) -> None:
    """Set `split` of every row, in place, by the rules above."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for item in rows:
        groups[item["group"]].append(item)
    _assign_points(groups)
    _assign_audio(rows)
    _assign_images(rows, groups)


def _assign_points(groups: dict[str, list[Row]]) -> None:
    for group, members in groups.items():
        if any(item["modality"] == "points" for item in members):
            u = stable_uniform("name:" + group)
            if any(item["source"] in HELD_OUT_SHAPES for item in members):
                split = "val" if u < SHAPES_VAL else "test"
            else:
                split = "test" if u < NAME_TEST else "val" if u < NAME_TEST + NAME_VAL else "train"
            _set_split(members, split)


def _assign_audio(rows: list[Row]) -> None:
    concepts: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for item in rows:
        if item["modality"] == "audio":
            concepts[item["concept"]][item["source"]].append(item)
    for concept, sources in concepts.items():
        splits = _splits_of_sources(concept, sources) if concept else {}
        for source, members in sources.items():
            _set_split(members, splits.get(source, "train"))


def _splits_of_sources(concept: str, sources: dict[str, list[Row]]) -> dict[str, str]:
    """The split of every held-out source of one sound concept."""
    recordings = len({item["group"] for members in sources.values() for item in members})
    u = stable_uniform("sound:" + concept)
    if recordings < FAMILY and u < UNSEEN_TEST + UNSEEN_VAL:
        return dict.fromkeys(sources, "test" if u < UNSEEN_TEST else "val")
    held_out = {source: HELD_OUT[source] for source in sources if source in HELD_OUT}
    others = sorted(
        {COPIES.get(source, source) for source in sources if source not in HELD_OUT},
        key=lambda source: stable_uniform(f"{concept}:{source}"),
    )
    if len(others) == 2:
        held_out[others[0]] = "test" if stable_uniform("two:" + concept) < 0.7 else "val"
    elif len(others) > 2:
        held_out |= {others[0]: "test", others[1]: "val"}
    for copy, original in COPIES.items():
        if original in held_out:
            held_out[copy] = held_out[original]
    return held_out


def _assign_images(rows: list[Row], groups: dict[str, list[Row]]) -> None:
    """Divide the groups of pictures that have no split yet: icons have that of their shape."""
    queried = {
        split: {
            item["concept"]
            for item in rows
            if item["modality"] in ("audio", "points") and item["split"] == split
        }
        - {""}
        for split in ("test", "val")
    }
    pictures: dict[str, list[str]] = defaultdict(list)  # concept -> groups
    for group, members in groups.items():
        if members[0]["modality"] == "image" and not members[0]["split"]:
            pictures[members[0]["concept"]].append(group)
    for concept, names in pictures.items():
        names.sort(key=stable_uniform)
        half = (len(names) + 1) // 2
        for_test = min(PER_CONCEPT, half) if concept in queried["test"] else 0
        for_val = min(PER_CONCEPT // 2, len(names) - for_test) if concept in queried["val"] else 0
        for place, group in enumerate(names):
            if not groups[group][0]["caption"]:  # of the training pool
                _set_split(groups[group], "train")
                continue
            u = stable_uniform("image:" + group)
            test_share = STAMP_TEST if group.startswith("tuxpaint") else IMAGE_TEST
            if place < for_test or u < test_share:
                split = "test"
            elif place < for_test + for_val or u < test_share + IMAGE_VAL:
                split = "val"
            else:
                split = "train"
            _set_split(groups[group], split)


def _set_split(members: list[Row], split: str) -> None:
    for item in members:
        item["split"] = split


def without_surplus(rows: list[Row]) -> list[Row]:
    """Limit what val and test have of one kind. Returns rows in order of ids.

    - An instrument is trained at several pitches and held out at one, NOTE_KEY.
    - A concept has at most MAX_HELD_OUT sounds per package (MAX_NOTES per soundfont, none of
      COPIES).
    - An emoji is trained in all styles and held out in one.
    """
    count: Counter[tuple[str, ...]] = Counter()
    kept = []
    for item in sorted(rows, key=lambda row: stable_uniform(row["id"])):
        if item["split"] != "train" and (limit := _limit(item)):
            key, most = limit
            count[key] += 1
            if count[key] > most:
                continue
        kept.append(item)
    return sorted(kept, key=lambda row: row["id"])


def _limit(item: Row) -> tuple[tuple[str, ...], int] | None:
    """What is counted for a held-out item, and the limit; None if there is none."""
    if item["modality"] == "audio":
        note = "/program-" in item["id"] or "/drums/" in item["id"]
        other_pitch = "/program-" in item["id"] and not item["id"].endswith(f"/key-{NOTE_KEY}")
        if other_pitch or item["source"] in COPIES:
            return ("not held out",), 0
        return (item["concept"], item["source"]), MAX_NOTES if note else MAX_HELD_OUT
    if item["source"] == "emoji":
        return ("emoji", item["caption"]), 1
    return None
