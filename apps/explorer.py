"""The explorer: one Gradio application whose pages search, explain, measure and compare."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported: it reads this once
os.environ.setdefault("GRADIO_SSR_MODE", "False")

import gradio as gr

from apps import look
from apps.pages import indexes, pool, search, xray
from workbench.workspace import Workspace

TITLE = "Late Interaction Workbench"


class Server:
    """A running application.

    Args:
        blocks: It.
        url: Where it answers.
    """

    def __init__(self, blocks: gr.Blocks, url: str) -> None:
        self.blocks = blocks
        self.url = url

    def wait(self) -> None:
        """Serve until the person ends it."""
        self.blocks.block_thread()

    def stop(self) -> None:
        """End it."""
        self.blocks.close()


def build(workspace: Workspace) -> gr.Blocks:
    """Build the application.

    Args:
        workspace: What its pages work on.

    Returns:
        The blocks, not yet served.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        search.page(workspace)
    with blocks.route("Pool factor", "pool", show_in_navbar=False):
        pool.page(workspace)
    with blocks.route("Indexes", "indexes", show_in_navbar=False):
        indexes.page(workspace)
    with blocks.route("X-ray", "xray", show_in_navbar=False):
        xray.page(workspace)
    return blocks


def serve(workspace: Workspace, host: str = "127.0.0.1", port: int = 0, open_browser: bool = False) -> Server:
    """Serve the application and return at once.

    Args:
        workspace: What its pages work on.
        host: Address to listen on; loopback unless told otherwise.
        port: Port; 0 lets Gradio pick a free one.
        open_browser: Open the person's browser.

    Returns:
        The server, with its `url`.
    """
    blocks = build(workspace)
    blocks.queue(max_size=32, default_concurrency_limit=2)
    options: dict[str, Any] = {
        "server_name": host, "server_port": port or None, "inbrowser": open_browser, "prevent_thread_lock": True,
        "quiet": True, "share": False, "run_history": False, "footer_links": [], "show_error": True,
        "enable_monitoring": False, "ssr_mode": False, "pwa": False, "max_file_size": "20mb", "strict_cors": True,
        "theme": look.theme(), "head": look.head(),
    }  # fmt: skip
    _, url, _ = blocks.launch(**options)
    return Server(blocks, url)
