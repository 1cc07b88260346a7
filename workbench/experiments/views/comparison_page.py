"""A comparison of runs as one page of HTML that opens offline: scores, pairs, and the queries that differ most."""

from __future__ import annotations

import html
from collections.abc import Mapping

from engine.metrics import metric_name
from workbench.experiments.views.comparison import Comparison, Pair
from workbench.exports import html_table
from workbench.figures.theme import FONT, PALETTES

MOST = 10  # queries shown for a pair


def _colours(theme: str) -> str:
    colours = PALETTES[theme]
    return f"--paper:{colours.paper};--ink:{colours.ink};--soft:{colours.soft};--line:{colours.line}"


STYLE = (
    f":root{{{_colours('light')}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_colours('dark')}}}}}"
    f"body{{margin:0 auto;max-width:60rem;padding:1rem;background:var(--paper);color:var(--ink);font:15px/1.5 {FONT}}}"
    "div{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0 1.5rem}"
    "caption{caption-side:bottom;text-align:left;color:var(--soft);padding-top:.4rem;font-size:13px}"
    "th,td{padding:.3rem .8rem .3rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}h1{font-size:1.3rem}h2{font-size:1rem;margin:1.5rem 0 0}"
)


def comparison_page(comparison: Comparison, queries: Mapping[str, str] | None = None) -> str:
    """The whole comparison.

    Args:
        comparison: From `compare`.
        queries: Query id -> text, to show beside the id.

    Returns:
        A document with nothing to load.
    """
    title = f"{comparison.collection}: {', '.join(comparison.scores)}"
    parts = [f"<h1>{html.escape(title)}</h1>", f"<div>{comparison.to_html()}</div>", f"<div>{_pairs(comparison)}</div>"]
    for pair in comparison.pairs:
        if pair.wins or pair.losses:
            parts.append(_moved(pair, queries or {}))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _pairs(comparison: Comparison) -> str:
    head = (
        "metric",
        "second against first",
        "difference (95%)",
        "corrected p",
        "better",
        "worse",
        "overlap of the first ten",
    )
    rows = [
        (
            metric_name(pair.metric), f"{pair.second} against {pair.first}", str(pair.difference),
            f"{pair.p_corrected:.3g}", str(len(pair.wins)), str(len(pair.losses)), f"{pair.overlap:.2f}",
        )
        for pair in comparison.pairs
    ]  # fmt: skip
    return html_table(head, rows, numbers=range(3, 7))


def _moved(pair: Pair, queries: Mapping[str, str]) -> str:
    largest = list(pair.changes.items())[:MOST]
    rows = [(query, queries.get(query, ""), f"{change:+.3f}") for query, change in largest]
    heading = f"{metric_name(pair.metric)}: where {pair.second} and {pair.first} differ most"
    return (
        f"<h2>{html.escape(heading)}</h2><div>{html_table(('query', 'text', 'difference'), rows, numbers=(2,))}</div>"
    )
