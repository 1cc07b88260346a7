"""Figures of `workbench.figures` on a page: JSON text that the page draws with the plotly.js of this machine."""

from __future__ import annotations

import gzip
import json
from dataclasses import fields
from functools import lru_cache

import plotly
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.figures import palette

PATH = "/liw/plotly.js"


def drawn(figure: go.Figure) -> str:
    """A figure in the light theme as JSON text; the page turns its colours where a person prefers the dark.

    Args:
        figure: Of `workbench.figures`.

    Returns:
        Data and layout.
    """
    whole = figure.to_plotly_json()
    whole["layout"].pop("template", None)  # every colour is set by our own style; the template is most of the text
    return json.dumps(whole, cls=PlotlyJSONEncoder)


def dark_colours() -> dict[str, str]:
    """Each colour of the light theme, and the beginning of its faded forms, -> that of the dark one."""
    light, dark = palette("light"), palette("dark")
    pairs = [(getattr(light, entry.name), getattr(dark, entry.name)) for entry in fields(light)]
    single = [pair for pair in pairs if isinstance(pair[0], str)]
    single += zip(light.series, dark.series, strict=True)
    return {**dict(single), **{_faded(one): _faded(other) for one, other in single}}


def settings_script() -> str:
    """What the scripts need to know to draw: where plotly.js is, and the colours."""
    told = {"path": f"{PATH}?{plotly.__version__}", "dark": dark_colours()}
    return f"LIW.plotting = {json.dumps(told)};"


def route() -> Route:
    """Where the application hands out plotly.js."""
    return Route(PATH, _script)


async def _script(request: Request) -> Response:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(_packed(), headers={**headers, "Content-Encoding": "gzip"}, media_type="text/javascript")
    return Response(get_plotlyjs(), headers=headers, media_type="text/javascript")


@lru_cache(maxsize=1)
def _packed() -> bytes:
    return gzip.compress(get_plotlyjs().encode("utf-8"), 6)


def _faded(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},"
