"""Shards and lists of corpora, as a table (tests/inputs_table.py): what is read, what is refused."""

import io
import itertools
import json
import logging
import os
import shutil
import tarfile
from collections import Counter

import numpy as np
import pytest
import soundfile
from inputs_table import case, check, params, refused
from paper_trees import hdf5, picture, shard, sound, table, text
from PIL import Image

from exmcr.common.errors import BadItem, ConfigError
from exmcr.corpora.paper import PAPER_CORPORA, build, load_item, paper_corpora
from exmcr.media import tars

POLICY = """Lists are UTF-8, with or without byte order mark; a missing column, a row of another length and bytes that are
not UTF-8 are refused with the file, the line and the column. In shards, files belong together that have the same name up
to the suffix, in any order. What is left out of a corpus is counted and said in one warning per folder or shard."""


def picture_bytes(kind="PNG", color="blue"):
    file = io.BytesIO()
    Image.new("RGB", (8, 6), color).save(file, kind)
    return file.getvalue()


def sound_bytes(kind="WAV", subtype=None):
    file = io.BytesIO()
    samples = 0.5 * np.sin(np.arange(4000) * 0.3)
    soundfile.write(file, samples, 8000, format=kind, subtype=subtype)
    return file.getvalue()


PNG, WAV = picture_bytes(), sound_bytes()
TETRAHEDRON = b"0 0 0\n1 0 0\n0 1 0\n0 0 1\n"
OFF = b"OFF\n4 4 0\n" + TETRAHEDRON + b"3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
OBJ = b"".join(b"v " + line + b"\n" for line in TETRAHEDRON.splitlines())


def tar(**files):
    """A corpus of one shard. `__` in names stands for a folder."""
    return lambda folder: (shard(folder / "0.tar", **files), ("webdataset", folder, ""))[1]


def tar_of(make):
    """A corpus of one shard that `make(tar)` fills."""

    def making(folder):
        with tarfile.open(folder / "0.tar", "w") as opened:
            make(opened)
        return "webdataset", folder, ""

    return making


def add(tar, name, content, **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def load(corpus):
    """{modality: captions, or number of items}, of all rows of a corpus; each item is loaded."""
    name, root, split = corpus
    rows = list(paper_corpora(name, root, split))
    assert len({row["id"] for row in rows}) == len(rows)
    found = {}
    for row in rows:
        item = load_item(row)
        if row["modality"] == "text":
            found.setdefault("text", []).append(item)
        else:
            found[row["modality"]] = found.get(row["modality"], 0) + 1
    return found


def captions(*texts, image=1):
    return {"image": image, "text": list(texts)} if image else {"text": list(texts)}


def note(**content):
    return json.dumps(content).encode()


def sparse(tar):
    """0.png as a sparse file: only its first bytes are stored, behind the map of GNU tar."""
    blocks = [(0, len(PNG))]
    header = "".join(f"{n}\n" for n in [len(blocks), *(n for block in blocks for n in block)])
    stored = header.encode().ljust(512, b"\0") + PNG
    names = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "0.png",
        "GNU.sparse.realsize": str(len(PNG) + 100),
    }
    add(tar, "GNUSparseFile.0/0.png", stored, pax_headers=names)


