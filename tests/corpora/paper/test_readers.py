"""Every reader, on a few files in the layout of the download."""

import io
import json
import shutil

import numpy as np
import pytest
import soundfile
from paper_trees import (
    BENCHMARKS,
    hdf5,
    make_benchmark_trees,
    picture,
    record,
    shard,
    sound,
    table,
    text,
)
from PIL import Image

from exmcr import media
from exmcr.common.errors import BadItem, ConfigError
from exmcr.common.hashing import stable_uniform
from exmcr.corpora.paper import (
    CLASSIFIED,
    PAPER_CORPORA,
    class_names,
    load_item,
    modelnet40,
    paper_corpora,
    prompts,
    scanobjectnn,
    vggss,
    webdataset,
)
from exmcr.media import MODALITIES, Modality

KEYS = {
    "id",
    "modality",
    "caption",
    "concept",
    "labels",
    "path",
    "start",
    "seconds",
    "split",
    "source",
    "license",
    "group",
    "original",
}


def read(name, root, split=None, items=True):
    rows = list(paper_corpora(name, root, split))
    assert rows and all(set(row) == KEYS for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(
        row["modality"] in media.MODALITIES and isinstance(row["start"], float) for row in rows
    )
    json.dumps(rows)  # plain values only
    for row in rows if items else []:
        load_item(row)
    return rows


def pick(rows, **values):
    return [row for row in rows if all(row[key] == value for key, value in values.items())]


def test_coco_is_read_in_official_and_karpathy_splits(tmp_path, caplog):
    images = [
        {"id": 139, "file_name": "000000000139.jpg"},
        {"id": 285, "file_name": "000000000285.jpg"},
        {"id": 9, "file_name": "gone.jpg"},
    ]
    captions = ((139, "A room. \n"), (139, "A table."), (285, "A bear."))
    notes = [
        {"image_id": image, "id": k, "caption": caption}
        for k, (image, caption) in enumerate(captions, 1)
    ]
    text(
        tmp_path / "annotations/captions_val2017.json",
        json.dumps({"images": images, "annotations": notes}),
    )
    for image in images[:2]:
        picture(tmp_path / "val2017" / image["file_name"])
    rows = read("coco", tmp_path)
    assert [row["caption"] for row in pick(rows, group="coco/139", modality="text")] == [
        "A room.",
        "A table.",
    ]
    assert (
        len(pick(rows, modality="image")) == 2
        and "1 of 3 listed items are not on disk" in caplog.text
    )
    karpathy = [
        {
            "filepath": "val2014",
            "filename": "COCO_val2014_000000391895.jpg",
            "cocoid": 391895,
            "split": "test",
            "sentences": [{"raw": "A man.", "sentid": 7}, {"raw": "A bike.", "sentid": 8}],
        },
        {
            "filepath": "val2014",
            "filename": "x.jpg",
            "cocoid": 1,
            "split": "train",
            "sentences": [],
        },
    ]
    text(tmp_path / "dataset_coco.json", json.dumps({"images": karpathy}))
    picture(tmp_path / "val2014/COCO_val2014_000000391895.jpg")
    rows = read("coco", tmp_path, "test")
    assert [(row["modality"], row["caption"], row["group"]) for row in rows] == [
        ("image", "", "coco/391895"),
        ("text", "A man.", "coco/391895"),
        ("text", "A bike.", "coco/391895"),
    ]


def test_cc3m_is_read_without_its_header(tmp_path):
    text(
        tmp_path / "Train_GCC-training.tsv",
        'a very typical bus station\thttp://a/b.jpg\n\thttp://empty\nsierra looked "stunning"\thttp://c\n',
    )
    text(
        tmp_path / "Validation_GCC-1.1.0-Validation.tsv",
        "caption\turl\nauthor : a life\thttp://d\n",
    )
    assert [row["caption"] for row in read("cc3m", tmp_path)] == [
        "a very typical bus station",
        'sierra looked "stunning"',
    ]
    assert [row["caption"] for row in read("cc3m", tmp_path, "validation")] == ["author : a life"]


def test_audioset_is_read_from_files_and_tars(tmp_path):
    text(
        tmp_path / "class_labels_indices.csv",
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/t/dd00088,"Gush, flow"\n',
    )
    lines = [
        "# Segments csv created Sun Mar  5 10:54:31 2017",
        "# num_ytids=4",
        "# YTID, start_seconds, end_seconds, positive_labels",
    ]
    lines += [
        '--aE2O5G5WE, 0.000, 10.000, "/m/09x0r,/t/dd00088"',
        '-0RWZT-miFs, 420.000, 430.000, "/m/09x0r"',
        '_xyz, 30.000, 40.000, "/m/unknown"',
        'vanished, 1.000, 2.000, "/m/09x0r"',
        'in_a_tar, 0.000, 10.000, "/m/09x0r"',
    ]
    text(tmp_path / "eval_segments.csv", "\n".join(lines) + "\n")
    sound(tmp_path / "eval_segments/Y--aE2O5G5WE.wav")
    sound(tmp_path / "eval_segments/-0RWZT-miFs_420000_430000.flac")
    sound(tmp_path / "eval_segments/sub/_xyz_30.000.wav")
    wave = (tmp_path / "eval_segments/sub/_xyz_30.000.wav").read_bytes()
    shard(
        tmp_path / "eval_segments/09.tar",
        **{"audio__in_a_tar.wav": wave, "audio__in_a_tar.json": b"{}"},
    )
    rows = read("audioset", tmp_path, "eval")
    assert [row["concept"] for row in rows] == [
        "Speech, Gush, flow",
        "Speech",
        "/m/unknown",
        "Speech",
    ]
    assert [row["labels"] for row in rows[:2]] == [["Speech", "Gush, flow"], ["Speech"]]
    assert class_names("audioset", tmp_path, "eval") == ["Gush, flow", "Speech"]
    assert rows[3]["path"].endswith("09.tar::audio/in_a_tar.wav")
    (tmp_path / "eval_segments/10.tar").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="10.tar is not a readable tar"):
        read("audioset", tmp_path, "eval")


