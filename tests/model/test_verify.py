"""`exmcr verify` passes on vectors that give the published tables, fails on others, and names missing
files."""

import numpy as np
import pytest
import torch

from exmcr.commands.main import main
from exmcr.model import verify
from exmcr.model.published import CMCR, EXMCR
from exmcr.model.verify import ITEMS, compare
from exmcr.spaces import weights
from exmcr.spaces.downloads import git_blob
from exmcr.training import projectors
from exmcr.training.cmcr_heads import CMCR as Heads
from exmcr.training.projectors import Projector


def solve(tables):
    """Three unit vectors per modality that give the published tables, found by gradient descent."""
    torch.manual_seed(0)
    vectors = {m: torch.randn(3, 32, requires_grad=True) for m in ITEMS}
    optimizer = torch.optim.Adam(vectors.values(), lr=0.03)
    for _ in range(1500):
        unit = {m: torch.nn.functional.normalize(v, dim=1) for m, v in vectors.items()}
        loss = sum(
            (torch.log_softmax(10 * unit[a] @ unit[b].T, dim=1) - torch.tensor(table).log())
            .square()
            .sum()
            for (a, b), table in tables.items()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {
        m: np.pad(torch.nn.functional.normalize(v, dim=1).detach().numpy(), ((0, 0), (0, 480)))
        for m, v in vectors.items()
    }


@pytest.fixture(scope="module")
def published():
    return solve(EXMCR)


def test_the_published_tables_are_probabilities():
    for tables in (EXMCR, *CMCR.values()):
        for table in tables.values():
            np.testing.assert_allclose(np.sum(table, axis=1), 1, atol=2e-4)
            assert np.argmax(table, axis=1).tolist() == [0, 1, 2]


def test_probabilities_by_hand():
    found = verify.probabilities(np.eye(2, 3, dtype=np.float32), np.eye(2, 3, dtype=np.float32))
    np.testing.assert_allclose(
        found,
        [
            [1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))],
            [1 / (1 + np.exp(10)), 1 / (1 + np.exp(-10))],
        ],
        rtol=1e-6,
    )


def test_the_right_vectors_pass_and_others_fail(published):
    rows = compare(published, EXMCR)
    assert [row[:2] for row in rows] == [(f"{a} x {b}", "pass") for a, b in EXMCR]
    assert max(row[2] for row in rows) < 0.005
    swapped = published | {"audio": published["audio"][[1, 0, 2]]}
    assert {row[0] for row in compare(swapped, EXMCR) if row[1] == "FAIL"} == {
        "audio x text",
        "audio x image",
        "audio x points",
    }
    assert [row[0] for row in compare({m: published[m] for m in ("text", "audio")}, EXMCR)] == [
        "audio x text"
    ]


# The numbers that the authors withdrew: of the projectors in training mode.
WITHDRAWN = {
    ("image", "text"): EXMCR["image", "text"],
    ("audio", "text"): [[0.5816, 0.2509, 0.1675], [0.2025, 0.4903, 0.3072], [0.2417, 0.2220, 0.5363]],
    ("points", "image"): [[0.6891, 0.1932, 0.1177], [0.1549, 0.7470, 0.0981], [0.0945, 0.0841, 0.8214]],
    ("audio", "image"): [[0.5270, 0.2189, 0.2541], [0.1978, 0.7140, 0.0881], [0.1574, 0.0984, 0.7442]],
    ("points", "text"): [[0.7076, 0.1632, 0.1292], [0.1881, 0.5662, 0.2457], [0.1429, 0.2350, 0.6221]],
    ("audio", "points"): [[0.8921, 0.0792, 0.0286], [0.0729, 0.8420, 0.0851], [0.0361, 0.0315, 0.9324]],
}  # fmt: skip


def test_the_numbers_that_were_withdrawn_fail():
    rows = compare(solve(WITHDRAWN), EXMCR)
    assert [row[0] for row in rows if row[1] == "pass"] == ["image x text"]


@pytest.mark.parametrize("pair", [pair for pair in WITHDRAWN if pair != ("image", "text")])
def test_a_mixture_with_the_withdrawn_numbers_fails(monkeypatch, published, pair):
    """Every table is the right one but for one of the withdrawn edition."""
    mixture = {
        columns: np.array(WITHDRAWN[columns] if columns == pair else table)
        for columns, table in EXMCR.items()
    }
    tables = iter(mixture.values())
    monkeypatch.setattr(verify, "probabilities", lambda *_: next(tables))
    failed = [row[0] for row in compare(published, EXMCR) if row[1] == "FAIL"]
    assert failed == [f"{pair[0]} x {pair[1]}"]


def identity(block):
    """Set a block to the identity: x = relu(x) - relu(-x), and BatchNorm without effect."""
    with torch.no_grad():
        for net, weight in (
            (block.net1, torch.cat([torch.eye(512), -torch.eye(512)])),
            (block.net2, torch.cat([torch.eye(512), -torch.eye(512)], 1)),
        ):
            net[0].weight.copy_(weight)
            net[0].bias.zero_()
            net[1].running_var.fill_(1 - 1e-5)


