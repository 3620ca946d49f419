"""The weights of the real spaces: what each needs, where it comes from, what is here.

`folder` says where files are looked for; those of the model hub may also lie in its cache."""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from exmcr.common.errors import ConfigError
from exmcr.common.hashing import sha256
from exmcr.common.paths import project_root


class Weight(NamedTuple):
    """A file of published weights, and where it comes from."""

    file: str  # name in the weights folder
    space: str  # who needs it
    megabytes: int  # about
    license: str
    page: str  # where a person finds it
    repo: str = ""  # model hub: repository, path in it, and kind; empty if it is not there
    path: str = ""
    kind: str = "model"
    url: str = ""  # plain download, where there is no repository
    note: str = "not verified"  # what of this row was checked, and against what
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


_IN_README = "location as in the README of LAION-AI/CLAP; size not verified"
_ROBERTA = dict(
    space="clap",
    license="MIT",
    page="https://huggingface.co/FacebookAI/roberta-base",
    repo="FacebookAI/roberta-base",
)
_ULIP = "ULIP-2-PointBERT-8k-xyz-pc-slip_vit_b-objaverse-pretrained.pt"
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
        note="repository and file as open_clip 3.3 names them",
    ),
    Weight(
        "ViT-L-14-openai.safetensors",
        "clip (larger)",
        1710,
        "MIT",
        "https://huggingface.co/timm/vit_large_patch14_clip_224.openai",
        "timm/vit_large_patch14_clip_224.openai",
        "open_clip_model.safetensors",
        note="repository and file as open_clip 3.3 names them",
    ),
    _clap("630k-fusion-best", f"the paper's; {_IN_README}"),
    _clap("630k-audioset-fusion-best", _IN_README),
    Weight(
        "roberta-base/vocab.json",
        megabytes=1,
        path="vocab.json",
        **_ROBERTA,
        note="tokenizer of CLAP; size not verified",
    ),
    Weight(
        "roberta-base/merges.txt",
        megabytes=1,
        path="merges.txt",
        **_ROBERTA,
        note="tokenizer of CLAP; size not verified",
    ),
    Weight(
        _ULIP,
        "ulip2",
        700,
        "not stated (code: BSD-3-Clause)",
        "https://huggingface.co/datasets/SFXX/ulip",
        "SFXX/ulip",
        f"ULIP-2/pretrained_models/{_ULIP}",
        kind="dataset",
        note="dataset as in the README of salesforce/ULIP since 2025-05, path as other public projects use it; "
        "that it equals pointbert_ULIP-2.pt is likely (coordinates only, SLIP ViT-B, 512-d) but not verified, nor is the size",
    ),
    Weight(
        "pointbert_ULIP-2.pt",
        "ulip2",
        700,
        "not stated (code: BSD-3-Clause)",
        "https://github.com/salesforce/ULIP",
        url="https://storage.googleapis.com/sfr-ulip-code-release-research/pretrained_models/ckpt_zero-sho_classification/pointbert_ULIP-2.pt",
        note="the name the paper's authors use; bucket and path as in the README of salesforce/ULIP, which since 2025-05 calls "
        "it closed to some and points to the row above; address without sign-in and size not verified",
    ),
    *(
        Weight(
            f"{name}.pt",
            "projectors",
            size,
            "CC-BY 4.0",
            page,
            url=f"{page}/raw/main/checkpoints/{name}.pt",
            note="folder checkpoints/ as in the authors' README; direct address and size not verified",
        )
        for name, size, page in (
            ("ex_clap", 10, _EXMCR),
            ("ex_ulip", 10, _EXMCR),
            ("clap_clip", 9, _CMCR),
            ("ulip_clip", 2, _CMCR),
        )
    ),
)


def folder() -> Path:
    """Where weight files are looked for: $EXMCR_WEIGHTS, else `weights/` of the project at or above
    the current folder, else exmcr/weights in the user's cache."""
    if chosen := os.environ.get("EXMCR_WEIGHTS"):
        return Path(chosen)
    try:
        return project_root() / "weights"
    except ConfigError:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "exmcr/weights"


def locate(weight: Weight, where: Path | None = None) -> Path | None:
    """The file in the weights folder, else in the hub's cache, else None."""
    own = (where or folder()) / weight.file
    if own.is_file():
        return own
    if weight.repo:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(weight.repo, weight.path, repo_type=weight.kind)
        if isinstance(cached, str):
            return Path(cached)
    return None


def named(file: str) -> Weight:
    """The row of the table with this file name. Raises ConfigError, listing the names."""
    for weight in WEIGHTS:
        if file in (weight.file, weight.file.rsplit(".", 1)[0]):
            return weight
    raise ConfigError(
        f"no weight file '{file}' in the table; known: {', '.join(w.file for w in WEIGHTS)}"
    )