def test_audiocaps_is_read_with_its_captions(tmp_path):
    table(
        tmp_path / "dataset/test.csv",
        ["audiocap_id", "youtube_id", "start_time", "caption"],
        ["103549", "7fmOlUlwoNg", "20", "Constant rattling, and a hum"],
        ["103548", "7fmOlUlwoNg", "20", "A machine"],
        ["1", "6BJ455B1aAs", "0", "A rocket"],
    )
    sound(tmp_path / "test/7fmOlUlwoNg_20.wav")
    sound(tmp_path / "test/6BJ455B1aAs.wav")
    rows = read("audiocaps", tmp_path)
    assert [
        row["caption"] for row in pick(rows, group="audiocaps/7fmOlUlwoNg_20", modality="text")
    ] == ["Constant rattling, and a hum", "A machine"]
    assert len(pick(rows, modality="audio")) == 2


def test_clotho_is_read_with_captions_and_licenses(tmp_path):
    header = ["file_name", *(f"caption_{k}" for k in range(1, 6))]
    table(
        tmp_path / "clotho_captions_evaluation.csv",
        header,
        ["Santa Motor.wav", "one", "two", "three", "four", "five"],
    )
    (tmp_path / "clotho_metadata_evaluation.csv").write_bytes(
        "file_name,keywords,license\nSanta Motor.wav,caf\u00e9,CC0\n".encode("latin-1")
    )
    sound(tmp_path / "evaluation/Santa Motor.wav")
    rows = read("clotho", tmp_path)
    assert [row["caption"] for row in rows] == ["", "one", "two", "three", "four", "five"] and rows[
        0
    ]["license"] == "CC0"


