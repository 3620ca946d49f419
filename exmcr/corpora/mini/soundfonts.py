"""Instruments played from four independent General MIDI soundfonts.

Debian packages timgm6mb-soundfont (GPL-2), fluidr3mono-gm-soundfont (MIT), csound-soundfont
(public domain), musescore-general-soundfont-small (MIT, parts CC0 or public domain).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exmcr.corpora.items import row
from exmcr.corpora.mini import contents
from exmcr.corpora.mini.concepts import named_sounds

FONTS = {
    "timgm6mb": ("timgm6mb-soundfont", "GPL-2.0-only"),
    "fluidr3mono": ("fluidr3mono-gm-soundfont", "MIT"),
    "csound": ("csound-soundfont", "public domain"),
    "musescore": ("musescore-general-soundfont-small", "MIT, CC0-1.0, public domain"),
}
RATE = 44100  # Hz
KEYS = (60, 48, 67, 55, 72)  # MIDI keys at which named instruments are played
POOL_KEYS = (60, 48)  # the same for instruments without a name, which are in the training pool only
PROGRAMS = 128
HELD, LENGTH = 1.5, 2.4  # seconds
DRUM_BANK = 128

Note = tuple[Path, int, int, list[int]]  # soundfont, bank, program, keys


def items(raw: Path) -> Iterator[tuple[dict[str, Any], Note]]:
    """Yield (row, note)."""
    for source, (package, license) in FONTS.items():
        files = sorted(contents.fetch(package, raw).rglob("*.sf*"))
        font = next(path for path in files if path.is_file() and not path.is_symlink())
        names, drums = named_sounds("general-midi"), named_sounds("general-midi-drums")
        for program in range(PROGRAMS):
            concept, caption = names.get(program, ("", ""))
            group = f"{source}:sound:program-{program:03d}"
            captions = [caption] if caption else []
            for key in KEYS if caption else POOL_KEYS:
                id = f"{source}/sound/program-{program:03d}/key-{key}"
                item = row(id, "audio", captions, concept, source, license, group)
                yield item, (font, 0, program, [key])
        for key, (concept, caption) in drums.items():
            id, group = f"{source}/sound/drums/key-{key}", f"{source}:sound:drums-{key}"
            item = row(id, "audio", [caption], concept, source, license, group)
            yield item, (font, DRUM_BANK, 0, [key, key])


class Player:
    """The synthesizer of one soundfont; loading a font takes longer than playing a note."""

    def __init__(self, font: Path):
        import tinysoundfont

        self.synth = tinysoundfont.Synth(samplerate=RATE)
        self.font = self.synth.sfload(str(font))

    def play(self, bank: int, program: int, keys: list[int]) -> np.ndarray:
        """Play the keys one after another -> mono float32 (n,) at RATE, peak 0.7."""
        channel = 9 if bank == DRUM_BANK else 0
        for used in (0, 9):
            self.synth.sounds_off(used)
        # The last note fades for some ms, and which note that was depends on the worker.
        self._samples(0.2)
        self.synth.program_select(channel, self.font, bank, program, bank == DRUM_BANK)
        parts = []
        for key in keys:
            self.synth.noteon(channel, key, 100)
            parts.append(self._samples(HELD / len(keys)))
            self.synth.noteoff(channel, key)
        parts.append(self._samples(LENGTH - HELD))
        mono = np.concatenate(parts).reshape(-1, 2).mean(axis=1)
        return (0.7 * mono / max(np.abs(mono).max(), 1e-6)).astype(np.float32)

    def _samples(self, seconds: float) -> np.ndarray:
        """The next samples, stereo interleaved."""
        content = bytes(self.synth.generate(int(seconds * RATE)))
        return np.frombuffer(content, dtype=np.float32).copy()
