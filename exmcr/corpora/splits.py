"""Who may see what: train, val and test, decided by hashing, so that adding an item moves no other.

audio   Concepts are divided first. Some are never heard in training: `unseen` in the results; a family of many
        recordings (drums, guitars) is always heard. Of the heard concepts, whole packages are held out, so that a
        test clip of a `seen` concept is always from another recording. No concept asks more than a few questions.
points  Names are divided (a name's models and icons together): test names are never trained.
image   Groups (title series, identical files) are divided. Concepts that test sounds or models have give more pictures
        to test, at most half of what they have, so that there is something to retrieve.
text    A text belongs to the split of the items it describes."""

from collections import defaultdict

from exmcr.common.hashing import stable_uniform

UNSEEN_TEST, UNSEEN_VAL = 0.3, 0.2  # share of the sound concepts that are not a large family
FAMILY = 9  # a concept with this many recordings is a large family
QUESTIONS = (
    5  # test (val) recordings of one concept and package at most; the others are set aside unused
)
NAME_TEST, NAME_VAL = 0.25, 0.10  # share of furniture names
IMAGE_TEST, IMAGE_VAL = 0.06, 0.05  # share of picture groups besides those chosen by concept
STAMP_TEST = 0.15  # the same for tuxpaint, whose captions are the cleanest
PER_CONCEPT = (
    4  # picture groups of a sounding or modeled concept that go to test; half as many to val
)


def merge_duplicates(rows: list[dict], digests: dict[str, str]) -> None:
    """Give items with the same file content one group (in place). digests: item id -> hash of its file."""
    parent: dict[str, str] = {}

    def root(group):
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


def assign(rows: list[dict]) -> None:
    """Fill `split` of every row (in place) by the rules above."""
    by_group = defaultdict(list)
    for item in rows:
        by_group[item["group"]].append(item)

    def give(group, split):
        for item in by_group[group]:
            item["split"] = split

    for group, members in by_group.items():
        if any(m["modality"] == "points" for m in members):
            u = stable_uniform("name:" + group)
            give(group, "test" if u < NAME_TEST else "val" if u < NAME_TEST + NAME_VAL else "train")

    _assign_audio(rows)
    wanted = {
        s: {i["concept"] for i in rows if i["modality"] in ("audio", "points") and i["split"] == s}
        for s in ("test", "val")
    }

    pictures = defaultdict(list)  # concept -> groups of pictures still to be assigned
    for group, members in by_group.items():
        if members[0]["modality"] == "image" and not members[0]["split"]:
            pictures[members[0]["concept"]].append(group)
    for concept, groups in pictures.items():
        groups.sort(key=stable_uniform)
        half = (len(groups) + 1) // 2
        for_test = min(PER_CONCEPT, half) if concept in wanted["test"] else 0
        for_val = min(PER_CONCEPT // 2, len(groups) - for_test) if concept in wanted["val"] else 0
        for place, group in enumerate(groups):
            u = stable_uniform("image:" + group)
            test_share = STAMP_TEST if group.startswith("tuxpaint") else IMAGE_TEST
            if place < for_test or u < test_share:
                give(group, "test")
            elif place < for_test + for_val or u < test_share + IMAGE_VAL:
                give(group, "val")
            else:
                give(group, "train")


def _assign_audio(rows: list[dict]) -> None:
    sources = defaultdict(lambda: defaultdict(list))
    for item in rows:
        if item["modality"] == "audio":
            sources[item["concept"]][item["source"]].append(item)
    for concept, of_concept in sources.items():
        recordings = len({item["group"] for items in of_concept.values() for item in items})
        u = stable_uniform("sound:" + concept)
        order = sorted(of_concept, key=lambda source: stable_uniform(f"{concept}:{source}"))
        held = {}
        if recordings < FAMILY and u < UNSEEN_TEST + UNSEEN_VAL:
            held = dict.fromkeys(order, "test" if u < UNSEEN_TEST else "val")
        elif len(order) == 2:
            held = {order[0]: "test" if stable_uniform("two:" + concept) < 0.7 else "val"}
        elif len(order) > 2:
            held = {order[0]: "test", order[1]: "val"}
        for source, items in of_concept.items():
            for item in items:
                item["split"] = held.get(source, "train")
