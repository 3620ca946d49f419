"""The model card: what a model consists of, what it was trained on, and how well it retrieves."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from exmcr.banks.bank import read_manifest
from exmcr.common.errors import ConfigError
from exmcr.model.parts import Base, Leaf
from exmcr.spaces.weight_table import WEIGHTS

if TYPE_CHECKING:
    from exmcr.project import Project

HEAD = """---
library_name: exmcr
pipeline_tag: feature-extraction
tags: [exmcr, contrastive-learning, multi-modal, retrieval]
---
"""
MOST = 12  # licenses that are listed


def model_card(
    base: Base, leaves: Iterable[Leaf], name: str = "", project: "Project | None" = None
) -> str:
    """A card as Markdown with the head that the hub reads.

    name: of the repository. project: the run that trained the model; adds its pools, its results
    with chance, and the licenses of its data.
    """
    leaves = list(leaves)
    parts = [HEAD, f"# {name or 'Ex-MCR model'}\n", _summary(base, leaves), _use(name)]
    parts.append(_spaces(base, leaves))
    if project is not None:
        parts += [_pools(project), _results(project), _licenses(project)]
    parts.append(_weights([base.space, *(leaf.space for leaf in leaves)]))
    return "\n".join(part for part in parts if part)


def _summary(base: Base, leaves: list[Leaf]) -> str:
    method = "C-MCR (arXiv:2305.14381)" if base.heads else "Ex-MCR (arXiv:2310.08884)"
    added = ", ".join(f"{leaf.modality} (from `{leaf.space}`)" for leaf in leaves)
    return (
        f"{method}: {added or 'nothing'} projected into the frozen space `{base.space}` "
        f"({', '.join(base.modalities)}), {base.out} dimensions, trained without paired data. The "
        "encoders are not part of the file, except for the small spaces in `models/spaces`.\n"
    )


def _use(name: str) -> str:
    source = name or "this folder"
    return (
        "```python\nfrom exmcr import ExMCR\n\n"
        f'model = ExMCR.from_pretrained("{source}")\n'
        'vectors = model.encode(["a dog", "bark.wav"])\n```\n'
    )


def _spaces(base: Base, leaves: list[Leaf]) -> str:
    lines = ["## Spaces\n", "| part | space | dimensions | seeds | fingerprint |", "|---" * 5 + "|"]
    lines.append(_line("base", base, [*base.heads]))
    for leaf in leaves:
        lines.append(_line(f"{leaf.modality}, by {leaf.overlap}", leaf, [*leaf.projectors]))
    return "\n".join(lines) + "\n"


def _line(what: str, part: Base | Leaf, seeds: list[int]) -> str:
    recorded = f"`{part.fingerprint}`" if part.fingerprint else "not recorded"
    numbers = ", ".join(map(str, seeds))
    return f"| {what} | `{part.space}` | {part.dim} | {numbers} | {recorded} |"


def _pools(project: "Project") -> str:
    """Sizes of the unpaired pools, from the manifests of the training banks."""
    lines = ["## Unpaired pools\n", "| leaf | space | modality | items |", "|---" * 4 + "|"]
    base = project.params.base_space
    for leaf in project.leaves:
        own = project.params.leaf_space(leaf)
        pools = [(own, leaf.modality), (own, leaf.overlap), (base, leaf.overlap)]
        for space, modality in [*pools, (base, project.other_modality(leaf))]:
            try:
                note = read_manifest(project.bank_path(space, modality, "train"))
            except ConfigError:
                continue
            count = note.get("n", "")
            lines.append(f"| {leaf.name} | `{space}` | {modality} | {count} |")
    return "\n".join(lines) + "\n"


def _results(project: "Project") -> str:
    import pandas as pd  # takes longer to import than the rest of the public API

    from exmcr.evaluation.tables import markdown

    path = project.reports / "results.csv"
    if not path.is_file():
        return ""
    table = markdown(pd.read_csv(path))
    return f"## Results\n\nR@1 / mAP in per cent on test items, beside chance.\n\n{table}\n"


def _licenses(project: "Project") -> str:
    if not project.items_path.is_file():
        return ""
    count = project.items.license.value_counts()
    lines = [f"| {name} | {number} |" for name, number in count.head(MOST).items()]
    if len(count) > MOST:
        lines.append(f"| {len(count) - MOST} others | {count.iloc[MOST:].sum()} |")
    return "\n".join(["## Licenses of the data\n", "| license | items |", "|---|---|", *lines, ""])


def _weights(spaces: list[str]) -> str:
    found = [weight for weight in WEIGHTS if weight.space in spaces]
    if not found:
        return ""
    lines = [f"| `{w.file}` | {w.license} | {w.page} |" for w in found]
    head = ["## Licenses of the encoders\n", "| file | license | source |", "|---|---|---|"]
    return "\n".join([*head, *lines, ""])
