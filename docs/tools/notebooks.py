"""Tutorials as pages: notebooks that were run, with what their cells gave.

A notebook is run once for each version of it; what it gave is kept in `.docs/`. Figures keep their data and are drawn
by the plotly.js of the installed package, once for all pages; widgets show the static form that they carry for viewers
that run none.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from docs.tools.places import ROOT

KEPT = ROOT / ".docs"
FIGURE, ANSI = "application/vnd.plotly.v1+json", re.compile(r"\x1b\[[0-9;]*m")
PICTURES = ("image/png", "image/jpeg")


@dataclass(frozen=True)
class Tutorial:
    """A notebook as Markdown, with places for its outputs.

    Args:
        text: Markdown; where an output belongs it has a line of its own, `@@output-3@@`.
        outputs: HTML of each output.
    """

    text: str
    outputs: tuple[str, ...]


def executed(path: Path, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """A notebook with outputs, run now unless this very notebook was run before.

    Args:
        path: The notebook.
        quick: On a small part of its data, as WORKBENCH_FAST=1 does.
        say: Told what is done.

    Returns:
        The notebook as JSON values; its metadata has `ran`, a sentence.

    Raises:
        CellExecutionError: a cell fails.
    """
    source = path.read_bytes()
    kept = KEPT / f"{path.stem}-{'quick' if quick else 'full'}-{hashlib.sha256(source).hexdigest()[:16]}.json"
    if kept.exists():
        say(f"{path.stem}: what it gave is there already")
        return json.loads(kept.read_text(encoding="utf-8"))
    import nbformat
    from nbclient import NotebookClient

    say(f"{path.stem}: runs now")
    start = time.perf_counter()
    notebook = nbformat.reads(source.decode(), as_version=4)
    home = KEPT / "home"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": folder}})
        own = {"WORKBENCH_HOME": str(home), "WORKBENCH_FAST": str(int(quick)), "HF_HUB_OFFLINE": "1"}
        client.execute(env={**os.environ, **own})
    setting = "on a small part of its data (`WORKBENCH_FAST=1`)" if quick else "in full"
    notebook.metadata["ran"] = f"Run {setting} on {date.today()}, in {time.perf_counter() - start:.0f} s."
    text = nbformat.writes(notebook)
    kept.write_text(text, encoding="utf-8")
    return json.loads(text)


def rendered(notebook: dict[str, Any], name: str) -> Tutorial:
    """A notebook as a page.

    Args:
        notebook: JSON values, with outputs or without.
        name: File name without its ending.

    Returns:
        The page.
    """
    lines, outputs = [], []
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
            if number == 0:
                ran = notebook["metadata"].get("ran", "Shown without outputs: nothing was run for this page.")
                lines += ["!!! note", f"    {ran} `workbench notebooks` opens it, to run and to change.", ""]
            continue
        lines += ["```python", source, "```", ""]
        for output in cell.get("outputs", ()):
            shown = output_html(output)
            if shown:
                lines += [f"@@output-{len(outputs)}@@", ""]
                outputs.append(shown)
    return Tutorial("\n".join(lines), tuple(outputs))


def output_html(output: dict[str, Any]) -> str:
    """One output of a cell as HTML; nothing for what no page shows."""
    kind = output["output_type"]
    if kind == "stream":
        return _text("".join(output["text"])) if output["name"] == "stdout" else ""
    if kind == "error":
        raise ValueError(f"a cell failed: {output['ename']}: {output['evalue']}")
    data = output["data"]
    if FIGURE in data:
        figure = json.dumps({key: data[FIGURE].get(key) for key in ("data", "layout")}).replace("</", "<\\/")
        height = (data[FIGURE].get("layout") or {}).get("height") or 450
        return (
            f'<div class="figure" style="min-height:{int(height)}px"><script type="application/json">{figure}</script>'
            "<noscript>This figure is drawn by a script.</noscript></div>"
        )
    for picture in PICTURES:
        if picture in data:
            return f'<img alt="Output of the cell above" src="data:{picture};base64,{"".join(data[picture]).strip()}">'
    if "text/html" in data:
        return f'<div class="output">{"".join(data["text/html"])}</div>'
    if "text/markdown" in data:
        return _text("".join(data["text/markdown"]))
    return _text("".join(data.get("text/plain", "")))


def _text(text: str) -> str:
    plain = ANSI.sub("", text).rstrip()
    return f'<pre class="output">{html.escape(plain)}</pre>' if plain else ""


def put(page: str, outputs: tuple[str, ...]) -> str:
    """The HTML of a page with its outputs in their places."""
    return re.sub(r"<p>@@output-(\d+)@@</p>", lambda found: outputs[int(found[1])], page)