def test_imagenet_is_read_with_and_without_class_names(tmp_path):
    picture(tmp_path / "ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG")
    picture(tmp_path / "ILSVRC/Data/CLS-LOC/train/n02/n02_1.JPEG")
    text(tmp_path / "LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\n")
    assert [row["concept"] for row in read("imagenet", tmp_path)] == ["tench", "n02"]
    picture(tmp_path / "val/ILSVRC2012_val_00000001.JPEG")
    assert [row["concept"] for row in read("imagenet", tmp_path, "val")] == [""]
    assert class_names("imagenet", tmp_path, "val") == ["tench"]


def test_imagenet_has_the_classes_of_a_flat_folder_in_the_solution_and_names_of_clip(tmp_path):
    table(
        tmp_path / "LOC_val_solution.csv",
        ["ImageId", "PredictionString"],
        ["ILSVRC2012_val_00000001", "n02012849 111 108 230 366 n03126707 1 2 3 4"],
        ["ILSVRC2012_val_00000002", "n03126707 0 0 9 9"],
    )
    for k in (1, 2, 3):
        picture(tmp_path / f"val/ILSVRC2012_val_0000000{k}.JPEG")
    text(tmp_path / "LOC_synset_mapping.txt", "n02012849 crane\nn03126707 crane\n")
    concepts = lambda: [row["concept"] for row in read("imagenet", tmp_path, "val")]
    assert concepts() == ["crane (n02012849)", "crane (n03126707)", ""]  # two classes, one name
    assert class_names("imagenet", tmp_path, "val") == ["crane (n02012849)", "crane (n03126707)"]
    text(tmp_path / "classnames.txt", "n02012849 crane bird\nn03126707 construction crane\n")
    assert concepts() == ["crane bird", "construction crane", ""]
    assert class_names("imagenet", tmp_path, "val") == ["construction crane", "crane bird"]
    names = "n03773504 missile\nn04008634 missile\nn04355933 sunglasses\nn04356056 sunglasses\n"
    text(tmp_path / "classnames.txt", names)  # as CLIP names them
    classes = class_names("imagenet", tmp_path, "val")
    assert len(classes) == 4 and classes[0] == "missile (n03773504)"
    sentences = [*map(lambda name: prompts.of_class("image", name), classes)]
    assert sentences[:2] == [["a photo of a missile."]] * 2
    assert sentences[2:] == [["a photo of a sunglasses."]] * 2


def test_esc50_is_read_whole_or_by_fold(tmp_path, caplog):
    make_benchmark_trees(tmp_path)
    root = tmp_path / "data/paper/esc50"
    rows = read("esc50", root)
    assert [row["concept"] for row in rows] == ["dog", "sea waves", "dog"]
    assert "1 of 4 listed items are not on disk" in caplog.text
    assert [row["id"] for row in read("esc50", root, "fold5")] == ["esc50/5-2-B-0"]
    assert class_names("esc50", root, "all") == ["dog", "hand saw", "sea waves"]
    assert {row["original"] for row in rows} == {"freesound/1"}
    with pytest.raises(ConfigError, match="none of the 1 listed items"):
        read("esc50", root, "fold3")


def test_scanobjectnn_is_read_in_its_three_variants(tmp_path):
    clouds = np.random.default_rng(0).normal(size=(3, 7, 3)).astype(np.float32)
    for folder, begin, end in (
        ("main_split_nobg", "training", ""),
        ("main_split_nobg", "test", ""),
        ("main_split", "test", "_augmentedrot_scale75"),
    ):
        path = tmp_path / f"h5_files/{folder}/{begin}_objectdataset{end}.h5"
        hdf5(path, data=clouds, label=np.array([0, 14, 6], np.uint8), mask=clouds[..., 0])
    rows = read("scanobjectnn", tmp_path)
    assert [row["concept"] for row in rows] == ["bag", "toilet", "display"] * 2
    assert rows[4]["id"] == "scanobjectnn/main_split_nobg/test_objectdataset/1"
    np.testing.assert_array_equal(load_item(rows[4]), clouds[1])
    assert len(read("scanobjectnn", tmp_path, "test")) == 3
    assert "augmentedrot" in read("scanobjectnn", tmp_path, "pb_t50_rs_test")[0]["path"]
    with pytest.raises(ConfigError, match="not found: .*main_split/test_objectdataset.h5 or"):
        read("scanobjectnn", tmp_path, "obj_bg_test")
    assert len(class_names("scanobjectnn", tmp_path, "all")) == 15
    with pytest.raises(BadItem, match=r"data/3: no row 3 in a dataset \(3, 7, 3\)"):
        load_item(rows[0] | {"path": rows[0]["path"][:-1] + "3"})


