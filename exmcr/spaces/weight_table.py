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
    sha256: str = ""  # of the published file; empty: recorded on first use instead of checked
    git: str = ""  # SHA-1 by which git names the published file, where git stores it
    revision: str = "main"  # of the repository: a commit where one is known


def _clap(name: str, note: str) -> Weight:
    return Weight(
        f"{name}.pt",
        "clap",
        1860,
        "not stated (code: CC0, not verified)",
        "https://huggingface.co/lukewys/laion_clap",
        "lukewys/laion_clap",
        f"{name}.pt",
        note=f"{note}; no hash is published, revision as other public projects pin it",
        revision="b3708341862f581175dba5c356a4ebf74a9b6651",
    )


def _roberta(file: str, sha256: str) -> Weight:
    return Weight(
        f"roberta-base/{file}",
        "clap",
        1,
        "MIT",
        "https://huggingface.co/FacebookAI/roberta-base",
        "FacebookAI/roberta-base",
        file,
        note=f"tokenizer of CLAP; {_PINNED}",
        sha256=sha256,
        revision="e2da8e2f811d1448a5b465c236feacd80ffbac7b",
    )


def _clap_hf(file: str, megabytes: int = 1) -> Weight:
    return Weight(
        f"clap-htsat-fused/{file}",
        "clap-hf",
        megabytes,
        "Apache-2.0",
        "https://huggingface.co/laion/clap-htsat-fused",
        "laion/clap-htsat-fused",
        file,
        note="revision that adds safetensors to the main one (cca9e288), as the hub lists it; no "
        "hash is known",
        revision="0ebdccc578498c90ecb34353b57d2f197cae6e0a",
    )


def _openshape(variant: str, megabytes: int, license: str, revision: str, sha256: str) -> Weight:
    repo = f"OpenShape/openshape-pointbert-{variant}-rgb"
    return Weight(
        f"openshape-pointbert-{variant}-rgb.pt",
        "openshape",
        megabytes,
        license,
        f"https://huggingface.co/{repo}",
        repo,
        "model.pt",
        note="repository as in the README of OpenShape; size, license, revision and SHA-256 as its "
        "pages show them",
        sha256=sha256,
        revision=revision,
    )


def _projector(name: str, megabytes: int, page: str, git: str, sha256: str = "") -> Weight:
    return Weight(
        f"{name}.pt",
        "projectors",
        megabytes,
        "CC-BY 4.0",
        page,
        url=f"{page}/raw/main/checkpoints/{name}.pt",
        note="folder checkpoints/ as in the authors' README, hash as git names the file there; "
        "direct address not verified",
        sha256=sha256,
        git=git,
    )


_PINNED = "revision and SHA-256 as several public projects pin them"
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
        note=f"{_OPEN_CLIP}; {_PINNED}",
        sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
        revision="a6f597a30f7b82c51704746581f9a4e41421e878",
    ),
    Weight(
        "ViT-L-14-openai.safetensors",
        "clip (larger)",
        1710,
        "MIT",
        "https://huggingface.co/timm/vit_large_patch14_clip_224.openai",
        "timm/vit_large_patch14_clip_224.openai",
        "open_clip_model.safetensors",
        note=f"{_OPEN_CLIP}; no hash is known, revision as one public project pins it",
        revision="18d0535469bb561bf468d76c1d73aa35156c922b",
    ),
    _clap("630k-fusion-best", f"used in the paper; {_CLAP}"),
    _clap("630k-audioset-fusion-best", _CLAP),
    _roberta("vocab.json", "9e7f63c2d15d666b52e21d250d2e513b87c9b713cfa6987a82ed89e5e6e50655"),
    _roberta("merges.txt", "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),
    _clap_hf("model.safetensors", 614),
    _clap_hf("config.json"),
    _clap_hf("preprocessor_config.json"),
    _clap_hf("vocab.json"),
    _clap_hf("merges.txt"),
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
    _openshape(
        "vitg14",
        388,
        "not stated",
        "d771a992218de10b967eea690e8f474aa96dd758",
        "34949c162aca01b6fd3147ed7ccf34b448a34bdebc4a857605ea62412ad54fb9",
    ),
    _openshape(
        "vitl14",
        103,
        "not stated",
        "2dc094f836495baab25b9775145f086725c83611",
        "2ce4eb7a6997aed26390c7fd0ed5edfeb833eb7f160f1f790cc87dc733cd432a",
    ),
    _openshape(
        "vitb32",
        101,
        "MIT",
        "47e04daac585b2ce1cbbc72a42c0bf11971acddd",
        "491a08f1922713df67099dfb7ffceaa6e039fd3953f99f80ecd7178d727c7f3f",
    ),
    Weight(
        "ViT-bigG-14-laion2b_s39b_b160k.safetensors",
        "openshape (its CLIP)",
        10158,
        "MIT",
        "https://huggingface.co/laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        "open_clip_pytorch_model.safetensors",
        note="repository as open_clip 3.3 names it; file, size and SHA-256 as two public copies "
        "show them",
        sha256="db71bd27925917762c506c1b8a08e191d236e5586b5cd99f77d11aced578ec34",
    ),
    _projector("ex_clap", 10, _EXMCR, "f85c9a202324d9374c71b032fd9f42a9c818cf87"),
    _projector("ex_ulip", 10, _EXMCR, "50b8eff07c85a0cd1084de54537282deffe04567"),
    _projector("clap_clip", 9, _CMCR, "61099f73eabf34a1f8da2ab11ffdd87db95b20b3"),
    _projector(
        "ulip_clip",
        2,
        _CMCR,
        "350a714d9eef411985e353ba0306b885196f2610",
        "f82569f2cb0bfd57762ea8f51bdc6dc1846a3f5fe2e03e343ddc32fff35ec3fa",
    ),
)
