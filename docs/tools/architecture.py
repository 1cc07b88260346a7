"""The picture of the architecture, in light and dark. Run: `python -m docs.tools.architecture`."""

from __future__ import annotations

from html import escape

from docs.tools.places import DOCS

WIDTH, HEIGHT = 860, 470
COLOURS = {
    "": {
        "ink": "#1c1c1c",
        "soft": "#5b6470",
        "card": "#ffffff",
        "line": "#c3cad3",
        "fill": "#f4f6f9",
        "mark": "#1d4f91",
    },
    "-dark": {
        "ink": "#e8eaed",
        "soft": "#a7b0bb",
        "card": "#1e2329",
        "line": "#47505b",
        "fill": "#272d35",
        "mark": "#8ab4f8",
    },
}
SHOWN = ("browser pages", "dashboard", "sites", "server", "notebooks", "command line", "your Python")
WORKBENCH = (
    ("experiments", "what is measured, once"),
    ("runs", "kept and compared"),
    ("systems", "stages written as a text"),
    ("cluster", "shared out with Ray"),
    ("figures", "drawn once for all"),
)
ENGINE = (
    ("reading", "files, judgements"),
    ("encoder", "texts to vectors"),
    ("pooling", "fewer vectors"),
    ("indexes", "PLAID, HNSW, ..."),
    ("maxsim", "scores, gradients"),
    ("training", "losses, batches"),
    ("evaluation", "nDCG, intervals"),
)


def _row(title: str, y: int, height: int, boxes: list[tuple[str, str]], colours: dict[str, str]) -> list[str]:
    parts = [
        f'<rect x="10" y="{y}" width="{WIDTH - 20}" height="{height}" rx="8" fill="{colours["fill"]}"'
        f' stroke="{colours["line"]}"/>',
        f'<text x="24" y="{y + 24}" fill="{colours["mark"]}" font-weight="600">{escape(title)}</text>',
    ]
    room = (WIDTH - 48) / len(boxes)
    for number, (name, about) in enumerate(boxes):
        x = 24 + number * room
        tall = 54 if about else 34
        parts.append(
            f'<rect x="{x:.0f}" y="{y + 38}" width="{room - 12:.0f}" height="{tall}" rx="5" fill="{colours["card"]}"'
            f' stroke="{colours["line"]}"/>'
        )
        middle = x + (room - 12) / 2
        parts.append(
            f'<text x="{middle:.0f}" y="{y + 60}" text-anchor="middle" fill="{colours["ink"]}">{escape(name)}</text>'
        )
        if about:
            parts.append(
                f'<text x="{middle:.0f}" y="{y + 78}" text-anchor="middle" fill="{colours["soft"]}" font-size="11">'
                f"{escape(about)}</text>"
            )
    return parts


def picture(colours: dict[str, str]) -> str:
    """The picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="13"'
        ' font-family="system-ui, DejaVu Sans, sans-serif" role="img">',
        "<title>apps and notebooks import workbench, workbench imports engine</title>",
        *_row("apps, notebooks: what a person sees", 10, 84, [(name, "") for name in SHOWN], colours),
        *_row("workbench: what is measured, kept and drawn", 134, 104, list(WORKBENCH), colours),
        *_row("engine: from texts to rankings, with no user interface", 278, 104, list(ENGINE), colours),
    ]
    for y in (94, 238):
        parts.append(
            f'<path d="M{WIDTH / 2} {y + 4} v26 m-6 -8 l6 8 l6 -8" fill="none" stroke="{colours["mark"]}"'
            ' stroke-width="2"/>'
        )
        parts.append(f'<text x="{WIDTH / 2 + 14}" y="{y + 24}" fill="{colours["soft"]}" font-size="11">imports</text>')
    below = (
        "TokenEmbeddings pass from stage to stage; files are written whole, with checksums;",
        "kinds of index, scorers, models, collections and pages of other packages come in through entry points.",
    )
    for number, line in enumerate(below):
        parts.append(
            f'<text x="24" y="{414 + 20 * number}" fill="{colours["soft"]}" font-size="12">{escape(line)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Write both."""
    for name, colours in COLOURS.items():
        (DOCS / f"architecture{name}.svg").write_text(picture(colours), encoding="utf-8")


if __name__ == "__main__":
    main()
