"""Small Debian packages, and a web server for them: what tests of exmcr.corpora.mini share."""

import gzip
import hashlib
import http.server
import io
import lzma
import tarfile
import threading

import zstandard

FILES = {"./usr/share/demo/dog.txt": b"woof", "./usr/share/demo/deep/odd.bin": b"\x00" * 10_001}
PACK = {
    "": lambda content: content,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".xz": lzma.compress,
    ".zst": lambda content: zstandard.ZstdCompressor().compress(content),
}


def entry(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def tar(members=FILES, format=tarfile.GNU_FORMAT):
    """A tar of {name: content}, or of a list of (TarInfo, content)."""
    if isinstance(members, dict):
        members = [(entry(name, size=len(content)), content) for name, content in members.items()]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def ar(*members):
    """An ar archive of (name, content), as dpkg writes it."""
    blob = b"!<arch>\n"
    for name, content in members:
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        assert len(head) == 60
        blob += head + content + b"\n" * (len(content) % 2)
    return blob


def deb(payload=None, kind=".xz", name="demo", version="1.0"):
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\n".encode()
    return ar(
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(tar({"./control": control}))),
        ("odd", b"123"),
        (f"data.tar{kind}", PACK[kind](tar() if payload is None else payload)),
    )


def tree(folder):
    """{relative path: content} of the files below a folder, without its record."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".complete"
    }


class Server:
    """Serves blobs at /<SHA-1> on this machine, with the faults of real servers.

    faults: one per request, in turn, then none: "cut" (ends after half of what is left), "503",
    "page" (a sign-in page instead), "no range", "wrong range", "no length", "416".
    requests: (path, value of the header Range) of every request.
    """

    def __init__(self, *blobs):
        self.blobs = {f"/{hashlib.sha1(blob).hexdigest()}": blob for blob in blobs}
        self.faults, self.requests = [], []
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}/"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def _handler(server):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                fault = server.faults.pop(0) if server.faults else ""
                ranged = self.headers.get("Range", "")
                server.requests.append((self.path, ranged))
                blob = server.blobs.get(self.path)
                if blob is None or fault.isdigit():
                    self.send_error(int(fault or 404))
                    return
                if fault in ("page", "page without length"):
                    blob, ranged = b"<html>Please sign in</html>", ""
                start = int(ranged[6:-1]) if ranged and fault != "no range" else 0
                self.send_response(206 if start else 200)
                if start:
                    wrong = 1 if fault == "wrong range" else 0
                    self.send_header(
                        "Content-Range", f"bytes {start + wrong}-{len(blob) - 1}/{len(blob)}"
                    )
                body = blob[start:]
                if fault not in ("no length", "page without length"):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

            def log_message(self, *_):
                pass

        return Handler