def test_flickr30k_is_read_in_karpathys_splits(tmp_path):
    make_benchmark_trees(tmp_path)
    root = tmp_path / "data/paper/flickr30k"
    rows = read("flickr30k", root)
    assert len(rows) == 12
    assert [row["caption"] for row in pick(rows, group="flickr30k/2")] == [
        "",
        *(f"Sentence {k} of 2." for k in range(5)),
    ]
    (root / "flickr30k-images").rename(root / "flickr30k_images")
    assert len(read("flickr30k", root, "train")) == 6
    (root / "flickr30k_images").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="not found: .*flickr30k-images or"):
        read("flickr30k", root)
    assert len(list(paper_corpora("flickr30k", root, "test", texts_only=True))) == 10


def test_the_sentences_of_msrvtt_and_mad_are_read_without_videos(tmp_path):
    make_benchmark_trees(tmp_path)
    rows = read("msrvtt", tmp_path / "data/paper/msrvtt")
    assert [row["caption"] for row in rows[:2]] == [f"sentence {k} on video 0" for k in range(2)]
    assert [row["group"] for row in rows[::2]] == [f"msrvtt/{'s' * 11}_video0", f"msrvtt/{'e' * 11}_video1"]  # fmt: skip
    assert len(read("msrvtt", tmp_path / "data/paper/msrvtt", "validate")) == 2
    rows = read("mad", tmp_path / "data/paper/mad")
    assert [row["caption"] for row in rows] == ["She opens door 0.", "She opens door 1."]


def test_flickrnet_is_read_by_list_or_whole(tmp_path):
    for id in ("10000130166", "10000165454", "3"):
        sound(tmp_path / f"audio/{id}.wav")
        picture(tmp_path / f"frames/{id}.jpg")
    text(tmp_path / "metadata/flickr_test.csv", "10000130166\n10000165454\n77\n")
    rows = read("flickrnet", tmp_path)
    assert len(rows) == 4 and [
        row["modality"] for row in pick(rows, group="flickrnet/10000130166")
    ] == ["audio", "image"]
    assert len(read("flickrnet", tmp_path, "all")) == 6


def test_ave_is_read_with_the_window_of_its_first_event(tmp_path):
    text(
        tmp_path / "testSet.txt",
        "Church bell&RUhOCu3LNXM&good&2&6\nMale speech, man speaking&xyz&good&0&0\nBark&RUhOCu3LNXM&good&7&8\n",
    )
    text(
        tmp_path / "Annotations.txt",
        "Category&VideoID&Quality&StartTime&EndTime\nChurch bell&RUhOCu3LNXM&good&2&6\n",
    )
    for id in ("RUhOCu3LNXM", "xyz"):
        sound(tmp_path / f"audio/{id}.wav", seconds=10)
    picture(tmp_path / "frames/xyz.jpg")
    for k, color in enumerate(("red", "lime", "blue")):
        picture(tmp_path / f"frames/RUhOCu3LNXM/{k:04}.png", color)
    rows = read("ave", tmp_path)
    clip, frame = pick(rows, group="ave/RUhOCu3LNXM")
    assert (clip["concept"], clip["start"], clip["seconds"]) == ("Church bell", 2, 4)
    assert len(load_item(clip).samples) == 4 * 8000
    assert load_item(frame)[0, 0].tolist() == [0, 255, 0]  # the middle frame
    assert pick(rows, group="ave/xyz")[0]["seconds"] is None
    assert len(read("ave", tmp_path, "all")) == 2
    text(tmp_path / "valSet.txt", "Church bell;RUhOCu3LNXM\n")
    with pytest.raises(ConfigError, match="Category&VideoID"):
        read("ave", tmp_path, "val")


