"""Benchmark results that papers published, and how each was measured.

All values are per cent. Sources: tables that the authors publish in their own repositories
(SOURCES). A protocol that we inferred from the numbers, or did not find stated, says so in `note`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SOURCES = {  # {short name: (where in it, URL)}
    "OmniBind, retrieval": (
        "table 2 of OmniBind, images/retrieval.png",
        "https://github.com/omnibind/omnibind.github.io",
    ),
    "OmniBind, classification": (
        "table 3 of OmniBind, images/classification.png",
        "https://github.com/omnibind/omnibind.github.io",
    ),
    "FreeBind": ("figures 1 and 2, assets/", "https://github.com/zehanwang01/FreeBind"),
    "Ex-MCR": ("tables of the paper [assumed]", "https://arxiv.org/abs/2310.08884"),
    "TextME": ("README, and tables of arXiv:2602.03098", "https://github.com/SoyeonHH/TextME"),
}


class Result(NamedTuple):
    """One published number."""

    benchmark: str  # key of BENCHMARKS
    model: str  # key of MODELS
    metric: str  # name of exmcr.evaluation.metrics
    value: float  # per cent
    source: str  # key of SOURCES


@dataclass(frozen=True)
class Benchmark:
    """A protocol.

    corpus   key of exmcr.corpora.paper.PAPER_CORPORA
    split    as the reader of the corpus calls it
    sizes    {task: (queries, gallery)}; the value is the mean over the tasks if there are several
    metrics  published metrics, in the order of the tables
    note     what is inferred or assumed of the protocol
    prompts  whether the value depends on the wording of class prompts
    """

    corpus: str
    split: str
    sizes: dict[str, tuple[int, int]]
    metrics: tuple[str, ...] = ("r1", "r5")
    note: str = ""
    prompts: bool = False


@dataclass(frozen=True)
class Model:
    """A model with published results.

    ours    the method of this library that is evaluated beside it; "" if there is none
    spaces  {modality of a leaf, or "base": (space, its options)} that the published model uses
    """

    ours: str = ""
    spaces: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)


def _both(
    a: str, b: str, corpus: str, split: str, n_a: int, n_b: int, note: str, **more: Any
) -> Benchmark:
    """Both directions of retrieval; their mean is what is published."""
    sizes = {f"{a}->{b} ({corpus})": (n_a, n_b), f"{b}->{a} ({corpus})": (n_b, n_a)}
    return Benchmark(corpus, split, sizes, note=note, **more)


def _one(source: str, target: str, corpus: str, split: str, n: int, m: int) -> Benchmark:
    """One direction of retrieval."""
    return Benchmark(corpus, split, {f"{source}->{target} ({corpus})": (n, m)})


def _classes(
    modality: str, corpus: str, split: str, n: int, classes: int, note: str = ""
) -> Benchmark:
    """Zero-shot classification."""
    sizes = {f"{modality}->text ({corpus})": (n, classes)}
    return Benchmark(corpus, split, sizes, note=note, prompts=True)


_MEAN = "mean of both directions [inferred: CLIP has 50.1 and 30.4 on COCO]"
_SIZES = f"{_MEAN}; number of clips of the official list [assumed]"
_PAIRS = "mean of both directions [assumed]"
BENCHMARKS = {
    "AudioCaps": _both("audio", "text", "audiocaps", "test", 975, 4875, _SIZES),
    "Clotho": _both("audio", "text", "clotho", "evaluation", 1045, 5225, _MEAN),
    "VGG-SS": _both("audio", "image", "vggss", "test", 5158, 5158, f"{_PAIRS}; size [assumed]"),
    "FlickrNet": _both(
        "audio", "image", "flickrnet", "test", 5000, 5000, f"{_PAIRS}; size [assumed]"
    ),
    "COCO": _both("image", "text", "coco", "test", 5000, 25010, _MEAN),
    "Flickr30K": _both("image", "text", "flickr30k", "test", 1000, 5000, _MEAN),
    "Objaverse": _both(
        "points",
        "image",
        "objaverse",
        "lvis",
        46205,
        46205,
        f"{_PAIRS}; one of twelve renders of each shape, drawn at random",
        metrics=("r1", "r5", "map"),
    ),
    "AudioCaps, text to audio": _one("text", "audio", "audiocaps", "test", 4875, 975),
    "Clotho, text to audio": _one("text", "audio", "clotho", "evaluation", 5225, 1045),
    "COCO, text to image": _one("text", "image", "coco", "test", 25010, 5000),
    "Flickr30K, text to image": _one("text", "image", "flickr30k", "test", 5000, 1000),
    "AudioSet": Benchmark(
        "audioset",
        "eval",
        {"text->audio (audioset)": (527, 20371)},
        ("map",),
        "mean over classes; number of clips of the official list [assumed]",
        prompts=True,
    ),
    "ESC-50": _classes("audio", "esc50", "all", 2000, 50),
    "ImageNet": _classes("image", "imagenet", "val", 50000, 1000),
    "Objaverse-LVIS": _classes("points", "objaverse", "lvis", 46205, 1156),
    "ScanObjectNN": _classes(
        "points",
        "scanobjectnn",
        "all",
        2890,
        15,
        "all objects without background [inferred: the values are multiples of 1/2890]",
    ),
    "ModelNet40": _classes("points", "modelnet40", "test", 2468, 40),
}

_CLIP = ("clip", {"model": "ViT-B-32-quickgelu", "tag": "openai"})
_CLAP = ("clap", {"checkpoint": "630k-fusion-best"})
MODELS = {
    "Ex-MCR": Model("exmcr", {"base": _CLIP, "audio": _CLAP, "points": ("ulip2", {})}),
    "C-MCR": Model("cmcr", {"base": _CLIP, "audio": _CLAP}),
    "CLAP": Model("leaf", {"audio": _CLAP}),
    "ULIP v2": Model("leaf", {"points": ("ulip2", {})}),
    "ImageBind": Model(),
    "LanguageBind": Model(),
    "ImageBind++ (FreeBind)": Model(),
    "OmniBind-Full": Model(),
    "TextME": Model(),
}

# Versions of Ex-MCR in its NeurIPS 2024 paper. The authors' repository has ex_clap.pt and
# ex_ulip.pt, which extend CLIP ViT-B/32, and names no version.
NOT_RELEASED = {
    "Ex-MCR-base": "weights not released under this name; the projectors that the authors "
    "released extend CLIP ViT-B/32, and may be this version [assumed]",
    "Ex-MCR-huge": "weights not released",
    "Ex-MCR-huge + ImageBind": "weights not released",
}

_RETRIEVAL = "AudioCaps Clotho VGG-SS FlickrNet COCO Flickr30K Objaverse"
_ZERO_SHOT = "AudioSet ESC-50 ImageNet Objaverse-LVIS ScanObjectNN ModelNet40"
# {source: (benchmarks, {model: values of each benchmark, "/" between metrics, "-" for none})}
_TABLES = [
    (
        "OmniBind, retrieval",
        _RETRIEVAL,
        {
            "C-MCR": "15.76/41.37 8.37/24.86 1.94/7.69 1.39/5.97 16.67/37.04 34.16/63.64 -",
            "Ex-MCR": "19.07/47.05 7.01/22.04 2.13/8.13 1.57/5.94 40.24/64.78 71.89/90.55 "
            "2.54/8.25",
            "ULIP v2": "- - - - - - 6.00/15.63",
            "CLAP": "40.25/76.21 18.46/41.70 - - - - -",
            "ImageBind": "9.24/27.47 6.64/17.28 14.82/35.67 7.68/20.79 57.28/79.54 86.04/96.97 -",
            "LanguageBind": "12.42/36.70 11.32/31.03 2.55/9.86 1.52/6.36 53.24/76.48 82.36/96.19 -",
            "OmniBind-Full": "46.72/79.69 23.27/49.46 15.64/38.19 8.32/23.49 62.64/83.79 "
            "89.13/97.82 46.55/69.92",
        },
    ),
    (
        "FreeBind",
        _RETRIEVAL,
        {
            "ImageBind++ (FreeBind)": "29.16/62.98 13.67/33.19 15.48/39.26 8.01/21.87 57.01/79.23 "
            "85.91/97.03 -"
        },
    ),
    (
        "OmniBind, classification",
        _ZERO_SHOT,
        {
            "C-MCR": "11.15 70.35/96.70 24.50/52.44 - - -",
            "Ex-MCR": "6.67 71.20/96.80 60.79/86.98 17.94/43.37 40.31/77.20 66.53/93.60",
            "CLAP": "23.36 90.95 - - - -",
            "ImageBind": "13.96 67.25/87.50 76.31/94.23 - - -",
            "LanguageBind": "18.33 94.00/99.70 77.15/94.64 - - -",
            "OmniBind-Full": "25.14 93.45/99.85 79.93/95.86 53.56/81.82 64.67/94.36 87.12/99.03",
        },
    ),
    ("FreeBind", "ESC-50", {"Ex-MCR": "68.35"}),
    ("TextME", "FlickrNet ESC-50 ScanObjectNN ModelNet40", {"TextME": "1.06 77.25 42.15 70.86"}),
]
_TEXTME = {"AudioCaps": 15.35, "Clotho": 7.81, "COCO": 28.63, "Flickr30K": 51.66}  # from text
_MAP = {"Ex-MCR": 6.23, "ULIP v2": 11.41}  # of Objaverse


def published() -> list[Result]:
    """All published results, benchmark by benchmark in the order of BENCHMARKS."""
    found = [result for table in _TABLES for result in _results(*table)]
    found += [Result("Objaverse", model, "map", value, "Ex-MCR") for model, value in _MAP.items()]
    for corpus, value in _TEXTME.items():
        target = "audio" if corpus in ("AudioCaps", "Clotho") else "image"
        found.append(Result(f"{corpus}, text to {target}", "TextME", "r1", value, "TextME"))
    places, models = list(BENCHMARKS), list(MODELS)
    return sorted(found, key=lambda r: (places.index(r.benchmark), models.index(r.model)))


def _results(source: str, names: str, lines: dict[str, str]) -> Iterator[Result]:
    benchmarks = names.split()
    for model, line in lines.items():
        for benchmark, cell in zip(benchmarks, line.split(), strict=True):
            values = [] if cell == "-" else [float(value) for value in cell.split("/")]
            # CLAP's cell of ESC-50, say, has top 1 alone.
            for metric, value in zip(BENCHMARKS[benchmark].metrics, values):
                yield Result(benchmark, model, metric, value, source)
