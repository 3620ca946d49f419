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


def hdf5(path, **datasets):
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values


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


def make_benchmark_trees(root):
    """The corpora of the block BENCHMARKS below, a few items each; not together with make_trees."""
    data = root / "data/paper"
    _sounds(data)
    _images(data)
    _shapes(data)
    videos = [
        {"video_id": f"video{k}", "split": split, "url": f"https://www.youtube.com/watch?v={id}"}
        for k, (id, split) in enumerate((("s" * 11, "train"), ("e" * 11, "train"), ("v" * 11, "validate")))
    ]  # fmt: skip
    sentences = [
        {"video_id": f"video{k}", "sen_id": 10 * k + j, "caption": f"sentence {j} on video {k}"}
        for k in range(3)
        for j in range(2)
    ]
    note = json.dumps({"videos": videos, "sentences": sentences})
    text(data / "msrvtt/train_val_videodatainfo.json", note)
    notes = {str(k): {"movie": "1", "sentence": f"She opens door {k}."} for k in range(2)}
    text(data / "mad/annotations/MAD_train.json", json.dumps(notes))


def _sounds(data):
    esc50 = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    clips = (("1-100032-A-0", "dog"), ("2-1-A-11", "sea_waves"), ("5-2-B-0", "dog"))
    lines = [[f"{name}.wav", name[0], "0", kind, "True", "1", "A"] for name, kind in clips]
    gone = ["3-9-A-49.wav", "3", "49", "hand_saw", "False", "9", "A"]
    table(data / "esc50/meta/esc50.csv", esc50, *lines, gone)
    for k, (name, _) in enumerate(clips):
        sound(data / f"esc50/audio/{name}.wav", seconds=1 + k / 10)
    classes = [("0", "/m/09x0r", "Speech"), ("1", "/m/1", "Gush, flow"), ("2", "/m/2", "Purr")]
    table(data / "audioset/class_labels_indices.csv", ["index", "mid", "display_name"], *classes)
    for split, lines in (
        ("eval", (f'{"e" * 11}, 0.000, 10.000, "/m/09x0r,/m/1"', f'{"f" * 11}, 30.000, 40.000, "/m/1"')),
        ("unbalanced_train", (f'{"g" * 11}, 30.000, 40.000, "/m/2"',)),
    ):  # fmt: skip
        text(data / f"audioset/{split}_segments.csv", "# YTID, ...\n" + "\n".join(lines) + "\n")
        for k, line in enumerate(lines):
            sound(data / f"audioset/{split}/{line[:11]}.wav", seconds=2 + k / 10)
    header = ["file_name", *(f"caption_{k}" for k in range(1, 6))]
    for k, name in enumerate("ab"):
        sound(data / f"clotho/evaluation/{name}.wav", seconds=3 + k / 10)
    lines = [[f"{name}.wav", *(f"sound {k} of {name}" for k in range(5))] for name in "ab"]
    table(data / "clotho/clotho_captions_evaluation.csv", header, *lines)


def _images(data):
    images = [
        {
            "filename": f"{id}.jpg",
            "split": split,
            "sentences": [
                {"raw": f"Sentence {k} of {id}.", "sentid": 5 * id + k} for k in range(5)
            ],
        }
        for id, split in ((1, "train"), (2, "test"), (3, "test"))
    ]
    text(data / "flickr30k/dataset_flickr30k.json", json.dumps({"images": images}))
    for id, color in ((1, "red"), (2, "lime"), (3, "blue")):
        picture(data / f"flickr30k/flickr30k-images/{id}.jpg", color)
    text(data / "imagenet/classnames.txt", "n01 tench\nn02 great white shark\nn03 crane bird\n")
    lines = [[f"ILSVRC2012_val_{k:08}", f"n0{k} 1 2 3 4 n03 1 1 5 5"] for k in (1, 2)]
    table(data / "imagenet/LOC_val_solution.csv", ["ImageId", "PredictionString"], *lines)
    for k, color in ((1, "black"), (2, "white")):
        picture(data / f"imagenet/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_{k:08}.JPEG", color)


def _shapes(data):
    rng = np.random.default_rng(0)
    for begin, labels in (("training", [4, 9]), ("test", [4, 14])):
        clouds = rng.normal(size=(2, 20, 3)).astype(np.float32)
        path = data / f"scanobjectnn/main_split_nobg/{begin}_objectdataset.h5"
        hdf5(path, data=clouds, label=np.array(labels, np.uint8))
    entries = [
        {"uid": uid, "group": "000-021", "category": category}
        for uid, category in (("1a", "fire_extinguisher"), ("2b", "bolt"), ("3c", ""))
    ]
    text(data / "objaverse/lvis.json", json.dumps(entries[:2]))
    text(data / "objaverse/train_all.json", json.dumps(entries))
    (data / "objaverse/Objaverse/000-021").mkdir(parents=True)
    for k, entry in enumerate(entries):
        (data / f"objaverse/Objaverse/000-021/{entry['uid']}.npy").write_bytes(record(k)[1])
    for uid in ("1a", "2b"):
        for k in range(12):
            picture(data / f"objaverse/images/000-021/{uid}/{k}.png", (20 * k, ord(uid[0]), 0))


BENCHMARKS = [
    {"corpus": "msrvtt", "split": "train", "as": "train", "keep": "text"},
    {"corpus": "mad", "split": "train", "as": "train", "keep": "text"},
    {"corpus": "flickr30k", "split": "train", "as": "train", "keep": "image"},
    {"corpus": "audioset", "split": "unbalanced_train", "as": "train", "keep": "audio"},
    {"corpus": "objaverse", "split": "train_all", "as": "train", "keep": "points"},
    {"corpus": "esc50", "split": "all", "as": "test", "prompts": True},
    {"corpus": "audioset", "split": "eval", "as": "test", "prompts": True},
    {"corpus": "clotho", "split": "evaluation", "as": "test"},
    {"corpus": "flickr30k", "split": "test", "as": "test"},
    {"corpus": "imagenet", "split": "val", "as": "test", "prompts": True},
    {"corpus": "scanobjectnn", "split": "all", "as": "test", "prompts": True},
    {"corpus": "objaverse", "split": "lvis", "as": "test", "prompts": True},
]
