"""The frontier of a comparison of indexes: recall against time, with the bytes of a token as the area of a mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from engine.errors import InputError
from engine.metrics import metric_name
from workbench.experiments.views.pareto import pareto_front
from workbench.figures.systems import legend_below
from workbench.figures.theme import SYMBOLS, compact, faded, log_axis, palette, style

if TYPE_CHECKING:
    from workbench.experiments.views.indexes import IndexRow

LARGEST = 44  # pixels across, of the index with the most bytes a token
SMALLEST = 7
MOST_NAMED = 8  # marks with their name beside them; beyond, names would cover each other
NAMES = {"recall_10": "R@10", "recall_100": "R@100"}


def index_frontier(
    records: Sequence[IndexRow], quality: str | None = None, theme: str = "light", names: Sequence[str] | None = None
) -> go.Figure:
    """Recall of exact results, or a metric, against the median time of a question, one mark an index.

    Args:
        records: Of one comparison; those without numbers are left out.
        quality: "recall_10", "recall_100" or a metric of the records; recall at the depth that was asked for when None.
        theme: "light" or "dark".
        names: What the records are called; their own names when None.

    Returns:
        The figure: filled marks are settings as given, hollow ones tuned to the matched recall; kinds differ in shape
        and colour.

    Raises:
        InputError: an unknown quality, or no record with numbers.
    """
    quality = quality or ("recall_100" if records and records[0].k >= 100 else "recall_10")
    known = qualities(records)
    if quality not in known:
        raise InputError(f"Unknown quality {quality!r}: choose among {', '.join(known)}.")
    named = zip(records, names or [record.name for record in records], strict=True)
    shown = [(record, name) for record, name in named if _value(record, quality) is not None]
    if not shown:
        raise InputError("Expected records with numbers, got none: measure an index first.")
    measured = [record for record, _ in shown]
    colours = palette(theme)
    times = [record.p50_ms or 0.0 for record in measured]
    values = [_value(record, quality) or 0.0 for record in measured]
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
            mark = _mark(*shown[i], values[i], most, colour, symbol, known[quality], theme)
            if len(shown) <= MOST_NAMED:
                mark.update(mode="markers+text", text=[shown[i][1]], textposition="top center", textfont_size=11)
            figure.add_trace(mark.update(showlegend=i == rows[0]))
    note = "Area: bytes a token. Hollow: tuned to the matched recall. Grey: no other index beats these on both axes."
    style(figure, f"{known[quality]} against time on {measured[0].collection}", theme, 340, note)
    figure.update_xaxes(title_text="median time of a question, ms, logarithmic", **log_axis(times))
    if quality in NAMES:
        span = max(1 - min(values), 0.02)
        ticks = _ticks(min(values) - 0.2 * span)
        figure.update_yaxes(
            title_text=f"{known[quality]}, share of exact results", tickvals=ticks,
            ticktext=[f"{tick:.3g}" for tick in ticks], range=[min(values) - 0.3 * span, 1 + 0.3 * span],
        )  # fmt: skip
    else:
        room = 0.3 * max(max(values) - min(values), 0.02)
        figure.update_yaxes(title_text=known[quality], range=[min(values) - room, max(values) + room])
    legend_below(figure, len({record.kind for record in measured}))
    return figure.update_layout(legend={"itemsizing": "constant"})


def qualities(records: Sequence[IndexRow]) -> dict[str, str]:
    """What a frontier can show of some records: its name -> what a person reads."""
    metrics = next((found for record in records if (found := record.values.get("metrics")) and not record.error), {})
    return {**NAMES, **{name: metric_name(name) for name in metrics}}


def _value(record: IndexRow, quality: str) -> float | None:
    if record.p50_ms is None or record.error:
        return None
    value = getattr(record, quality) if quality in NAMES else record.values.get("metrics", {}).get(quality)
    return None if value is None else float(value)


def _ticks(low: float) -> list[float]:
    """Round shares from `low` to 1: none above, since there is no recall above 1."""
    step = next(step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (1 - low) / step <= 6)
    return [round(1 - i * step, 4) for i in range(int((1 - low) / step) + 1)][::-1]


def _mark(
    record: IndexRow, name: str, value: float, most: float, colour: str, symbol: str, quality: str, theme: str
) -> go.Scatter:
    matched = record.point != "as given"
    size = max(LARGEST * ((record.bytes_per_token or 0.0) / most) ** 0.5, SMALLEST)
    marker: dict[str, Any] = {
        "symbol": symbol, "size": size, "color": palette(theme).card if matched else faded(colour, 0.75),
        "line": {"color": colour, "width": 2},
    }  # fmt: skip
    size_text = "" if record.bytes_per_token is None else f", {compact(record.bytes_per_token)} bytes a token"
    return go.Scatter(
        x=[record.p50_ms], y=[value], mode="markers", name=record.kind, legendgroup=record.kind,
        marker=marker, customdata=[[name, f"{name}{size_text}"]],
        hovertemplate=f"%{{customdata[1]}}<br>%{{x:.3g}} ms, {quality} %{{y:.3f}}<extra></extra>",
    )  # fmt: skip
