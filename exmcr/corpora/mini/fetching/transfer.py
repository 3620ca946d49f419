"""Download files of known size and SHA-256 over HTTP: verified, renamed, resumed."""

import http
import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exmcr.common.files import atomic_write, explained
from exmcr.common.hashing import sha256

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 18
ATTEMPTS = 3  # each resumes the one before
STREAMS = 4  # downloads at a time

Advance = Callable[[int], Any]  # a number of bytes that arrived; negative if they are of no use


@dataclass(frozen=True)
class Request:
    """A file to download. urls: addresses to try in order; size: bytes; sha256: hex digits."""

    urls: tuple[str, ...]
    target: Path
    size: int
    sha256: str


class _Interrupted(Exception):
    """The connection ended early; another attempt may complete the file."""


class _Refused(Exception):
    """The address does not serve the file."""


def download(requests: Sequence[Request], advance: Advance) -> dict[Path, str]:
    """Download files, several at a time, each into a draft that is verified and renamed.

    The draft of an interrupted download is continued. If the outcome has the wrong hash, the file
    is downloaded once more from its beginning. A server that cannot be reached is tried once.

    Returns {target: reason} of the files that could not be had. Raises ConfigError if the disk is
    full. After an error or a signal, running downloads stop at their next chunk.
    """
    downloads = _Downloads(advance)
    reasons: dict[Path, str] = {}
    with ThreadPoolExecutor(STREAMS) as pool:
        try:
            jobs = {pool.submit(downloads.run, request): request for request in requests}
            for job in as_completed(jobs):
                if reason := job.result():
                    reasons[jobs[job].target] = reason
        finally:
            downloads.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return reasons


class _Downloads:
    """What the threads of one call of `download` share."""

    def __init__(self, advance: Advance):
        self._advance = advance
        self._lock = threading.Lock()
        self._unreachable: dict[str, str] = {}  # server: reason
        self.stop = threading.Event()

    def run(self, request: Request) -> str:
        """Try the addresses in order. Returns "", or why none of them worked."""
        reasons = []
        self._count(_size(draft_of(request.target)))
        for url in request.urls:
            reason = self._try(url, request)
            if not reason:
                return ""
            reasons.append(f"{url}: {reason}")
        return "; ".join(reasons)

    def _try(self, url: str, request: Request) -> str:
        server, reason = urlsplit(url).netloc, ""
        for _ in range(ATTEMPTS):
            if self.stop.is_set():
                return "interrupted"
            if server in self._unreachable:
                return self._unreachable[server]
            try:
                with explained(request.target):
                    self._attempt(url, request)
                return ""
            except _Refused as error:
                return str(error)
            except urllib.error.HTTPError as error:
                reason = str(error)
                if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    self._discard(draft_of(request.target))
                elif error.code < 500:
                    return reason
            except urllib.error.URLError as error:
                self._unreachable[server] = str(error.reason)
            except (OSError, http.client.HTTPException, _Interrupted) as error:
                reason = str(error) or type(error).__name__
        return reason

    def _attempt(self, url: str, request: Request) -> None:
        draft = draft_of(request.target)
        draft.parent.mkdir(parents=True, exist_ok=True)
        resumed = _size(draft) >= request.size or self._receive(url, draft, request.size)
        size = _size(draft)
        if size < request.size:
            raise _Interrupted(f"the connection ended after {size} of {request.size} bytes")
        if size > request.size or sha256(draft) != request.sha256:
            self._discard(draft)
            raise (_Interrupted if resumed else _Refused)("it serves another file")
        with atomic_write(request.target) as verified:
            draft.rename(verified)

    def _receive(self, url: str, draft: Path, size: int) -> bool:
        """Append what the draft lacks. Returns False if the server sent the file from its start."""
        start = _size(draft)
        request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            place = answer.headers.get("Content-Range", f"bytes {start}-")
            resumed = start > 0 and answer.status == http.HTTPStatus.PARTIAL_CONTENT
            if not resumed:
                self._discard(draft)
                start = 0
            length = answer.headers.get("Content-Length", "")
            wrong_length = length.isdigit() and int(length) != size - start
            if resumed and (wrong_length or not place.startswith(f"bytes {start}-")):
                self._discard(draft)
                raise _Interrupted("it continues another file")
            if wrong_length:
                raise _Refused(f"it serves {length} bytes instead of {size}")
            with draft.open("ab") as file:
                while start <= size and not self.stop.is_set() and (chunk := answer.read(CHUNK)):
                    file.write(chunk)
                    self._count(len(chunk))
                    start += len(chunk)
        return resumed

    def _discard(self, draft: Path) -> None:
        self._count(-_size(draft))
        draft.unlink(missing_ok=True)

    def _count(self, size: int) -> None:
        with self._lock:
            self._advance(size)


def draft_of(target: Path) -> Path:
    """Where an unfinished download is kept."""
    return target.with_name(f".{target.name}.download")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
