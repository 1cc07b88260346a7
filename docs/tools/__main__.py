"""Build the site into site/: strict, so that a link to nowhere is a failure. Run: `make docs`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from docs.tools.hooks import ROOT, TUTORIALS


def main() -> int:
    """Build; the exit status of mkdocs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "site", help="folder that is written anew")
    parser.add_argument(
        "--tutorials", choices=("quick", "full", "none"), default="quick",
        help="run the notebooks on a small part of their data or in full, or show them without outputs",
    )  # fmt: skip
    options = parser.parse_args()
    print("The notebooks are run first where they changed (minutes each); then the pages are written.", flush=True)
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(options.output.resolve()),
    ]
    quiet = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true", TUTORIALS: options.tutorials}
    status = subprocess.call(command, cwd=ROOT, env={**os.environ, **quiet})
    if status == 0:
        print(f"Open {options.output / 'index.html'}: the site needs no server and no network.")
    return status


if __name__ == "__main__":
    sys.exit(main())
