"""Shared fixtures: real encoders with random weights (benchmarks/random_encoders.py).

A weight file is made at its first use and deleted at the end of the session. Tests link to these
files and copy those that they change.
"""

import os
import shutil

import pytest
import random_encoders

from exmcr import corpora
from exmcr.kernels import layers

os.environ["DVC_NO_ANALYTICS"] = "1"  # in the temporary repositories of tests


@pytest.fixture(scope="session")
def toy_corpus(tmp_path_factory):
    """A folder with the toy corpus under data/, to be linked and not changed."""
    return corpora.build("toy", tmp_path_factory.mktemp("toy")).parents[1]


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    yield folder
    shutil.rmtree(folder)  # 2.5 GB, which pytest would keep for three runs


@pytest.fixture(scope="session")
def clip_weights(weights_folder):
    return random_encoders.clip(weights_folder)


@pytest.fixture(scope="session")
def clap_weights(weights_folder):
    return random_encoders.clap(weights_folder)


@pytest.fixture(scope="session")
def ulip_weights(weights_folder):
    return random_encoders.ulip(weights_folder)


@pytest.fixture(scope="session")
def tokenizer(weights_folder):
    return random_encoders.tokenizer(weights_folder)


@pytest.fixture(scope="session")
def random_weights(weights_folder, clip_weights, clap_weights, ulip_weights, tokenizer):
    """A weights folder with every file of `spaces: paper`."""
    return weights_folder


@pytest.fixture
def onednn_calls(monkeypatch):
    """A list to which each linear layer run by oneDNN adds (shape of input, shape of weights)."""
    if layers._onednn is None:
        pytest.skip("this torch has no oneDNN")
    calls, product = [], layers._onednn
    monkeypatch.setattr(
        layers,
        "_onednn",
        lambda x, weight, *rest: (
            calls.append((tuple(x.shape), tuple(weight.shape))) or product(x, weight, *rest)
        ),
    )
    return calls
