"""Instruments played from General MIDI soundfonts of independent origin.

Debian packages timgm6mb-soundfont (GPL-2), fluidr3mono-gm-soundfont (MIT), csound-soundfont (LGPL-2.1+)."""

from pathlib import Path

import numpy as np
import yaml

from exmcr.corpora.items import row
from exmcr.corpora.mini import debian

FONTS = {
    "timgm6mb": ("timgm6mb-soundfont", "GPL-2"),
    "fluidr3mono": ("fluidr3mono-gm-soundfont", "MIT"),
    "csound": ("csound-soundfont", "LGPL-2.1+"),
}
RATE = 44100
KEYS = (60, 48, 67, 55, 72)  # middle C first: the one that tests may ask for
HELD, LENGTH = 1.5, 2.4  # seconds
DRUM_BANK = 128


def items(raw: Path):
    """Yield (row, (soundfont, bank, program, keys))."""
    table = yaml.safe_load((Path(__file__).parent / "sounds.yaml").read_text())
    for source, (package, license) in FONTS.items():
        font = next(
            p
            for p in sorted(debian.fetch(package, raw).rglob("*.sf*"))
            if p.is_file() and not p.is_symlink()
        )
        for program, (concept, caption) in table["general-midi"].items():
            for key in KEYS:
                yield (
                    _row(source, f"program-{program:03d}", key, caption, concept, license),
                    (font, 0, program, [key]),
                )
        for key, (concept, caption) in table["general-midi-drums"].items():
            yield (
                _row(source, "drums", key, caption, concept, license),
                (font, DRUM_BANK, 0, [key, key]),
            )


def _row(source, name, key, caption, concept, license):
    group = f"{source}:sound:{name}" if name != "drums" else f"{source}:sound:{name}-{key}"
    return row(
        f"{source}/sound/{name}/key-{key}", "audio", [caption], concept, source, license, group
    )


class Player:
    """One synthesizer per soundfont, because loading a font takes longer than playing a note."""

    def __init__(self, font: Path):
        import tinysoundfont

        self.synth = tinysoundfont.Synth(samplerate=RATE)
        self.font = self.synth.sfload(str(font))

    def play(self, bank: int, program: int, keys: list[int]) -> np.ndarray:
        """Strike the keys one after another -> mono float32 (n,), peak 0.7."""
        channel = 9 if bank == DRUM_BANK else 0
        for other in (0, 9):
            self.synth.sounds_off(other)
        self._samples(
            0.2
        )  # the last note fades for some ms; which note that was depends on the worker
        self.synth.program_select(channel, self.font, bank, program, bank == DRUM_BANK)
        parts = []
        for key in keys:
            self.synth.noteon(channel, key, 100)
            parts.append(self._samples(HELD / len(keys)))
            self.synth.noteoff(channel, key)
        parts.append(self._samples(LENGTH - HELD))
        stereo = np.concatenate(parts).reshape(-1, 2)
        mono = stereo.mean(axis=1)
        return (0.7 * mono / max(np.abs(mono).max(), 1e-6)).astype(np.float32)

    def _samples(self, seconds: float) -> np.ndarray:
        return np.frombuffer(
            bytes(self.synth.generate(int(seconds * RATE))), dtype=np.float32
        ).copy()
