"""What several test files share: real encoders with random weights (benchmarks/random_encoders.py).

Each file is made when a test first asks for it, and gone with the session. Tests link to what is here and copy what they change."""

import shutil

import pytest
import random_encoders

from exmcr.kernels import layers


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
    """A weights folder with all that `spaces: paper` needs."""
    return weights_folder


@pytest.fixture
def onednn_calls(monkeypatch):
    """A list that gets (shape of input, shape of weights) of every linear layer that goes through oneDNN."""
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
