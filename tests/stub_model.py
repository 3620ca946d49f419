"""A model whose encoders are a few lines of numpy, and a folder of files that they encode.

Every item becomes a vector of its mean color, pitch, extent or letters: the same item gets the same
vector, and another one a different vector.
"""

import numpy as np
import soundfile
import torch
from PIL import Image

from exmcr.model import exmcr as model
from exmcr.model.exmcr import Base, ExMCR, Leaf
from exmcr.spaces.base import Space
from exmcr.training.projectors import Projector

DIM, DIM_AUDIO, DIM_POINTS = 16, 8, 8


class Stub(Space):
    """Fixed random features of a few numbers of an item. `encoded` counts the items."""

    def __init__(self, name, modalities, dim):
        self.name, self.modalities, self.dim, self.fingerprint = name, modalities, dim, f"of {name}"
        self.encoded = 0

    def encode_batch(self, modality, items):
        self.encoded += len(items)
        rows = []
        for item in items:
            numbers = {
                "text": lambda: np.frombuffer(item.encode().ljust(4), np.uint8)[:64],
                "image": lambda: item.reshape(-1, 3)[:64].ravel(),
                "audio": lambda: item.samples[:64] * 100,
                "points": lambda: item[:32].ravel() * 10,
            }[modality]()
            feature = np.resize(np.asarray(numbers, np.float64), 48)
            seed = np.random.default_rng(len(modality))
            rows.append(np.cos(seed.normal(size=(self.dim, 48)) @ feature + 1))
        return np.array(rows, np.float32)


def spaces():
    """{name: Stub} of a base and two leaves."""
    return {
        "base": Stub("base", ("image", "text"), DIM),
        "ears": Stub("ears", ("audio", "text"), DIM_AUDIO),
        "hands": Stub("hands", ("points", "image"), DIM_POINTS),
    }


def use(monkeypatch):
    """Let models load the stubs. Returns them, {name: Stub}."""
    known = spaces()
    monkeypatch.setattr(model, "load_space", lambda name, **_: known[name])
    return known


def stub_model(seed=0, leaves=("audio", "points")):
    """A model of the stubs with random projectors, of seeds 3 and 5."""
    torch.manual_seed(seed)
    base = Base("base", "of base", DIM, ("image", "text"))
    ears = {n: Projector(DIM_AUDIO, DIM, 16) for n in (3, 5)}
    hands = {n: Projector(DIM_POINTS, DIM, 16) for n in (3, 5)}
    known = [
        Leaf("ears", "audio", "text", "ears", "of ears", DIM_AUDIO, ears),
        Leaf("hands", "points", "image", "hands", "of hands", DIM_POINTS, hands),
    ]
    return ExMCR(base, [leaf for leaf in known if leaf.modality in leaves], device="cpu")


def picture(path, color=(200, 10, 10)):
    """A picture of one color."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), color).save(path)


def sound(path, pitch=440.0):
    """Half a second of a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(np.arange(4000) * pitch * 2 * np.pi / 8000), 8000)


def shape(path, n=60, seed=0):
    """A cloud of n points."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32))


def fill(folder):
    """Eight usable files of a folder, and two that are not: captions from names, .txt and metadata."""
    picture(folder / "red_car-01.png")
    picture(folder / "sub/sea.jpg", (10, 10, 200))
    (folder / "sub/sea.txt").write_text("the sea at night\nwaves\n")
    sound(folder / "dog/0001.wav", 300)
    sound(folder / "bell.wav", 900)
    shape(folder / "chair.npy", seed=1)
    shape(folder / "lamp.npy", seed=2)
    (folder / "metadata.csv").write_text(
        'file_name,text,license\nbell.wav,"a bell, ringing",CC0-1.0\nchair.npy,a wooden chair,\n'
    )
    (folder / "captions.txt").write_text("a dog barks\n\na red car\n")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "report.pdf").write_bytes(b"%PDF")
    return folder