SHARDS = [
    case("captions", ".txt", tar(**{"0.png": PNG, "0.txt": b"a dog\n"}), "its text", captions("a dog")),
    case("captions", "field caption of .json", tar(**{"0.png": PNG, "0.json": note(caption="a dog")}), "its text", captions("a dog")),
    case("captions", "field text of .json, a string", tar(**{"0.png": PNG, "0.json": note(text="a dog")}), "its text", captions("a dog")),
    case("captions", "field text of .json, a list", tar(**{"0.png": PNG, "0.json": note(text=["a dog", "a pup"], tag=[])}), "each text of the list", captions("a dog", "a pup")),
    case("captions", "field captions of .json", tar(**{"0.png": PNG, "0.json": note(captions=["a dog", "a pup"])}), "each text of the list", captions("a dog", "a pup")),
    case("captions", "a list with blanks, null and twice the same", tar(**{"0.png": PNG, "0.json": note(text=["a dog", " ", None, "a dog ", 5])}), "each text once", captions("a dog")),
    case("captions", "an empty list, then another field", tar(**{"0.png": PNG, "0.json": note(caption=[], text="a dog")}), "the field that has a text", captions("a dog")),
    case("captions", "a number, a list of lists or a mapping in .json", tar(**{"0.png": PNG, "0.json": note(caption=5, text=[["a"]], captions={"en": "a"})}), "no caption", {"image": 1}),
    case("captions", ".json that is a list", tar(**{"0.png": PNG, "0.json": b"[1]"}), "no caption", {"image": 1}),
    case("captions", ".json that is cut off", tar(**{"0.png": PNG, "0.json": b'{"text": "a'}), "left out, counted", {"image": 1}),
    case("captions", ".json of 100,000 nested lists", tar(**{"0.png": PNG, "0.json": b"[" * 100_000}), "left out, counted", {"image": 1}),
    case("captions", ".txt and .json", tar(**{"0.png": PNG, "0.json": note(text="no"), "0.txt": b"a dog"}), "that of .txt", captions("a dog")),
    case("captions", "an empty .txt and .json", tar(**{"0.png": PNG, "0.txt": b" \n", "0.json": note(text="a dog")}), "that of .json", captions("a dog")),
    case("captions", "byte order mark", tar(**{"0.png": PNG, "0.txt": b"\xef\xbb\xbfa dog"}), "without it", captions("a dog")),
    case("captions", "byte order mark in .json", tar(**{"0.png": PNG, "0.json": b"\xef\xbb\xbf" + note(text="a dog")}), "without it", captions("a dog")),
    case("captions", "UTF-16 with byte order mark", tar(**{"0.png": PNG, "0.txt": "a dog".encode("utf-16")}), "its text", captions("a dog")),
    case("captions", "Latin-1", tar(**{"0.png": PNG, "0.txt": "caf\u00e9".encode("latin-1")}), "left out, counted", {"image": 1}),
    case("captions", "more than 1 MiB", tar(**{"0.png": PNG, "0.txt": b"a " * 600_000}), "left out, counted", {"image": 1}),
    case("captions", "a lone surrogate in .json", tar(**{"0.png": PNG, "0.json": b'{"text": "a dog \\ud83d"}'}), "with U+FFFD", captions("a dog \ufffd")),
    case("captions", "suffixes in capitals", tar(**{"0.PNG": PNG, "0.TXT": b"a dog", "1.Png": PNG, "1.JSON": note(text="a cat")}), "as in lower case", captions("a dog", "a cat", image=2)),
    case("keys", "unsorted shard", tar(**{"0.png": PNG, "1.png": PNG, "1.txt": b"one", "0.txt": b"zero"}), "together by name", captions("zero", "one", image=2)),
    case("keys", "captions before all pictures", tar(**{"0.txt": b"zero", "1.txt": b"one", "1.png": PNG, "0.png": PNG}), "together by name", captions("zero", "one", image=2)),
    case("keys", "one name in two folders", tar(**{"a__0.png": PNG, "b__0.png": PNG, "b__0.txt": b"of b"}), "two items", captions("of b", image=2)),
    case("keys", "dots in a name: Track 2.0 (Clean).wav", tar(**{"Track 2.0 (Clean).wav": WAV, "Track 2.0 (Clean).txt": b"a song"}), "one item", {"audio": 1, "text": ["a song"]}),
    case("keys", "img.2021.png and img.2022.png", tar(**{"img.2021.png": PNG, "img.2022.png": PNG, "img.2022.txt": b"later"}), "two items", captions("later", image=2)),
    case("keys", "0.left.png with 0.txt", tar(**{"0.left.png": PNG, "0.txt": b"left"}), "one item", captions("left")),
    case("keys", "0.left.png and 0.right.png with 0.txt", tar(**{"0.left.png": PNG, "0.right.png": PNG, "0.txt": b"two"}), "the first picture; the other is counted", captions("two")),
    case("keys", "0.jpg and 0.png", tar(**{"0.jpg": picture_bytes("JPEG"), "0.png": PNG, "0.txt": b"a dog"}), "the first picture; the other is counted", captions("a dog")),
    case("keys", "a picture and a sound of one name", tar(**{"0.png": PNG, "0.wav": WAV, "0.txt": b"a dog"}), "an item with both", {"image": 1, "audio": 1, "text": ["a dog"]}),
    case("keys", "hidden files and folders of macOS", tar(**{"._0.png": b"x", "__MACOSX__0.csv": b"", "0.png": PNG}), "left out, counted", {"image": 1}),
    case("keys", "one member twice", tar_of(lambda t: (add(t, "0.txt", b"old"), add(t, "0.txt", b"new"))), "the last one, as tar does", captions("new", image=0)),
    case("keys", "blanks and umlauts in a name", tar(**{"ein Hund \u00e4.png": PNG, "ein Hund \u00e4.txt": b"a dog"}), "one item", captions("a dog")),
    case("keys", "name that is not UTF-8", tar_of(lambda t: add(t, os.fsdecode(b"caf\xe9.png"), PNG)), "the picture (no row in an item table)", {"image": 1}),
    case("keys", "name with '::'", tar_of(lambda t: add(t, "a::b.png", PNG)), "the picture", {"image": 1}),
    *(case("suffixes", suffix, tar(**{f"0{suffix}": content}), "an item", {kind: 1}) for suffix, kind, content in [
        (".gif", "image", picture_bytes("GIF")), (".bmp", "image", picture_bytes("BMP")), (".tif", "image", picture_bytes("TIFF")),
        (".webp", "image", picture_bytes("WEBP")), (".avif", "image", picture_bytes("AVIF")), (".jpeg", "image", picture_bytes("JPEG")),
        (".flac", "audio", sound_bytes("FLAC")), (".ogg", "audio", sound_bytes("OGG")), (".mp3", "audio", sound_bytes("MP3")),
        (".opus", "audio", sound_bytes("OGG", "OPUS")), (".aif", "audio", sound_bytes("AIFF")), (".aiff", "audio", sound_bytes("AIFF")),
        (".off", "points", OFF), (".obj", "points", OBJ), (".xyz", "points", TETRAHEDRON), (".pts", "points", b"4\n" + TETRAHEDRON),
    ]),
    case("suffixes", ".cls, .tar.gz, .pyd and no suffix", tar(**{"0.png": PNG, "0.cls": b"1", "0.tar.gz": b"", "0": b""}), "left out, counted", {"image": 1}),
    case("suffixes", ".m4a, which libsndfile cannot read", tar(**{"0.m4a": b"x", "0.txt": b"a song"}), "left out, counted", captions("a song", image=0)),
    case("tars", "sparse member", tar_of(sparse), "its content with zeros in the holes", {"image": 1}),
    case("tars", "links and folders", tar_of(lambda t: (add(t, "a", b"", type=tarfile.DIRTYPE), add(t, "1.png", b"", type=tarfile.SYMTYPE, linkname="0.png"), add(t, "0.png", PNG))), "left out", {"image": 1}),
    case("tars", "suffix .TAR", lambda f: (shard(f / "0.TAR", **{"0.png": PNG}), ("webdataset", f, ""))[1], "a shard", {"image": 1}),
    case("tars", "a folder with '::' in its name", lambda f: (shard(f / "a::b/0.tar", **{"0.png": PNG}), ("webdataset", f, ""))[1], "a shard", {"image": 1}),
    case("tars", "empty shard beside another", lambda f: (shard(f / "0.tar"), shard(f / "1.tar", **{"0.png": PNG}), ("webdataset", f, ""))[2], "no items of it", {"image": 1}),
    refused("tars", "compressed", lambda f: (tarfile.open(f / "0.tar", "w:gz").close(), ("webdataset", f, ""))[1], "0.tar is not a readable tar"),
    refused("tars", "a web page", lambda f: ((f / "0.tar").write_text("<html>"), ("webdataset", f, ""))[1], "0.tar is not a readable tar"),
    refused("tars", "no shard", lambda f: ("webdataset", f, ""), "no .tar in"),
    refused("tars", "cut off in a member", lambda f: (shard(f / "1.tar", **{"0.txt": b"a" * 2000}), (f / "0.tar").write_bytes((f / "1.tar").read_bytes()[:1500]), ("webdataset", f, ""))[2], "0.tar is not a readable tar"),
]  # fmt: skip

