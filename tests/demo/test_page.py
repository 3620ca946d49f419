"""The demo as a server: loopback only, no files of this machine, and a page that lives on."""

import json
import os
import socket
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from chromium import Chromium, needs_chromium
from tiny_video import grays, video

from exmcr.common.errors import ConfigError
from exmcr.demo import serving

# gradio is imported by the tests and not here: that takes seconds in each worker of pytest.
pytestmark = pytest.mark.skipif(
    find_spec("gradio") is None, reason="the extra `demo` is not installed"
)

NAMES = [
    "words",
    "words_weight",
    "without",
    "without_weight",
    "sound",
    "sound_weight",
    "picture",
    "picture_weight",
    "shape",
    "shape_weight",
    "video",
    "video_weight",
    "modality",
    "method",
    "k",
]
DEFAULT = ["", 1, "", 0.5, None, 1, None, 1, None, 1, None, 1, "image", "exmcr", 4]


def respond(*arguments):
    from exmcr.demo import page

    return page.respond(*arguments)


def handle_file(path):
    import gradio_client

    return gradio_client.handle_file(path)


def values(**given):
    return [given.get(name, value) for name, value in zip(NAMES, DEFAULT)]


@pytest.fixture(scope="module")
def page(engine, tmp_path_factory):
    before = dict(os.environ)
    page = serving.start(engine, 0, str(tmp_path_factory.mktemp("gradio")))
    yield page
    page.close(verbose=False)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def visitor(page):
    import gradio_client

    return gradio_client.Client(page.local_url, verbose=False)


def get(page, path):
    try:
        with urllib.request.urlopen(page.local_url.rstrip("/") + path, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


# without a server


def test_answers_need_no_file_of_this_machine(engine, files):
    for modality, shown in (
        ("image", "data:image/jpeg;base64,"),
        ("audio", "data:audio/wav;base64,"),
        ("text", "<blockquote>"),
    ):
        status, html, figure = respond(engine, *values(words="a dog", modality=modality))
        assert status == f"4 nearest {modality} items by exmcr"
        assert html.count(shown) == 4 and "file=" not in html and figure.visible is False
    status, html, figure = respond(engine, *values(sound=files / "tone.wav", modality="points"))
    assert html == "" and len(json.loads(figure.value["plot"])["data"]) == 4


def test_a_query_of_all_parts(engine, files):
    given = values(
        words="a dog",
        without="a cat",
        sound=files / "tone.wav",
        picture=files / "red.png",
        shape=files / "cloud.npy",
        video=video(files / "short.webm", grays([40, 80])),
        method="hop",
    )
    assert respond(engine, *given)[0] == "4 nearest image items by hop"


def test_captions_cannot_break_the_page(engine, monkeypatch):
    monkeypatch.setattr(
        engine, "answer", lambda *a: engine._items.head(1).assign(caption="<script>", score=0.5)
    )
    assert "<script>" not in respond(engine, *values(words="x", modality="text"))[1]


@pytest.mark.parametrize("fault", [ConfigError("no\nsuch"), RuntimeError("a bug"), MemoryError()])
def test_whatever_goes_wrong_is_one_line_on_the_page(engine, monkeypatch, fault):
    def fail(*_):
        raise fault

    monkeypatch.setattr(engine, "answer", fail)
    status, html, _ = respond(engine, *values(words="x"))
    assert status.startswith("⚠ ") and "\n" not in status and html == ""


# the server


def test_the_server_listens_on_loopback_only(page):
    assert page.local_url.startswith("http://127.0.0.1:") and page.share_url is None
    host = socket.gethostbyname(socket.gethostname())
    if host.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError), socket.create_connection((host, page.server_port), timeout=2):
        pass


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file={}",
        "/file={}",
        "/gradio_api/file={}/../params.yaml",
        "/static/../../../../../../../..{}",
        "/gradio_api/proxy={}",
    ],
)
def test_no_file_of_this_machine_is_served(page, project, path):
    for target in (
        "/etc/passwd",
        project.root / "params.yaml",
        project.items_path,
        "params.yaml",
        Path(__file__),
    ):
        status, _, content = get(page, path.format(target))
        assert status >= 400 and b"root:" not in content and b"corpora:" not in content


