"""The runs dashboard: a Streamlit page over `workbench.runs`, served by a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Collection
from pathlib import Path

from apps.names import Names
from engine.errors import BusyError

SCRIPT = Path(__file__).with_name("served.py")
HOST, PUBLIC = "WORKBENCH_DASHBOARD_HOST", "WORKBENCH_DASHBOARD_NAMES"  # what its own process is told
PATIENCE = 60  # seconds until the page answers
OPTIONS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "type",
    "theme.font": "sans-serif",
    **{
        f"theme.{mode}.{name}": colour
        for mode, colours in {
            "light": {
                "primaryColor": "#0b6e6e",
                "backgroundColor": "#fbfaf7",
                "secondaryBackgroundColor": "#f1efe9",
                "textColor": "#10151b",  # captions are this at 60%, which a lighter one makes too faint
                "borderColor": "#e4e2dc",
            },
            "dark": {
                "primaryColor": "#4fc3bd",
                "backgroundColor": "#14181d",
                "secondaryBackgroundColor": "#1b2129",
                "textColor": "#e8ebee",
                "borderColor": "#2c343e",
            },
        }.items()
        for name, colour in colours.items()
    },
}


class Server:
    """A running dashboard.

    Args:
        process: Streamlit's process.
        url: Where it answers.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def wait(self) -> None:
        """Serve until the person, or whoever started this process, ends it."""
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # else Streamlit would go on alone
            self.process.wait()
        except KeyboardInterrupt:
            self.stop()

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def serve(
    host: str = "127.0.0.1", port: int = 8501, open_browser: bool = False, public: Collection[str] = ()
) -> Server:
    """Serve the dashboard and return once it answers.

    Args:
        host: Address to listen on.
        port: A free port.
        open_browser: Open the person's browser.
        public: Names under which a proxy in front is asked, "name" or "name:port".

    Returns:
        The server.

    Raises:
        BusyError: it did not answer in time.
        InputError: a public name that is none.
    """
    Names(host, public)
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT), f"--server.address={host}"]
    environment = {**os.environ, "BROWSER": "none", HOST: host, PUBLIC: " ".join(public)}
    process = subprocess.Popen([*command, f"--server.port={port}", *options], env=environment)
    url = f"http://{host}:{port}/"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection((host, port), timeout=1):
                if open_browser:
                    webbrowser.open(url)
                return Server(process, url)
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise BusyError(f"The dashboard did not answer on {url} within {PATIENCE} s: choose another port.")
