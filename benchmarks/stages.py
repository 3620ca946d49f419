"""Cost of the stages around training: extraction against its encoder alone, evaluation by tiles
against the whole matrix.

    python benchmarks/stages.py                 both parts (about 4 minutes), recorded in
                                                results.csv and RESULTS.md
    python benchmarks/stages.py --only extract  or evaluate
    python benchmarks/stages.py --quick         smaller sizes, printed only
"""

import itertools
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import record
import torch
from PIL import Image
from scipy.sparse import csr_array
from timing import DIM, against, anonymous_peak, bank_on_disk, row, seconds, unit_rows

from exmcr import media
from exmcr.banks.extraction import extract as extract_bank
from exmcr.evaluation.ranking import ranks_by_tiles, ranks_of_positives
from exmcr.spaces.base import Space


class ImageSpace(Space):
    """A residual network on 224 x 224 pixels with random weights: its cost is real, its vectors are
    not."""

    name, dim, modalities, fingerprint = "images", 512, ("image",), "benchmark"

    def __init__(self):
        from torchvision.models import resnet18

        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = resnet18(weights=None).eval().to(self.device)
        self.network.fc = torch.nn.Identity()

    def encode_batch(self, modality, items):
        pixels = torch.from_numpy(np.stack(items)).to(self.device).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            batches = pixels.div_(255).split(32)
            return np.concatenate([self.network(batch).cpu().numpy() for batch in batches])


def jpeg_files(count, folder):
    """Rows of an item table with `count` photograph-sized files."""
    rng = np.random.default_rng(0)
    paths = [Path(folder) / f"{i}.jpg" for i in range(count)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.BICUBIC).save(path, quality=90)
    return pd.DataFrame({"id": [path.name for path in paths], "path": list(map(str, paths))})


def load(item):
    return np.asarray(Image.fromarray(media.images.load(item.path)).resize((224, 224)))


def extract(quick, folder):
    """Items per second of `banks.extract` (JPEG files of 640 x 480, ResNet-18), beside the encoder
    alone on decoded items."""
    count, rounds, step = (128, 2, 64) if quick else (512, 3, 64)
    items, space, number = jpeg_files(count, folder), ImageSpace(), itertools.count()
    decoded = list(map(load, items.itertuples()))
    parts = [slice(i, i + step) for i in range(0, count, step)]

    def whole():
        target = Path(folder) / f"bank{next(number)}"
        extract_bank(space, "image", items, target, load, shard=step, progress=False)

    def encoder():
        for part in parts:
            space.encode_batch("image", decoded[part])

    def in_turn():
        for part in parts:
            space.encode_batch("image", list(map(load, items.iloc[part].itertuples())))

    encoder()
    runs = (whole, encoder, in_turn)
    times = [[seconds(run) for run in runs] for _ in range(rounds)]
    ours, *baselines = (count / statistics.median(column) for column in zip(*times))
    names = ("the encoder alone on decoded items", "decoding and encoding in turn")
    return [
        row(f"{count} JPEG files, against {name}", ours, "items/s", rate, ours / rate)
        for name, rate in zip(names, baselines)
    ]


def right_answers(n, m):
    """One random right answer per query, sparse (n, m)."""
    columns = np.random.default_rng(0).integers(m, size=n)
    return csr_array((np.ones(n, bool), (np.arange(n), columns)), shape=(n, m))


def measure(path, m, n):
    """Print peak private memory and seconds of ranking n queries in a gallery of m on disk; runs in
    its own process."""
    gallery, queries = np.load(path, mmap_mode="r")[:m], unit_rows(n, 1).numpy()
    ranks_by_tiles(queries[:64], gallery[:512], right_answers(64, 512))
    print(*anonymous_peak(lambda: ranks_by_tiles(queries, gallery, right_answers(n, m))))


def evaluate(quick, folder):
    """Peak memory and time of ranks by tiles against the size of the gallery, and against sorting
    the whole matrix."""
    n, sizes = 512, [20_000, 100_000] if quick else [100_000, 300_000, 1_000_000]
    rows, peaks, path = [], [], bank_on_disk(folder, sizes[-1])
    for m in sizes:
        out = subprocess.run(
            [sys.executable, __file__, "--measure", path, str(m), str(n)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.split()
        peaks.append(float(out[0]) / 1e9)
        size = f"gallery of {m} on disk ({float(out[1]):.1f} s)"
        claim = f"peak private memory, {n} queries, {size}"
        rows.append(row(claim, peaks[-1], "GB", peaks[0], peaks[-1] / peaks[0]))
    return [*rows, against_sorting(*((500, 5000) if quick else (2000, 20_000)))]


def against_sorting(n, m):
    queries, gallery = unit_rows(n, 1).numpy(), unit_rows(m, 2).numpy()
    positive = right_answers(n, m)

    def whole():
        return ranks_of_positives(queries @ gallery.T, positive.toarray())

    def tiles():
        return ranks_by_tiles(queries, gallery, positive)

    differ = sum(not np.array_equal(a, b) for a, b in zip(whole(), tiles()))
    note = f"({differ} queries differ, by rounding of ties)"
    claim = f"{n} x {m} x {DIM} by tiles against sorting the whole matrix {note}"
    return against(claim, tiles, whole)


PARTS = {"extract": extract, "evaluate": evaluate}


if __name__ == "__main__":
    record.run("stages", __doc__, PARTS, measure)