@pytest.fixture
def demo(tmp_path, monkeypatch, published):
    """A weights folder with empty files, fake encoders that give the published vectors, and projectors that are
    the identity."""
    monkeypatch.setenv("EXMCR_WEIGHTS", str(tmp_path))
    monkeypatch.delenv("EXMCR_AUTHORS_DEMO", raising=False)
    for name in (
        "ViT-B-32-openai.safetensors",
        "630k-fusion-best.pt",
        "roberta-base/vocab.json",
        "roberta-base/merges.txt",
        "pointbert_ULIP-2.pt",
        *(f"authors-demo/{name}" for m in ("image", "audio", "points") for name in ITEMS[m]),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    projector, heads = Projector(), Heads()
    for block in (projector.Head2.mlp1, projector.Head2.mlp2, heads.Head_A, heads.Head_B):
        identity(block)
    for name in ("ex_clap.pt", "ex_ulip.pt"):
        projectors.save(projector, tmp_path / name)

    class Fake:
        def __init__(self, name, root=None, **settings):
            assert settings in ({}, {"device": "cpu"})
            self.name = name

        def encode(self, modality, items):
            assert [getattr(item, "name", item) for item in items] == ITEMS[modality]
            assert self.name == {"audio": "clap", "points": "ulip2"}.get(modality, "clip")
            return published[modality].astype(np.float32)

    monkeypatch.setattr(verify, "load_space", Fake)
    return tmp_path, heads


def test_the_command_passes(demo, capsys):
    assert main(["verify", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert out.count("pass  Ex-MCR") == 6 and "FAIL" not in out
    assert (
        "not compared: C-MCR, audio; missing: clap_clip.pt" in out
        and "not compared: C-MCR, points; missing: ulip_clip.pt" in out
    )


def test_projectors_that_the_authors_did_not_publish_are_named(demo, monkeypatch, capsys):
    folder, _ = demo
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    for file in ("ex_clap.pt", "ex_ulip.pt"):
        assert f"not the authors' file, though compared: {file} (`exmcr weights --check" in out
        assert main(["weights", "--check", file]) == 1
        assert "is not the published" in capsys.readouterr().out
    git = git_blob(folder / "ex_clap.pt")
    table = [w._replace(git=git) if w.file == "ex_clap.pt" else w for w in weights.WEIGHTS]
    monkeypatch.setattr(weights, "WEIGHTS", tuple(table))
    assert verify.not_published(folder) == ["ex_ulip.pt"]


def test_the_command_fails_on_other_numbers(demo, capsys):
    folder, heads = demo
    projectors.save(heads, folder / "clap_clip.pt")  # gives Ex-MCR's vectors, which are not C-MCR's
    assert main(["verify"]) == 1
    out = capsys.readouterr().out
    assert out.count("FAIL  C-MCR clap_clip.pt") == 3 and out.count("pass  Ex-MCR") == 6


def test_it_compares_what_there_is_and_names_the_rest(demo, capsys):
    folder, _ = demo
    for name in (
        "630k-fusion-best.pt",
        "roberta-base/vocab.json",
        "ex_ulip.pt",
        "authors-demo/BBQ.npy",
    ):
        (folder / name).unlink()
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert out.count("pass") == 1 and "pass  Ex-MCR, softmax(10 cos) image x text" in out
    assert "not compared: audio; missing: roberta-base/vocab.json, 630k-fusion-best.pt" in out
    assert (
        "authors-demo/BBQ.npy" in out and "not compared: Ex-MCR, points; missing: ex_ulip.pt" in out
    )
    (folder / "ViT-B-32-openai.safetensors").unlink()
    assert main(["verify"]) == 2
    out = capsys.readouterr().out
    assert "pass" not in out and "not compared: image; missing: ViT-B-32-openai.safetensors" in out


def test_a_damaged_file_is_an_error(demo, capsys):
    folder, _ = demo
    (folder / "ex_clap.pt").write_bytes(b"no weights")
    assert main(["verify"]) == 2
    assert (
        "ex_clap.pt is not a plain weight file: it was not written by torch.save"
        in capsys.readouterr().err
    )


def test_the_weights_folder_of_a_project_is_used(demo, tmp_path, monkeypatch, capsys):
    folder, _ = demo
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").touch()
    (project / "weights").symlink_to(folder)
    monkeypatch.delenv("EXMCR_WEIGHTS")
    roots, load = [], verify.load_space

    def watched(name, root=None, **settings):
        roots.append(root)
        return load(name, root, **settings)

    monkeypatch.setattr(verify, "load_space", watched)
    monkeypatch.chdir("/")
    assert main(["verify", "--project", str(project)]) == 0
    out = capsys.readouterr().out
    assert out.count("pass  Ex-MCR") == 6 and f"Weights belong in {project}/weights" in out
    assert roots == [project] * 3, "the encoders look there too"
    assert main(["weights", "--project", str(project)]) == 0
    assert f"Folder: {project}/weights" in capsys.readouterr().out