ROWS = "audiocap_id,youtube_id,start_time,caption\n1,abcdefghijk,30,a hum\n"


def audiocaps(content, name="abcdefghijk_30.wav", encoding="utf-8"):
    def make(folder):
        (folder / "test.csv").write_bytes(content.encode(encoding))
        sound(folder / "test" / name) if name.endswith(".wav") else text(
            folder / "test" / name, "x"
        )
        return "audiocaps", folder, "test"

    return make


def audioset(content, encoding="utf-8"):
    def make(folder):
        text(folder / "class_labels_indices.csv", "index,mid,display_name\n0,/m/09x0r,Speech\n")
        (folder / "eval_segments.csv").write_bytes(content.encode(encoding))
        sound(folder / "eval/abcdefghijk_30.wav")
        return "audioset", folder, "eval"

    return make


def listed(name, split, path, content, *files, encoding="utf-8"):
    """A corpus with a list and some sounds and pictures."""

    def make(folder):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode(encoding))
        for file in files:
            (sound if file.endswith(".wav") else picture)(folder / file)
        return name, folder, split

    return make


def scans(**datasets):
    """ScanObjectNN with these datasets in its test file."""

    def make(folder):
        hdf5(folder / "main_split_nobg/test_objectdataset.h5", **datasets)
        return "scanobjectnn", folder, "test"

    return make


