"""ModelNet40: shapes of 40 classes, as meshes or as ULIP's resampled clouds.

ModelNet40/airplane/train/airplane_0001.off                                                     splits train, test
modelnet40_test.txt and airplane/airplane_0001.txt (modelnet40_normal_resampled)
"""

from importlib.resources import files
from pathlib import Path
from typing import Iterator

from exmcr.corpora.paper.layout import need, one_of, present, row

LICENSE = "research only, Princeton ModelNet terms"


def rows(root: Path, split: str = "test") -> Iterator[dict]:
    one_of(split, ("train", "test"), "modelnet40")
    listed = root / f"modelnet40_{split}.txt"
    if listed.is_file():
        names = listed.read_text().split()
        paths = [root / name.rsplit("_", 1)[0] / f"{name}.txt" for name in names]
        paths = [path if path.is_file() else path.with_suffix(".npy") for path in paths]
    else:
        folder = root if any(root.glob(f"*/{split}/*.off")) else need(root / "ModelNet40")
        paths = sorted(folder.glob(f"*/{split}/*.off"))

    def pairs():
        for path in paths:
            concept = path.stem.rsplit("_", 1)[0].replace("_", " ")
            yield (
                (path if path.is_file() else None),
                [
                    row(
                        "modelnet40",
                        split,
                        f"{split}/{path.stem}",
                        "points",
                        path=path,
                        concept=concept,
                        license=LICENSE,
                    )
                ],
            )

    return present(pairs(), f"modelnet40 {split}")


def prompts(concept: str) -> list[str]:
    """64 sentences about a shape of this class, for zero-shot classification: the class is the mean of their vectors."""
    article = "an" if concept[:1].lower() in "aeiou" else "a"
    return [
        line.replace("{a}", f"{article} {concept}").replace("{}", concept) for line in templates()
    ]


def templates() -> list[str]:
    """The 64 sentences; `{}` stands for the class, `{a}` for the class with its article. Wording: ours."""
    return (
        files("exmcr.corpora.paper")
        .joinpath("templates.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    )