def under(root: Path | None, path: str | Path | None) -> Path | None:
    """A path as params.yaml names it, relative to the project in `root`; None stays None."""
    return None if path is None else Path(root or "") / path


def described(path: Path) -> Weight | None:
    """The row of the table that a file on disk belongs to (also after conversion to safetensors), else None."""
    return next((w for w in WEIGHTS if locate(w) == path), None) or next(
        (w for w in WEIGHTS if Path(w.file).stem == path.stem), None
    )


def check(weight: Weight, path: Path, where: Path | None = None) -> str:
    """Compare a file with the hash in the table, else with the one noted when it was first seen (SHA256SUMS beside it).

    Returns "checked" or "recorded". Raises ConfigError when the hashes differ."""
    sums = (where or folder()) / "SHA256SUMS"  # readable by `sha256sum -c`
    noted = (
        dict(reversed(line.split("  ", 1)) for line in sums.read_text().splitlines())
        if sums.is_file()
        else {}
    )
    found, expected = sha256(path), weight.sha256 or noted.get(weight.file)
    if expected and found != expected:
        raise ConfigError(
            f"{path} has SHA-256 {found}, expected {expected}: delete it and fetch it again"
        )
    if weight.file not in noted:
        sums.parent.mkdir(parents=True, exist_ok=True)
        with sums.open("a") as file:
            file.write(f"{found}  {weight.file}\n")
    return "checked" if expected else "recorded"


def fetch(weight: Weight, where: Path | None = None) -> Path:
    """Download into the weights folder, going on where an earlier attempt stopped, and `check` it.

    Raises ConfigError if the network, the file or its hash is wrong; the message says which file to put where by hand."""
    where = where or folder()
    target = where / weight.file
    by_hand = f"by hand: take it from {weight.page} and put it at {target}"
    try:
        if weight.repo:
            expected = _from_hub(weight, target)
        else:
            expected = download(weight.url, target)
    except OSError as error:  # every error of the hub's client and of urllib is one
        raise ConfigError(
            f"cannot fetch {weight.file}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; {by_hand}"
        ) from error
    if expected and sha256(target) != expected:
        target.unlink()
        raise ConfigError(f"{weight.file} arrived damaged and was deleted; try again, or {by_hand}")
    check(weight, target, where)
    return target


def _from_hub(weight: Weight, target: Path) -> str:
    """Download through huggingface_hub (which resumes) -> the SHA-256 that the hub states for large files, or ''."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    nest = target.with_name(target.name + ".part")
    try:
        nest.mkdir(parents=True, exist_ok=True)
        stated = (
            get_hf_file_metadata(hf_hub_url(weight.repo, weight.path, repo_type=weight.kind)).etag
            or ""
        )
        # Into a folder of its own, since through the cache the file would lie on the disk twice.
        loaded = hf_hub_download(weight.repo, weight.path, repo_type=weight.kind, local_dir=nest)
    except (
        Exception
    ) as error:  # the client's own errors, and those of whichever HTTP library it uses
        raise OSError(f"{type(error).__name__}: {error}") from error
    os.replace(loaded, target)
    shutil.rmtree(nest)
    return stated if len(stated) == 64 else ""


def download(url: str, target: Path) -> str:
    """Plain HTTP download with resume: the part that is there is kept in `target`.part. Returns '' (no hash stated).

    Raises OSError when the connection fails or ends early; calling again goes on from there."""
    draft = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    have = draft.stat().st_size if draft.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the part is longer than the file, or is all of it: start again
            raise
        have, answer = 0, urllib.request.urlopen(url, timeout=60)
    with answer, draft.open("ab" if have and answer.status == 206 else "wb") as file:
        expected = answer.headers.get("Content-Length")
        got = 0
        while block := answer.read(1 << 20):
            got += file.write(block)
    if expected is not None and got != int(expected):
        raise OSError(f"the connection ended after {got} of {expected} bytes")
    draft.replace(target)
    return ""


def table(where: Path | None = None) -> str:
    """One line per file: space, file, size, license, page, and where it was found."""
    rows = [("space", "file", "about", "license", "from", "here")]
    for weight in WEIGHTS:
        path = locate(weight, where)
        here = (
            "no"
            if path is None
            else "yes"
            if path.is_relative_to(where or folder())
            else "in the hub's cache"
        )
        rows.append(
            (weight.space, weight.file, f"{weight.megabytes} MB", weight.license, weight.page, here)
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
    lines += ["", f"Folder: {where or folder()}", "What is known of the addresses:"]
    lines += [f"  {weight.file}: {weight.note}" for weight in WEIGHTS]
    return "\n".join(lines)
