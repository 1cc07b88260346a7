"""Figures as files: one HTML page that opens offline, or a picture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from engine.errors import InputError, MissingExtraError, missing_extra
from engine.files import require_place
from workbench.figures.theme import CONFIG, FONT

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


SUFFIXES = (".html", ".svg", ".png")
PATIENCE_S = 300  # for one picture: a busy machine starts a browser slowly


def check_place(path: str | Path) -> Path:
    """Check a figure's file name and folder before the work whose result it shows.

    Raises:
        InputError: another suffix than .html, .svg and .png, a folder that is not there, or a name that is too long.
    """
    target = _target(path, SUFFIXES)
    require_place(target)
    return target


def export(figure: go.Figure, path: str | Path, width: int = 720) -> Path:
    """Write a figure as the file's name says: .html, .svg or .png.

    Args:
        figure: Any figure.
        path: The file.
        width: Pixels of a picture.

    Returns:
        The path.

    Raises:
        InputError: another suffix, or a place that cannot be written.
        MissingExtraError: a picture is asked for, and kaleido or a Chromium is missing.
    """
    target = check_place(path)
    return export_html(figure, target) if target.suffix.lower() == ".html" else export_image(figure, target, width)


def export_html(figure: go.Figure, path: str | Path) -> Path:
    """Write a page that holds the figure and everything it needs (about 5 MB, most of it plotly.js).

    Args:
        figure: Any figure.
        path: A file ending in .html.

    Returns:
        The path.

    Raises:
        InputError: another suffix, or a place that cannot be written.
    """
    target = _target(path, (".html",))
    body = figure.to_html(full_html=False, include_plotlyjs=True, config=CONFIG, default_width="100%")
    background = figure.layout.paper_bgcolor or "#ffffff"
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Late Interaction Workbench</title>'
        f"<style>body{{margin:0;background:{background};font-family:{FONT}}}</style></head><body>{body}</body></html>"
    )
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}): choose another place.") from None
    return target


def export_image(
    figure: go.Figure, path: str | Path, width: int = 900, height: int | None = None, scale: float = 2
) -> Path:
    """Write a picture, drawn by kaleido in a Chromium of this machine.

    Args:
        figure: Any figure.
        path: A file ending in .png or .svg.
        width: Pixels.
        height: Pixels; the figure's own height when None.
        scale: Picture pixels per pixel, for .png.

    Returns:
        The path.

    Raises:
        InputError: another suffix, or a place that cannot be written.
        MissingExtraError: kaleido or a Chromium is missing.
    """
    return export_images({path: figure}, width, height, scale)[0]


def export_images(
    figures: Mapping[str | Path, go.Figure], width: int = 900, height: int | None = None, scale: float = 2
) -> list[Path]:
    """Write many pictures with one start of the browser, which takes longer than drawing.

    Args:
        figures: File ending in .png or .svg -> figure.
        width: See `export_image`.
        height: See `export_image`.
        scale: See `export_image`.

    Returns:
        The paths.

    Raises:
        InputError: see `export_image`.
        MissingExtraError: see `export_image`.
    """
    targets = [_target(path, (".png", ".svg")) for path in figures]
    try:
        import kaleido
        from choreographer.errors import BrowserDepsError, BrowserFailedError, ChromeNotFoundError
    except ImportError:
        raise missing_extra("kaleido", "figures") from None
    browser = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, BROWSERS)), None)
    drawn = []
    for target, figure in zip(targets, figures.values(), strict=True):
        opts: dict[str, Any] = {"format": target.suffix[1:], "width": width}
        opts["height"] = height or figure.layout.height or 500
        drawn.append(
            {"fig": figure, "path": str(target), "opts": opts | ({"scale": scale} if "png" in opts["format"] else {})}
        )
    try:
        kaleido.write_fig_from_object_sync(
            drawn,
            cancel_on_error=True,
            kopts={"path": browser, "timeout": PATIENCE_S} if browser else {"timeout": PATIENCE_S},
        )
    except (ChromeNotFoundError, BrowserFailedError, BrowserDepsError):
        raise MissingExtraError(
            "No Chromium or Chrome starts on this machine, and a picture needs one: install Chromium, set BROWSER_PATH "
            "to it, or export HTML."
        ) from None
    return targets


def _target(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise InputError(f"Expected a file ending in {' or '.join(suffixes)}, got {str(path)!r}: change the name.")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent} is no folder: create it first.")
    return target
