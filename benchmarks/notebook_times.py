"""How long each notebook takes, in full and with FAST, on this machine: the table of notebooks/README.md.

Run: `python -m benchmarks.notebook_times [NAME ...] [--mode fast|full]`; what was measured before is kept beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from benchmarks import machine

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
README = FOLDER / "README.md"
RECORD = machine.RESULTS / "notebooks.json"
RUN = "import sys, nbformat, nbclient; nbclient.NotebookClient(nbformat.read(sys.argv[1], 4), timeout=3600).execute()"


def seconds_of(notebook: Path, fast: bool, home: str) -> float:
    """Wall time of a run from top to bottom, in an empty folder, with the start of its kernel."""
    own = {"WORKBENCH_HOME": home, "HF_HUB_OFFLINE": "1", "WORKBENCH_FAST": "1" if fast else "0"}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", RUN, str(notebook)], check=True, cwd=folder, env={**os.environ, **own})
        return time.perf_counter() - start


def title_of(notebook: Path) -> str:
    """Its heading, without number."""
    cells = nbformat.read(notebook, 4).cells
    return re.sub(r"^#\s*\d+\.\s*", "", cells[0].source.splitlines()[0])


def learned(notebook: Path) -> str:
    """The sentence that says what one learns."""
    found = re.search(r"\*\*You will learn\*\*\s+(.+?)\.(?:\s|$)", nbformat.read(notebook, 4).cells[0].source)
    return found[1] if found else ""


def table(times: dict[str, dict[str, float]]) -> str:
    """One row a notebook."""
    rows = ["| notebook | you will learn | in full | with FAST |", "| --- | --- | --- | --- |"]
    for path in sorted(FOLDER.glob("*.ipynb")):
        spent = times.get(path.stem, {})
        shown = [f"{spent[mode]:.0f} s" if mode in spent else "not measured" for mode in ("full", "fast")]
        rows.append(f"| [{title_of(path)}]({path.name}) | {learned(path)} | {shown[0]} | {shown[1]} |")
    return "\n".join(rows)


def main() -> None:
    """Run the notebooks, record their times, and write them into the README of their folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="how their file names begin; all unless given")
    parser.add_argument("--mode", choices=("fast", "full"), default="full")
    options = parser.parse_args()
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"seconds": {}}
    with tempfile.TemporaryDirectory() as home:  # shared, so that a later notebook finds what an earlier one encoded
        for path in sorted(FOLDER.glob("*.ipynb")):
            if not options.names or path.stem.startswith(tuple(options.names)):
                seconds = seconds_of(path, options.mode == "fast", home)
                record["seconds"].setdefault(path.stem, {})[options.mode] = round(seconds, 1)
                print(f"{path.stem}: {seconds:.0f} s", flush=True)
                RECORD.write_text(json.dumps({**record, "machine": machine.describe()}, indent=1) + "\n")
    text = README.read_text(encoding="utf-8")
    block = f"<!-- times -->\n{table(record['seconds'])}\n<!-- /times -->"
    README.write_text(
        re.sub(r"<!-- times -->.*<!-- /times -->", lambda _: block, text, flags=re.DOTALL), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
