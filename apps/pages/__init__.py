"""The pages of the explorer, each a thin file over `workbench`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import gradio as gr

from apps.components import component
from apps.lane import Lane
from apps.live import Stops
from apps.registry import pages
from apps.workspaces import Workspaces
from engine.errors import InputError, WorkbenchError

HEAVY = "heavy"  # Gradio's queue of long runs: it lets all through, and their lane makes them wait


class Functions:
    """What a page's script calls, and its long run; every answer is JSON, a person's mistake a sentence under "error".

    Args:
        workspaces: What the page works on; a request names one by its key under "on", without it the first.
    """

    def __init__(self, workspaces: Workspaces) -> None:
        self.workspaces = workspaces
        self.stops = Stops()


def bar() -> None:
    """The bar on top of a page: its name, the other pages, light or dark."""
    gr.Navbar(visible=False)
    component("bar", [{"name": page.title, "path": page.path} for page in pages()])


def sentence(error: Exception) -> str:
    """What a page says about an error: ours are sentences already, others go to the log in full."""
    if isinstance(error, WorkbenchError):
        return str(error)
    logging.getLogger(__name__).error("A page failed", exc_info=error)
    return f"This did not work ({type(error).__name__}: {error}): the terminal has the details."


def live(
    view: Any, run: Callable[[dict[str, Any], str], Iterator[dict[str, Any]]], stops: Stops, start: str, lane: Lane,
    refused: Callable[[dict[str, Any], str], dict[str, Any]],
) -> None:  # fmt: skip
    """Let a component start a run that streams its value, one run at a time in its lane, and end its own.

    Args:
        view: The component; it triggers `start` and "halt".
        run: Takes what the page sent and the visitor's session, yields values of the component.
        stops: Whose flags `run` begins.
        start: Name of the event that starts it.
        lane: In which it waits for its turn.
        refused: Takes what the page sent and a sentence, returns the value that shows it.
    """

    def begin(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        sent, session = event._data if isinstance(event._data, dict) else {}, request.session_hash or ""
        visitor = request.client.host if request.client else ""
        try:
            yield from lane.follow(visitor, session, lambda: run(sent, session), lambda: stops.stop(session))
        except WorkbenchError as error:
            yield refused(sent, str(error))

    def halt(request: gr.Request) -> None:
        lane.halt(request.session_hash or "")
        stops.stop(request.session_hash or "")

    getattr(view, start)(
        begin, outputs=view, concurrency_limit=None, concurrency_id=HEAVY, api_visibility="private",
        show_progress="hidden", trigger_mode="once",
    )  # fmt: skip
    view.halt(halt, api_visibility="private", show_progress="hidden")


def answering(function: Callable[[Any, dict[str, Any]], dict[str, Any]]) -> Callable[[Any, dict[str, Any]], Any]:
    """Turn what goes wrong in a function of a page into a sentence under "error"."""

    @wraps(function)
    def call(self: Any, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request is not None and not isinstance(request, dict):
                raise InputError(f"Expected an object with names and values, got {str(request)[:60]!r}: correct it.")
            return function(self, request or {})
        except Exception as error:  # the boundary to the browser: whatever it is, the person gets a sentence
            return {"error": sentence(error)}

    return call


def step_of(what: str, done: int, total: int) -> str:
    """How far a run is, in words."""
    return f"{what}, {done:,} of {total:,}" if total > 1 else what


def questions_at_most(value: Any) -> int | None:
    """How many questions a page asked for; None for all.

    Raises:
        InputError: no whole number of 0, for all, or more.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise InputError(f"Expected a whole number of questions, 0 for all, got {str(value)[:60]!r}: correct it.")
    return value or None
