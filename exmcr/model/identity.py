"""Which model vectors are from: a fingerprint over its encoders and projectors."""

from exmcr.common.hashing import digest
from exmcr.model.exmcr import ExMCR


def fingerprint(model: ExMCR, seed: int | None = None) -> str:
    """64 hex digits, equal for models that encode every item to the same vector.

    They cover the fingerprints of the encoders, by space, and the projectors of one seed (default:
    the first). Where no fingerprint was recorded, as in the authors' files, the name of the space
    stands for it. Raises ConfigError for an unknown seed.
    """
    parts: list[str | bytes] = ["exmcr model 1", model.base.space, model.base.fingerprint]
    modules = [model.base.head(seed)]
    for leaf in sorted(model.leaves.values(), key=lambda leaf: leaf.name):
        parts += [leaf.modality, leaf.space, leaf.fingerprint]
        modules.append(leaf.projector(seed))
    for module in modules:
        for name, tensor in module.state_dict().items() if module is not None else ():
            parts += [name, str(tuple(tensor.shape)), tensor.cpu().float().numpy().tobytes()]
    return digest(*parts)