def test_vggss_is_read_with_its_classes(tmp_path):
    text(
        tmp_path / "metadata/vggss.json",
        json.dumps(
            [{"file": "-0kLS8q_000087", "class": "race car, auto racing", "bbox": [[0, 0, 1, 1]]}]
        ),
    )
    sound(tmp_path / "audio/-0kLS8q_000087.wav")
    picture(tmp_path / "frames/-0kLS8q_000087.jpg")
    assert [row["concept"] for row in read("vggss", tmp_path)] == ["race car, auto racing"] * 2


def test_modelnet40_is_read_as_meshes_or_clouds(tmp_path, caplog):
    meshes, clouds = tmp_path / "meshes", tmp_path / "clouds"
    off = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
    text(meshes / "ModelNet40/night_stand/test/night_stand_0201.off", off)
    text(meshes / "ModelNet40/night_stand/train/night_stand_0001.off", off)
    rows = read("modelnet40", meshes)
    assert [row["concept"] for row in rows] == ["night stand"] and load_item(rows[0]).shape == (
        10_000,
        3,
    )
    assert "modelnet40 test: the vertical axis of its meshes is z" in caplog.text
    caplog.clear()
    text(clouds / "modelnet40_test.txt", "airplane_0627\nglass_box_0172\n")
    for name in ("airplane/airplane_0627", "glass_box/glass_box_0172"):
        text(clouds / f"{name}.txt", "0.1,0.2,0.3,1,0,0\n0.4,0.5,0.6,0,1,0\n")
    rows = read("modelnet40", clouds)
    assert [row["concept"] for row in rows] == ["airplane", "glass box"] and load_item(
        rows[0]
    ).shape == (2, 3)
    assert not caplog.records
    assert len(class_names("modelnet40", clouds, "test")) == 40  # also those without a shape here


def test_a_class_has_64_prompts_with_its_article():
    templates = prompts.templates("points")
    assert len(templates) == 64 == len(set(templates))
    assert all(("{}" in line) != ("{a}" in line) for line in templates)
    sentences = prompts.of_class("points", "airplane")
    assert (
        all("airplane" in line and "{" not in line for line in sentences)
        and "a 3D shape of an airplane." in sentences
    )
    assert "a 3D shape of a night stand." in prompts.of_class("points", "night stand")


def test_sounds_and_images_have_the_prompts_of_clap_and_clip():
    assert prompts.of_class("audio", "sea waves") == ["This is a sound of sea waves"]
    assert prompts.of_class("image", "tench") == ["a photo of a tench."]


def test_every_classified_corpus_names_its_classes_and_others_are_refused(tmp_path):
    make_benchmark_trees(tmp_path)
    splits = {entry["corpus"]: entry["split"] for entry in BENCHMARKS} | {"modelnet40": "test"}
    names = {
        name: class_names(name, tmp_path / "data/paper" / name, splits[name]) for name in CLASSIFIED
    }
    assert names == {
        "audioset": ["Gush, flow", "Purr", "Speech"],
        "esc50": ["dog", "hand saw", "sea waves"],
        "imagenet": ["crane bird", "great white shark", "tench"],
        "modelnet40": sorted(modelnet40.CLASSES),
        "scanobjectnn": sorted(scanobjectnn.CLASSES),
        "objaverse": ["bolt", "fire extinguisher"],
    }
    with pytest.raises(ConfigError, match="clotho evaluation has no classes: delete `prompts`"):
        class_names("clotho", tmp_path, "evaluation")


