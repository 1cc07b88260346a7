"""The commands that open a browser: `demo`, `ui`, `dashboard`, `notebooks`."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from engine.errors import BusyError, InputError
from engine.plugins import imported
from workbench.cli.options import (
    CollectionOption,
    DeviceOption,
    HostOption,
    IndexOption,
    JsonOption,
    ModelOption,
    NoBrowserOption,
    PortOption,
    PublicOption,
    ScorerOption,
    SystemOption,
    checked_system,
)
from workbench.cli.output import err, note, progress_bars, show_json, show_table
from workbench.links import registered

LOOPBACK = ("127.0.0.1", "localhost", "::1")
AUTH = "WORKBENCH_AUTH"  # user:password, for the explorer; a password on a command line would be seen by all users
QUIET_LAB = (  # JupyterLab would ask other hosts for its news and updates
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
)


def app_of(name: str, package: str, extra: str = "apps") -> Any:
    """What an application registered, once the package that it needs is there.

    Args:
        name: Under which it is registered.
        package: That it needs.
        extra: Of this project, which installs that package.

    Raises:
        MissingExtraError: the package is not installed.
        InputError: it is not registered.
    """
    imported(package, package, extra)
    return registered(name)


def page_port(host: str, port: int, login: bool = False) -> int:
    """Check that pages may listen on a port; 0 picks a free one.

    Args:
        host: Address.
        port: Port, or 0.
        login: Whether the pages ask for one when WORKBENCH_AUTH names it.

    Returns:
        The port.

    Raises:
        BusyError: another program listens there.
        InputError: the host is not loopback and the pages have no login, or it is no address of this machine.
    """
    if host not in LOOPBACK and not (login and os.environ.get(AUTH)):
        way = f"set {AUTH}=user:password, or use 127.0.0.1" if login else "use 127.0.0.1"
        raise InputError(f"Expected a loopback host, since the pages have no login, got {host!r}: {way}.")
    return free_port(host, port)


def free_port(host: str, port: int) -> int:
    """Check that a port can be listened on; 0 picks a free one.

    Raises:
        BusyError: another program listens there.
        InputError: the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror:
            raise InputError(f"{host!r} is no address of this machine: use 127.0.0.1.") from None
        except OSError as error:
            raise BusyError(
                f"Port {port} on {host} cannot be listened on ({error.strerror}): choose another with --port, or 0."
            ) from None
        return int(probe.getsockname()[1])


def ui(
    context: typer.Context,
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    index: IndexOption = "plaid",
    scorer: ScorerOption = "index",
    system: SystemOption = "",
    device: DeviceOption = "auto",
    host: HostOption = "127.0.0.1",
    port: PortOption = 7860,
    public_name: PublicOption = None,
    no_browser: NoBrowserOption = False,
) -> None:
    """Open the browser pages on a collection.

    Example: `workbench ui --collection ../scifact --port 8080`
    """
    from workbench.experiments.plan import parse_spec
    from workbench.workspace import open_workspace

    (kind, settings), system = parse_spec(index), checked_system(context, system, "index", "scorer")
    port = page_port(host, port, login=True)
    serve = app_of("explorer", "gradio")
    with progress_bars() as report:
        workspace = open_workspace(collection, model, kind, report, device, settings, scorer, system)
    server = serve(workspace, host=host, port=port, open_browser=not no_browser, public=public_name or ())
    note(f"The page answers at {server.url} (Ctrl+C ends it).")
    server.wait()