HUM = {"audio": 1, "text": ["a hum"]}
BOTH = {"audio": 1, "image": 1}
CLOTHO = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
KARPATHY = {"images": [{"filepath": "v", "filename": "1.jpg", "cocoid": 1, "split": "test", "sentences": [{"raw": "a dog", "sentid": 1}]}]}  # fmt: skip
COCO = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "id": 1, "caption": "a dog"}]}  # fmt: skip
MSRVTT = {"videos": [{"video_id": "video0", "split": "train"}], "sentences": [{"video_id": "video0", "sen_id": 0, "caption": "a dog "}]}  # fmt: skip
OFFICIAL = "coco", "val2017", "annotations/captions_val2017.json"

LISTS = [
    case("AudioCaps", "test.csv", audiocaps(ROWS), "sounds and captions", HUM),
    case("AudioCaps", "byte order mark (Excel)", audiocaps("\ufeff" + ROWS), "the same", HUM),
    case("AudioCaps", "UTF-16", audiocaps(ROWS, encoding="utf-16"), "the same", HUM),
    case("AudioCaps", "line ends of Windows", audiocaps(ROWS.replace("\n", "\r\n")), "the same", HUM),
    case("AudioCaps", "line ends of old Macs", audiocaps(ROWS.replace("\n", "\r")), "the same", HUM),
    case("AudioCaps", "trailing commas", audiocaps(ROWS.replace("\n", ",\n")), "the same", HUM),
    case("AudioCaps", "trailing commas in rows only", audiocaps(ROWS[:-1] + ",,\n"), "the same", HUM),
    case("AudioCaps", "blanks behind commas", audiocaps(ROWS.replace(",", ", ")), "the same", HUM),
    case("AudioCaps", "blank lines", audiocaps(ROWS + "\n\n,,,\n"), "the same", HUM),
    case("AudioCaps", "columns in another order, and more of them", audiocaps("caption,x,start_time,youtube_id,audiocap_id\na hum,?,30,abcdefghijk,1\n"), "the same", HUM),
    case("AudioCaps", "start_time as 30.0", audiocaps(ROWS.replace(",30,", ",30.0,")), "the same", HUM),
    case("AudioCaps", "a caption with quoted commas and lines", audiocaps(ROWS.replace("a hum", '"a hum,\nloud"')), "one caption", {"audio": 1, "text": ["a hum, loud"]}),
    refused("AudioCaps", "no column start_time", audiocaps("youtube_id,caption\na,b\n"), "test.csv has no column audiocap_id, start_time; its columns are youtube_id, caption"),
    refused("AudioCaps", "semicolons (Excel in other languages)", audiocaps(ROWS.replace(",", ";")), "test.csv has no column"),
    refused("AudioCaps", "no header", audiocaps(ROWS.splitlines()[1]), "test.csv has no column"),
    refused("AudioCaps", "empty file", audiocaps(""), "test.csv is empty"),
    refused("AudioCaps", "a caption with an unquoted comma", audiocaps(ROWS.replace("a hum", "a hum, loud")), "test.csv, line 2: 5 values for 4 columns"),
    refused("AudioCaps", "a row that is cut off", audiocaps(ROWS[:-7]), "test.csv, line 2: 3 values for 4 columns"),
    refused("AudioCaps", "a start time that is no number", audiocaps(ROWS.replace(",30,", ",half,")), "line 2: start_time is 'half', not a number"),
    refused("AudioCaps", "Latin-1", audiocaps(ROWS.replace("hum", "caf\u00e9"), encoding="latin-1"), "test.csv is not UTF-8"),
    refused("AudioCaps", "a field of 200,000 characters", audiocaps(ROWS + "x" * 200_000), "test.csv, line 3: field larger"),
    refused("AudioCaps", ".m4a, as downloaders leave them", audiocaps(ROWS, "abcdefghijk_30.m4a"), "none of the 1 listed items is on disk"),
    case("AudioSet", "segments", audioset('# a\n# b\nabcdefghijk, 30.000, 40.000, "/m/09x0r,/m/1"\n'), "sounds", {"audio": 1}),
    case("AudioSet", "classes that are not quoted", audioset("abcdefghijk, 30, 40, /m/09x0r,/m/1\n"), "sounds", {"audio": 1}),
    case("AudioSet", "byte order mark", audioset('\ufeff# a\nabcdefghijk, 30, 40, "/m/09x0r"\n'), "sounds", {"audio": 1}),
    refused("AudioSet", "a time that is no number", audioset("abcdefghijk, x, 40, /m/1\n"), "eval_segments.csv: not `YTID, start_seconds"),
    refused("AudioSet", "two columns", audioset("abcdefghijk, 30\n"), "eval_segments.csv: not `YTID, start_seconds"),
    refused("AudioSet", "class list without mid", lambda f: (audioset("abcdefghijk, 30, 40, /m/1\n")(f), text(f / "class_labels_indices.csv", "a,b\n1,2\n"), ("audioset", f, "eval"))[2], "class_labels_indices.csv has no column mid, display_name"),
    case("Clotho", "captions", listed("clotho", "evaluation", "clotho_captions_evaluation.csv", CLOTHO + "a.wav,one,two,,,\n", "evaluation/a.wav"), "those that are there", {"audio": 1, "text": ["one", "two"]}),
    case("Clotho", "byte order mark", listed("clotho", "evaluation", "clotho_captions_evaluation.csv", "\ufeff" + CLOTHO + "a.wav,one,,,,\n", "evaluation/a.wav"), "the same", {"audio": 1, "text": ["one"]}),
    refused("Clotho", "no column caption_1", listed("clotho", "evaluation", "clotho_captions_evaluation.csv", "file_name,caption\na.wav,one\n", "evaluation/a.wav"), "has no column caption_1"),
    case("AVE", "byte order mark, line ends of Windows", listed("ave", "test", "testSet.txt", "\ufeffBark&a&good&0&1\r\n", "audio/a.wav", "frames/a.jpg"), "sound and frame", BOTH),
    refused("AVE", "Latin-1", listed("ave", "test", "testSet.txt", "Caf\u00e9&a&good&0&1\n", "audio/a.wav", "frames/a.jpg", encoding="latin-1"), "testSet.txt is not UTF-8"),
    case("Flickr-SoundNet", "byte order mark, blank lines", listed("flickrnet", "test", "flickr_test.csv", "\ufeffa\n\n \n", "audio/a.wav", "frames/a.jpg"), "sound and frame", BOTH),
    case("Flickr-SoundNet", "other files beside the frames", listed("flickrnet", "test", "flickr_test.csv", "a\n", "audio/a.wav", "frames/a.jpg", "frames/.hidden.png"), "sound and frame", BOTH),
    case("VGG-SS", "vggss.json", listed("vggss", "test", "vggss.json", '[{"file": "a", "class": "bell"}]', "audio/a.wav", "frames/a.jpg"), "sound and frame", BOTH),
    refused("VGG-SS", "an entry without file", listed("vggss", "test", "vggss.json", '[{"class": "bell"}]', "audio/a.wav", "frames/a.jpg"), "vggss.json: no 'file' where it must hold a list of clips"),
    refused("VGG-SS", "a mapping", listed("vggss", "test", "vggss.json", '{"a": 1}', "audio/a.wav", "frames/a.jpg"), "vggss.json: .*must hold a list of clips", "it must hold a list of clips"),
    refused("VGG-SS", "cut off", listed("vggss", "test", "vggss.json", '[{"file"', "audio/a.wav", "frames/a.jpg"), "vggss.json is not JSON"),
    case("COCO", "official captions", listed(*OFFICIAL, json.dumps(COCO), "val2017/1.jpg"), "picture and captions", captions("a dog")),
    case("COCO", "byte order mark", listed(*OFFICIAL, "\ufeff" + json.dumps(COCO), "val2017/1.jpg"), "the same", captions("a dog")),
    refused("COCO", "instances instead of captions", listed(*OFFICIAL, json.dumps(COCO | {"annotations": [{"image_id": 1, "id": 1, "bbox": []}]}), "val2017/1.jpg"), "captions_val2017.json: no 'caption' where it must hold `images` and `annotations` of COCO"),
    refused("COCO", "a list", listed(*OFFICIAL, "[]", "val2017/1.jpg"), "captions_val2017.json: .*must hold `images`", "it must hold `images` and `annotations`"),
    case("COCO", "Karpathy's file", listed("coco", "test", "dataset_coco.json", json.dumps(KARPATHY), "v/1.jpg"), "picture and captions", captions("a dog")),
    refused("COCO", "Karpathy's file without splits", listed("coco", "test", "dataset_coco.json", json.dumps({"images": [{"cocoid": 1}]}), "v/1.jpg"), "dataset_coco.json: no 'split'"),
    case("CC3M", "byte order mark and a header", listed("cc3m", "train", "Train_GCC-training.tsv", "\ufeffcaption\turl\na dog\thttp://a\n"), "captions", captions("a dog", image=0)),
    case("CC3M", "quotes and U+2028 inside a caption", listed("cc3m", "train", "Train_GCC-training.tsv", 'a "dog\u2028 here\thttp://a\n'), "one caption", captions('a "dog here', image=0)),
    refused("CC3M", "Latin-1 in a later line", listed("cc3m", "train", "Train_GCC-training.tsv", "a\tb\nc\td\ncaf\u00e9\n", encoding="latin-1"), "Train_GCC-training.tsv is not UTF-8"),
    case("ImageNet", "name that is not UTF-8", lambda f: (picture(f / "train" / "n01" / os.fsdecode(b"caf\xe9.png")), ("imagenet", f, "train"))[1], "the picture (no row in an item table)", {"image": 1}),
    case("ImageNet", "name with '::'", listed("imagenet", "train", "LOC_synset_mapping.txt", "n01 tench\n", "train/n01/a::b.JPEG"), "the picture", {"image": 1}),
    case("ImageNet", "byte order mark in the class names", listed("imagenet", "train", "LOC_synset_mapping.txt", "\ufeffn01 tench\n", "train/n01/a.JPEG"), "the picture", {"image": 1}),
    case("ModelNet40", "list with line ends of Windows", lambda f: (text(f / "modelnet40_test.txt", "bed_0001\r\n\r\n"), text(f / "bed/bed_0001.txt", "0,0,0\n1,0,0\n0,1,0\n"), ("modelnet40", f, "test"))[2], "the cloud", {"points": 1}),
    case("ESC-50", "byte order mark, line ends of Windows", listed("esc50", "all", "meta/esc50.csv", "\ufefffilename,fold,target,category\r\na.wav,1,0,sea_waves\r\n", "audio/a.wav"), "the clip", {"audio": 1}),
    refused("ESC-50", "no column category", listed("esc50", "all", "meta/esc50.csv", "filename,fold\na.wav,1\n", "audio/a.wav"), "esc50.csv has no column category"),
    case("ScanObjectNN", "datasets data and label", scans(data=np.random.default_rng(0).random((2, 9, 3)), label=[0, 14]), "clouds", {"points": 2}),
    refused("ScanObjectNN", "a label beyond 14", scans(data=np.ones((1, 9, 3)), label=[15]), "test_objectdataset.h5: a label 15; it must hold `data`"),
    refused("ScanObjectNN", "fewer labels than clouds", scans(data=np.ones((2, 9, 3)), label=[1]), "test_objectdataset.h5: 1 labels for 2 shapes"),
    refused("ScanObjectNN", "no dataset label", scans(data=np.ones((2, 9, 3))), "test_objectdataset.h5: there is no dataset `label`"),
    refused("ScanObjectNN", "a web page", lambda f: (text(f / "main_split_nobg/test_objectdataset.h5", "<html>"), ("scanobjectnn", f, "test"))[1], "test_objectdataset.h5: unreadable HDF5 file"),
    case("Flickr30K", "Karpathy's file", listed("flickr30k", "test", "dataset_flickr30k.json", json.dumps(KARPATHY), "flickr30k-images/1.jpg"), "picture and captions", captions("a dog")),
    case("Flickr30K", "byte order mark", listed("flickr30k", "test", "dataset_flickr30k.json", "\ufeff" + json.dumps(KARPATHY), "flickr30k-images/1.jpg"), "the same", captions("a dog")),
    refused("Flickr30K", "Karpathy's file without file names", listed("flickr30k", "test", "dataset_flickr30k.json", json.dumps({"images": [{"split": "test"}]}), "flickr30k-images/1.jpg"), "dataset_flickr30k.json: no 'filename'"),
    case("MSR-VTT", "videos and sentences", listed("msrvtt", "train", "train_val_videodatainfo.json", json.dumps(MSRVTT)), "sentences", captions("a dog", image=0)),
    refused("MSR-VTT", "videos alone", listed("msrvtt", "train", "train_val_videodatainfo.json", json.dumps({"videos": []})), "train_val_videodatainfo.json: no 'sentences'"),
    refused("MSR-VTT", "a number as caption", listed("msrvtt", "train", "train_val_videodatainfo.json", json.dumps(MSRVTT | {"sentences": [{"video_id": "video0", "sen_id": 0, "caption": 1}]})), "videodatainfo.json: .*it must hold `videos`", "it must hold `videos` and `sentences` of MSR-VTT"),
    case("MAD", "sentences by id", listed("mad", "train", "annotations/MAD_train.json", '{"7": {"movie": "1", "sentence": "She runs. "}}'), "sentences", captions("She runs.", image=0)),
    refused("MAD", "an entry without sentence", listed("mad", "train", "annotations/MAD_train.json", '{"7": {"movie": "1"}}'), "MAD_train.json: no 'sentence'"),
    refused("MAD", "a list", listed("mad", "train", "annotations/MAD_train.json", "[]"), "MAD_train.json: .*must hold a `sentence` for each id", "it must hold a `sentence` for each id"),
    refused("Objaverse", "an entry without group", listed("objaverse", "lvis", "lvis.json", '[{"uid": "a"}]'), "lvis.json: no 'group' where it must hold a list of shapes"),
    refused("Objaverse", "numbers as ids", listed("objaverse", "lvis", "lvis.json", '[{"uid": 5, "group": "0"}]'), "lvis.json: an entry with values that are no texts"),
    refused("Objaverse", "a list of texts", listed("objaverse", "lvis", "lvis.json", '["a"]'), "lvis.json: .*must hold a list of shapes", "it must hold a list of shapes"),
]  # fmt: skip
TABLE = SHARDS + LISTS


