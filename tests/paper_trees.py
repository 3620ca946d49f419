"""A few small files in the layouts of the paper's corpora."""

import csv
import io
import json
import tarfile

import numpy as np
import soundfile
from PIL import Image


def picture(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), color).save(path)


def sound(path, seconds=1.0, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(np.arange(int(seconds * rate)) * 0.3), rate)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def table(path, header, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *lines])


def shard(path, **files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def record(seed):
    file = io.BytesIO()
    xyz = np.random.default_rng(seed).normal(size=(20, 3)).astype(np.float16)
    np.save(file, np.array({"xyz": xyz, "id": str(seed)}, object), allow_pickle=True)
    return xyz, file.getvalue()


def make_trees(root):
    """The corpora of the block `paper` below, a few items each, in the layouts of the downloads."""
    data = root / "data/paper"
    sentences = lambda image, n: [
        {"raw": f"Sentence {k} of {image}.", "sentid": 100 * image + k} for k in range(n)
    ]
    coco = [(1, "train", 2), (2, "test", 2), (3, "test", 3)]
    images = [
        {
            "filepath": "val2014",
            "filename": f"{id}.jpg",
            "cocoid": id,
            "split": split,
            "sentences": sentences(id, n),
        }
        for id, split, n in coco
    ]
    text(data / "coco/dataset_coco.json", json.dumps({"images": images}))
    for id in (2, 3):  # training uses captions alone
        picture(data / f"coco/val2014/{id}.jpg")
    text(
        data / "cc3m/Train_GCC-training.tsv", "".join(f"caption {k}\thttp://a\n" for k in range(9))
    )
    picture(data / "imagenet/train/n01/n01_1.JPEG")
    text(data / "audioset/class_labels_indices.csv", "index,mid,display_name\n0,/m/09x0r,Speech\n")
    ids = ["a" * 11, "b" * 11, "c" * 11]  # the second is in AVE, the third in AudioCaps
    text(
        data / "audioset/balanced_train_segments.csv",
        "".join(f'{id}, 30.000, 40.000, "/m/09x0r"\n' for id in ids),
    )
    for id in ids:
        sound(data / f"audioset/balanced_train/{id}_30.wav")
    text(data / "ave/testSet.txt", "Bark&bbbbbbbbbbb&good&0&1\nBark&ddddddddddd&good&0&1\n")
    for id in ("bbbbbbbbbbb", "ddddddddddd"):
        sound(data / f"ave/audio/{id}.wav")
        picture(data / f"ave/frames/{id}.jpg")
    table(
        data / "audiocaps/test.csv",
        ["audiocap_id", "youtube_id", "start_time", "caption"],
        ["1", ids[2], "30", "A hum"],
        ["2", ids[2], "30", "A buzz"],
    )
    sound(data / f"audiocaps/test/{ids[2]}_30.wav")
    off = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
    for name in ("bed_0001", "bed_0002", "night_stand_0001"):
        text(root / f"elsewhere/ModelNet40/{name[:-5]}/test/{name}.off", off)
    entries = [{"uid": uid, "group": "000-021", "category": uid} for uid in ("one", "two", "three")]
    text(data / "objaverse/lvis.json", json.dumps(entries[:2]))
    text(data / "objaverse/train_all.json", json.dumps(entries))
    (data / "objaverse/Objaverse/000-021").mkdir(parents=True)
    for k, entry in enumerate(entries):
        (data / f"objaverse/Objaverse/000-021/{entry['uid']}.npy").write_bytes(record(k)[1])
        picture(data / f"objaverse/images/{entry['uid']}.jpg")


PAPER = [
    {"corpus": "coco", "split": "train", "as": "train", "keep": "text"},
    {"corpus": "cc3m", "split": "train", "as": "train", "keep": "text", "most": 4},
    {"corpus": "imagenet", "split": "train", "as": "train", "keep": "image"},
    {"corpus": "audioset", "split": "balanced_train", "as": "train", "keep": "audio"},
    {"corpus": "objaverse", "split": "train_all", "as": "train", "keep": "points"},
    {"corpus": "ave", "split": "test", "as": "test"},
    {"corpus": "audiocaps", "split": "test", "as": "test"},
    {"corpus": "coco", "split": "test", "as": "test"},
    {"corpus": "modelnet40", "split": "test", "as": "test", "prompts": True, "folder": "elsewhere"},
    {"corpus": "objaverse", "split": "lvis", "as": "test"},
]
