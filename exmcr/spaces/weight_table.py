"""Where the published weights come from: one row per file."""

from typing import NamedTuple


class Weight(NamedTuple):
    """A file of published weights and its source."""

    file: str  # name in the weights folder
    space: str  # the space that loads it
    megabytes: int  # approximate size
    license: str
    page: str  # page on which a person finds it
    repo: str = ""  # model hub: repository, path in it, and kind; empty if it is not there
    path: str = ""
    kind: str = "model"
    url: str = ""  # plain download, where there is no repository
    note: str = "not verified"  # what was checked of this row, and against which source
    sha256: str = ""  # empty: recorded on first use instead of checked


def _clap(name: str, note: str) -> Weight:
    return Weight(
        f"{name}.pt",
        "clap",
        1860,
        "not stated (code: CC0, not verified)",
        "https://huggingface.co/lukewys/laion_clap",
        "lukewys/laion_clap",
        f"{name}.pt",
        note=note,
    )


def _roberta(file: str) -> Weight:
    return Weight(
        f"roberta-base/{file}",
        "clap",
        1,
        "MIT",
        "https://huggingface.co/FacebookAI/roberta-base",
        "FacebookAI/roberta-base",
        file,
        note="tokenizer of CLAP; size not verified",
    )


def _projector(name: str, megabytes: int, page: str) -> Weight:
    return Weight(
        f"{name}.pt",
        "projectors",
        megabytes,
        "CC-BY 4.0",
        page,
        url=f"{page}/raw/main/checkpoints/{name}.pt",
        note="folder checkpoints/ as in the authors' README; direct address and size not verified",
    )


_OPEN_CLIP = "repository and file as open_clip 3.3 names them"
_CLAP = "location as in the README of LAION-AI/CLAP; size not verified"
_ULIP = "ULIP-2-PointBERT-8k-xyz-pc-slip_vit_b-objaverse-pretrained.pt"
_ULIP_BUCKET = "https://storage.googleapis.com/sfr-ulip-code-release-research/pretrained_models"
_EXMCR, _CMCR = "https://github.com/MCR-PEFT/Ex-MCR", "https://github.com/MCR-PEFT/C-MCR"

WEIGHTS = (
    Weight(
        "ViT-B-32-openai.safetensors",
        "clip",
        605,
        "MIT",
        "https://huggingface.co/timm/vit_base_patch32_clip_224.openai",
        "timm/vit_base_patch32_clip_224.openai",
        "open_clip_model.safetensors",
        note=_OPEN_CLIP,
    ),
    Weight(
        "ViT-L-14-openai.safetensors",
        "clip (larger)",
        1710,
        "MIT",
        "https://huggingface.co/timm/vit_large_patch14_clip_224.openai",
        "timm/vit_large_patch14_clip_224.openai",
        "open_clip_model.safetensors",
        note=_OPEN_CLIP,
    ),
    _clap("630k-fusion-best", f"used in the paper; {_CLAP}"),
    _clap("630k-audioset-fusion-best", _CLAP),
    _roberta("vocab.json"),
    _roberta("merges.txt"),
    Weight(
        _ULIP,
        "ulip2",
        700,
        "not stated (code: BSD-3-Clause)",
        "https://huggingface.co/datasets/SFXX/ulip",
        "SFXX/ulip",
        f"ULIP-2/pretrained_models/{_ULIP}",
        kind="dataset",
        note="dataset as in the README of salesforce/ULIP since 2025-05, path as in other public "
        "projects; probably equal to pointbert_ULIP-2.pt (coordinates only, SLIP ViT-B, 512-d), "
        "but neither that nor the size is verified",
    ),
    Weight(
        "pointbert_ULIP-2.pt",
        "ulip2",
        700,
        "not stated (code: BSD-3-Clause)",
        "https://github.com/salesforce/ULIP",
        url=f"{_ULIP_BUCKET}/ckpt_zero-sho_classification/pointbert_ULIP-2.pt",
        note="file name as used by the authors of the paper; bucket and path as in the README of "
        "salesforce/ULIP, which since 2025-05 says that some users cannot access it and points to "
        "the row above; access without sign-in and size not verified",
    ),
    _projector("ex_clap", 10, _EXMCR),
    _projector("ex_ulip", 10, _EXMCR),
    _projector("clap_clip", 9, _CMCR),
    _projector("ulip_clip", 2, _CMCR),
)
