"""Every name in params.yaml that a registry of the library gives a meaning."""

from collections.abc import Iterable

from exmcr.config.params import Params
from exmcr.config.reading import listed


def check_names(params: Params) -> None:
    """Check every name that a registry must know. Raises ConfigError with one line per mistake."""
    from exmcr import corpora, spaces
    from exmcr.corpora.paper import PAPER_CORPORA
    from exmcr.methods.registry import wrong_settings
    from exmcr.training.losses import LOSSES

    wrong = []

    def known(path: str, what: str, name: str, names: Iterable[str]) -> bool:
        if name in names:
            return True
        wrong.append(f"{path}: unknown {what} '{name}'; known: {', '.join(names)}")
        return False

    known("corpora", "corpus", params.corpora, corpora.CORPORA)
    for place, entry in enumerate(params.paper):
        known(f"paper.{place}.corpus", "corpus", entry.corpus, PAPER_CORPORA)
    for profile, name in params.base.items():
        known(f"base.{profile}", "space", name, spaces.SPACES)
    for place, leaf in enumerate(params.leaves):
        for profile, name in leaf.profiles.items():
            known(f"leaves.{place}.{profile}", "space", name, spaces.SPACES)
    if not wrong:
        shared = spaces.space_class(params.base_space).modalities
        for place, leaf in enumerate(params.leaves):
            own = spaces.space_class(params.leaf_space(leaf)).modalities
            for role, name, has in (
                ("modality", leaf.modality, own),
                ("overlap", leaf.overlap, own),
                ("overlap", leaf.overlap, shared),
                ("other", leaf.other or leaf.overlap, shared),
            ):
                known(f"leaves.{place}.{role}", "modality of its space", name, has)
    for space, chosen in params.encoders.items():
        if known("encoders", "space", space, spaces.SPACES):
            wrong += spaces.wrong_options(space, chosen)
    known("train.loss", "loss", params.train.loss, LOSSES)
    for name, own_block in params.train.leaves.items():
        if own_block.loss is not None:
            known(f"train.leaves.{name}.loss", "loss", own_block.loss, LOSSES)
    wrong += wrong_settings(params)
    if wrong:
        raise listed(wrong)
