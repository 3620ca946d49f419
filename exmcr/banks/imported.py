"""The banks of a space without an encoder, as the stage `extract` finds them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from exmcr.banks.bank import Bank
from exmcr.common.errors import ConfigError

if TYPE_CHECKING:
    from exmcr.project import Project


def banks_of(project: "Project", space: str, splits: tuple[str, ...]) -> Iterator[tuple]:
    """Yield (modality, split, bank) of the imported banks of a space.

    Raises ConfigError if a training pool is missing, or if items of the item table are in no bank.
    """
    for modality in project.params.modalities_of(space):
        for split in splits:
            folder = project.bank_path(space, modality, split)
            rows = project.items[
                (project.items.modality == modality) & (project.items.split == split)
            ]
            if not (folder / "manifest.json").is_file():
                if split == "train" or len(rows):
                    raise ConfigError(
                        f"no bank at {folder}: `exmcr import-bank <file> --space {space} "
                        f"--modality {modality} --split {split}` makes it"
                    )
                continue
            bank = Bank(folder)
            if missing := [id for id in rows.id if id not in bank.row]:
                print(
                    f"{space}, {modality}, {split}: {len(missing)} of {len(rows)} items have no "
                    f"vector, e.g. {missing[0]!r}"
                )
            yield modality, split, bank
