"""What `Space.encode` takes beside the encoder itself, from files and on a CPU, for every tower of the real spaces.

    python benchmarks/encoders.py                three parts, recorded in results.csv and RESULTS.md (about 4 minutes)
    python benchmarks/encoders.py --only clip    or ulip2 or clap
    python benchmarks/encoders.py --quick        fewer items, printed only

Networks have random weights, saved and loaded in the true formats. Both yardsticks take items one after the other, and call the
library's own network as it is, without exmcr.layers:
  loop            what one writes without this project: open a file, the library's own preprocessing, the encoder, next file
  encoder alone   on prepared tensors, one by one or 16 at a time, whichever is faster: the limit if loading were free
"""

import warnings
from pathlib import Path

import numpy as np
import random_encoders
import record
import soundfile
import torch
from aggregate import row, seconds
from PIL import Image

from exmcr.spaces import load_space


def make_items(modality: str, n: int, folder: Path) -> list:
    """Photograph-sized JPEGs (640 x 480), ten-second sounds at 48 kHz, clouds of 10,000 points, captions."""
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
    """(prepare one item -> tensors of a batch of one, encoder of such tensors), without any code of `Space`."""
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
        found = laion.get_audio_features(
            {},
            torch.from_numpy(samples),
            480_000,
            "fusion",
            "repeatpad",
            space._config["audio_cfg"],
        )
        return found["mel_fusion"][None], found["longer"][None], found["waveform"][None]

    return mel, lambda mels, longer, waves: net.get_audio_embedding(
        [
            {"mel_fusion": m, "longer": flag, "waveform": w}
            for m, flag, w in zip(mels, longer, waves)
        ]
    )


def measure(space, quick: bool, folder: str) -> list[dict]:
    """Items per second of every tower of a space, against both yardsticks."""
    rows = []
    for modality in space.modalities:
        items = make_items(modality, 4 if quick else 16, Path(folder))
        prepare, encode = bare(space, modality)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of laion_clap's deprecated arguments
            prepared = [prepare(item) for item in items]
            batches = [
                [torch.cat(column) for column in zip(*prepared[k : k + 16])]
                for k in range(0, len(items), 16)
            ]
            runs = {
                "ours": lambda: space.encode(modality, items),
                "loop": lambda: [encode(*prepare(item)) for item in items],
                "one by one": lambda: [encode(*item) for item in prepared],
                "batches": lambda: [encode(*batch) for batch in batches],
            }
            # The fastest of several runs, since other work only ever slows one down; in turn, so that a slow minute falls on all.
            took = [
                {name: seconds(run) for name, run in runs.items()} for _ in range(1 if quick else 4)
            ]
        best = {name: min(one[name] for one in took) for name in runs}
        yardsticks = {
            "the loop": best["loop"],
            "the encoder alone, nothing loaded": min(best["one by one"], best["batches"]),
        }
        for name, bare_seconds in yardsticks.items():
            rows.append(
                row(
                    f"{modality}, Space.encode against {name} (claim: 0.95)",
                    len(items) / best["ours"],
                    "items/s",
                    len(items) / bare_seconds,
                    bare_seconds / best["ours"],
                )
            )
    return rows


def clip(quick, folder):
    """CLIP ViT-B/32 of open_clip, 16 items each: photographs of 640 x 480 pixels, and captions."""
    return measure(
        load_space("clip", checkpoint=random_encoders.clip(Path(folder)), device="cpu"),
        quick,
        folder,
    )


def ulip2(quick, folder):
    """ULIP-2, 16 items each: clouds of 10,000 points, photographs of 640 x 480 pixels, and captions."""
    return measure(
        load_space("ulip2", checkpoint=random_encoders.ulip(Path(folder)), device="cpu"),
        quick,
        folder,
    )


def clap(quick, folder):
    """LAION-CLAP with fusion, 16 items each: sounds of 10 s at 48 kHz, and captions."""
    weights, tokenizer = random_encoders.clap(Path(folder)), random_encoders.tokenizer(Path(folder))
    return measure(
        load_space("clap", checkpoint=weights, tokenizer=tokenizer, device="cpu"), quick, folder
    )


PARTS = {"clip": clip, "ulip2": ulip2, "clap": clap}


if __name__ == "__main__":
    record.run("encoders", __doc__, PARTS)
