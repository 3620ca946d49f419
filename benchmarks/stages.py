"""What the stages around training cost: extraction against its encoder alone, evaluation by tiles against the whole matrix.

python benchmarks/stages.py                  both parts, recorded in results.csv and RESULTS.md (about 4 minutes)
python benchmarks/stages.py --only extract   or evaluate
python benchmarks/stages.py --quick          smaller sizes, printed only"""

import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import record
import torch
from aggregate import DIM, anonymous_peak, bank_on_disk, row, seconds, unit_rows
from PIL import Image
from scipy.sparse import csr_array

from exmcr import media
from exmcr.banks import extraction as banks
from exmcr.evaluation import ranking as retrieval
from exmcr.spaces.base import Space


class Pictures(Space):
    """A residual network on 224 x 224 pixels with random weights: what it computes has no meaning, what it costs is real."""

    name, dim, modalities, fingerprint = "pictures", 512, ("image",), "benchmark"

    def __init__(self):
        from torchvision.models import resnet18

        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = resnet18(weights=None).eval().to(self.device)
        self.network.fc = torch.nn.Identity()

    def encode_batch(self, modality, items):
        with torch.inference_mode():
            pixels = (
                torch.from_numpy(np.stack(items))
                .to(self.device)
                .permute(0, 3, 1, 2)
                .float()
                .div_(255)
            )
            return np.concatenate([self.network(part).cpu().numpy() for part in pixels.split(32)])


def extract(quick, folder):
    """Items per second of `banks.extract` (JPEG files of 640 x 480, ResNet-18), beside the encoder alone on decoded items."""
    count, rounds = (128, 2) if quick else (512, 3)
    rng = np.random.default_rng(0)
    paths = [Path(folder) / f"{i}.jpg" for i in range(count)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.BICUBIC).save(path, quality=90)
    items, space = (
        pd.DataFrame({"id": [path.name for path in paths], "path": [str(path) for path in paths]}),
        Pictures(),
    )

    def load(item):
        return np.asarray(Image.fromarray(media.images.load(item.path)).resize((224, 224)))

    decoded = [load(item) for item in items.itertuples()]
    step, number = 64, iter(range(1000))
    runs = {
        "extract": lambda: banks.extract(
            space,
            "image",
            items,
            Path(folder) / f"bank{next(number)}",
            load,
            shard=step,
            progress=False,
        ),
        "encoder": lambda: [
            space.encode_batch("image", decoded[i : i + step]) for i in range(0, count, step)
        ],
        "in turn": lambda: [
            space.encode_batch(
                "image", [load(item) for item in items.iloc[i : i + step].itertuples()]
            )
            for i in range(0, count, step)
        ],
    }
    runs["encoder"]()
    found = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    rate = {name: count / statistics.median(times[name] for times in found) for name in runs}
    names = {
        "encoder": "the encoder alone on decoded items",
        "in turn": "decoding and encoding in turn",
    }
    return [
        row(
            f"{count} JPEG files, against {what}",
            rate["extract"],
            "items/s",
            rate[name],
            rate["extract"] / rate[name],
        )
        for name, what in names.items()
    ]


def right_answers(n, m):
    return csr_array(
        (np.ones(n, bool), (np.arange(n), np.random.default_rng(0).integers(m, size=n))),
        shape=(n, m),
    )


def measure(path, m, n):
    """In a process of its own: peak private memory and seconds of ranking n queries among m answers on disk."""
    gallery, queries = np.load(path, mmap_mode="r")[:m], unit_rows(n, 1).numpy()
    retrieval.ranks_by_tiles(queries[:64], gallery[:512], right_answers(64, 512))
    print(*anonymous_peak(lambda: retrieval.ranks_by_tiles(queries, gallery, right_answers(n, m))))


def evaluate(quick, folder):
    """Peak memory and time of ranks by tiles against the size of the gallery, and against sorting the whole matrix."""
    n, sizes, rows, peaks = (
        512,
        ([20_000, 100_000] if quick else [100_000, 300_000, 1_000_000]),
        [],
        [],
    )
    path = bank_on_disk(folder, sizes[-1])
    for m in sizes:
        out = subprocess.run(
            [sys.executable, __file__, "--measure", path, str(m), str(n)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.split()
        peaks.append(float(out[0]) / 1e9)
        rows.append(
            row(
                f"peak private memory, {n} queries, gallery of {m} on disk ({float(out[1]):.1f} s)",
                peaks[-1],
                "GB",
                peaks[0],
                peaks[-1] / peaks[0],
            )
        )
    n, m = (500, 5000) if quick else (2000, 20_000)
    queries, gallery, positive = (
        unit_rows(n, 1).numpy(),
        unit_rows(m, 2).numpy(),
        right_answers(n, m),
    )
    whole, tiled = (
        (lambda: retrieval.ranks_of_positives(queries @ gallery.T, positive.toarray())),
        lambda: retrieval.ranks_by_tiles(queries, gallery, positive),
    )
    differ = sum(not np.array_equal(a, b) for a, b in zip(whole(), tiled()))
    pairs = [(seconds(whole), seconds(tiled)) for _ in range(3)]
    return rows + [
        row(
            f"{n} x {m} x {DIM} by tiles against sorting the whole matrix ({differ} queries differ, by rounding of ties)",
            statistics.median(t for _, t in pairs),
            "s",
            statistics.median(w for w, _ in pairs),
            statistics.median(w / t for w, t in pairs),
        )
    ]


PARTS = {"extract": extract, "evaluate": evaluate}


if __name__ == "__main__":
    record.run("stages", __doc__, PARTS, measure)
