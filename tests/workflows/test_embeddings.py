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
    said = capsys.readouterr().err
    assert "space 'my-clip' has no encoder here, and no text 'a dog' was imported" in said
    assert exmcr("search", "thing 2", "--in", "audio", "-k", 1) == 0
    assert "thing 2  sounds-test/" in capsys.readouterr().out
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


def test_items_match_by_the_concepts_that_were_imported(folder, capsys):
    """Every caption is another; training sounds of thing 0 have no concept, so it is unseen."""
    import_all()
    for kind, space, modality in (("images", "my-clip", "image"), ("sounds", "my-clap", "audio")):
        for split in ("train", "test"):
            things = (folder / f"{kind}-{split}.txt").read_text().split("\n")[:-1]
            rows = {"caption": [f"{t}, take {n}" for n, t in enumerate(things)]}
            known = kind == "images" or split == "test"
            rows["concept"] = [t if known or t != "thing 0" else "" for t in things]
            pd.DataFrame(rows).to_csv("about.csv", index=False)
            about = ["--captions", "about.csv", "--concepts", "about.csv", "--replace"]
            where = ["--space", space, "--modality", modality, "--split", split]
            assert exmcr("import-bank", f"{kind}-{split}.npy", *about, *where) == 0
    for stage in ("corpora", "extract", "pair", "train", "evaluate"):
        assert exmcr(stage) == 0, capsys.readouterr().err
    results = pd.read_csv("reports/results.csv")
    sounds = results[(results.task == "audio->image") & (results.method == "hop")]
    sizes = sounds.set_index("concept_subset").n_queries.to_dict()
    assert sizes == {"all": 3 * KINDS, "seen": 3 * (KINDS - 1), "unseen": 3}
    assert sounds.set_index("concept_subset")["map"]["all"] > 0.8  # three right images each
    items = Project().items.set_index("id")
    assert items.concept["images-test/7"] == "thing 1"
    assert items.caption["images-test/7"] == "thing 1, take 7"


def test_the_overlap_has_the_caption_of_one_bank_and_the_concept_of_the_other(folder):
    import_all()
    words = [f"word/{n}" for n in range(KINDS)]
    pd.DataFrame({"id": words, "concept": ["noun"] * KINDS}).to_csv("nouns.csv", index=False)
    for space, about in (("my-clap", "--captions"), ("my-clip", "--concepts")):
        lists = ["--ids", "words.csv", about, "words.csv" if about == "--captions" else "nouns.csv"]
        where = ["--space", space, "--modality", "text", "--replace"]
        assert exmcr("import-bank", f"words-{space}.npy", *lists, *where) == 0
    assert exmcr("corpora") == 0
    items = Project().items.set_index("id")
    assert items.caption["word/3"] == "thing 3" and items.concept["word/3"] == "noun"


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
