"""What a widget shows where no widget runs: plain HTML with no script, in exports, previews and on printed pages."""

from __future__ import annotations

from html import escape

import ipywidgets

from engine.explain import Alignment, excerpt, is_long, most_telling, stretches
from workbench.exports import html_table
from workbench.figures.theme import FONT, faded, palette

TINTS = {"light": 0.6, "dark": 0.38}  # of the strongest match: light letters on a stronger tint could not be read


class StaticFallback(ipywidgets.VBox):
    """A box of widgets that adds a static page to its display, for viewers that run no widgets."""

    def static_html(self) -> str:
        """The present state as HTML with no script."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, object] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        # Viewers that run widgets choose the widget; all others take the richest form that they know.
        return {**bundle, "text/html": self.static_html()} if isinstance(bundle, dict) else bundle


def alignment_html(alignment: Alignment, question: str, text: str, theme: str = "light") -> str:
    """One pair, explained: the sum that is the score, the text, and each best match.

    Args:
        alignment: From `explain`.
        question: Its question.
        text: Its text.
        theme: "light" or "dark".

    Returns:
        HTML that depends on nothing else.
    """
    colours = palette(theme)
    frame = f"font-family:{FONT};color:{colours.ink};background:{colours.card};padding:8px"
    return (
        f'<div style="{escape(frame)}"><p><b>{escape(question)}</b></p>'
        f"{score_html(alignment, theme)}{prose_html(alignment, text, None, theme)}"
        f"{matches_html(alignment)}</div>"
    )


def score_html(alignment: Alignment, theme: str = "light", chosen: int | None = None) -> str:
    """The score as the sum that it is: one chip a query token.

    Args:
        alignment: From `explain`.
        theme: "light" or "dark".
        chosen: Position of the query token to outline.

    Returns:
        HTML.
    """
    colours = palette(theme)
    most = max(float(alignment.contribution.max(initial=0)), 1e-6)
    chips = []
    for position, (token, part) in enumerate(zip(alignment.query_tokens, alignment.contribution, strict=True)):
        edge = colours.chosen if position == chosen else "transparent"
        shade = faded(colours.accent, 0.35 * max(float(part), 0.0) / most)
        chips.append(
            f'<span style="display:inline-block;margin:2px;padding:2px 6px;border-radius:6px;border:2px solid {edge};'
            f'background:{shade}"><code style="background:none;color:{colours.ink}">{escape(token.text)}</code> '
            f"{part:.2f}</span>"
        )
    return (
        f'<p style="color:{colours.ink};margin:4px 0;line-height:1.9">{" + ".join(chips)} = '
        f'<b class="workbench-score" style="font-size:18px;font-variant-numeric:tabular-nums">'
        f"{alignment.score:.3f}</b></p>"
    )


def prose_html(
    alignment: Alignment, text: str, chosen: int | None = None, theme: str = "light", passage: int | None = None
) -> str:
    """The document as prose; of a long one a passage, and how much of the score it holds.

    Args:
        alignment: From `explain`.
        text: The text that was explained.
        chosen: Position of a query token; None tints by the best match with any.
        theme: "light" or "dark".
        passage: Number of a passage of a long document; None is the one that most of the score comes from.

    Returns:
        HTML.
    """
    parts = stretches(alignment) if is_long(alignment) else []
    if not parts:
        return text_html(alignment, text, chosen, theme)
    number = most_telling(parts) if passage is None else passage
    at = parts[number]
    told = f"Passage {number + 1} of {len(parts)}, which holds {at.score:.3f} of the score:"
    prose = text_html(excerpt(alignment, at), text[at.start : at.end], chosen, theme)
    return f'<p style="color:{palette(theme).soft};margin:4px 0">{told}</p>{prose}'


def text_html(alignment: Alignment, text: str, chosen: int | None = None, theme: str = "light") -> str:
    """The document as prose, each token tinted by how well it matches; the best match of the chosen token underlined.

    Args:
        alignment: From `explain`.
        text: The text that was explained.
        chosen: Position of a query token; None tints by the best match with any.
        theme: "light" or "dark".

    Returns:
        HTML.
    """
    colours = palette(theme)
    strength = alignment.similarity.max(axis=0) if chosen is None else alignment.similarity[chosen]
    best = set(alignment.best.tolist()) if chosen is None else {int(alignment.best[chosen])}
    pieces, cursor = [], 0
    for position, token in enumerate(alignment.document_tokens):
        if token.start < cursor or token.end <= token.start:
            continue  # not in the text, or it shares characters with the token before
        tint = faded(colours.tint, TINTS[theme] * min(max(float(strength[position]), 0.0), 1.0) ** 2)
        line = f"border-bottom:2px solid {colours.chosen};" if position in best else ""
        pieces.append(escape(text[cursor : token.start]))
        pieces.append(f'<span style="background:{tint};{line}">{escape(text[token.start : token.end])}</span>')
        cursor = token.end
    pieces.append(escape(text[cursor:]))
    return f'<p style="color:{colours.ink};max-width:48em;line-height:1.7;margin:4px 0">{"".join(pieces)}</p>'


def matches_html(alignment: Alignment) -> str:
    """What each query token matches best and adds, as a table: the matrix is a figure, which needs a script.

    Args:
        alignment: From `explain`.

    Returns:
        HTML.
    """
    rows = [
        (token.text, alignment.document_tokens[best].text, f"{part:.4f}")
        for token, best, part in zip(alignment.query_tokens, alignment.best, alignment.contribution, strict=True)
    ]
    return html_table(("query token", "best match", "adds"), rows)


def error_html(sentence: str, theme: str = "light") -> str:
    """One sentence on what cannot be done, and what to do."""
    return f'<p role="alert" style="color:{palette(theme).chosen}">{escape(sentence)}</p>'
