"""ScanObjectNN: scanned objects of 15 classes, 2,048 points each.

main_split_nobg/training_objectdataset.h5, test_objectdataset.h5: OBJ_ONLY, without background
main_split/training_objectdataset.h5, test_objectdataset.h5: OBJ_BG, with background
main_split/..._objectdataset_augmentedrot_scale75.h5: PB_T50_RS, perturbed and cut off
(or h5_files/main_split/...): datasets `data` (n, 2048, 3), `label` (n,) of 0 to 14

All three are made of the same scans, and no number says which: a pool and held-out scans must be of
one variant (build.py).
OpenShape, and the literature after it, classifies 2,890 objects: accuracies of OmniBind, Ex-MCR and
TextME are multiples of 1/2890. Both OBJ_ONLY files have as many, 2,309 + 581: split all [assumed;
OBJ_BG has equally many].
Sources: https://hkust-vgd.github.io/scanobjectnn; names of the classes in the order of their
numbers: https://github.com/Colin97/OpenShape_code (src/data.py)
"""

from collections.abc import Iterator
from pathlib import Path

from exmcr.corpora.paper.layout import Row, laid_out, need, one_of, row
from exmcr.media.hdf5 import count_rows, read_dataset

CLASSES = (
    *("bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table"),
    *("bed", "pillow", "sink", "sofa", "toilet"),
)
VARIANTS = {  # prefix of the split: folder, end of the file names
    "": ("main_split_nobg", "objectdataset.h5"),
    "obj_bg_": ("main_split", "objectdataset.h5"),
    "pb_t50_rs_": ("main_split", "objectdataset_augmentedrot_scale75.h5"),
}
PARTS = {"all": ("training", "test"), "train": ("training",), "test": ("test",)}
SPLITS = {
    variant + part: [(folder, f"{begin}_{end}") for begin in begins]
    for variant, (folder, end) in VARIANTS.items()
    for part, begins in PARTS.items()
}
LICENSE = "research only, ScanObjectNN terms"


def rows(root: Path, split: str = "all") -> Iterator[Row]:
    """Shape rows; splits all, train, test of OBJ_ONLY, and the same with the prefixes obj_bg_ and
    pb_t50_rs_."""
    for folder, name in SPLITS[one_of(split, SPLITS, "scanobjectnn")]:
        path = need(root / folder / name, root / "h5_files" / folder / name)
        with laid_out(path, "`data` (n, points, 3) and `label` (n,) of 0 to 14"):
            concepts = [CLASSES[_class(label)] for label in read_dataset(path, "label").ravel()]
            if len(concepts) != (count := count_rows(path, "data")):
                raise ValueError(f"{len(concepts)} labels for {count} shapes")
        for k, concept in enumerate(concepts):
            about: Row = {"concept": concept, "license": LICENSE, "path": f"{path}::data/{k}"}
            yield row("scanobjectnn", split, f"{folder}/{path.stem}/{k}", "points", **about)


def classes(root: Path, split: str = "all") -> list[str]:
    """The names of all classes, whichever the split."""
    return sorted(CLASSES)


def variant(split: str) -> str:
    """The key of VARIANTS that a split belongs to."""
    return max((prefix for prefix in VARIANTS if split.startswith(prefix)), key=len)


def _class(label: float) -> int:
    if label not in range(len(CLASSES)):
        raise ValueError(f"a label {label}")
    return int(label)
