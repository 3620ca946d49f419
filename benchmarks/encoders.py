"""How much does `Space.encode` cost over the encoder itself? Items per second on a CPU, from files, for every tower.

python benchmarks/encoders.py [--items 32] [--towers clip/image ulip2/points ...]

Two yardsticks, both with items taken one after the other:
  loop      what one writes without this project: open a file, the library's own preprocessing, the encoder, next file
  encoder   the encoder alone, on prepared tensors, one by one or 16 at a time, whichever is faster: the limit if
            loading were free
Networks have random weights, saved and loaded in the true formats. The last column is encode / loop; at least 0.95 is wanted.
A run of all towers is recorded in RESULTS.md and results.csv.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import record
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file

from exmcr.spaces import load_space

TOWERS = ("clip/image", "clip/text", "ulip2/points", "ulip2/image", "ulip2/text", "clap/audio", "clap/text")


def make_space(name: str, folder: Path):
    """A space of the true size with random weights, through the call a user makes."""
    torch.manual_seed(0)
    if name == "clip":
        import open_clip

        save_file(open_clip.create_model("ViT-B-32-quickgelu").state_dict(), folder / "clip.safetensors")
        return load_space("clip", checkpoint=folder / "clip.safetensors", device="cpu")
    if name == "ulip2":
        from exmcr.spaces.ulip import UlipNetwork

        state = {f"module.{key}": value for key, value in UlipNetwork().state_dict().items()}
        torch.save({"state_dict": state}, folder / "ulip.pt")
        return load_space("ulip2", checkpoint=folder / "ulip.pt", device="cpu")
    from exmcr.spaces import clap

    network, _ = clap._build(clap._import_laion())
    torch.save({"state_dict": network.state_dict()}, folder / "clap.pt")
    words = ["<s>", "<pad>", "</s>", "<unk>", *(chr(b) for b in range(33, 127)), "\u0120"]
    words += [f"unused{k}" for k in range(clap.VOCABULARY - len(words) - 1)] + ["<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return load_space("clap", checkpoint=folder / "clap.pt", tokenizer=folder, device="cpu")


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
        tokens = lambda text: space.tokenizer([text], padding="max_length", truncation=True, max_length=77, return_tensors="pt")
        return lambda text: tuple(tokens(text)[key] for key in ("input_ids", "attention_mask")), \
            lambda ids, mask: net.get_text_embedding({"input_ids": ids, "attention_mask": mask})
    laion = space._laion

    def mel(path):
        samples = laion.int16_to_float32(laion.float32_to_int16(soundfile.read(path, dtype="float32")[0]))
        found = laion.get_audio_features({}, torch.from_numpy(samples), 480_000, "fusion", "repeatpad", space._config["audio_cfg"])
        return found["mel_fusion"][None], found["longer"][None], found["waveform"][None]

    return mel, lambda mels, longer, waves: net.get_audio_embedding(
        [{"mel_fusion": m, "longer": flag, "waveform": w} for m, flag, w in zip(mels, longer, waves)])


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--towers", nargs="+", default=TOWERS, choices=TOWERS)
    arguments = parser.parse_args()
    print(f"{arguments.items} items, {torch.get_num_threads()} threads, items per second")
    print(f"{'tower':14}{'Space.encode':>14}{'loop':>10}{'encoder':>10}{'/ encoder':>11}{'/ loop':>9}")
    warnings.simplefilter("ignore")  # of laion_clap's deprecated arguments
    spaces, rows, load = {}, [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for tower in arguments.towers:
            name, modality = tower.split("/")
            if name not in spaces:
                spaces = {name: make_space(name, Path(folder))}
            space = spaces[name]
            items = make_items(modality, arguments.items, Path(folder))
            prepare, encode = bare(space, modality)
            prepared = [prepare(item) for item in items]
            batches = [[torch.cat(column) for column in zip(*prepared[k : k + 16])] for k in range(0, len(items), 16)]
            space.encode(modality, items[:2])
            # The fastest of several runs, since other work only ever slows one down; in turn, so that a slow minute falls on all.
            best = dict.fromkeys(("ours", "loop", "encoder"), float("inf"))
            for _ in range(arguments.repeats):
                best["ours"] = min(best["ours"], seconds(lambda: space.encode(modality, items)))
                best["loop"] = min(best["loop"], seconds(lambda: [encode(*prepare(item)) for item in items]))
                for chosen in (prepared, batches):
                    best["encoder"] = min(best["encoder"], seconds(lambda: [encode(*batch) for batch in chosen]))
            rate = {key: len(items) / value for key, value in best.items()}
            print(f"{tower:14}{rate['ours']:14.1f}{rate['loop']:10.1f}{rate['encoder']:10.1f}"
                  f"{rate['ours'] / rate['encoder']:11.2f}{rate['ours'] / rate['loop']:9.2f}", flush=True)
            for yardstick in ("loop", "encoder"):
                claim = f"encoders: {tower}, Space.encode against the {yardstick if yardstick == 'loop' else 'encoder alone, nothing loaded'}"
                rows.append({"claim": claim, "value": f"{rate['ours']:.1f}", "unit": "items/s", "baseline": f"{rate[yardstick]:.1f}",
                             "ratio": f"{rate['ours'] / rate[yardstick]:.2f}"})  # fmt: skip
    if set(arguments.towers) == set(TOWERS):
        note = f"{arguments.items} items, random weights in the true formats; wanted: at least 0.95 of the loop. Load average {load:.1f} before."
        record.write("encoders", rows, note)


if __name__ == "__main__":
    main()
