"""Components of the pages: what is drawn in the browser, and how Python builds it into a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
import orjson
from starlette.responses import Response

FOLDER = Path(__file__).parent
FIRST = "core"  # the script that all others begin with


def scripts() -> str:
    """All scripts of the pages, as one text that can stand in a page."""
    files = sorted(FOLDER.glob("*.js"), key=lambda file: (file.stem != FIRST, file.stem))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert "</script" not in text, "a script that ends its own element"
    return text


def component(
    name: str, value: Any = None, functions: list[Callable[..., Any]] | None = None, events: tuple[str, ...] = ()
) -> gr.HTML:
    """A part of a page: the markup of `<name>.html`, brought to life by `LIW.start`.

    The markup holds no value: Gradio evaluates what it fills into a template, `${...}` in a document included. Values
    reach the page as JSON, and the scripts write them as text.

    Args:
        name: The file and the function of the scripts.
        value: JSON value, the script's `props.value`.
        functions: Python functions that the script calls as `server.<name>(argument)`.
        events: Names of the events that the script triggers; each becomes a listener of the component.

    Returns:
        The component.
    """
    template = (FOLDER / f"{name}.html").read_text(encoding="utf-8")
    assert not re.search(r"[$`{}\\]", template), "a template that takes values"
    names = ", ".join(f'"{event}"' for event in events)
    start = f"LIW.start('{name}', element, props, typeof server === 'undefined' ? null : server, trigger, watch);"
    return gr.HTML(
        value,
        html_template=template,
        js_on_load=f"/* triggers {names} */ {start}",
        apply_default_css=False,
        server_functions=[_plain(function) for function in functions or []],
    )


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function in place of a bound method: Gradio marks what it may call, and a method takes no marks.

    Its answer is JSON already: FastAPI would visit every number of a heatmap in Python first.
    """

    @wraps(method)
    def call(argument: Any) -> Response:
        return Response(orjson.dumps(method(argument)), media_type="application/json")

    return call