@pytest.mark.parametrize("case", params(TABLE))
def test_a_corpus_is_read_or_refused_as_the_table_says(case, tmp_path):
    tars._cached_tar.cache_clear()
    corpus = case.make(tmp_path)
    check(case, load, corpus, lambda found, expected: found == expected, ConfigError)


@pytest.mark.parametrize(
    "name", [entry.given for entry in SHARDS if "counted" in entry.outcome], ids=str
)
def test_what_is_left_out_of_a_shard_is_said_in_one_line_with_an_example(name, tmp_path, caplog):
    entry = next(entry for entry in SHARDS if entry.given == name)
    load(entry.make(tmp_path))
    (message,) = [record.getMessage() for record in caplog.records]
    assert "0.tar: left out: 1 " in message or "0.tar: left out: 2 " in message
    assert "(e.g. " in message and "\n" not in message


def test_sounds_that_cannot_be_read_are_said_while_listing(tmp_path, caplog):
    _, root, split = audiocaps(ROWS + "2,bbbbbbbbbbb,0,a buzz\n")(tmp_path)
    text(root / "test/bbbbbbbbbbb_0.m4a", "x")
    assert [row["caption"] for row in paper_corpora("audiocaps", root, split)] == ["", "a hum"]
    said = [record.getMessage() for record in caplog.records]
    assert "1 .m4a files, which libsndfile cannot read: convert them" in said[0]
    assert "1 of 2 listed items are not on disk" in said[1]