def test_objaverse_is_read_from_folders_and_tars(tmp_path):
    (one, first), (two, second) = record(1), record(2)
    entries = [
        {"uid": "aa", "group": "000-021", "category": "fire_extinguisher"},
        {"uid": "bb", "group": "000-022", "category": "bolt"},
    ]
    text(tmp_path / "meta_data/split/lvis.json", json.dumps(entries))
    text(
        tmp_path / "meta_data/split/train_all.json",
        json.dumps([{"id": "aa", "group": "000-021", "dataset": "Objaverse"}]),
    )
    (tmp_path / "Objaverse/000-021").mkdir(parents=True)
    (tmp_path / "Objaverse/000-021/aa.npy").write_bytes(first)
    shard(tmp_path / "Objaverse/000-022.tar", **{"000-022__bb.npy": second})
    rows = read("objaverse", tmp_path)
    assert [row["concept"] for row in rows] == ["fire extinguisher", "bolt"]
    np.testing.assert_array_equal(load_item(rows[0]), one)
    np.testing.assert_array_equal(load_item(rows[1]), two)
    assert len(read("objaverse", tmp_path, "train_all")) == 1
    (tmp_path / "Objaverse/000-022.tar").rename(tmp_path / "Objaverse/000-022.tar.gz")
    with pytest.raises(ConfigError, match="gunzip"):
        read("objaverse", tmp_path)


def test_a_shape_of_objaverse_is_shown_by_one_render_drawn_by_its_uid(tmp_path, caplog):
    make_benchmark_trees(tmp_path)
    root = tmp_path / "data/paper/objaverse"
    images = root / "images/000-021"
    renders = lambda: {row["group"]: row["path"] for row in pick(read("objaverse", root), modality="image")}  # fmt: skip
    drawn = renders()
    assert [path.split("/")[-2] for path in drawn.values()] == ["1a", "2b"] and not caplog.records
    # Other shapes, another order of the list and tars in place of folders change no draw.
    (root / "lvis.json").write_text(json.dumps(json.loads((root / "lvis.json").read_text())[::-1]))
    assert renders() == drawn
    files = {f"000-021__2b__{k}.png": (images / f"2b/{k}.png").read_bytes() for k in range(12)}
    shutil.rmtree(images / "2b")
    shard(root / "images/000-021.tar", **files)
    assert renders()["objaverse/2b"].split("::")[1] == "/".join(
        drawn["objaverse/2b"].split("/")[-3:]
    )
    assert {int(stable_uniform(f"render/{k}") * 12) for k in range(100)} == set(range(12))
    for name in ("another/0.png", "another/1.png", "another.png"):  # of no listed shape
        picture(images / name)
    assert len(renders()) == 2 and not caplog.records
    (images / "1a/0.png").unlink()
    renders()
    assert "1 shapes with other than 12 renders (e.g. 1a)" in caplog.text


def test_webdataset_shards_are_read(tmp_path):
    image, wave = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 6), "blue").save(image, "png")
    soundfile.write(wave, 0.5 * np.ones(4000), 8000, format="FLAC")
    shard(
        tmp_path / "train/00000.tar",
        **{
            "000000000.png": image.getvalue(),
            "000000000.txt": b"a blue wall\n",
            "000000000.json": b'{"caption": "other"}',
            "000000001.json": b'{"caption": "a hum"}',
            "000000001.flac": wave.getvalue(),
        },
    )
    shard(
        tmp_path / "train/00001.tar",
        **{"dir__000000000.png": image.getvalue(), "dir__000000002.png": b"damaged"},
    )
    rows = read("webdataset", tmp_path, items=False)
    expected = [
        ("image", ""),
        ("text", "a blue wall"),
        ("audio", ""),
        ("text", "a hum"),
        ("image", ""),
        ("image", ""),
    ]
    assert [(row["modality"], row["caption"]) for row in rows] == expected
    assert rows[0]["group"] == rows[1]["group"] != rows[4]["group"]
    assert (
        load_item(rows[0])[0, 0].tolist() == [0, 0, 255]
        and len(load_item({**rows[2], "start": 0.25, "seconds": 0.1}).samples) == 800
    )
    with pytest.raises(BadItem, match="unreadable image"):
        load_item(rows[5])
    with pytest.raises(BadItem, match="cannot read"):
        load_item({**rows[0], "path": rows[0]["path"] + "x"})
    assert len(read("webdataset", tmp_path, "train", items=False)) == 6
    (tmp_path / "train/00002.tar").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="00002.tar is not a readable tar"):
        read("webdataset", tmp_path)


