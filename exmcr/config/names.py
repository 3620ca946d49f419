"""Every name in params.yaml that a registry of the library gives a meaning."""

from collections.abc import Iterable

from exmcr.config.params import Params
from exmcr.config.reading import listed
from exmcr.config.values import shorter


def check_names(params: Params) -> None:
    """Check every name that a registry must know. Raises ConfigError with one line per mistake."""
    from exmcr import corpora, spaces
    from exmcr.config import settings
    from exmcr.corpora.paper import PAPER_CORPORA
    from exmcr.training.losses import LOSSES

    wrong: list[str] = []

    def known(path: str, what: str, name: str, names: Iterable[str]) -> bool:
        if name in names:
            return True
        wrong.append(f"{path}: unknown {what} {shorter(name)}; known: {', '.join(names)}")
        return False

    for name in params.imported.keys() & spaces.SPACES.keys():
        wrong.append(f"imported.{name}: is the name of a space with an encoder; choose another")
    names = [*spaces.SPACES, *params.imported]
    known("corpora", "corpus", params.corpora, corpora.CORPORA)
    for place, entry in enumerate(params.paper):
        known(f"paper.{place}.corpus", "corpus", entry.corpus, PAPER_CORPORA)
    for profile, name in params.base.items():
        known(f"base.{profile}", "space", name, names)
    for place, leaf in enumerate(params.leaves):
        for profile, name in leaf.profiles.items():
            known(f"leaves.{place}.{profile}", "space", name, names)
    if not wrong:
        wrong += _wrong_roles(params)
    for space, chosen in params.encoders.items():
        if known("encoders", "space", space, spaces.SPACES):
            wrong += spaces.wrong_options(space, chosen) or settings.wrong_options(space, chosen)
    known("train.loss", "loss", params.train.loss, LOSSES)
    for name, own_block in params.train.leaves.items():
        if own_block.loss is not None:
            known(f"train.leaves.{name}.loss", "loss", own_block.loss, LOSSES)
    wrong += settings.wrong_method_settings(params)
    if wrong:
        raise listed(wrong)


def _wrong_roles(params: Params) -> list[str]:
    """One line for each modality of a leaf that its space or the base lacks, or that the base has
    already."""
    wrong, shared = [], params.modalities_of(params.base_space)
    for place, leaf in enumerate(params.leaves):
        own, path = params.modalities_of(params.leaf_space(leaf)), f"leaves.{place}"
        for role, name, has in (
            ("modality", leaf.modality, own),
            ("overlap", leaf.overlap, own),
            ("overlap", leaf.overlap, shared),
            ("other", leaf.other or leaf.overlap, shared),
        ):
            if name not in has:
                unknown = f"unknown modality of its space '{name}'; known: {', '.join(has)}"
                wrong.append(f"{path}.{role}: {unknown}")
        if leaf.modality in shared:
            wrong.append(f"{path}.modality: the base has '{leaf.modality}' already")
    return wrong