def test_a_name_that_occurs_twice_is_said(tmp_path, caplog):
    _, root, split = audiocaps(ROWS)(tmp_path)
    sound(root / "test/sub/abcdefghijk_30.wav")
    list(paper_corpora("audiocaps", root, split))
    assert "1 files of a name that occurs before (e.g. abcdefghijk_30)" in caplog.text


def entry(corpus, split, **more):
    return {"corpus": corpus, "split": split, "as": "train", "folder": corpus} | more


def test_items_whose_names_no_table_can_hold_are_left_out_with_a_word(tmp_path, caplog):
    picture(tmp_path / "imagenet/train/n01/a::b.png")
    picture(tmp_path / "imagenet/train/n01" / os.fsdecode(b"caf\xe9.png"))
    shard(tmp_path / "webdataset/all/0.tar", **{"1.txt": b"a", "0.json": b'{"text": "b \\ud83d"}'})
    build.build(tmp_path, [
        entry("imagenet", "train", keep="image", most=5),
        entry("webdataset", "all", keep="text"),
    ])  # fmt: skip
    import pandas as pd

    table = pd.read_parquet(tmp_path / "data/items.parquet")
    assert table.caption.tolist() == ["", "a", "b \ufffd"] and len(table) == 3
    assert table.path[0].endswith("n01/a::b.png")
    assert "imagenet train: left out: 1 items whose name is not UTF-8" in caplog.text
    assert "caf\\udce9" in caplog.text


