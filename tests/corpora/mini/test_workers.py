"""Rendering in workers that may hang or die."""

import os
import time

import numpy as np
import pytest
import soundfile

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.corpora.mini import workers

# Pairs (samples, rate) that are evaluated in the worker that unpacks them: one ends the process, one
# takes minutes.
KILL = map(os._exit, (3, 3))
SLEEP = map(time.sleep, (300, 300))


@pytest.fixture
def sounds(tmp_path):
    """Jobs of 40 sounds, one of which is no sound."""
    jobs = []
    for k in range(40):
        source = tmp_path / f"{k}.wav"
        if k == 7:
            source.write_bytes(b"nonsense")
        else:
            soundfile.write(source, 0.5 * np.sin(np.arange(800 + k) * 0.3), 8000)
        jobs.append((("sound", source, ".wav"), tmp_path / f"media/{k}.wav"))
    return jobs


def names(jobs):
    return [f"item {k}" for k in range(len(jobs))]


def test_results_are_in_order_and_an_item_that_takes_too_long_is_unusable(tmp_path, sounds):
    jobs = [*sounds, (("sound", SLEEP, ".wav"), tmp_path / "x.wav")]
    results = workers.run(jobs, names(jobs), limit=2)
    assert "unreadable sound" in results[7][1]
    assert results[40] == ("", "takes longer than 2 seconds")
    for k, (digest, _) in enumerate(results[:40]):
        assert digest == ("" if k == 7 else sha256(sounds[k][1]))


def test_an_item_that_ends_its_process_is_named_in_one_line(tmp_path, sounds):
    jobs = [*sounds[:20], (("sound", KILL, ".wav"), tmp_path / "x.wav"), *sounds[20:]]
    with pytest.raises(ConfigError) as error:
        workers.run(jobs, names(jobs))
    assert "'item 20' hangs or ends the process" in str(error.value)
    assert "\n" not in str(error.value)
