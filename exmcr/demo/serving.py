"""The server of the demo: loopback only, no analytics, no network, no files of this machine."""

import os
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from exmcr.common.errors import ConfigError
from exmcr.demo.engine import Engine
from exmcr.demo.uploads import MEGABYTES

if TYPE_CHECKING:
    from exmcr.project import Project

HOST = "127.0.0.1"
# Variables by which Gradio would share the page, serve more files, or look for updates.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
UNWANTED = ("GRADIO_SHARE", "GRADIO_ALLOWED_PATHS", "GRADIO_SERVER_NAME", "GRADIO_ROOT_PATH")
# The browser refuses anything that is not of this server.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'self'"
)


def serve(
    project: "Project",
    port: int = 7860,
    say: Callable[[str], Any] = print,
    wait: bool = True,
) -> Any:
    """Start the demo of a project at http://127.0.0.1:<port> and, if `wait`, run until Ctrl-C.

    port: 0 takes a free one. Returns the page (gradio.Blocks), still running if not `wait`.

    Raises ConfigError if the port is taken, or if the project has no model.
    """
    engine = Engine(project)
    say("loading the encoders")
    engine.load()
    uploads = tempfile.TemporaryDirectory(prefix="exmcr-demo-")
    page = start(engine, port, uploads.name)
    page.uploads = uploads  # deleted with the page
    say(f"the demo is at {page.local_url} (Ctrl-C ends it)")
    if wait:
        page.block_thread()
    return page


def start(engine: Engine, port: int, uploads: str) -> Any:
    """Start a page in the background; uploads: a folder for what visitors drop."""
    os.environ.update(QUIET | {"GRADIO_TEMP_DIR": uploads})
    for name in UNWANTED:
        os.environ.pop(name, None)
    from starlette.middleware import Middleware

    from exmcr.demo import page as pages  # Gradio reads the variables when it is imported

    page = pages.build(engine)
    page.queue(max_size=20, default_concurrency_limit=1)
    try:
        page.launch(
            server_name=HOST,
            server_port=port or _free_port(),
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MEGABYTES << 20,
            allowed_paths=[],
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            footer_links=[],
            theme=pages.theme(),
            app_kwargs={"middleware": [Middleware(_Policy)]},
        )
    except OSError as error:
        raise ConfigError(f"port {port} of {HOST} is taken; choose another with --port") from error
    return page


class _Policy:
    """Sends POLICY with every answer."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", POLICY.encode()),
                ]
            await send(message)

        await self.app(scope, receive, with_policy if scope["type"] == "http" else send)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