def test_a_corpus_without_an_item_of_the_modality_is_named(tmp_path):
    shard(tmp_path / "webdataset/all/0.tar", **{"1.txt": b"a"})
    with pytest.raises(ConfigError, match="webdataset all: no items of modality 'audio' in"):
        build.build(tmp_path, [entry("webdataset", "all", keep="audio")])


def test_members_larger_than_the_limit_and_damaged_ones_are_bad_items(tmp_path, monkeypatch):
    shard(tmp_path / "0.tar", **{"0.wav": WAV, "1.png": b"damaged"})
    rows = list(paper_corpora("webdataset", tmp_path))
    with pytest.raises(BadItem, match="unreadable image: 0.tar::1.png|unreadable image"):
        load_item(rows[1])
    monkeypatch.setattr(tars, "LARGEST", 100)
    with pytest.raises(BadItem, match="0.tar::0.wav: it has .* bytes, more than 100; assign"):
        load_item(rows[0])


LIST_SUFFIXES = (".csv", ".txt", ".json", ".tsv", ".tar", ".TAR")


def damage_one_list(folder, rng):
    """Change up to three bytes of a list or shard, or cut it off."""
    files = [p for p in sorted(folder.rglob("*")) if p.suffix in LIST_SUFFIXES and p.is_file()]
    path = files[rng.integers(len(files))]
    content = bytearray(path.read_bytes())
    for place in rng.integers(min(len(content), 1500), size=rng.integers(1, 4)):
        content[place] = rng.integers(256)
    path.write_bytes(content[: rng.integers(len(content))] if rng.random() < 0.2 else content)


