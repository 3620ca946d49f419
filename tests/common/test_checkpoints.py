"""Weight files from elsewhere: what is read, what is refused, how they are named and converted."""

import argparse
import io
import os

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file
from torch import nn

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {"a": torch.randn(3, 2), "b": torch.arange(4), "empty": torch.ones(0, 2)}


def test_what_published_files_hold_beside_tensors_is_read(tmp_path, state):
    extras = {
        "args": argparse.Namespace(model="x"),
        "best": np.float64(0.5),
        "steps": [np.int64(3), np.float32(1), np.bool_(True), np.int32(2)],
    }
    torch.save({"state_dict": state, **extras}, tmp_path / "w.pt")
    content = checkpoints.load(tmp_path / "w.pt")
    assert content["args"].model == "x" and content["best"] == 0.5
    assert content["steps"] == [3, 1, True, 2]


def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path, state):
    torch.save(state | {"more": Harm(tmp_path / "harm")}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="is not a plain weight file"):
        checkpoints.load(tmp_path / "w.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "content, message",
    [
        (None, "no weight file .*`exmcr weights`"),
        (b"", "is the download complete"),
        (b"<html>not found</html>", "a web page|is the download complete"),
    ],
)
def test_missing_and_foreign_files_are_refused_in_one_line(tmp_path, suffix, content, message):
    path = tmp_path / f"w{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        checkpoints.load(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_state_is_found_and_its_prefix_dropped(tmp_path, state, wrapped):
    prefixed = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": prefixed, "epoch": 1} if wrapped else prefixed, tmp_path / "w.pt")
    result = checkpoints.load_state(tmp_path / "w.pt")
    assert result.keys() == state.keys() and all(torch.equal(result[k], state[k]) for k in state)


@pytest.mark.parametrize("content", [{}, [torch.ones(1)], {"a": 1}, torch.ones(2)])
def test_a_file_without_named_tensors_has_no_state(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="holds no state dict"):
        checkpoints.load_state(tmp_path / "w.pt")


def test_filling_a_module_lists_every_difference():
    layer = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    good = {name: tensor + 1 for name, tensor in layer.state_dict().items()}
    bad = good | {"0.weight": torch.ones(3, 5), "x": torch.ones(1)}
    del bad["1.bias"]
    with pytest.raises(ConfigError) as error:
        checkpoints.fill(layer, bad, "w.pt", "a toy")
    assert str(error.value) == (
        "w.pt is of another architecture than a toy: 1 missing (1.bias); 1 unknown (x); "
        "1 of another shape (0.weight (3, 5) instead of (3, 2))"
    )
    checkpoints.fill(layer, good, "w.pt", "a toy")
    assert all(torch.equal(tensor, good[name]) for name, tensor in layer.state_dict().items())


def test_the_digest_is_that_of_the_content_whatever_the_format(tmp_path, state):
    torch.save(state, tmp_path / "w.pt")
    save_file(state, tmp_path / "w.safetensors")
    first = checkpoints.state_digest(state)
    for suffix in (".pt", ".safetensors"):
        assert checkpoints.state_digest(checkpoints.load_state(tmp_path / f"w{suffix}")) == first
    others = [
        state | {"a": state["a"] + 1e-6},
        state | {"a": state["a"].double()},
        state | {"a": state["a"].T},
        {**{k: v for k, v in state.items() if k != "a"}, "c": state["a"]},
        state | {"empty": torch.ones(0, 3)},
    ]
    assert len({first, *map(checkpoints.state_digest, others)}) == 6
    assert checkpoints.state_digest(dict(reversed(state.items()))) == first


def test_a_failed_conversion_leaves_neither_target_nor_draft(tmp_path, state, monkeypatch):
    torch.save(state, tmp_path / "w.pt")

    def fails(content, path, **options):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fails)
    with pytest.raises(ConfigError, match="cannot write .*w.safetensors: no space left"):
        checkpoints.convert_once(tmp_path / "w.pt", tmp_path / "w.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pt"]


def test_a_conversion_is_made_once_and_checked_afterwards(tmp_path, state, monkeypatch):
    source, target = tmp_path / "w.pt", tmp_path / "new/w.safetensors"
    torch.save({"state_dict": state | {"tied": state["a"]}}, source)
    assert checkpoints.convert_once(source, target) == target
    assert torch.equal(checkpoints.load_state(target)["tied"], state["a"])
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "load_state", lambda path: pytest.fail("converted again"))
        checkpoints.convert_once(source, target)
        source.unlink()
        checkpoints.convert_once(source, target)
    target.write_bytes(target.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="is not the file that was converted from w.pt"):
        checkpoints.convert_once(source, target)


def weight_files():
    """{file name: content} of every format that is read."""
    state = {"a": torch.arange(300.0), "b": torch.zeros(2, 3, dtype=torch.int64)}
    new, old = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": state, "args": argparse.Namespace(n=1)}, new)
    torch.save(state, old, _use_new_zipfile_serialization=False)
    safe = safetensors.torch.save(state)
    return {"new.pt": new.getvalue(), "old.pt": old.getvalue(), "a.safetensors": safe}


@pytest.mark.parametrize("name", ["new.pt", "old.pt", "a.safetensors"])
def test_damaged_weight_files_are_refused_in_one_line_or_read(tmp_path, name):
    """Bytes changed at random; EXMCR_BATTERY multiplies the number of files, 60."""
    whole, rng = weight_files()[name], np.random.default_rng(0)
    assert len(checkpoints.load_state(_write(tmp_path / name, whole))) == 2
    counts = {"read": 0, "refused": 0}
    for k in range(60 * int(os.environ.get("EXMCR_BATTERY", 1))):
        content = bytearray(whole)
        for place in rng.integers(len(content) if k % 2 else 400, size=3):
            content[place] = rng.integers(256)
        path = _write(
            tmp_path / name, content[: rng.integers(len(content))] if k % 5 == 0 else content
        )
        try:
            checkpoints.load_state(path)
            counts["read"] += 1
        except ConfigError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            counts["refused"] += 1
    assert counts["refused"] > 10


def _write(path, content):
    path.write_bytes(bytes(content))
    return path


def test_a_damaged_note_of_a_conversion_is_named(tmp_path):
    _write(tmp_path / "a.pt", weight_files()["new.pt"])
    target = checkpoints.convert_once(tmp_path / "a.pt", tmp_path / "a.safetensors")
    for content in (b"", b"[1]", b"\xff", b'{"source": "a.pt"}'):
        _write(tmp_path / "a.safetensors.json", content)
        with pytest.raises(ConfigError, match="a.safetensors.json is damaged: delete it"):
            checkpoints.convert_once(tmp_path / "a.pt", target)
