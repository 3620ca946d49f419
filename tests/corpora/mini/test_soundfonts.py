"""Notes do not depend on earlier ones; otherwise the corpus would depend on how workers share it."""

import numpy as np
import pytest

from exmcr.corpora.mini import soundfonts


class Synthesizer:
    """Its last note sounds for 420 samples after it was stopped, as in the real one."""

    def __init__(self):
        self.ringing, self.on = 0, None

    def sounds_off(self, channel):
        self.ringing, self.on = (420 if self.on else 0), None

    def program_select(self, *_):
        pass

    def noteon(self, channel, key, velocity):
        self.on = key

    def noteoff(self, channel, key):
        pass

    def generate(self, n):
        sound = np.full((n, 2), float(self.on or 0) / 100, np.float32)
        tail = min(self.ringing, n)
        sound[:tail] += 0.5
        self.ringing -= tail
        return sound.tobytes()


@pytest.fixture
def player():
    player = object.__new__(soundfonts.Player)
    player.synth, player.font = Synthesizer(), 0
    return player


def test_a_note_is_the_same_whatever_was_played_before(player):
    first = player.play(0, 0, [60])
    player.play(0, 5, [72])
    assert np.array_equal(player.play(0, 0, [60]), first)
    assert np.abs(first).max() == np.float32(0.7)
