"""The frontier of a comparison of indexes: recall against time, with the bytes of a token as the area of a mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from engine.errors import InputError
from workbench.figures.systems import legend_below, pareto_front
from workbench.figures.theme import SYMBOLS, compact, faded, log_axis, palette, style

if TYPE_CHECKING:
    from workbench.experiments.views.indexes import IndexRow

LARGEST = 44  # pixels across, of the index with the most bytes a token
SMALLEST = 7
NAMES = {"recall_10": "R@10", "recall_100": "R@100"}


def index_frontier(records: Sequence[IndexRow], quality: str | None = None, theme: str = "light") -> go.Figure:
    """Recall of exact results against the median time of a question, one mark an index.

    Args:
        records: Of one comparison; those without numbers are left out.
        quality: "recall_10" or "recall_100"; that of the depth that was asked for when None.
        theme: "light" or "dark".

    Returns:
        The figure: filled marks are settings as given, hollow ones tuned to the matched recall; kinds differ in shape
        and colour.

    Raises:
        InputError: an unknown quality, or no record with numbers.
    """
    quality = quality or ("recall_100" if records and records[0].k >= 100 else "recall_10")
    if quality not in NAMES:
        raise InputError(f"Unknown quality {quality!r}: choose among {', '.join(NAMES)}.")
    measured = [record for record in records if record.p50_ms is not None and not record.error]
    if not measured:
        raise InputError("Expected records with numbers, got none: measure an index first.")
    colours = palette(theme)
    times = [record.p50_ms or 0.0 for record in measured]
    values = [float(getattr(record, quality)) for record in measured]
    front = pareto_front(times, values)
    figure = go.Figure(
        go.Scatter(
            x=[times[i] for i in front], y=[values[i] for i in front], mode="lines", hoverinfo="skip", showlegend=False,
            line={"color": faded(colours.soft, 0.25), "width": 7, "shape": "hv"},
        )
    )  # fmt: skip
    most = max(record.bytes_per_token or 0.0 for record in measured) or 1.0
    for number, kind in enumerate(dict.fromkeys(record.kind for record in measured)):
        colour, symbol = colours.series[number % len(colours.series)], SYMBOLS[number % len(SYMBOLS)]
        rows = [i for i, record in enumerate(measured) if record.kind == kind]
        figure.add_scatter(
            x=[times[i] for i in rows], y=[values[i] for i in rows], mode="lines", showlegend=False, hoverinfo="skip",
            line={"color": faded(colour, 0.5), "width": 1.5, "dash": "dot"},
        )  # fmt: skip
        for i in rows:
            figure.add_trace(_mark(measured[i], times[i], values[i], most, colour, symbol, quality, theme))
    note = "Area: bytes a token. Hollow: tuned to the matched recall. Grey: no other index beats these on both axes."
    style(figure, f"{NAMES[quality]} against time on {measured[0].collection}", theme, 340, note)
    figure.update_xaxes(title_text="median time of a question, ms, logarithmic", **log_axis(times))
    span = max(1 - min(values), 0.02)
    ticks = _ticks(min(values) - 0.2 * span)
    figure.update_yaxes(
        title_text=f"{NAMES[quality]}, share of exact results", range=[min(values) - 0.3 * span, 1 + 0.3 * span],
        tickvals=ticks, ticktext=[f"{tick:.3g}" for tick in ticks],
    )  # fmt: skip
    legend_below(figure, len({record.kind for record in measured}))
    return figure.update_layout(legend={"itemsizing": "constant"})


def _ticks(low: float) -> list[float]:
    """Round shares from `low` to 1: none above, since there is no recall above 1."""
    step = next(step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (1 - low) / step <= 6)
    return [round(1 - i * step, 4) for i in range(int((1 - low) / step) + 1)][::-1]


def _mark(
    record: IndexRow, time: float, value: float, most: float, colour: str, symbol: str, quality: str, theme: str
) -> go.Scatter:
    matched = record.point != "as given"
    size = max(LARGEST * ((record.bytes_per_token or 0.0) / most) ** 0.5, SMALLEST)
    marker: dict[str, Any] = {
        "symbol": symbol, "size": size, "color": palette(theme).card if matched else faded(colour, 0.75),
        "line": {"color": colour, "width": 2},
    }  # fmt: skip
    size_text = "" if record.bytes_per_token is None else f", {compact(record.bytes_per_token)} bytes a token"
    return go.Scatter(
        x=[time], y=[value], mode="markers", name=record.kind, showlegend=not matched, legendgroup=record.kind,
        marker=marker, customdata=[f"{record.name}{size_text}"],
        hovertemplate=f"%{{customdata}}<br>%{{x:.3g}} ms, {NAMES[quality]} %{{y:.3f}}<extra></extra>",
    )  # fmt: skip