def demo(
    host: HostOption = "127.0.0.1",
    port: PortOption = 7860,
    public_name: PublicOption = None,
    no_browser: NoBrowserOption = False,
    table_only: Annotated[bool, Option("--table-only", help="Print the table, open no page.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search the documentation of the installed Python in a browser, and measure four ways to do it.

    Example: `workbench demo`
    """
    from dataclasses import asdict

    from workbench.experiments.studies import demo as measure
    from workbench.workspace import open_workspace

    start = time.perf_counter()
    if not table_only:
        port = page_port(host, port, login=True)
        # Importing gradio takes seconds and needs one core; encoding leaves some time on the other.
        threading.Thread(target=importlib.import_module, args=("gradio",), daemon=True).start()
    with progress_bars() as report:
        workspace = open_workspace(on_progress=report)
    server = None
    if not table_only:
        serve = app_of("explorer", "gradio")
        server = serve(workspace, host=host, port=port, open_browser=not no_browser, public=public_name or ())
        err.print(f"The page answers at {server.url} after {time.perf_counter() - start:.0f} s.", style="bold")
    rows = []
    with progress_bars() as report:
        rows.extend(measure(workspace.prepared, report))
    collection = workspace.collection
    if as_json:
        show_json({"collection": collection.describe(), "rows": [asdict(row) for row in rows]})
    else:
        cells = [
            (
                row.system,
                f"{row.ndcg:.3f}",
                f"{row.recall:.3f}",
                f"{row.milliseconds:.1f}",
                f"{row.bytes_per_token:.0f}",
            )
            for row in rows
        ]
        title = (
            f"{len(collection.documents):,} documents, {workspace.documents.n_tokens:,} tokens, "
            f"{len(collection.judged_queries)} judged questions"
        )
        encoder = workspace.encoder.describe()
        caption = (
            f"ms: median of one question at a time, 100 results, without encoding it; vectors of {encoder['dim']} "
            f"dimensions from the model in {encoder['dtype']} on {encoder['device']}"
        )
        columns = ("system", "nDCG@10", "recall@100", "ms a question", "bytes a token")
        show_table(title, columns, cells, caption)
    if server is not None:
        note(f"The page answers at {server.url} (Ctrl+C ends it).")
        server.wait()


def dashboard(
    host: Annotated[
        str, Option(help="Address of this machine alone to listen on: the dashboard has no login.")
    ] = "127.0.0.1",
    port: PortOption = 8501,
    public_name: PublicOption = None,
    no_browser: NoBrowserOption = False,
) -> None:
    """Open the dashboard of recorded runs.

    Example: `workbench dashboard --port 8502`
    """
    port = page_port(host, port)
    serve = app_of("dashboard", "streamlit")
    server = serve(host=host, port=port, open_browser=not no_browser, public=public_name or ())
    note(f"The dashboard answers at {server.url} (Ctrl+C ends it).")
    server.wait()


def notebooks(
    port: PortOption = 8888,
    no_browser: NoBrowserOption = False,
    listed: Annotated[bool, Option("--list", help="Print what there is, open nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Open the tutorials in JupyterLab, from a copy that you can change.

    Example: `workbench notebooks`
    """
    import shutil
    import subprocess

    from engine.shipped import shipped
    from workbench.paths import data_folder

    tutorials = shipped("notebooks", "workbench")
    if listed or as_json:
        rows = [(path.stem, _title(path)) for path in sorted(tutorials.glob("*.ipynb"))]
        if as_json:
            show_json({"notebooks": [{"name": name, "title": title} for name, title in rows]})
        else:
            show_table(f"{len(rows)} tutorials", ("notebook", "title"), rows)
        return
    imported("jupyterlab", "jupyterlab", "notebooks")
    folder = data_folder("notebooks")
    for source in sorted(tutorials.iterdir()):
        target = folder / source.name
        if source.suffix in (".ipynb", ".md") and not target.exists():
            shutil.copyfile(source, target)
    port = free_port("127.0.0.1", port)
    note(f"Tutorials in {folder}; your changes stay there.")
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}", f"--notebook-dir={folder}"]
    command += QUIET_LAB
    if no_browser:
        command.append("--no-browser")
    raise typer.Exit(subprocess.call(command))


def _title(notebook: Path) -> str:
    """The heading of a notebook's first cell."""
    first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].lstrip("# ")
