"""Figures of the pool factor: aligned rows over the factors, and the trade-off of quality against size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.errors import InputError
from engine.metrics import metric_name
from engine.statistics import Interval
from workbench.figures.systems import Axis, error_bars, frontier, legend_below
from workbench.figures.theme import DASHES, SYMBOLS, compact, faded, palette, style

if TYPE_CHECKING:
    from workbench.experiments.views.pooling import PoolPoint
    from workbench.experiments.views.question_groups import GroupPoint

ROWS = (2.0, 1.4, 1.0, 1.0)  # heights of quality, questions, size, time
AXES: dict[str, Axis] = {
    "bytes": Axis("index size", "MB", 1e-6),
    "tokens": Axis("token vectors"),
    "latency_ms": Axis("time a question", "ms"),
}


def pool_curve(
    records: Sequence[PoolPoint], chosen: float | None = None, theme: str = "light", metric: str = "ndcg@10"
) -> go.Figure:
    """One quantity a row over the same factors: quality with its interval, questions won and lost, size, time.

    Args:
        records: The records of one method and one index, in the order of their factors.
        chosen: The factor to mark.
        theme: "light" or "dark".
        metric: The quality row.

    Returns:
        The figure.

    Raises:
        InputError: no records, or a metric that they do not have.
    """
    if not records or metric not in records[0].mean:
        known = ", ".join(records[0].mean) if records else "no records came"
        raise InputError(f"Expected pool records with metric {metric!r}, got {known}: run the study with it.")
    colours = palette(theme)
    x = list(range(len(records)))
    figure = make_subplots(rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.085, row_heights=list(ROWS),
                           subplot_titles=_row_titles(metric))  # fmt: skip
    figure.update_annotations(x=0, xanchor="left", xref="paper", font={"size": 12, "color": colours.ink})
    _quality_row(figure, records, x, metric, chosen, theme)
    for counts, sign, colour, word in (
        ([len(r.better) for r in records], 1, colours.accent, "better"),
        ([len(r.worse) for r in records], -1, colours.chosen, "worse"),
    ):
        figure.add_bar(
            x=x, y=[sign * count for count in counts], marker_color=colour, row=2, col=1,
            text=[count or "" for count in counts], textposition="outside", cliponaxis=False,
            hovertemplate=f"%{{text}} {word}<extra></extra>",
        )  # fmt: skip
    for row, values in ((3, [r.bytes / 1e6 for r in records]), (4, [r.latency_ms for r in records])):
        marked = [colours.chosen if r.factor == chosen else faded(colours.accent, 0.55) for r in records]
        figure.add_bar(
            x=x, y=values, marker_color=marked, text=[compact(value) for value in values], textposition="outside",
            cliponaxis=False, hovertemplate="%{y:.3g}<extra></extra>", row=row, col=1,
        )  # fmt: skip
        figure.update_yaxes(range=[0, max(values) * 1.3], row=row, col=1)
    first = records[0]
    note = f"{first.method} pooling, {first.documents:,} documents, {first.queries:,} questions, {first.index} index"
    style(figure, f"What pooling costs on {first.collection}", theme, 560, note)
    most = max(max(len(r.better), len(r.worse)) for r in records) or 1
    figure.update_yaxes(range=[-most * 1.45, most * 1.45], row=2, col=1)
    figure.update_yaxes(showticklabels=False, showgrid=False)
    figure.update_yaxes(showticklabels=True, showgrid=True, nticks=4, row=1, col=1)
    figure.update_xaxes(
        tickvals=x, ticktext=[r.label for r in records], showgrid=False, zeroline=False, range=[-0.6, len(x) - 0.4]
    )
    figure.update_xaxes(title_text="pool factor", row=4, col=1)
    return figure.update_layout(showlegend=False, barmode="relative")


def _row_titles(metric: str) -> list[str]:
    return [
        f"<b>{metric_name(metric)}</b>, band: 95% interval",
        "<b>Questions</b>, better above, worse below",
        "<b>Size</b>, MB",
        "<b>Time</b>, ms a question",
    ]


def _quality_row(
    figure: go.Figure, records: Sequence[PoolPoint], x: list[int], metric: str, chosen: float | None, theme: str
) -> None:
    colours = palette(theme)
    low, high = zip(*(r.interval[metric] for r in records), strict=True)
    figure.add_scatter(
        x=x + x[::-1], y=[*high, *low[::-1]], fill="toself", fillcolor=faded(colours.accent, 0.12),
        line_width=0, mode="lines", hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=[r.mean[metric] for r in records], mode="lines+markers", line={"color": colours.accent, "width": 2.5},
        marker={
            "size": [12 if r.factor == chosen else 8 for r in records],
            "color": [colours.chosen if r.factor == chosen else colours.accent for r in records],
        },
        customdata=[str(Interval(r.mean[metric], *r.interval[metric])) for r in records],
        hovertemplate="%{customdata}<extra></extra>", row=1, col=1,
    )  # fmt: skip
    for position, record in zip(x, records, strict=True):
        if record.factor == chosen:
            figure.add_annotation(
                x=position, y=record.mean[metric], text=f"<b>{record.mean[metric]:.3f}</b>", showarrow=False,
                yshift=16, font={"color": colours.ink}, row=1, col=1,
            )  # fmt: skip


def trade_off(records: Sequence[PoolPoint], x: str = "bytes", y: str = "ndcg@10", theme: str = "light") -> go.Figure:
    """Quality against size (or tokens, or time) for every method, factor and number of bits, with the Pareto front.

    Args:
        records: Records of one collection, of any methods and indexes.
        x: "bytes", "tokens" or "latency_ms"; less is better.
        y: A metric; more is better.
        theme: "light" or "dark".

    Returns:
        The figure.

    Raises:
        InputError: no records, or an unknown field.
    """
    points: list[dict[str, Any]] = []
    for record in records:
        group = f"{record.method}, {record.bits} bits"
        points.append({
            "name": f"factor {record.label}, {group}", "group": group, x: getattr(record, x, None),
            y: record.mean.get(y), "mark": record.label,
        })  # fmt: skip
    if not points:
        raise InputError("Expected pool records, got none: run the study first.")
    title = f"Quality against cost on {records[0].collection}"
    return frontier(points, x, y, group="group", mark="mark", axes=AXES, title=title, theme=theme,
                    note="Numbers: pool factor. Grey: no other combination beats these on both axes.")  # fmt: skip


def group_curves(
    points: Sequence[GroupPoint], metric: str = "ndcg@10", title: str = "", theme: str = "light"
) -> go.Figure:
    """What each factor does to groups of questions, as paired differences to factor 1 with 95% intervals.

    Args:
        points: From `workbench.experiments.views.question_groups.group_curve`.
        metric: What the differences are of.
        title: What is seen; built from the metric when empty.
        theme: "light" or "dark".

    Returns:
        The figure.

    Raises:
        InputError: no points.
    """
    if not points:
        raise InputError("Expected points of groups of questions, got none: choose groups with judged questions.")
    colours = palette(theme)
    factors = sorted({point.factor for point in points})
    groups = list(dict.fromkeys(point.group for point in points))
    figure = go.Figure()
    for number, group in enumerate(groups):
        rows = sorted((point for point in points if point.group == group), key=lambda point: point.factor)
        colour = colours.series[number % len(colours.series)]
        figure.add_scatter(
            x=[factors.index(row.factor) + 0.12 * (number - (len(groups) - 1) / 2) for row in rows],
            y=[row.difference.mean for row in rows], name=f"{group} ({rows[0].queries})", mode="lines+markers",
            line={"color": colour, "width": 2, "dash": DASHES[number % len(DASHES)]},
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
            error_y=error_bars([row.difference.mean for row in rows], [row.difference[1:] for row in rows], colour),
            hovertemplate=f"{group}: %{{y:+.3f}}<extra></extra>",
        )  # fmt: skip
    shown = title or f"{metric_name(metric)} against factor 1, by group"
    style(figure, shown, theme, 320, "Lines: 95% intervals of the paired difference. In brackets: how many questions.")
    labels = ["one" if math.isinf(factor) else f"{factor:g}" for factor in factors]
    figure.update_xaxes(tickvals=list(range(len(factors))), ticktext=labels, title_text="pool factor", zeroline=False)
    figure.update_yaxes(title_text=f"{metric_name(metric)}, difference", zeroline=True, zerolinecolor=colours.soft)
    return legend_below(figure, len(groups), max(len(group) for group in groups) + 6)
