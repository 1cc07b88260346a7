"""The explorer: one Gradio application whose pages search, explain, measure and compare."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported: it reads this once
os.environ.setdefault("GRADIO_SSR_MODE", "False")

import gradio as gr
from fastapi.exceptions import RequestValidationError

from apps import look, plotting
from apps.calls import Calls, Listeners, logged_in, unreadable
from apps.guard import Guard, credentials
from apps.names import Names
from apps.pages import api
from apps.registry import pages
from apps.workspaces import Workspaces
from workbench.workspace import Workspace

TITLE = "Late Interaction Workbench"
WAITING = "After three wrong passwords the next one has to wait, up to a minute."
CLOSED = (  # ways in and out that no page uses: files, other hosts, Gradio's own editor and its monitoring
    "/gradio_api/upload", "/gradio_api/file", "/gradio_api/proxy", "/gradio_api/stream", "/gradio_api/dev",
    "/gradio_api/process_recording", "/gradio_api/vibe", "/gradio_api/undo-vibe", "/gradio_api/run-history",
    "/gradio_api/deep_link", "/monitoring",
)  # fmt: skip


class Server:
    """A running application.

    Args:
        blocks: It.
        url: Where it answers.
        workspaces: What its pages work on.
    """

    def __init__(self, blocks: gr.Blocks, url: str, workspaces: Workspaces) -> None:
        self.blocks = blocks
        self.url = url
        self.workspaces = workspaces

    def wait(self) -> None:
        """Serve until the person ends it."""
        self.blocks.block_thread()

    def stop(self) -> None:
        """End it."""
        self.blocks.close()


def build(workspaces: Workspaces) -> gr.Blocks:
    """Build the application.

    Args:
        workspaces: What its pages work on.

    Returns:
        The blocks, not yet served.
    """
    first, *others = pages()
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        first.builder()(workspaces)
        api.endpoints(workspaces)
    for page in others:
        with blocks.route(page.title, page.path, show_in_navbar=False):
            page.builder()(workspaces)
    return blocks


def serve(
    workspace: Workspace, host: str = "127.0.0.1", port: int = 0, open_browser: bool = False, auth: str | None = None,
    public: Collection[str] = (),
) -> Server:  # fmt: skip
    """Serve the application and return at once.

    Args:
        workspace: What its pages work on.
        host: Address to listen on; loopback unless told otherwise, and then with a login.
        port: Port; 0 lets Gradio pick a free one.
        open_browser: Open the person's browser.
        auth: "user:password" that the pages ask for; the variable WORKBENCH_AUTH when None.
        public: Names under which a proxy in front is asked, "name" or "name:port".

    Returns:
        The server, with its `url`.

    Raises:
        InputError: a host that others can reach and no login, or a public name that is none.
    """
    login, names = credentials(host, auth), Names(host, public)
    workspaces = Workspaces(workspace)
    blocks = build(workspaces)
    calls = Calls(blocks)

    @asynccontextmanager
    async def guarded(app: Any) -> AsyncIterator[None]:
        inner = Listeners(app.middleware_stack, workspaces.listeners)
        known = logged_in(app)
        app.middleware_stack = Guard(inner, names, CLOSED, calls.check, known)  # outside of what Gradio adds itself
        yield

    blocks.queue(max_size=100, default_concurrency_limit=2)  # of short requests; long ones wait in their lane
    options: dict[str, Any] = {
        "server_name": f"[{host}]" if ":" in host else host, "server_port": port or None,
        "inbrowser": open_browser, "prevent_thread_lock": True, "quiet": True,
        "share": False, "run_history": False, "footer_links": [], "show_error": True,
        "enable_monitoring": False, "ssr_mode": False, "pwa": False, "max_file_size": 1, "strict_cors": True,
        "theme": look.theme(), "head": look.head(), "auth": login, "auth_message": WAITING,
        "app_kwargs": {
            "lifespan": guarded, "exception_handlers": {RequestValidationError: unreadable},
            "routes": [plotting.route()], "docs_url": None, "redoc_url": None, "openapi_url": None,
        },
    }  # fmt: skip
    app, url, _ = blocks.launch(**options)
    assert isinstance(app.middleware_stack, Guard)
    return Server(blocks, url, workspaces)
