"""`exmcr index` and `exmcr search --in FOLDER`: from a folder of files to a result."""

import pytest
import stub_model
from stub_model import fill
from tiny_video import grays, video

from exmcr.commands.main import main
from exmcr.model import inversion


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of files and an exported model, outside of any project."""
    stub_model.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    stub_model.stub_model().save(tmp_path / "my-model")
    stub_model.stub_model(seed=1).save(tmp_path / "other")
    fill(tmp_path / "mine")
    return tmp_path


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    return status, *capsys.readouterr()


def indexed(capsys):
    assert run(capsys, "index", "mine", "--model", "my-model")[0] == 0


def test_index_says_what_it_embedded_and_what_it_left_out(folder, capsys):
    status, out, _ = run(capsys, "index", "mine", "--model", "my-model")
    lines = out.splitlines()
    assert status == 0 and lines[0].startswith(
        "mine/.exmcr-index: 2 text (2 new), 2 image (2 new), 2 audio (2 new), 2 points (2 new); model "
    )
    assert lines[1:3] == ["1 left out because they cannot be used:", *lines[2:3]]
    assert lines[2].startswith("  broken.png: unreadable image") and "1 .pdf" in lines[3]
    assert "2 audio (0 new)" in run(capsys, "index", "mine", "--model", "my-model")[1]


@pytest.mark.parametrize(
    ("query", "modality", "path"),
    [
        ("mine/bell.wav", "audio", "mine/bell.wav"),
        ("mine/sub/sea.jpg", "image", "mine/sub/sea.jpg"),
        ("mine/chair.npy", "points", "mine/chair.npy"),
        ("a dog barks", "text", "captions.txt:1"),
    ],
)
def test_a_query_of_each_modality_finds_itself_without_a_project_or_a_model_named(
    folder, capsys, query, modality, path
):
    indexed(capsys)
    status, out, _ = run(capsys, "search", query, "--in", "mine", "--only", modality, "--k", 1)
    assert status == 0 and out.startswith("1.000  ") and out.rstrip().endswith(path)


def test_each_modality_is_answered_by_itself(folder, capsys):
    indexed(capsys)
    lines = run(capsys, "search", "a bell", "--in", "mine", "-k", 1)[1].splitlines()
    assert lines[::2] == ["text:", "image:", "audio:", "points:"] and len(lines) == 8


def test_a_file_that_is_a_text_can_be_said_to_be_one(folder, capsys):
    indexed(capsys)
    query = ("search", "mine/bell.wav", "--in", "mine", "--only", "text", "--k", 1)
    assert run(capsys, *query)[1] != run(capsys, *query, "--as", "text")[1]


WRONG = {
    "no folder": (["search", "x", "--in", "gone"], "no modality 'gone', only text, image"),
    "no index": (["search", "x", "--in", "."], "makes one"),
    "another model": (["search", "x", "--in", "mine", "--model", "other"], "belongs to the model"),
    "no model": (["search", "x", "--in", "mine", "--model", "gone"], "there is no folder gone"),
    "another modality": (["search", "x", "--in", "mine", "--only", "speech"], "unknown modality"),
    "an option of projects": (["search", "x", "--in", "mine", "--seed", "3"], "in a project"),
    "a damaged query": (["search", "mine/broken.png", "--in", "mine"], "unreadable image"),
    "a missing file": (["search", "gone.wav", "--as", "audio", "--in", "mine"], "gone.wav"),
    "an empty query": (["search", " ", "--in", "mine"], "empty text"),
    "index: no folder": (["index", "gone", "--model", "my-model"], "is not a folder"),
    "index: another model": (["index", "mine", "--model", "other"], "belongs to the model"),
    "index: no model": (["index", "mine"], "no model: name a folder"),
    "index: kind": (["index", "mine", "--kind", "hnsw"], "unknown kind 'hnsw'"),
    "index: two models": (["index", "mine", "--model", "a", "--project", "."], "both name"),
    "index: nothing": (["index", "my-model", "--model", "my-model"], "holds nothing that can be"),
}


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_line(folder, capsys, arguments, says):
    indexed(capsys)
    status, _, err = run(capsys, *arguments)
    assert status == 2 and says in err and len(err.splitlines()) == 1


def test_the_model_of_an_index_that_is_gone_is_one_line(folder, capsys):
    indexed(capsys)
    (folder / "my-model").rename(folder / "renamed")
    status, _, err = run(capsys, "search", "x", "--in", "mine")
    assert status == 2 and "name the model with --model" in err and len(err.splitlines()) == 1
    assert run(capsys, "search", "x", "--in", "mine", "--model", "renamed")[0] == 0


def test_an_inverted_query_searches_its_own_modality(folder, capsys, monkeypatch):
    monkeypatch.setattr(inversion, "invert_in_base", lambda model, modality, vector: -vector)
    indexed(capsys)
    search = ("search", "mine/sub/sea.jpg", "--in", "mine", "-k", 2)
    plain, turned = (run(capsys, *search, *more)[1] for more in ((), ("--invert",)))
    parts = [
        text.split("\n\n") if "\n\n" in text else text.splitlines() for text in (plain, turned)
    ]
    at = parts[0].index("image:")
    first, last = parts[0][at + 1 : at + 3]
    assert [line.split("  ", 1)[1] for line in parts[1][at + 1 : at + 3]] == [
        line.split("  ", 1)[1] for line in (last, first)
    ]
    rest = [part[:at] + part[at + 3 :] for part in parts]
    assert rest[0] == rest[1]  # other modalities are answered as without


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["mine/sub/sea.jpg", "--only", "audio"],
            "--invert is for items of the query's own modality",
        ),
        (["mine/sub/sea.jpg", "--only", "image"], "space 'base' cannot invert images"),
        (["mine/bell.wav"], "only images and texts of the base can be inverted, not audio"),
    ],
)
def test_what_cannot_be_inverted_is_one_line(folder, capsys, arguments, says):
    indexed(capsys)
    status, _, error = run(capsys, "search", *arguments, "--in", "mine", "--invert")
    assert status and says in error and len(error.splitlines()) == 1


def test_a_video_is_indexed_and_found_as_an_image(folder, capsys):
    video(folder / "mine/wave.mp4", grays([40, 80, 120]))
    indexed(capsys)
    status, out, _ = run(
        capsys, "search", "mine/wave.mp4", "--in", "mine", "--only", "image", "-k", 1
    )
    assert status == 0 and out.startswith("1.000  wave  ") and out.rstrip().endswith("wave.mp4")
