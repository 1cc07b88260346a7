"""Figures that compare systems: the frontier of cost and quality, differences by query, latencies, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from engine.errors import InputError
from engine.metrics import metric_name
from engine.statistics import NOTICEABLE, Interval
from workbench.experiments.views.pareto import pareto_front
from workbench.figures.theme import DASHES, SYMBOLS, compact, faded, log_axis, palette, style

if TYPE_CHECKING:
    from workbench.experiments.views.systems import SystemComparison

MOST_BARS = 400  # differences by query: beyond it, bars would be thinner than a pixel


@dataclass(frozen=True)
class Axis:
    """How a field is shown.

    Args:
        title: What it is.
        unit: Its unit, or nothing.
        scale: What a value is multiplied with to get the unit.
    """

    title: str
    unit: str = ""
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title


def field(record: Any, name: str) -> Any:
    """A field of a mapping or of a dataclass, or None."""
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name, None)


def frontier(
    points: Sequence[Any],
    x: str,
    y: str,
    label: str = "name",
    group: str | None = None,
    mark: str | None = None,
    chosen: str | None = None,
    axes: Mapping[str, Axis] | None = None,
    title: str = "Which systems are worth their cost",
    log_x: bool = True,
    theme: str = "light",
    note: str = "The grey line joins the systems that no other beats on both axes.",
    joined: bool = True,
) -> go.Figure:
    """Cost against quality, one mark a system, and the line of those that no other beats.

    Args:
        points: Mappings or dataclasses, one a system.
        x: Field of the cost; less is better.
        y: Field of the quality; more is better.
        label: Field of the name shown on hover.
        group: Field that colours and shapes the marks.
        mark: Field of the short text written beside a mark.
        chosen: The label of "this one".
        axes: Titles and units by field.
        title: What is seen.
        log_x: Cost on a logarithmic axis.
        theme: "light" or "dark".
        note: A second, softer line.
        joined: Whether a line joins the marks of a group in the order of the points.

    Returns:
        The figure. A field "interval" (low, high) of a point is drawn as its error bar.

    Raises:
        InputError: no points, or one without a number in x or y.
    """
    colours = palette(theme)
    x_axis = (axes or {}).get(x, Axis(x.replace("_", " ")))
    y_axis = (axes or {}).get(y, Axis(metric_name(y)))
    xs, ys = _numbers(points, x, x_axis.scale), _numbers(points, y, y_axis.scale)
    front = pareto_front(xs, ys)
    figure = go.Figure()
    figure.add_scatter(
        x=[xs[i] for i in front], y=[ys[i] for i in front], mode="lines", showlegend=False,
        line={"color": faded(colours.soft, 0.6), "width": 8, "shape": "hv"}, opacity=0.4, hoverinfo="skip",
    )  # fmt: skip
    names = [str(field(point, group)) if group else "systems" for point in points]
    for number, name in enumerate(dict.fromkeys(names)):
        rows = [i for i, other in enumerate(names) if other == name]
        colour = colours.series[number % len(colours.series)]
        bounds = [field(points[i], "interval") for i in rows]
        figure.add_scatter(
            x=[xs[i] for i in rows], y=[ys[i] for i in rows], name=name, showlegend=group is not None,
            mode="lines+markers+text" if group and joined and len(rows) > 1 else "markers+text",
            line={"color": faded(colour, 0.5), "width": 1.5, "dash": DASHES[number % len(DASHES)]},
            marker={
                "color": [colours.chosen if str(field(points[i], label)) == chosen else colour for i in rows],
                "size": 10, "symbol": SYMBOLS[number % len(SYMBOLS)],
            },
            text=[str(field(points[i], mark)) if mark else "" for i in rows], textposition="top center",
            textfont={"size": 10}, customdata=[[str(field(points[i], label))] for i in rows],
            error_y=error_bars([ys[i] for i in rows], bounds, colour) if all(bounds) else None,
            hovertemplate=f"%{{customdata[0]}}<br>{x_axis} %{{x:.3g}}<br>{y_axis} %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    style(figure, title, theme, 380, note)
    figure.update_xaxes(title_text=f"{x_axis}{', logarithmic' if log_x else ''}", **(log_axis(xs) if log_x else {}))
    figure.update_yaxes(title_text=str(y_axis))
    return legend_below(figure, len(set(names)) if group else 0)


def system_frontier(found: SystemComparison, cost: str = "p50_ms", theme: str = "light") -> go.Figure:
    """Quality of whole systems against what they cost, those with late interaction apart from the others.

    Args:
        found: A comparison with judgements.
        cost: "p50_ms" or "bytes".
        theme: "light" or "dark".

    Returns:
        The figure, with 95% intervals.

    Raises:
        InputError: nothing was measured, or without judgements.
    """
    points = [
        {"name": name, "kind": "with late interaction" if row.late else "without", cost: getattr(row, cost),
         found.metric: row.run.mean[found.metric], "interval": row.run.intervals[found.metric][1:]}
        for row in found.rows if found.metric and row.run is not None for name in (row.text,)
    ]  # fmt: skip
    axes = {"p50_ms": Axis("time of a question", "ms"), "bytes": Axis("size of what is searched", "MB", 1e-6)}
    return frontier(
        points, cost, found.metric or "ndcg@10", "name", "kind", "name", axes=axes, title=found.collection,
        theme=theme, joined=False,
    )  # fmt: skip


def _numbers(points: Sequence[Any], name: str, scale: float) -> list[float]:
    if not points:
        raise InputError("Expected records of systems to draw, got none: measure some first.")
    values = [field(point, name) for point in points]
    for value, point in zip(values, points, strict=True):
        if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
            raise InputError(f"Expected a number in field {name!r}, got {value!r} in {point!r}: choose another field.")
    return [float(value) * scale for value in values]


def error_bars(values: list[float], bounds: list[tuple[float, float]], colour: str) -> dict[str, Any]:
    """Error bars from values to their (low, high) bounds."""
    return {
        "type": "data", "symmetric": False, "color": faded(colour, 0.35), "thickness": 1, "width": 2,
        "array": [high - value for value, (_, high) in zip(values, bounds, strict=True)],
        "arrayminus": [value - low for value, (low, _) in zip(values, bounds, strict=True)],
    }  # fmt: skip


def legend_below(figure: go.Figure, entries: int, longest: int = 0) -> go.Figure:
    """Put the legend under the axis, where a phone has room for it; names beyond 20 characters get a row each."""
    margin, height = figure.layout.margin, figure.layout.height
    room = 20 * (entries if longest > 20 else (entries + 1) // 2)
    return figure.update_layout(
        legend={"y": 0, "yref": "container", "yanchor": "bottom", "x": 0, "entrywidth": max(170, 7 * longest)},
        margin={"b": margin.b + room},
        height=height + room,
    )


def query_differences(
    before: Mapping[str, float],
    after: Mapping[str, float],
    names: tuple[str, str] = ("before", "after"),
    metric: str = "ndcg@10",
    threshold: float = NOTICEABLE,
    queries: Mapping[str, str] | None = None,
    theme: str = "light",
) -> go.Figure:
    """How much each query gained or lost, sorted.

    Args:
        before: Query id -> value.
        after: Query id -> value, of the same queries.
        names: What the two are called.
        metric: What the values are.
        threshold: Differences up to this are counted as no change.
        queries: Query id -> text, shown on hover.
        theme: "light" or "dark".

    Returns:
        The figure; of more than 400 queries those that moved most.

    Raises:
        InputError: the queries of the two differ.
    """
    if set(before) != set(after):
        raise InputError("Expected values for the same queries on both sides: compare runs of one collection.")
    colours = palette(theme)
    difference = {query: after[query] - before[query] for query in before}
    better = sum(value > threshold for value in difference.values())
    worse = sum(value < -threshold for value in difference.values())
    kept = sorted(difference, key=lambda query: -abs(difference[query]))[:MOST_BARS]
    order = sorted(kept, key=lambda query: (-difference[query], query))
    texts = queries or {}
    figure = go.Figure(
        go.Bar(
            x=list(range(len(order))), y=[difference[query] for query in order],
            marker_color=[colours.accent if difference[query] >= 0 else colours.chosen for query in order],
            customdata=[[query, f"{query}: {texts.get(query, '')[:90]}"] for query in order],
            hovertemplate="%{customdata[1]}<br>%{y:+.3f}<extra></extra>",
        )
    )  # fmt: skip
    note = f"{len(difference) - better - worse} of {len(difference)} queries moved by {threshold:g} or less."
    if len(kept) < len(difference):
        note += f" Shown: the {len(kept)} that moved most."
    style(figure, f"{names[1]} against {names[0]}: {better} queries better, {worse} worse", theme, 300, note)
    figure.update_layout(bargap=0.05)
    figure.update_xaxes(title_text="queries, by difference", showticklabels=False, showgrid=False)
    figure.update_yaxes(title_text=f"{metric_name(metric)}, difference")
    return figure


def latencies(times: Mapping[str, Sequence[float] | np.ndarray], theme: str = "light") -> go.Figure:
    """How long single questions take, as the share of questions answered within a time.

    Args:
        times: System -> milliseconds of single questions.
        theme: "light" or "dark".

    Returns:
        The figure, with the median and the 95th percentile of each system marked.

    Raises:
        InputError: nothing was measured.
    """
    if not times or any(len(values) == 0 for values in times.values()):
        raise InputError("Expected times of at least one question for each system, got none: measure them first.")
    colours = palette(theme)
    figure = go.Figure()
    for number, (name, values) in enumerate(times.items()):
        ordered = np.sort(np.asarray(values, np.float64))
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        median, slow = np.percentile(ordered, [50, 95])
        colour = colours.series[number % len(colours.series)]
        figure.add_scatter(
            x=ordered, y=100 * share, mode="lines", name=f"{name}: p50 {compact(median)} ms, p95 {compact(slow)} ms",
            line={"color": colour, "width": 2, "shape": "hv", "dash": DASHES[number % len(DASHES)]},
            hovertemplate=f"{name}: %{{y:.0f}}% within %{{x:.3g}} ms<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[median, slow], y=[50, 95], mode="markers", showlegend=False, hoverinfo="skip",
            marker={"color": colour, "size": 9, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        )  # fmt: skip
    style(figure, "How long a question takes", theme, 300, "Marked: the median and the 95th percentile.")
    everything = [float(value) for values in times.values() for value in values]
    figure.update_xaxes(title_text="time, ms, logarithmic", **log_axis(everything))
    figure.update_yaxes(title_text="questions answered, %", range=[0, 104])
    figure = legend_below(figure, 2 * len(times))
    return figure.update_layout(legend={"entrywidth": 330}, showlegend=True)


def intervals(
    values: Mapping[str, tuple[float, float, float]],
    metric: str = "ndcg@10",
    chosen: str | None = None,
    title: str = "",
    theme: str = "light",
) -> go.Figure:
    """One mean with its interval a system.

    Args:
        values: System -> (mean, low, high).
        metric: What the means are of.
        chosen: The system that is "this one".
        title: What is seen; built from the metric when empty.
        theme: "light" or "dark".

    Returns:
        The figure.

    Raises:
        InputError: no systems.
    """
    if not values:
        raise InputError("Expected at least one system, got none: run one first.")
    colours = palette(theme)
    names = list(values)
    means = [values[name][0] for name in names]
    bars = error_bars(means, [values[name][1:] for name in names], colours.accent)
    figure = go.Figure(
        go.Scatter(
            x=means, y=list(range(len(names))), mode="markers+text", text=[f"{mean:.3f}" for mean in means],
            textposition="top center", error_x={**bars, "thickness": 3, "width": 0},
            marker={"size": 11, "color": [colours.chosen if name == chosen else colours.accent for name in names]},
            customdata=[f"{name}: {Interval(*values[name])}" for name in names],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )  # fmt: skip
    style(
        figure,
        title or f"{metric_name(metric)} of {len(names)} systems",
        theme,
        44 * len(names) + 40,
        "Lines: 95% intervals.",
    )
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.5, -0.7], showgrid=False
    )
    figure.update_xaxes(title_text=metric_name(metric))
    return figure
