"""A site in one folder: pages, components, data, written beside its place and then renamed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.components import FOLDER, scripts
from apps.look import SHEETS, STATIC
from apps.plotting import dark_colours
from engine.errors import CorruptDataError, InputError
from engine.files import require_place, writing

FORMAT = "late-interaction-site"
MANIFEST = "site.json"
BROWSER = Path(__file__).parent / "browser"
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'"
)
Files = dict[str, bytes]


def check_destination(folder: Path) -> None:
    """Refuse a folder that is not ours, before the work.

    Raises:
        InputError: it holds something that is no site, or cannot be made.
    """
    require_place(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder for the site.")
    if any(folder.iterdir()) and not is_site(folder):
        raise InputError(f"{folder} holds other things than a site: give a new folder.")


def is_site(folder: Path) -> bool:
    """Whether a folder was written by `publish`."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def page_file(name: str, title: str) -> bytes:
    """The HTML of a page: the markup of its component, and nothing that is not in a file of the site."""
    markup = (FOLDER / f"{name}.html").read_text(encoding="utf-8")
    bar = (FOLDER / "bar.html").read_text(encoding="utf-8")
    return "\n".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f'<title>{title}</title><link rel="icon" href="data:,">',
        '<link rel="stylesheet" href="pages/liw.css">',
        f'</head><body class="site" data-page="{name}">',
        f'<div id="bar">{bar}</div>',
        '<p class="liw note fetching" role="status"></p>',
        f'<main id="root">{markup}</main>',
        '<noscript><p>This page searches in your browser, which needs JavaScript.</p></noscript>',
        '<script src="pages/liw.js"></script>',
        '<script type="module" src="browser/site.js"></script>',
        "</body></html>\n",
    ]).encode()  # fmt: skip


def shared_files(figures: bool) -> Files:
    """Styles, scripts and the worker's modules; plotly.js where a page draws with it."""
    sheets = "\n".join((STATIC / f"{name}.css").read_text(encoding="utf-8") for name in SHEETS)
    settings = f"LIW.plotting = {json.dumps({'path': '', 'dark': dark_colours()})};"
    files = {f"browser/{path.name}": path.read_bytes() for path in sorted(BROWSER.glob("*.js"))}
    files |= {"pages/liw.css": sheets.encode(), "pages/liw.js": f"{scripts()}\n{settings}\n".encode()}
    if figures:
        from plotly.offline import get_plotlyjs

        files["pages/plotly.js.gz"] = gzip.compress(get_plotlyjs().encode(), 9, mtime=0)
    return files


def packed_json(value: Any) -> bytes:
    """A JSON value as gzip, the same bytes for the same value."""
    return gzip.compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), 6, mtime=0)


def write_site(folder: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> int:
    """Write a site beside its place, the manifest last, and put it in the place of the one before.

    Args:
        folder: Its place.
        files: Name -> content.
        manifest: What the pages read first.

    Returns:
        Bytes of the site.

    Raises:
        StorageError: the disk is full, read-only or gone; what was there before is kept.
        CorruptDataError: another program put something in its place meanwhile.
    """
    folder = folder.resolve()
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("new", "old"))
    content = json.dumps({"format": FORMAT, **manifest}, ensure_ascii=False, indent=1).encode()
    with writing(folder):
        try:
            for name, data in [*files.items(), (MANIFEST, content)]:
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
            if folder.exists():
                if any(folder.iterdir()) and not is_site(folder):
                    raise CorruptDataError(f"{folder} holds other things now: give a new folder.")
                folder.rename(old)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    return sum(len(data) for data in files.values()) + len(content)
