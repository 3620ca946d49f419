"""The share of `Space.encode` that is not the encoder, from files and on a CPU, for every tower of
the real spaces.

    python benchmarks/encoders.py              three parts (about 4 minutes), recorded in
                                               results.csv and RESULTS.md
    python benchmarks/encoders.py --only clip  or ulip2 or clap
    python benchmarks/encoders.py --quick      fewer items, printed only

Networks have random weights, saved and loaded in the published formats. Both baselines call the
network of the original library as it is, without exmcr.kernels.layers:

loop           what one writes without this project: for one file after the other, open it, run the
               preprocessing of the library and the encoder
encoder alone  on prepared tensors, one by one or 16 at a time, whichever is faster: the limit if
               loading took no time
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import random_encoders
import record
import soundfile
import torch
from PIL import Image
from timing import row, seconds

from exmcr.spaces import load_space


def make_items(modality: str, n: int, folder: Path) -> list:
    """Photograph-sized JPEGs (640 x 480), ten-second sounds at 48 kHz, clouds of 10,000 points,
    captions."""
    rng = np.random.default_rng(0)
    if modality == "text":
        return [f"a photograph, number {k}, of a dog that barks at the rain" for k in range(n)]
    paths = [folder / f"{modality}{k}" for k in range(n)]
    for k, path in enumerate(paths):
        if modality == "image":
            coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            paths[k] = path.with_suffix(".jpg")
            coarse.resize((640, 480), Image.BICUBIC).save(paths[k], quality=90)
        elif modality == "audio":
            paths[k] = path.with_suffix(".wav")
            soundfile.write(paths[k], 0.1 * rng.normal(size=480_000), 48_000)
        else:
            paths[k] = path.with_suffix(".npy")
            np.save(paths[k], rng.normal(size=(10_000, 3)).astype(np.float16))
    return paths


def bare(space, modality: str):
    """(prepare, encode) of a tower without any code of `Space`: one item -> tensors of a batch of
    one, and the encoder of such tensors."""
    if space.name == "clip":
        model = space.model
        if modality == "image":
            return lambda path: (space.preprocess(Image.open(path))[None],), model.encode_image
        return lambda text: (space.tokenize([text]),), model.encode_text
    net = space.network
    if space.name == "ulip2":
        from exmcr.spaces.pointbert import group

        if modality == "points":  # sampling and grouping are part of the published encoder
            encode = lambda clouds: net.encode_points(*group(clouds))
            return lambda path: (torch.from_numpy(np.load(path).astype(np.float32))[None],), encode
        if modality == "image":
            return lambda path: (space._prepare_images(Image.open(path))[None],), net.encode_image
        return lambda text: (space._tokenize([text]),), net.encode_text
    if modality == "text":
        tokens = lambda text: space.tokenizer(
            [text], padding="max_length", truncation=True, max_length=77, return_tensors="pt"
        )
        return lambda text: tuple(
            tokens(text)[key] for key in ("input_ids", "attention_mask")
        ), lambda ids, mask: net.get_text_embedding({"input_ids": ids, "attention_mask": mask})
    laion = space._laion

    def mel(path):
        samples = laion.int16_to_float32(
            laion.float32_to_int16(soundfile.read(path, dtype="float32")[0])
        )
        sound, config = torch.from_numpy(samples), space._config["audio_cfg"]
        features = laion.get_audio_features({}, sound, 480_000, "fusion", "repeatpad", config)
        return tuple(features[name][None] for name in ("mel_fusion", "longer", "waveform"))

    return mel, lambda mels, longer, waves: net.get_audio_embedding(
        [
            {"mel_fusion": m, "longer": flag, "waveform": w}
            for m, flag, w in zip(mels, longer, waves)
        ]
    )


def measure(space, quick: bool, folder: str) -> list[dict]:
    """Items per second of every tower of a space, against both baselines."""
    rows = []
    for modality in space.modalities:
        items = make_items(modality, 4 if quick else 16, Path(folder))
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of laion_clap's deprecated arguments
            runs = towers(space, modality, items)
            # The fastest of several runs, since other work only slows a run down; in alternation,
            # so that a slow minute affects all.
            times = [
                {name: seconds(run) for name, run in runs.items()} for _ in range(1 if quick else 4)
            ]
        best = {name: min(took[name] for took in times) for name in runs}
        baselines = {
            "the loop": best["loop"],
            "the encoder alone, nothing loaded": min(best["one by one"], best["batches"]),
        }
        for name, took in baselines.items():
            claim = f"{modality}, Space.encode against {name} (claim: 0.95)"
            ours = len(items) / best["ours"]
            rows.append(row(claim, ours, "items/s", len(items) / took, took / best["ours"]))
    return rows


def towers(space, modality: str, items: list) -> dict[str, Callable]:
    """Four ways to encode `items`."""
    prepare, encode = bare(space, modality)
    prepared = [prepare(item) for item in items]
    batches = [
        [torch.cat(column) for column in zip(*prepared[k : k + 16])]
        for k in range(0, len(items), 16)
    ]
    return {
        "ours": lambda: space.encode(modality, items),
        "loop": lambda: [encode(*prepare(item)) for item in items],
        "one by one": lambda: [encode(*item) for item in prepared],
        "batches": lambda: [encode(*batch) for batch in batches],
    }


def clip(quick, folder):
    """CLIP ViT-B/32 of open_clip, 16 items each: photographs of 640 x 480 pixels, and captions."""
    weights = random_encoders.clip(Path(folder))
    return measure(load_space("clip", checkpoint=weights, device="cpu"), quick, folder)


def ulip2(quick, folder):
    """ULIP-2, 16 items each: clouds of 10,000 points, photographs of 640 x 480 pixels, captions."""
    weights = random_encoders.ulip(Path(folder))
    return measure(load_space("ulip2", checkpoint=weights, device="cpu"), quick, folder)


def clap(quick, folder):
    """LAION-CLAP with fusion, 16 items each: sounds of 10 s at 48 kHz, and captions."""
    weights, tokenizer = random_encoders.clap(Path(folder)), random_encoders.tokenizer(Path(folder))
    space = load_space("clap", checkpoint=weights, tokenizer=tokenizer, device="cpu")
    return measure(space, quick, folder)


PARTS = {"clip": clip, "ulip2": ulip2, "clap": clap}


if __name__ == "__main__":
    record.run("encoders", __doc__, PARTS)