def test_the_page_forbids_the_browser_any_other_host(page):
    status, headers, _ = get(page, "/")
    assert status == 200 and headers["content-security-policy"].startswith("default-src 'self'")


def test_variables_that_would_share_the_page_are_not_in_force(page):
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False" and page.analytics_enabled is False
    assert not {*serving.UNWANTED} & os.environ.keys() and page.allowed_paths == []


def test_a_port_that_is_taken_is_one_line(page, engine):
    with pytest.raises(ConfigError, match=f"port {page.server_port} of 127.0.0.1 is taken"):
        serving.start(engine, page.server_port, os.environ["GRADIO_TEMP_DIR"])


def test_a_visitor_gets_answers_and_lives_on_after_wrong_uploads(visitor, files, tmp_path):
    def ask(**given):
        return visitor.predict(*values(**given), api_name="/search")

    assert ask(words="a dog")[0] == "4 nearest image items by exmcr"
    sound = handle_file(files / "tone.wav")
    assert ask(sound=sound, modality="audio", method="procrustes")[0].endswith("by procrustes")
    for name, part, says in (
        ("page.html", "shape", "is not a shape"),
        ("broken.png", "picture", "unreadable image"),
        ("empty.wav", "sound", "empty file"),
        ("tone.wav", "picture", "is not a picture"),
    ):
        status = ask(**{part: handle_file(files / name)})[0]
        assert status.startswith("⚠ ") and says in status and "/" not in status
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate((50 << 20) + 1)
    with pytest.raises(Exception, match="exceeds the maximum file size"):
        ask(sound=handle_file(large))
    assert ask(words="a dog")[0] == "4 nearest image items by exmcr"


# in a browser

TYPE = """(() => {{
    const box = document.querySelector('#{box} textarea, #{box} input');
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(box), 'value').set.call(box, '{text}');
    box.dispatchEvent(new Event('input', {{bubbles: true}}));
}})()"""
CHOOSE = """[...document.querySelectorAll('#find label')]
    .find(label => label.innerText.trim() == '{modality}').click()"""
STATUS = "document.querySelector('#status')?.innerText"


@needs_chromium
def test_the_page_in_a_browser(page, tmp_path):
    with Chromium(tmp_path) as browser:
        browser.open(page.local_url)
        browser.until("!!document.querySelector('#search') && !!document.querySelector('#picture')")
        browser.run(TYPE.format(box="words", text="a dog"))
        browser.run("document.querySelector('#search').click()")
        browser.until(f"{STATUS}?.includes('nearest image items')", 60)
        pictures = "[...document.querySelectorAll('#answers img')]"
        browser.until(f"{pictures}.length == 6 && {pictures}.every(i => i.naturalWidth > 0)")
        browser.run(CHOOSE.format(modality="sounds"))
        browser.until(f"{STATUS}?.includes('nearest audio items')")
        players = "[...document.querySelectorAll('#answers audio')]"
        browser.until(f"{players}.length == 6 && {players}.every(a => a.duration > 0.4)")
        browser.run(CHOOSE.format(modality="shapes"))
        browser.until("!!document.querySelector('#shapes .js-plotly-plot .gl-container canvas')")
        browser.run(TYPE.format(box="words", text=""))
        browser.run("document.querySelector('#search').click()")
        browser.until(f"{STATUS}?.includes('an empty query')")
        if shots := os.environ.get("EXMCR_SHOTS"):
            browser.shot(Path(shots) / "demo.png", whole=True)
        hosts = browser.run(
            "[...new Set(performance.getEntriesByType('resource').map(e => new URL(e.name).host))]"
        )
        own = page.local_url.split("/")[2]
        assert all(host in (own, "") for host in hosts), hosts
