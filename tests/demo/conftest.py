"""A project with media and random projectors, whose encoders are stubs."""

import pandas as pd
import pytest
from stored import store
from stub_model import Stub, picture, shape, sound
from synthetic import project as synthetic_project

from exmcr.demo.engine import Engine
from exmcr.model import exmcr as model
from exmcr.project import Project

SPACES = {
    "mini-image-text": ("image", "text"),
    "mini-audio-text": ("audio", "text"),
    "mini-points": ("points", "image", "text"),
}


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """Test items have files: pictures, sounds, shapes."""
    root = tmp_path_factory.mktemp("demo")
    opened = synthetic_project(root, concepts=3)
    items = pd.read_parquet(opened.items_path)
    made = {"image": picture, "audio": sound, "points": shape}
    suffix = {"image": ".png", "audio": ".wav", "points": ".npy"}
    for place, row in items.iterrows():
        if row.modality in made and row.split == "test":
            path = f"own/{row.id}{suffix[row.modality]}"
            made[row.modality](root / "data" / path)
            items.loc[place, "path"] = path
    items.to_parquet(opened.items_path)
    for leaf in opened.leaves:
        for seed in (0, 1):
            store(opened, leaf, seed, (16, 16, 8), ("synthetic", "synthetic"))
    return Project(root)


@pytest.fixture(scope="session")
def engine(project):
    known = {name: Stub(name, modalities, 16) for name, modalities in SPACES.items()}
    for space in known.values():
        space.fingerprint = "synthetic"
    patch = pytest.MonkeyPatch()
    patch.setattr(model, "load_space", lambda name, **_: known[name])
    engine = Engine(project, device="cpu")
    engine.load()
    patch.undo()  # the model keeps the encoders that it has loaded
    return engine


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """One upload of each kind, and some that are not."""
    folder = tmp_path_factory.mktemp("uploads")
    picture(folder / "red.png")
    sound(folder / "tone.wav")
    shape(folder / "cloud.npy")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "page.html").write_bytes(b"<script>")
    (folder / "empty.wav").write_bytes(b"")
    return folder
