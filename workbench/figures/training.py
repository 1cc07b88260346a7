"""Figures of a training run: one quantity a row over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.errors import InputError
from engine.metrics import metric_name
from workbench.figures.systems import error_bars, legend_below
from workbench.figures.theme import DASHES, SYMBOLS, faded, palette, style

ORDER = ("loss", "ndcg@10", "recall@100", "learning_rate", "gradient_norm")  # these first, the rest by name
LEFT_OUT = {"step", "steps", "epoch", "seconds", "time", "total", "rows", "queries", "low", "high"}
RENAMED: dict[str, str] = {"ndcg": "ndcg@10"}


def training_curves(
    events: Sequence[Any], quantities: Sequence[str] | None = None, theme: str = "light", last: int | None = None
) -> go.Figure:
    """What was measured at each step.

    Args:
        events: Mappings or dataclasses with `step`, any numeric fields, and optionally `metrics` {name: value}; fields
            that an event lacks are left out.
        quantities: Which to draw, top to bottom; all that the events hold when None.
        theme: "light" or "dark".
        last: The step at which the run ends, while it goes on; the last of the events when None.

    Returns:
        The figure, one row a quantity; the best value of a quality is marked, and its interval where the events have
        `low` and `high`.

    Raises:
        InputError: no event holds a number at a step, or an unknown quantity.
    """
    series = _series(events)
    if not series:
        raise InputError("Expected training events with a step and a number, got none: wait for the first step.")
    known = sorted(series, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    chosen = list(quantities) if quantities is not None else known
    unknown = next((name for name in chosen if name not in series), None)
    if unknown is not None:
        raise InputError(f"The events hold no {unknown!r}: choose among {', '.join(known)}.")
    colours = palette(theme)
    figure = make_subplots(rows=len(chosen), cols=1, shared_xaxes=True, vertical_spacing=min(0.35 / len(chosen), 0.12),
                           subplot_titles=[f"<b>{metric_name(name)}</b>" for name in chosen])  # fmt: skip
    figure.update_annotations(x=0, xanchor="left", xref="paper", font={"size": 12, "color": colours.ink})
    for row, name in enumerate(chosen, start=1):
        steps, values = zip(*series[name], strict=True)
        figure.add_scatter(
            x=steps, y=values, mode="lines+markers" if len(steps) < 40 else "lines", name=name,
            line={"color": colours.accent, "width": 2}, marker={"size": 6}, row=row, col=1,
            hovertemplate=f"step %{{x}}: {name} %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
        for band in (_bands(events),) if name == RENAMED["ndcg"] else ():
            figure.add_scatter(
                x=[step for step, _, _ in band] + [step for step, _, _ in band[::-1]],
                y=[high for _, _, high in band] + [low for _, low, _ in band[::-1]], fill="toself", mode="lines",
                line_width=0, fillcolor=faded(colours.accent, 0.12), hoverinfo="skip", row=row, col=1,
            )  # fmt: skip
        if "@" in name:
            best = max(range(len(values)), key=lambda i: values[i])
            figure.add_scatter(
                x=[steps[best]], y=[values[best]], mode="markers+text", text=[f"<b>{values[best]:.3f}</b>"],
                textposition="bottom center", marker={"size": 11, "color": colours.chosen}, hoverinfo="skip",
                row=row, col=1,
            )  # fmt: skip
    now = max(step for points in series.values() for step, _ in points)
    style(
        figure,
        f"Training, {now:,} steps" if last is None or last <= now else f"Training, {now:,} of {last:,} steps",
        theme,
        150 * len(chosen) + 30,
        "Each row: one quantity at the steps where it was measured.",
    )
    figure.update_xaxes(title_text="step", row=len(chosen), col=1)
    if last is not None:
        figure.update_xaxes(range=[0, max(now, last) * 1.02])
    return figure.update_layout(showlegend=False)


def pool_training(curves: Mapping[str, Mapping[float, Any]], theme: str = "light") -> go.Figure:
    """What pooling costs a model before and after training, on one picture.

    Args:
        curves: "before" and "after" -> pool factor -> score with `ndcg`, `low` and `high`, as in a training report.
        theme: "light" or "dark".

    Returns:
        The figure.

    Raises:
        InputError: no curves.
    """
    if not curves or not all(curves.values()):
        raise InputError("Expected curves of a training with pool factors, got none: train with pool_factors.")
    colours = palette(theme)
    factors = sorted({factor for curve in curves.values() for factor in curve})
    figure = go.Figure()
    for number, (when, curve) in enumerate(curves.items()):
        x = [factors.index(factor) + 0.06 * (number - (len(curves) - 1) / 2) for factor in curve]
        y = [score.ndcg for score in curve.values()]
        colour = colours.series[number % len(colours.series)]
        kept = [value / y[0] if y[0] else 0.0 for value in y]
        figure.add_scatter(
            x=x, y=y, name=when, mode="lines+markers", customdata=kept,
            line={"color": colour, "width": 2, "dash": DASHES[number % len(DASHES)]},
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
            error_y=error_bars(y, [(score.low, score.high) for score in curve.values()], colour),
            hovertemplate=f"{when}: %{{y:.3f}}, %{{customdata:.1%}} of its own<extra></extra>",
        )  # fmt: skip
    style(figure, "What pooling costs, before and after training", theme, 320, "Bars: 95% intervals over questions.")
    figure.update_xaxes(tickvals=list(range(len(factors))), ticktext=[f"{factor:g}" for factor in factors],
                        title_text="pool factor", zeroline=False)  # fmt: skip
    figure.update_yaxes(title_text=metric_name("ndcg@10"))
    return legend_below(figure, len(curves), 8)


def merge_curves(points: Sequence[Any], theme: str = "light") -> go.Figure:
    """What a model gains and forgets on the way from its base to its training.

    Args:
        points: Of `workbench.experiments.merging.merge_curve`: `share`, and `differences` of nDCG@10 to the base.
        theme: "light" or "dark".

    Returns:
        The figure, a line a collection.

    Raises:
        InputError: no points.
    """
    if not points:
        raise InputError("Expected measured shares, got none: measure the base and the trained model at least.")
    colours, shares = palette(theme), [point.share for point in points]
    names = list(points[0].differences)
    figure = go.Figure()
    for number, name in enumerate(names):
        changes = [point.differences[name] for point in points]
        y, colour = [change.mean for change in changes], colours.series[number % len(colours.series)]
        figure.add_scatter(
            x=[share + 0.006 * (number - (len(names) - 1) / 2) for share in shares], y=y, name=name,
            mode="lines+markers", customdata=[[share, point.scores[name].ndcg] for share, point in
                                              zip(shares, points, strict=True)],
            line={"color": colour, "width": 2, "dash": DASHES[number % len(DASHES)]},
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
            error_y=error_bars(y, [(change.low, change.high) for change in changes], colour),
            hovertemplate=f"{name}, share %{{customdata[0]:g}}: %{{y:+.3f}}, at %{{customdata[1]:.3f}}<extra></extra>",
        )  # fmt: skip
    style(figure, "Between the base and the trained model", theme, 320,
          "Change of nDCG@10 against the base. Bars: 95% intervals over questions.")  # fmt: skip
    figure.update_xaxes(tickvals=shares, title_text="share of the way to the trained model", zeroline=False)
    figure.update_yaxes(title_text=f"change of {metric_name('ndcg@10')}", tickformat="+.3f", zeroline=True)
    return legend_below(figure, len(names), 24)


def _series(events: Sequence[Any]) -> dict[str, list[tuple[int, float]]]:
    """Quantity -> (step, value) pairs in the order of the events."""
    series: dict[str, list[tuple[int, float]]] = {}
    for event in events:
        entries = _entries(event)
        step = entries.pop("step", None)
        metrics = entries.pop("metrics", None) or {}
        if isinstance(step, bool) or not isinstance(step, (int, float)):
            continue
        for name, value in {**entries, **metrics}.items():
            if name not in LEFT_OUT and isinstance(value, (int, float)) and not isinstance(value, bool):
                series.setdefault(RENAMED.get(str(name), str(name)), []).append((int(step), float(value)))
    return series


def _bands(events: Sequence[Any]) -> list[tuple[int, float, float]]:
    """Step, low and high of the events that have an interval."""
    entries = [_entries(event) for event in events]
    return [(e["step"], e["low"], e["high"]) for e in entries if {"step", "low", "high"} <= e.keys()]


def _entries(event: Any) -> dict[str, Any]:
    if isinstance(event, Mapping):
        return dict(event)
    if is_dataclass(event):
        return {entry.name: getattr(event, entry.name) for entry in fields(event)}
    raise InputError(f"Expected an event that is a mapping or a dataclass, got {type(event).__name__}: convert it.")
