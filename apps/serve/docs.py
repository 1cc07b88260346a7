"""The page /docs: Swagger's, from the files of a package, so that a browser asks no other host."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.metadata import version as version_of
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

PACKAGE = "fastapi-offline"  # it holds Swagger's files as they are published
FOLDER = "fastapi_offline/static"
FILES = "/docs/files"
POLICY = (  # the page runs its own lines of script, and loads everything from here
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)
WITHOUT = """<!doctype html><title>{title}</title><h1>{title}</h1><p>The functions are described in
<a href="openapi.json">openapi.json</a>. For a page that tries them, install {package}.</p>"""


def version() -> str:
    """The version of this project."""
    try:
        return version_of("late-interaction-workbench")
    except PackageNotFoundError:
        return "0"


def _files() -> Path | None:
    """Where Swagger's files are, without importing the package that has them."""
    try:
        folder = Path(str(distribution(PACKAGE).locate_file(FOLDER)))
    except PackageNotFoundError:
        return None
    return folder if (folder / "swagger-ui-bundle.js").is_file() else None


def add(app: FastAPI) -> None:
    """Add the page to an application; without the package it links the description alone."""
    folder = _files()
    if folder is not None:
        app.mount(FILES, StaticFiles(directory=folder), name="files of the page")

    @app.get("/docs", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        if folder is None:
            return HTMLResponse(WITHOUT.format(title=app.title, package=PACKAGE))
        found = get_swagger_ui_html(
            openapi_url="openapi.json", title=app.title, swagger_js_url="docs/files/swagger-ui-bundle.js",
            swagger_css_url="docs/files/swagger-ui.css", swagger_favicon_url="docs/files/favicon.png",
        )  # fmt: skip
        found.headers["content-security-policy"] = POLICY
        return found
