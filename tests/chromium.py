"""A headless Chromium, driven by its DevTools protocol: no driver and no further package is needed.

with Chromium(folder) as browser:
    browser.open("http://127.0.0.1:8888/lab")
    browser.until("document.title == 'JupyterLab'")
    browser.run("1 + 1")
"""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt install chromium")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
    "--enable-unsafe-swiftshader",  # WebGL without a GPU
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


class Chromium:
    """One page of a browser with a profile of its own, in `folder`."""

    def __init__(self, folder: Path, width: int = 1400, height: int = 1000):
        self.folder, self.size = folder, f"--window-size={width},{height}"
        self._count = 0

    def __enter__(self) -> "Chromium":
        import websocket

        profile = f"--user-data-dir={self.folder / 'profile'}"
        self._process = subprocess.Popen(
            [PROGRAM, *OPTIONS, self.size, profile, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        note = self.folder / "profile/DevToolsActivePort"
        wait(lambda: note.is_file() and len(note.read_text().split()) == 2, 60, "Chromium")
        address = f"http://127.0.0.1:{note.read_text().split()[0]}/json"
        with urllib.request.urlopen(address, timeout=30) as answer:
            page = next(entry for entry in json.load(answer) if entry["type"] == "page")
        self._socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=120)
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)  # as if a person looked
        return self

    def __exit__(self, *error) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(30)

    def send(self, method: str, **parameters) -> dict:
        """One command of the protocol; returns its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, address: str) -> None:
        self.send("Page.navigate", url=address)

    def run(self, script: str):
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def until(self, condition: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true; an error in it counts as false."""

        def holds() -> bool:
            try:
                return self.run(f"!!({condition})")
            except RuntimeError:
                return False

        wait(holds, seconds, condition)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def shot(self, path: Path, whole: bool = False) -> None:
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


def wait(holds, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true in {seconds} seconds")
        time.sleep(0.1)
