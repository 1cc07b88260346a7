"""Quality over bytes of all that was measured: factors, budgets, dimensions and bits, of one model or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from engine.errors import InputError
from engine.metrics import metric_name
from workbench.experiments.views.pareto import pareto_front
from workbench.figures.systems import error_bars, legend_below
from workbench.figures.theme import DASHES, SYMBOLS, compact, faded, log_axis, palette, style

if TYPE_CHECKING:
    from workbench.experiments.views.pooling import PoolPoint

SHAPES = {32: "hexagon", 16: "circle", 8: "pentagon", 4: "square", 2: "diamond", 1: "triangle-up"}  # bits -> mark


def budget_curves(
    records: Sequence[PoolPoint], most: float | None = None, metric: str = "ndcg@10", theme: str = "light"
) -> go.Figure:
    """Every measured point over the bytes of its index; the line joins those that no other of the model beats.

    Args:
        records: Points on one collection, of one model or of several (before and after a training).
        most: A budget in bytes: it is drawn, and the best point of each model under it is marked.
        metric: The quality.
        theme: "light" or "dark".

    Returns:
        The figure. Colours tell models apart, or the dimensions of a single one; marks tell bits. On the line stand
        factor or budget, dimensions and bits, and bars: the 95% interval of the paired difference to all vectors, laid
        around the point.

    Raises:
        InputError: no points, or points of several collections.
    """
    names = {record.collection for record in records}
    if len(names) != 1:
        found = ", ".join(sorted(names)) or "no points"
        raise InputError(f"Expected points on one collection, got {found}: draw one collection at a time.")
    from workbench.experiments.views.pooling import best_under

    colours, figure = palette(theme), go.Figure()
    models = list(dict.fromkeys(record.model for record in records))
    by = (lambda record: record.model) if len(models) > 1 else (lambda record: f"{record.dim} dimensions")
    groups = list(dict.fromkeys(map(by, sorted(records, key=lambda record: -record.dim))))
    groups = models if len(models) > 1 else groups
    colour_of = {group: colours.series[place % len(colours.series)] for place, group in enumerate(groups)}
    for place, model in enumerate(models):
        own = [record for record in records if record.model == model]
        line = colour_of[model] if len(models) > 1 else colours.soft
        _front(figure, own, metric, line, DASHES[place % len(DASHES)])
    for group in groups:
        _points(figure, [record for record in records if by(record) == group], group, metric, colour_of[group])
    note = "Marks: bits (circle 16, square 4, diamond 2, triangle 1). On the line: factor / dimensions / bits, and 95% "
    note += "intervals of the paired difference to all vectors."
    style(figure, f"Quality over bytes on {records[0].collection}", theme, 400, note)
    if most is not None:
        under = (best_under([record for record in records if record.model == name], most, metric) for name in models)
        _budget(figure, [best for best in under if best is not None], most, metric, theme)
    megabytes = [size / 1e6 for size in (*(record.bytes for record in records), most) if size is not None]
    figure.update_xaxes(title_text="index size, MB, logarithmic", **log_axis(megabytes))
    figure.update_yaxes(title_text=metric_name(metric))
    return legend_below(figure, len(groups), max(map(len, groups)) + 4)


def _points(figure: go.Figure, rows: Sequence[PoolPoint], name: str, metric: str, colour: str) -> None:
    figure.add_scatter(
        x=[row.bytes / 1e6 for row in rows], y=[row.mean[metric] for row in rows], mode="markers", name=name,
        marker={"color": faded(colour, 0.75), "size": 9, "symbol": [SHAPES.get(row.bits, SYMBOLS[-1]) for row in rows]},
        customdata=[[f"{row.model}: {row.name}", row.bytes_each, *row.difference] for row in rows],
        hovertemplate="%{customdata[0]}<br>%{y:.3f}; %{x:.3g} MB, %{customdata[1]:,.0f} bytes a document"
        "<br>%{customdata[2]:+.3f} to all vectors (%{customdata[3]:+.3f} to %{customdata[4]:+.3f})<extra></extra>",
    )  # fmt: skip


def _front(figure: go.Figure, rows: Sequence[PoolPoint], metric: str, colour: str, dash: str) -> None:
    front = [rows[i] for i in pareto_front([row.bytes for row in rows], [row.mean[metric] for row in rows])]
    means = [row.mean[metric] for row in front]
    bounds = [
        (mean - row.difference.mean + row.difference.low, mean - row.difference.mean + row.difference.high)
        for row, mean in zip(front, means, strict=True)
    ]
    bars: dict[str, Any] = error_bars(means, bounds, colour)
    figure.add_scatter(
        x=[row.bytes / 1e6 for row in front], y=means, mode="lines+text", showlegend=False, hoverinfo="skip",
        line={"color": faded(colour, 0.7), "width": 2, "dash": dash, "shape": "hv"}, error_y=bars,
        text=[f"{row.label}/{row.dim}/{row.bits}" for row in front], textposition="top left",
        textfont={"size": 9, "color": colour},
    )  # fmt: skip


def _budget(figure: go.Figure, best: Sequence[PoolPoint], most: float, metric: str, theme: str) -> None:
    colours = palette(theme)
    figure.add_shape(
        type="line", x0=most / 1e6, x1=most / 1e6, y0=0, y1=1, yref="paper", name="budget",
        line={"color": colours.chosen, "width": 1.5, "dash": "dash"},
    )  # fmt: skip
    figure.add_annotation(
        x=math.log10(most / 1e6), y=1, yref="paper", text=f"{compact(most / 1e6)} MB", showarrow=False,
        yanchor="bottom", font={"size": 11, "color": colours.chosen},
    )  # fmt: skip
    if best:
        figure.add_scatter(
            x=[point.bytes / 1e6 for point in best], y=[point.mean[metric] for point in best], mode="markers",
            showlegend=False, hoverinfo="skip",
            name="best under the budget",
            marker={"size": 17, "symbol": "circle-open", "color": colours.chosen, "line": {"width": 3}},
        )  # fmt: skip
