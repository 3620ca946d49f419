"""One bit flipped in what a run has made, then every stage once more: the end state is that of the
undamaged run, byte for byte."""

import forked
import numpy as np
import pytest
import toy_spaces
import yaml

from exmcr import pipeline
from exmcr.project import Project
from exmcr.spaces import SPACES

STAGES = ("corpora", "fit_spaces", "extract", "pair", "train", "evaluate")
MADE = ("data", "banks", "pairs", "models", "reports")
DAMAGED = {
    "a picture of the corpus": "data/media/*/ball-black*.png",
    "a sound of the corpus": "data/media/*/*.wav",
    "the item table": "data/items.parquet",
    "the hashes of the corpus": "data/media.json",
    "the record of a space": "models/spaces/wide-loaded.json",
    "the vectors of a bank": "banks/wide/image/train/vectors.npy",
    "the ids of a bank": "banks/sounds/audio/test/ids.parquet",
    "the manifest of a bank": "banks/sounds/text/train/manifest.json",
    "pseudo-pairs": "pairs/audio/leaf.safetensors",
    "the manifest of pseudo-pairs": "pairs/points/manifest.json",
    "a projector": "models/projectors/audio-seed0.safetensors",
    "the note of a projector": "models/projectors/points-seed0.json",
    "the results": "reports/results.csv",
}


def run(root):
    for stage in STAGES:  # `dvc repro` runs those whose outputs or inputs have changed
        getattr(pipeline, stage)(Project(root))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished toy run, and all that it made."""
    before, folder = dict(SPACES), tmp_path_factory.mktemp("whole")
    params = toy_spaces.content(folder) | {"compare": {}}
    params["train"] |= {"steps": 2, "batch": 16, "hidden": 16}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    run(folder)
    yield folder, state(folder)
    SPACES.clear()
    SPACES.update(before)


def state(root):
    return {
        f"{name}/{path}": content
        for name in MADE
        for path, content in forked.tree(root / name).items()
    }


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_second_run_makes_what_was_damaged_again(whole, first):
    """Every third kind at once: a damaged input must not hide that an output is damaged too."""
    root, expected = whole
    rng = np.random.default_rng(first)
    for what in list(DAMAGED)[first::3]:
        path = sorted(root.glob(DAMAGED[what]))[0]
        forked.flip(path, int(rng.integers(8 * path.stat().st_size)))
        assert path.read_bytes() != expected[str(path.relative_to(root))], what
    run(root)
    now = state(root)
    assert [name for name in expected if now.get(name) != expected[name]] == []
    assert now.keys() == expected.keys()


def test_one_bit_in_each_at_once(whole):
    root, expected = whole
    for pattern in DAMAGED.values():
        path = sorted(root.glob(pattern))[0]
        forked.flip(path, 4 * path.stat().st_size)
    run(root)
    now = state(root)
    assert [name for name in expected if now.get(name) != expected[name]] == []
    assert now.keys() == expected.keys()
