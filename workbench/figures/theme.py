"""One visual language: colours by role, light and dark, and the layout that every figure starts from."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from engine.errors import InputError

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
TITLE_CHARACTERS = 40  # of 14 px type in 375 px
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "triangle-down")
CONFIG: dict[str, Any] = {
    "responsive": True,
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg"},
}


@dataclass(frozen=True)
class Palette:
    """Colours by what they mean.

    Args:
        paper: Behind everything.
        card: Behind a figure.
        ink: Text.
        soft: Secondary text.
        line: Hairlines and grids.
        accent: Magnitude.
        chosen: "This one": the chosen token, the best match, the worse side of a difference.
        tint: Behind words only.
        series: Colours of several systems, told apart by colour-blind readers too; symbols and dashes repeat them.
    """

    paper: str
    card: str
    ink: str
    soft: str
    line: str
    accent: str
    chosen: str
    tint: str
    series: tuple[str, ...]


PALETTES: dict[str, Palette] = {
    "light": Palette(
        "#fbfaf7", "#ffffff", "#1d232b", "#5b6673", "#e4e2dc", "#0b6e6e", "#b4531a", "#f0aa28",
        ("#0b6e6e", "#7a4ea3", "#3a78b5", "#8a6d00", "#6b7683", "#a83a63"),
    ),
    "dark": Palette(
        "#14181d", "#1b2129", "#e8ebee", "#98a3af", "#2c343e", "#4fc3bd", "#f0995a", "#f0b43c",
        ("#4fc3bd", "#c09ae6", "#7fb2e8", "#d8bd55", "#a7b1bb", "#ee8fb1"),
    ),
}  # fmt: skip


def palette(theme: str) -> Palette:
    """The colours of a theme.

    Raises:
        InputError: a theme other than "light" and "dark".
    """
    if theme not in PALETTES:
        raise InputError(f"Unknown theme {theme!r}: choose light or dark.")
    return PALETTES[theme]


def faded(colour: str, opacity: float) -> str:
    """A colour "#rrggbb" as "rgba(...)" with an opacity from 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def wrapped(text: str, characters: int = TITLE_CHARACTERS) -> str:
    """Text with line breaks so that it fits a phone."""
    return "<br>".join(textwrap.wrap(text, characters))


def style(figure: go.Figure, title: str, theme: str, height: int, note: str = "", font_size: int = 13) -> go.Figure:
    """Give a figure the common layout.

    Args:
        figure: The figure; it is changed.
        title: What is seen, as a sentence.
        theme: "light" or "dark".
        height: Pixels of the plotting area, title and note not counted.
        note: A second, softer line.
        font_size: Pixels of the axis labels.

    Returns:
        The same figure.
    """
    colours = palette(theme)
    heading = f"<b>{wrapped(title)}</b>"
    if note:
        softer = "<br>".join(textwrap.wrap(note, 56))
        heading += f'<br><span style="font-size:12px;color:{colours.soft}">{softer}</span>'
    top = 28 + 18 * (heading.count("<br>") + 1)
    total = height + top + 62
    figure.update_layout(
        meta={"note": note},  # for a page, which has a heading of its own and shows the note as text
        title={
            "text": heading,
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1 - 20 / total,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 14},
            "font": {"size": 14, "color": colours.ink},
        },
        font={"family": FONT, "size": font_size, "color": colours.soft},
        paper_bgcolor=colours.card,
        plot_bgcolor=colours.card,
        height=total,
        margin={"l": 52, "r": 14, "t": top + 8, "b": 54},
        hoverlabel={"font": {"family": FONT, "size": 12}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "xanchor": "left", "font": {"size": 12}},
        bargap=0.35,
        colorway=list(colours.series),
    )
    figure.update_traces(selector={"type": "bar"}, marker_line_width=0, constraintext="none", textfont_size=11)
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(
            gridcolor=colours.line,
            linecolor=colours.line,
            zerolinecolor=colours.line,
            automargin=True,
            fixedrange=True,
            title_font={"size": 12, "color": colours.soft},
            title_standoff=8,
        )
    return figure


def log_axis(values: Sequence[float]) -> dict[str, Any]:
    """Settings of a logarithmic axis over positive values: ticks at 1, 2 and 5, room for text at both ends."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.16 * (high - low), 0.08)
    first, last = low - room, high + room
    steps = [(m * 10.0**e) for e in range(math.floor(first), math.ceil(last) + 1) for m in (1, 2, 5)]
    ticks = [step for step in steps if first <= math.log10(step) <= last]
    if len(ticks) > 8:
        ticks = [step for step in ticks if str(f"{step:e}")[0] == "1"]
    return {"type": "log", "range": [first, last], "tickvals": ticks, "ticktext": [compact(step) for step in ticks]}


def compact(value: float) -> str:
    """A number in about three significant digits: 0.8, 17, 1,398, 62.1k, 2.1M."""
    for limit, unit, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= limit:
            return f"{value / unit:.3g}{suffix}"
    if abs(value) >= 10 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) >= 1e-4 else f"{value:.0e}"
