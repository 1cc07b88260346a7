"""`workbench serve`: the functions of the workbench for programs, over HTTP."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import uvicorn

from apps.guard import Guard
from apps.names import Names
from apps.serve import tools
from apps.serve.app import Functions, build
from apps.serve.batching import wrapped
from apps.serve.catalogue import Catalogue, Open
from apps.serve.keys import Keys, Locked, read_keys
from apps.serve.lanes import Lanes
from apps.serve.metrics import Metrics
from apps.serve.requests import LOG, Named
from engine import Encoder
from workbench.experiments.progress import Progress
from workbench.indexed import absolute
from workbench.served import Served
from workbench.workspace import open_workspace

PATIENCE = 120  # seconds that what runs may take to finish when the server is asked to end
IDLE = 30  # seconds that a connection without requests stays open


class Server:
    """A server with all that it answers from; `wait` serves.

    Args:
        app: The application behind its guards.
        host: Where it listens.
        port: Where it listens.
    """

    def __init__(self, app: Any, host: str, port: int) -> None:
        self.app = app
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        config = uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, server_header=False, date_header=False,
            timeout_graceful_shutdown=PATIENCE, timeout_keep_alive=IDLE, lifespan="on", ws="none", backlog=512,
        )  # fmt: skip
        self._server = _Graceful(config)

    def wait(self) -> None:
        """Serve until SIGTERM or Ctrl+C; what runs then is finished first."""
        log_to_terminal()
        asyncio.run(self._server.serve())


class _Graceful(uvicorn.Server):
    """Ends with status 0 when it was asked to end, where the library would raise the signal again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(
    what: Served, host: str = "127.0.0.1", port: int = 8765, key_file: Path | None = None,
    public: Collection[str] = (), shared: bool = False, mcp: bool = False, on_progress: Progress | None = None,
) -> Server:  # fmt: skip
    """Open everything that is to be served; the server then waits for `Server.wait`.

    Args:
        what: Is served.
        host: Address to listen on.
        port: Port to listen on.
        key_file: Keys, where others can reach the server.
        public: Names under which a proxy in front is asked.
        shared: Encode together what waits; numbers then depend a little on who else asks.
        mcp: Also answer the Model Context Protocol, at /mcp.
        on_progress: Told of the progress.

    Returns:
        The server.

    Raises:
        InputError: no keys where others can reach it, a name twice, or what `open_workspace` refuses.
        MissingExtraError: the protocol's package is not installed.
    """
    keys, names = read_keys(key_file, host, public), Names(host, public)
    if mcp:
        tools.check_installed()
    functions = opened(what, shared, on_progress)
    return Server(guarded(functions, keys, names, mcp), host, port)


def speak(what: Served, on_progress: Progress | None = None) -> None:
    """Answer the Model Context Protocol over standard input and output, until the input ends.

    Args:
        what: Is searched.
        on_progress: Told of the progress.

    Raises:
        MissingExtraError: the protocol's package is not installed.
        InputError: what `open_workspace` refuses.
    """
    tools.check_installed()
    functions = opened(what, False, on_progress)
    tools.server(functions).run("stdio")
    functions.lanes.close()


def opened(what: Served, shared: bool, on_progress: Progress | None) -> Functions:
    """Open what is served, and ask each collection a first question, so that all is loaded.

    Args:
        what: Is served.
        shared: Whether requests share batches.
        on_progress: Told of the progress.

    Returns:
        The functions over it.
    """
    metrics = Metrics()
    model = absolute(what.model)

    @cache
    def encoders(name: str) -> Any:
        return wrapped(Encoder.load(name, device=what.device), metrics, shared)

    catalogue = Catalogue(encoders, model)
    for source in what.collections:
        workspace = open_workspace(
            source, encoders(model), what.kind, on_progress, what.device, what.settings, what.scorer
        )  # fmt: skip
        catalogue.add(Open(workspace.collection.name, workspace))
    for folder in what.indexes:
        catalogue.open_folder(folder)
    if what.store is not None:
        catalogue.keep_in(what.store)
    for text in what.systems:
        catalogue.get("").build(text)
    for found in catalogue:
        found.workspace.search("a first question", 1)
    return Functions(catalogue, Lanes(metrics, shared), metrics, "shared" if shared else "own")


def guarded(functions: Functions, keys: Keys, names: Names, mcp: bool = False) -> Any:
    """The application behind all that stands between it and the network.

    Args:
        functions: What it answers.
        keys: Who may ask.
        names: Under which names it answers.
        mcp: Also answer the Model Context Protocol.

    Returns:
        An ASGI application.
    """
    app: Any = build(functions, mcp)
    return Named(Locked(Guard(app, names), keys), functions.metrics)


def log_to_terminal() -> None:
    """Write a line a request to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for log in (LOG, logging.getLogger("uvicorn.error")):
        log.addHandler(handler)
        log.propagate = False
    LOG.setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
