"""Figures of one question and one document: the similarity matrix, and the bars that add up to the score."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from engine.errors import InputError
from engine.explain import Alignment, Stretch, excerpt, is_long, most_telling, stretches
from workbench.figures.theme import MONO, faded, palette, style

CELL = 17  # pixels of a matrix row
STRIP, BETWEEN = 70, 46  # pixels of the bars above the matrix of a passage, and of the gap


def maxsim_heatmap(
    alignment: Alignment, row: int | None = None, theme: str = "light", passage: int | None = None
) -> go.Figure:
    """Every query token against every document token, with each query token's best match outlined.

    Of a long document one passage is shown so, under a strip that says how much of the score each passage holds.

    Args:
        alignment: From `explain`.
        row: Position of a chosen query token; the others step back.
        theme: "light" or "dark".
        passage: Number of a passage of a long document, from 0; None is the one that most of the score comes from.

    Returns:
        The figure.

    Raises:
        InputError: there is no such passage, or the document is not long.
    """
    parts = stretches(alignment) if is_long(alignment) else []
    if passage is not None and not 0 <= passage < len(parts):
        raise InputError(
            f"Expected a passage from 0 to {len(parts) - 1}, got {passage}: choose one of them."
            if parts
            else f"Expected no passage of a document of {len(alignment.document_tokens)} tokens, which is shown as a "
            f"whole, got {passage}: leave it out."
        )
    if not parts:
        return _matrix(alignment, row, theme)
    number = most_telling(parts) if passage is None else passage
    figure = _matrix(excerpt(alignment, parts[number]), row, theme)
    return _under_a_strip(figure, alignment, parts, number, theme)


def _matrix(alignment: Alignment, row: int | None, theme: str) -> go.Figure:
    colours = palette(theme)
    similarity = alignment.similarity
    queries, documents = [_names(tokens) for tokens in (alignment.query_tokens, alignment.document_tokens)]
    n, width = similarity.shape
    low = min(float(similarity.min()), 0.0) if similarity.size else 0.0
    figure = go.Figure(
        go.Heatmap(
            z=similarity,
            x=[str(position) for position in range(width)],
            customdata=np.broadcast_to(np.array(documents, object), similarity.shape),
            text=np.broadcast_to(np.array(queries, object)[:, None], similarity.shape),
            hovertemplate="%{text} / %{customdata}: %{z:.3f}<extra></extra>",
            colorscale=[[0, colours.card], [1, colours.accent]],
            zmin=low,
            zmax=1.0 if similarity.size == 0 else max(float(similarity.max()), low + 1e-6),
            xgap=1,
            ygap=1,
            colorbar={"thickness": 8, "outlinewidth": 0, "tickfont": {"size": 10}, "nticks": 4},
        )
    )
    for position, best in enumerate(alignment.best):
        if best < 0:  # in another passage
            continue
        figure.add_shape(
            type="rect", x0=best - 0.5, x1=best + 0.5, y0=position - 0.5, y1=position + 0.5,
            line={"color": colours.chosen, "width": 2}, opacity=1 if row in (None, position) else 0.3,
        )  # fmt: skip
    if row is not None:
        for first, last in ((-0.5, row - 0.5), (row + 0.5, n - 0.5)):
            figure.add_shape(
                type="rect", x0=-0.5, x1=width - 0.5, y0=first, y1=last,
                line_width=0, fillcolor=faded(colours.card, 0.6), layer="above",
            )  # fmt: skip
    note = f"Colour: similarity. Outlined: each query token's best match; they add up to {alignment.score:.3f}."
    style(figure, "Every query token against every document token", theme, _height(alignment), note)
    ticks = {"family": MONO, "size": 11}
    # A category axis drops labels that have no room and shows them again when a person zooms in.
    aliases = {str(position): name for position, name in enumerate(documents)}
    figure.update_xaxes(type="category", labelalias=aliases, tickangle=-90, tickfont=ticks, showgrid=False)
    figure.update_yaxes(
        tickvals=list(range(n)), ticktext=queries, tickfont=ticks, showgrid=False, range=[n - 0.5, -0.5]
    )
    figure.update_xaxes(fixedrange=False)  # a long document is read by zooming in
    return figure


def _height(alignment: Alignment) -> int:
    """Pixels of a matrix and the names below it."""
    return CELL * len(alignment.query_tokens) + 90


def _under_a_strip(figure: go.Figure, alignment: Alignment, parts: list[Stretch], number: int, theme: str) -> go.Figure:
    """The matrix of one passage below bars of all passages, which stand as they do in the text."""
    colours = palette(theme)
    scores, height = [part.score for part in parts], _height(alignment)
    top = 1 - STRIP / (height + STRIP + BETWEEN)
    below = 1 - (STRIP + BETWEEN) / (height + STRIP + BETWEEN)
    figure.add_bar(
        x=list(range(1, len(parts) + 1)), y=scores, xaxis="x2", yaxis="y2", showlegend=False,
        marker_color=[colours.chosen if i == number else colours.accent for i in range(len(parts))],
        hovertemplate="passage %{x}: %{y:.3f} of the score<extra></extra>",
    )  # fmt: skip
    elsewhere = alignment.score - sum(scores)
    title = f"Passage {number + 1} of {len(parts)} holds {scores[number]:.2f} of {alignment.score:.2f}"
    note = (
        f"Above: how much of the score the best matches in each passage add; {elsewhere:.2f} comes from vectors that "
        "stand for no place. Below: the passage in full, its best matches outlined."
    )
    style(figure, title, theme, height + STRIP + BETWEEN, note)
    figure.update_traces(selector={"type": "heatmap"}, colorbar={"len": below, "y": 0, "yanchor": "bottom"})
    figure.update_layout(
        bargap=0.15, yaxis_domain=[0, below],
        xaxis2={"anchor": "y2", "showgrid": False, "range": [0.4, len(parts) + 0.6], "fixedrange": True},
        yaxis2={"anchor": "x2", "domain": [top, 1], "nticks": 3, "rangemode": "tozero", "fixedrange": True},
    )  # fmt: skip
    return figure


def contributions(
    alignment: Alignment, other: Alignment | None = None, chosen: int | None = None, theme: str = "light"
) -> go.Figure:
    """What each query token adds to the score.

    Args:
        alignment: From `explain`.
        other: A second document for the same question, as grey bars beside the first.
        chosen: Position of the query token to mark.
        theme: "light" or "dark".

    Returns:
        The figure.

    Raises:
        InputError: the two alignments are of different questions.
    """
    colours = palette(theme)
    names = _names(alignment.query_tokens)
    matched = [str(alignment.document_tokens[i]) for i in alignment.best]
    figure = go.Figure(
        go.Bar(
            y=list(range(len(names))),
            x=alignment.contribution,
            orientation="h",
            name="this document",
            marker_color=[colours.chosen if i == chosen else colours.accent for i in range(len(names))],
            text=[f"{value:.2f}  {word}" for value, word in zip(alignment.contribution, matched, strict=True)],
            textposition="auto",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    title = f"{len(names)} query tokens add up to a score of {alignment.score:.3f}"
    if other is not None:
        _same_question(alignment, other)
        figure.add_bar(
            y=list(range(len(names))), x=other.contribution, orientation="h", name="other document",
            marker_color=faded(colours.soft, 0.35),
        )  # fmt: skip
        title += f", against {other.score:.3f}"
    note = "Each bar: the similarity of a query token to the document token that matches it best, written beside it."
    style(figure, title, theme, (22 if other is None else 33) * len(names) + 30, note)
    figure.update_layout(showlegend=other is not None, bargap=0.25)
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, tickfont={"family": MONO, "size": 12}, autorange="reversed"
    )
    figure.update_xaxes(title_text="similarity", rangemode="tozero")
    return figure


def contribution_difference(
    first: Alignment, second: Alignment, names: tuple[str, str] = ("first", "second"), theme: str = "light"
) -> go.Figure:
    """Why one document scores higher than another, query token by query token.

    Args:
        first: One document.
        second: Another document, for the same question.
        names: What the two are called.
        theme: "light" or "dark".

    Returns:
        The figure: bars to the right favour the first, sorted by size.

    Raises:
        InputError: the two alignments are of different questions.
    """
    _same_question(first, second)
    colours = palette(theme)
    difference = first.contribution - second.contribution
    order = np.argsort(-difference, kind="stable")
    labels = _names(first.query_tokens)
    figure = go.Figure(
        go.Bar(
            y=list(range(len(order))),
            x=difference[order],
            orientation="h",
            marker_color=[colours.accent if difference[i] >= 0 else colours.chosen for i in order],
            text=[f"{difference[i]:+.2f}" for i in order],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{text}<extra></extra>",
        )
    )
    leader, trailer = names if first.score >= second.score else names[::-1]
    title = f"{leader} scores {abs(first.score - second.score):.3f} more than {trailer}"
    note = f"To the right: the query token favours {names[0]}. The bars add up to the difference."
    style(figure, title, theme, 22 * len(order) + 30, note)
    figure.update_yaxes(
        tickvals=list(range(len(order))), ticktext=[labels[i] for i in order], autorange="reversed",
        tickfont={"family": MONO, "size": 12},
    )  # fmt: skip
    low, high = min(float(difference.min(initial=0)), 0), max(float(difference.max(initial=0)), 0)
    room = 0.22 * max(high - low, 1e-6)
    figure.update_xaxes(title_text="similarity, difference", range=[low - room, high + room])
    return figure


def _names(tokens: list) -> list[str]:
    return [str(token) for token in tokens]


def _same_question(first: Alignment, second: Alignment) -> None:
    if _names(first.query_tokens) != _names(second.query_tokens):
        raise InputError("Expected two alignments of one question, got two questions: explain both with the same one.")
