"""What a training item is said to be: its captions and, as far as it counts, its noun."""

import numpy as np
import pandas as pd
import pytest

from exmcr.spaces.mini.fit import Texts

WORDS = ["a red chair", "chair", "armchair", "dog"]
VECTORS = dict(zip(WORDS, np.eye(4, dtype=np.float32)))
ROWS = pd.DataFrame(
    {
        "captions": [["a red chair", "armchair", "armchair"], ["dog", ""], ["dog"]],
        "concept": ["chair", "dog", ""],
    }
)


class Space:
    def features(self, modality, texts):
        assert modality == "text" and texts == sorted(set(texts))
        return np.stack([VECTORS[text] for text in texts])


@pytest.mark.parametrize("nouns", [0.0, 0.5, 2.0])
def test_the_target_is_the_mean_of_the_distinct_captions_plus_the_weighted_noun(nouns):
    texts = Texts(Space(), ROWS, nouns=nouns)
    red, chair, armchair, dog = np.eye(4)
    expected = [(red + armchair) / 2 + nouns * chair, dog, dog]
    expected = [vector / np.linalg.norm(vector) for vector in expected]
    np.testing.assert_allclose(texts.of(ROWS), np.stack(expected), atol=1e-6)
    assert len(texts.vectors) == (4 if nouns else 3)  # without a weight, nouns are no texts
