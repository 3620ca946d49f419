"""Downloads of weight files, and the check that what arrived is a weight file and complete."""

import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

from exmcr.common import checkpoints
from exmcr.common.errors import ConfigError
from exmcr.common.files import explained, write_json
from exmcr.spaces.weight_table import Weight

TIMEOUT = 60  # seconds without an answer
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<!--")
POINTER = b"version https://git-lfs.github.com/spec/"


def git_blob(path: Path) -> str:
    """The SHA-1 by which git names the content of a file, as `git hash-object` prints it."""
    total = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def from_hub(weight: Weight, part: Path) -> str:
    """Download with huggingface_hub, which resumes, to the file `part`.

    The revision is that of the table; a name such as "main" is resolved once, so that the hash and
    the file are of one commit. Returns the hash that the hub states: 64 digits of SHA-256 for large
    files, 40 of git for others, or "". Raises OSError.
    """
    parts = part.with_name(part.name + ".hub")
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        parts.mkdir(parents=True, exist_ok=True)
        place: dict[str, Any] = {"repo_type": weight.kind, "revision": weight.revision}
        metadata = get_hf_file_metadata(hf_hub_url(weight.repo, weight.path, **place))
        place["revision"] = getattr(metadata, "commit_hash", None) or weight.revision
        # A folder of its own: with the hub's cache the file would lie on the disk twice.
        loaded = hf_hub_download(weight.repo, weight.path, local_dir=parts, **place)
    except Exception as error:  # errors of the client and of the HTTP library that it uses
        raise OSError(f"{type(error).__name__}: {error}") from error
    os.replace(loaded, part)
    shutil.rmtree(parts)
    stated = (metadata.etag or "").strip('"')
    return stated if len(stated) in (40, 64) else ""


def over_http(url: str, part: Path) -> None:
    """Download to the file `part` by plain HTTP, resuming what an earlier attempt left there.

    `part`.json names the version on the server. Only the rest of the same version is appended
    (If-Range); if the server cannot tell versions apart, the download starts again.

    Raises OSError if the connection fails or ends early; the next call resumes.
    """
    note = part.with_name(part.name + ".json")
    part.parent.mkdir(parents=True, exist_ok=True)
    offset, version = _left(url, part, note)
    headers = {"Range": f"bytes={offset}-", "If-Range": version} if offset else {}
    try:
        answer = _open(url, headers)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not offset:
            raise
        offset, answer = 0, _open(url)  # the part is as long as the file or longer
    if offset and not _continues(answer, offset, version):
        if answer.status == 206:  # another part than the one that is missing
            answer.close()
            answer = _open(url)
        offset = 0
    with answer:
        write_json(note, {"url": url, "version": _version(answer)})
        _receive(answer, part, offset)
    note.unlink()


def _open(url: str, headers: dict[str, str] | None = None) -> Any:
    return urllib.request.urlopen(
        urllib.request.Request(url, headers=headers or {}), timeout=TIMEOUT
    )


def _left(url: str, part: Path, note: Path) -> tuple[int, str]:
    """(bytes, version) of what an earlier attempt left; (0, "") if it cannot be continued."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["url"] == url and known["version"]:
            return part.stat().st_size, str(known["version"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _version(answer: Any) -> str:
    """What names the version of a file for If-Range: a strong ETag, else the time of change."""
    etag = answer.headers.get("ETag") or ""
    if etag and not etag.startswith("W/"):
        return etag
    return answer.headers.get("Last-Modified") or ""


def _continues(answer: Any, offset: int, version: str) -> bool:
    """Whether an answer is the rest, from `offset`, of the version that was begun."""
    begin = (answer.headers.get("Content-Range") or f"bytes {offset}-").split("-")[0]
    same = _version(answer) in ("", version)
    return answer.status == 206 and begin == f"bytes {offset}" and same


def _receive(answer: Any, part: Path, offset: int) -> None:
    expected, received = answer.headers.get("Content-Length"), 0
    with explained(part), part.open("ab" if offset else "wb") as file:
        try:
            while block := answer.read(1 << 20):
                received += file.write(block)
        except http.client.HTTPException as error:  # a transfer in chunks that breaks off
            raise OSError(f"the connection ended after {received} bytes") from error
    if expected is not None and received != int(expected):
        raise OSError(f"the connection ended after {received} of {expected} bytes")


def check_content(path: Path, file: str) -> None:
    """Check that a download is a complete file of the kind that its name says.

    path: of the download; file: name in the weights folder. Raises ConfigError that says what
    arrived instead: a web page to sign in, a message in JSON, a pointer of Git LFS, half a file.
    """
    with path.open("rb") as opened:
        head = opened.read(4096)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        raise ConfigError("an empty answer")
    if head.startswith(POINTER):
        raise ConfigError("a pointer of Git LFS instead of the file that it stands for")
    if text[:64].lower().startswith(PAGES):
        raise ConfigError("a web page instead of a file; does it take a sign-in?")
    kind = Path(file).suffix
    if kind in (".pt", ".safetensors") and text[:1] in (b"{", b"["):
        words = text[:120].decode("utf-8", "replace").replace("\n", " ")
        raise ConfigError(f"a message instead of a file: {words}")
    checks = {".pt": _check_pt, ".safetensors": _check_safetensors, ".json": _check_settings}
    if Path(file).name == "vocab.json":
        return _check_vocabulary(path)
    checks.get(kind, _check_merges)(path)


def _check_pt(path: Path) -> None:
    """A zip archive of torch with correct checksums, or a file of old versions of torch."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                raise ConfigError("only the first part of a weight file")
        checkpoints.load(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names, damaged = archive.namelist(), archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ConfigError(f"a damaged weight file: {error}") from error
    if damaged:
        raise ConfigError(f"a damaged weight file: the checksum of {damaged} is wrong")
    if not any(name.endswith("data.pkl") for name in names):
        raise ConfigError("a zip archive that torch did not write")


def _check_safetensors(path: Path) -> None:
    """The header must account for every byte of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header: Any = json.loads(file.read(length)) if length <= size else None
            tensors = [entry for name, entry in header.items() if name != "__metadata__"]
            end = max((entry["data_offsets"][1] for entry in tensors), default=0)
        except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
            raise ConfigError("no safetensors file: its header cannot be read") from error
    if 8 + length + end != size:
        raise ConfigError(f"{size} bytes instead of the {8 + length + end} that its header says")


def _check_vocabulary(path: Path) -> None:
    content = _json(path)
    if not isinstance(content, dict) or not content or {*map(type, content.values())} != {int}:
        raise ConfigError("JSON, but no vocabulary with the numbers of tokens")


def _check_settings(path: Path) -> None:
    """Settings of transformers; a server that refuses a file answers with {"error": ...}."""
    content = _json(path)
    if not isinstance(content, dict) or not content or "error" in content:
        raise ConfigError("JSON, but no settings")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"no JSON: {error}") from error


def _check_merges(path: Path) -> None:
    try:
        lines = path.read_bytes().decode("utf-8").strip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigError("no text in UTF-8") from error
    if any(len(line.split(" ")) != 2 for line in lines if not line.startswith("#version")):
        raise ConfigError("no list of merges, two tokens a line")
