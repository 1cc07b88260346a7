"""The measured parts of docs/indexes.md, from what the commands wrote.

    workbench compare-indexes --collection ../shared/collections/cranfield --output benchmarks/results/indexes.json
    workbench trace --collection ../shared/collections/cranfield --json > benchmarks/results/lost.json
    workbench recommend --collection embedded --output benchmarks/results/recommendation.json
    python -m benchmarks.index_page

Each file that is there replaces its part of the page; the figure is drawn from the comparison.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contract_table import ROOT, replace_between
from engine.indexes import changed_settings
from workbench import figures
from workbench.experiments.plan import format_spec
from workbench.experiments.views.index_tables import as_markdown, number
from workbench.experiments.views.indexes import read_rows
from workbench.exports import markdown_table

RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "indexes.md"


def comparison(path: Path) -> str:
    """Tables of a comparison, its conditions and its figure in light and dark."""
    records = read_rows(path)
    folder = PAGE.parent / "indexes"
    folder.mkdir(exist_ok=True)
    for theme, end in (("light", ""), ("dark", "-dark")):
        figures.export(figures.index_frontier(records, theme=theme), folder / f"frontier{end}.svg", 640)
    first = records[0]
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    conditions = f"{first.machine['processor']}, {first.machine['cores']} cores. {versions}."
    return f"{as_markdown(records)}\n\n{conditions}\n\n{picture('indexes/frontier', 'Recall against time')}"


def picture(name: str, words: str) -> str:
    """An image that follows the reader's colour scheme."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg">'
        f'<img src="{name}.svg" alt="{words}" width="640"></picture>'
    )


def lost(path: Path) -> str:
    """The table of lost documents, and what more search wins back."""
    found = json.loads(path.read_text(encoding="utf-8"))
    head = ("lost to", "documents", "of all relevant", "questions", "what wins them back")
    rows = [
        (cost["stage"], f"{cost['lost']:,}", f"{cost['share']:.1%}", cost["queries"], cost["remedy"])
        for cost in found["costs"]
    ]
    lines = [markdown_table(head, rows).rstrip()]
    by_index = sum(entry["rank_stored"] is not None for entry in found["lost"])
    lines += ["", f"Of {found['relevant']:,} relevant documents {found['found']:,} are among the first {found['k']}; "
              f"the index lost {by_index} that exact search returns."]  # fmt: skip
    lines += [f"- {format_spec('', settings).lstrip(':')}: {count} come back" for settings, count in found["won_back"]]
    return "\n".join(lines)


def recommendation(path: Path) -> str:
    """Everything that was tried, and the choice."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| index | pool factor | MB | p50 ms | quality | of exact | difference (95%) | R@10 | build s |",
             "|" + " --- |" * 9]  # fmt: skip
    for option in found["tried"]:
        spec = format_spec(option["kind"], changed_settings(option["kind"], option["settings"]))
        mean, low, high = option["difference"]
        chosen = "**" if option == found["chosen"] else ""
        lines.append(
            f"| {chosen}{spec}{chosen} | {option['factor']:g} | {number(option['bytes'] / 1e6)} | "
            f"{number(option['p50_ms'])} | {option['value']:.3f} | {option['quality']:.1%} | "
            f"{mean:+.3f} ({low:+.3f} to {high:+.3f}) | {option['recall_10']:.3f} | {number(option['build_seconds'])} |"
        )
    skipped = f" Not tried, for lack of time: {'; '.join(found['skipped'])}." if found["skipped"] else ""
    return "\n".join([*lines, "", f"{found['reason']} {found['seconds']:.0f} s.{skipped} Again: `{found['command']}`"])


PARTS: dict[str, Callable[[Path], str]] = {
    "indexes.json": comparison, "lost.json": lost, "recommendation.json": recommendation,
}  # fmt: skip


def main() -> None:
    """Fill the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name, part in PARTS.items():
        if (RESULTS / name).exists():
            text = replace_between(text, name.removesuffix(".json"), part(RESULTS / name))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