@pytest.mark.parametrize("name", PAPER_CORPORA)
def test_an_empty_folder_is_an_error_that_says_what_is_missing(name, tmp_path):
    with pytest.raises(ConfigError, match="not found|no .tar|none of"):
        read(name, tmp_path)
    if name not in ("objaverse", "webdataset"):  # whose splits are names of files and folders
        with pytest.raises(ConfigError, match="no split 'nonsense'"):
            read(name, tmp_path, "nonsense")


def test_an_unknown_corpus_is_an_error_that_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="known: coco"):
        paper_corpora("laion", tmp_path)


def test_a_corpus_without_any_listed_file_is_an_error(tmp_path):
    table(
        tmp_path / "test.csv",
        ["audiocap_id", "youtube_id", "start_time", "caption"],
        ["1", "a", "0", "b"],
    )
    (tmp_path / "audio").mkdir()
    with pytest.raises(ConfigError, match="none of the 1 listed items"):
        read("audiocaps", tmp_path)


def test_boxes_of_vggss_are_clipped_to_the_frame_and_wrong_ones_refused(tmp_path):
    def boxes(bbox):
        text(tmp_path / "vggss.json", json.dumps([{"file": "a_1", "class": "bell", "bbox": bbox}]))
        return vggss.boxes(tmp_path)

    assert boxes([[-0.1, 0.2, 0.5, 1.2], [0, 0, 1, 1]]) == {
        "vggss/a_1": [(0, 0.2, 0.5, 1), (0, 0, 1, 1)]
    }
    for wrong in (
        None,
        [[0.1, 0.2, 0.3]],
        [[0.5, 0, 0.5, 1]],
        [[0, 0.9, 1, 0.1]],
        [["a", 0, 1, 1]],
        [0, 0, 1, 1],
    ):
        with pytest.raises(ConfigError, match="a_1"):
            boxes(wrong)


def test_a_shard_with_files_of_a_registered_modality_is_read(tmp_path, monkeypatch):
    shard(tmp_path / "0.tar", **{"a.depth": b"1 2", "a.PNG": b"", "a.txt": b"a wall"})
    assert [row["modality"] for row in webdataset.rows(tmp_path)] == ["image", "text"]
    entry = Modality(lambda path: path.read_text(), None, "#56B4E9", "v", (".depth",))
    monkeypatch.setitem(MODALITIES, "depth", entry)
    rows = list(webdataset.rows(tmp_path))
    assert [row["modality"] for row in rows] == ["depth", "image", "text"]
    assert load_item(rows[0]) == "1 2"


def test_the_caption_of_a_shard_item_is_its_txt_file_else_its_json(tmp_path):
    files = {
        "a.json": b'{"caption": "from json"}',
        "a.txt": b"from txt",
        "b.json": b'{"text": "a text"}',
        "c.json": b"[1]",
        "d.json": b"{damaged",
        "e.txt": b" ",
        "folder__e.txt": b"of another item",
    }
    shard(tmp_path / "0.tar", **files)
    captions = [row["caption"] for row in webdataset.rows(tmp_path)]
    assert captions == ["from txt", "a text", "of another item"]
