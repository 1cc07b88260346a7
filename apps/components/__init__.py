"""Components of the pages: what is drawn in the browser, and how Python builds it into a page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent
SCRIPTS = ("core", "matrix", "pair", "search")  # in the order in which they need each other


def scripts() -> str:
    """All scripts of the pages, as one text."""
    return "\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)


def component(
    name: str, template: str, value: Any = None, functions: list[Callable[..., Any]] | None = None
) -> gr.HTML:
    """A part of a page that `LIW.pages.<name>` brings to life.

    Args:
        name: The function of the scripts.
        template: HTML with {{...}} for values, which escapes them; never ${...}, which does not.
        value: JSON value, the script's `props.value`.
        functions: Python functions that the script calls as `server.<name>(argument)`.

    Returns:
        The component.
    """
    assert "${" not in template, "a template that takes values as markup"
    return gr.HTML(
        value,
        html_template=template,
        js_on_load=f"LIW.pages.{name}(element, props, typeof server === 'undefined' ? null : server, trigger, watch);",
        apply_default_css=False,
        server_functions=[_plain(function) for function in functions or []],
    )


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function in place of a bound method: Gradio marks what it may call, and a method takes no marks."""

    @wraps(method)
    def call(argument: Any) -> Any:
        return method(argument)

    return call
