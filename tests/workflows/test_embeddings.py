"""Embeddings from elsewhere, without an encoder: import, train, evaluate, search, export. And C-MCR
alone, from params.yaml to a stored model."""

import numpy as np
import pandas as pd
import pytest
from own_embeddings import KINDS, exmcr, import_all

from exmcr.model.exmcr import ExMCR
from exmcr.project import Project


def test_own_embeddings_go_through_every_stage(folder, capsys):
    assert exmcr("extract") == 2  # before anything is imported
    assert "no item table" in capsys.readouterr().err
    import_all()
    for stage in ("corpora", "spaces", "extract", "pair", "train", "evaluate"):
        assert exmcr(stage) == 0, capsys.readouterr().err
    results = pd.read_csv("reports/results.csv")
    everywhere = results[results.concept_subset == "all"].set_index(["task", "method"])["map"]
    for task in ("audio->image", "image->audio", "audio->text", "text->audio"):
        assert {"hop", "exmcr", "procrustes"} <= set(everywhere[task].index)
        assert everywhere[task, "hop"] > 0.8  # two views of one latent
    assert everywhere["audio->text", "leaf"] > 0.9 and everywhere["image->text", "base"] > 0.9
    capsys.readouterr()
    assert (
        exmcr(
            "search",
            "sounds-test/4",
            "--id",
            "--as",
            "audio",
            "--in",
            "text",
            "--split",
            "train",
            "-k",
            1,
        )
        == 0
    )
    assert capsys.readouterr().out.endswith("thing 4  word/4\n")
    assert exmcr("export", "out") == 0
    model, project = ExMCR.load("out"), Project()
    sounds, images = (
        project.bank(s, m, "test") for s, m in (("my-clap", "audio"), ("my-clip", "image"))
    )
    found = model.search(model.project("audio", sounds), images, k=1).indices[:, 0]
    assert (found % KINDS == np.arange(len(sounds)) % KINDS).mean() > 0.5
    capsys.readouterr()
    assert exmcr("search", "a dog", "--in", "audio") == 2
    assert "unknown space 'my-clip': imported embeddings have no encoder" in capsys.readouterr().err
    assert exmcr("search", "none", "--id", "--as", "audio") == 2
    assert "no audio item 'none' in the banks of 'my-clap'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "lacking, message",
    [
        (
            "banks/my-clap/text/train",
            "no bank at .*`exmcr import-bank <file> --space my-clap --mod",
        ),
        ("banks/my-clip/image/test", "no bank at .* --space my-clip --modality image --split test"),
    ],
)
def test_a_missing_bank_is_named_with_the_command_that_makes_it(folder, lacking, message, capsys):
    import re
    import shutil

    import_all()
    assert exmcr("corpora") == 0
    shutil.rmtree(folder / lacking)
    capsys.readouterr()
    assert exmcr("extract") == 2
    said = capsys.readouterr().err
    assert re.search(message, said) and len(said.splitlines()) == 1


def test_tasks_whose_words_were_not_imported_are_left_out_and_named(folder, capsys):
    import_all()
    words = pd.read_csv("words.csv").head(3)
    words.to_csv("words.csv", index=False)
    for space in ("my-clip", "my-clap"):
        np.save(f"words-{space}.npy", np.load(f"words-{space}.npy")[:3])
        source = [
            f"words-{space}.npy",
            "--ids",
            "words.csv",
            "--captions",
            "words.csv",
            "--replace",
        ]
        assert exmcr("import-bank", *source, "--space", space, "--modality", "text") == 0
    for stage in ("corpora", "extract", "pair", "train", "evaluate"):
        assert exmcr(stage) == 0, capsys.readouterr().err
    assert "audio->text is left out: some of its items are in no" in capsys.readouterr().out
    assert set(pd.read_csv("reports/results.csv").task) == {"audio->image", "image->audio"}


def test_one_id_for_two_items_is_refused(folder, capsys):
    import_all()
    source = ["sounds-test.npy", "--ids", "ids.txt", "--space", "my-clap", "--modality", "audio"]
    (folder / "ids.txt").write_text("\n".join(f"images-test/{n}" for n in range(3 * KINDS)))
    assert exmcr("import-bank", *source, "--split", "test", "--replace") == 0
    capsys.readouterr()
    assert exmcr("corpora") == 2
    said = capsys.readouterr().err
    assert "id 'images-test/0' is audio of split test in one bank and image of split test" in said


def test_c_mcr_alone_from_params_to_an_exported_model_and_search(start, capsys):
    def change(params):
        params["leaves"] = params["leaves"][:1]
        params["pair"]["centers"] = ["overlap"]
        params["compare"] = {"cmcr": {"settings": {"steps": 5, "batch": 16, "tau2": 0.05}}}

    project = start(change=change)
    root, out = project.root, project.root / "connected"
    assert exmcr("export", out, "--method", "cmcr", "--project", root) == 0
    assert "audio into wide; ExMCR.load reads it" in capsys.readouterr().out
    model = ExMCR.load(out)
    assert model.leaves["audio"].training["settings"]["tau2"] == 0.05
    items = project.items
    sound = items[(items.modality == "audio") & (items.split == "test")].id.iloc[0]
    search = ["search", sound, "--id", "--as", "audio", "--model", out, "--project", root]
    for gallery in ("image", "audio", "text"):
        assert exmcr(*search, "--in", gallery, "-k", 3) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3, lines
        assert (
            gallery != "audio"
            or lines[0] == f"1.000  {items.set_index('id').caption[sound]}  {sound}"
        )
    assert exmcr("search", "a dog", "--in", "audio", "--model", out, "--project", root) == 0
    assert exmcr("export", out, "--method", "telepathy", "--project", root) == 2
    assert exmcr("export", out, "--method", "cmcr", "--official", "--project", root) == 2
    assert exmcr("export", out, "--method", "cmcr", "--leaf", "odd", "--project", root) == 2
    assert "no leaf 'odd'; leaves: audio" in capsys.readouterr().err
