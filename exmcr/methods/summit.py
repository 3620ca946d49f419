"""Members fused by agreement or by entropy: SUMMIT (Simons et al., ICCV 2023, arXiv:2308.11880).

The paper fuses the pseudo-labels of models trained on single modalities, and switches between two
rules by an estimate of the domain gap: agreement filtering keeps labels on which models agree,
entropy weighting trusts the model that is surer. Here the models are untrained maps of the leaf
into the base, and the labels are overlap items. The paper trains on the fused labels; here the
fused label, a vector, is the result.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import entr

from exmcr.common.errors import ConfigError
from exmcr.common.vectors import unit
from exmcr.methods.baselines import hop, lstsq, procrustes
from exmcr.methods.maps import Maps, Method
from exmcr.methods.ridge import ridge
from exmcr.methods.vocabulary import drawn
from exmcr.pairing.pools import Pools

MEMBERS: dict[str, Callable[..., Maps]] = {
    "procrustes": procrustes,
    "ridge": ridge,
    "hop": hop,
    "lstsq": lstsq,
}
MOST = 1000  # items of the leaf's pool on which agreement is measured
RULES = ("auto", "agreement", "entropy")


def entropy_weighted(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Members weighted by the certainty of their labels: (members, n, d) -> (n, d), unit rows.

    labels: (members, n, k), rows of sum 1. A member counts by exp(-entropy) [form assumed].
    """
    certainty = np.exp(-entr(labels).sum(axis=2))
    return unit((certainty[:, :, None] * outputs).sum(axis=0))


def agreed(labels: np.ndarray, words: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """The words that are among the `keep` likeliest of every member.

    labels: (members, n, k); words: (k, d). Returns their mean (n, d), weighted by the product of
    the labels, and whether there is any (n,), bool. Rows are of unit norm, or zero without a word.
    """
    least = np.partition(labels, -keep, axis=2)[:, :, -keep, None]
    common = (labels >= least).all(axis=0)
    weights = np.where(common, labels.prod(axis=0) ** (1 / len(labels)), 0)
    mean = weights @ words
    norm = np.linalg.norm(mean, axis=1, keepdims=True)
    found = norm[:, 0] > 0
    return np.divide(mean, norm, out=np.zeros_like(mean), where=norm > 0), found


def summit(
    pools: Pools,
    seed: int = 0,
    *,
    members: Sequence[str] = ("procrustes", "hop"),
    member_settings: Mapping[str, dict] | None = None,
    rule: str = "auto",
    switch: float = 0.5,
    words: int = 2048,
    keep: int = 10,
    tau: float = 0.05,
) -> Maps:
    """The mean of what the members agree on, or their mean weighted by certainty; the base is
    unchanged.

    members          names in MEMBERS; member_settings: {member: keyword arguments of its fit}
    rule             "agreement", "entropy", or "auto": agreement if members name the same word for
                     at least the share `switch` of the leaf's pool (a small gap, in the paper)
    words, tau       labels are softmax(similarity / tau) over `words` overlap items, drawn by
                     `seed`
    keep             words of a member that can be agreed on. An item without a common word is
                     weighted by entropy

    Raises ConfigError for an unknown member or rule.
    """
    if rule not in RULES:
        raise ConfigError(f"summit: rule must be one of {', '.join(RULES)}, is {rule!r}")
    if unknown := sorted(set(members) - MEMBERS.keys()):
        raise ConfigError(
            f"summit: unknown members {', '.join(unknown)}; known: {', '.join(MEMBERS)}"
        )
    given = member_settings or {}
    fits = [MEMBERS[name](pools, seed, **given.get(name, {})) for name in members]
    vocabulary = pools.o_base[drawn(pools, words, seed)]

    def labelled(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = np.stack([maps.leaf(x) for maps in fits])
        scores = np.exp((outputs @ vocabulary.T - 1) / tau)
        return outputs, scores / scores.sum(axis=2, keepdims=True)

    if rule == "auto":
        first = labelled(pools.x_leaf[:MOST])[1].argmax(axis=2)
        rule = "agreement" if (first == first[0]).all(axis=0).mean() >= switch else "entropy"

    def leaf(x: np.ndarray) -> np.ndarray:
        outputs, labels = labelled(x)
        fused = entropy_weighted(outputs, labels)
        if rule == "agreement":
            common, found = agreed(labels, vocabulary, min(keep, len(vocabulary)))
            fused[found] = common[found]
        return fused.astype(np.float32)

    return Maps(leaf=leaf)


def _settings_of_members(params, leaf: str) -> dict:
    """The settings of the members under `compare`: each is fitted as it is by itself."""
    return {"member_settings": {name: params.method_settings(name) for name in MEMBERS}}


METHODS = {"summit": Method(summit, "arXiv:2308.11880", seeded=True, settings=_settings_of_members)}