def read_all(corpus, counts):
    """Load every item of a corpus; count how it ends."""
    try:
        for row in paper_corpora(*corpus):
            try:
                load_item(row)
            except BadItem as error:
                counts["bad items"] += 1
                assert "\n" not in str(error)
        counts["read"] += 1
    except ConfigError as error:
        counts["refused"] += 1
        assert "\n" not in str(error)


def test_damaged_lists_and_shards_raise_nothing_but_errors_of_one_line(tmp_path, caplog):
    """EXMCR_BATTERY multiplies the number of damaged corpora, 150."""
    caplog.set_level(logging.ERROR)
    rng, counts = np.random.default_rng(0), Counter()
    makers = itertools.cycle(entry.make for entry in TABLE if entry.accepted)
    for k in range(150 * int(os.environ.get("EXMCR_BATTERY", 1))):
        folder = tmp_path / str(k)
        folder.mkdir()
        corpus = next(makers)(folder)
        if not any(path.suffix in LIST_SUFFIXES for path in folder.rglob("*")):
            continue
        damage_one_list(folder, rng)
        read_all(corpus, counts)
        shutil.rmtree(folder)
    assert counts["read"] > 20 and counts["refused"] > 20, counts


def test_every_corpus_with_a_list_stands_in_the_table():
    kinds = {entry.kind for entry in LISTS}
    assert len(kinds) == len(PAPER_CORPORA) - 1 and table  # webdataset has a part of its own
