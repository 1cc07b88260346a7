"""Charts of the dashboard that no other part draws: every question of two runs as a point."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from engine.metrics import metric_name
from engine.statistics import NOTICEABLE
from workbench.figures.theme import faded, palette, style

AXIS = 52  # characters of an axis title


def question_scatter(table: pd.DataFrame, names: tuple[str, str], metric: str, theme: str) -> go.Figure:
    """Every question as a point: its value in one run against its value in the other.

    Args:
        table: What `by_question` gave.
        names: What the run before and the run after are called.
        metric: The metric that is compared.
        theme: "light" or "dark".

    Returns:
        The figure; the order of its points is that of the table.
    """
    colours = palette(theme)
    moved = table["difference"]
    kinds = [
        (moved < -NOTICEABLE, "worse", colours.chosen, "triangle-down"),
        (moved > NOTICEABLE, "better", colours.accent, "triangle-up"),
        (moved.abs() <= NOTICEABLE, "as before", faded(colours.soft, 0.45), "circle"),
    ]
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", showlegend=False, hoverinfo="skip",
        line={"color": colours.line, "width": 1.5},
    )  # fmt: skip
    for rows, name, colour, symbol in kinds:
        part = table.loc[rows]
        figure.add_scatter(
            x=part["before"], y=part["after"], mode="markers", name=f"{len(part)} {name}",
            customdata=list(zip(part["query"], part["question"], strict=True)),
            marker={"color": colour, "size": 9, "symbol": symbol, "line": {"width": 0}},
            hovertemplate="%{customdata[1]}<br>%{x:.3f} to %{y:.3f}<extra></extra>",
        )  # fmt: skip
    style(figure, "Every question as a point", theme, 380, "Below the line: the run after is worse. Click a point.")
    figure.update_xaxes(title_text=f"{metric_name(metric)} before: {names[0]}"[:AXIS], range=[-0.03, 1.03])
    figure.update_yaxes(title_text=f"{metric_name(metric)} after: {names[1]}"[:AXIS], range=[-0.03, 1.03])
    below = {"yanchor": "top", "y": -0.16, "x": 0.0}
    return figure.update_layout(clickmode="event+select", legend=below, margin_b=110)
